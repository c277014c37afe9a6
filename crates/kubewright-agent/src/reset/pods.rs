//! Ending pods without a runtime: their processes are known by their cgroup, their mounts by where they are.
//!
//! Asking containerd to stop each one would need it healthy, which a node that is reset often is not.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kubewright_core::wire::NodeError;

use crate::fault::{fault, hinted};
use crate::mounts::{self, is_at_or_below};
use crate::system::{Command, System, act};

/// As many processes are named in an error.
const NAMED: usize = 8;
/// How long processes may take to be gone after they were killed.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
/// Mounts below these are pods' volumes, their root file systems and shared memory, their network namespaces.
const MOUNTS: [&str; 4] = [
    "/var/lib/kubelet",
    "/run/containerd",
    "/run/netns",
    "/var/lib/containerd",
];
/// How many paths one `umount` is given.
const AT_ONCE: usize = 100;

/// Kills every process of a pod and every shim of the runtime, and waits until they are gone.
pub(super) fn kill(system: &dyn System) -> Result<(), NodeError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let processes = processes(system);
        if processes.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let error = fault(
                "end the pods' processes",
                format!(
                    "{} of them are still alive after SIGKILL: process {}",
                    processes.len(),
                    processes
                        .iter()
                        .take(NAMED)
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            );
            return Err(hinted(
                error,
                "they wait for a disk or a network file system: restart the machine, then run kubewright reset again",
            ));
        }
        let pids: Vec<_> = processes.iter().map(String::as_str).collect();
        for pids in pids.chunks(AT_ONCE) {
            let arguments: Vec<_> = ["-KILL", "--"].iter().chain(pids).copied().collect();
            system
                .effect("kill pods")
                .map_err(|error| fault("end the pods' processes", error))?;
            // Those that ended by themselves in between make it complain.
            let _ = system.run(&Command::new("kill", &arguments));
        }
        std::thread::sleep(PAUSE);
    }
}

fn processes(system: &dyn System) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(system.path("/proc"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let Some(pid) = name
            .to_str()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            continue;
        };
        let cgroup = system.text(&format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let command = system.text(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let state = system.text(&format!("/proc/{pid}/stat")).unwrap_or_default();
        // One that has ended and waits for its parent to notice cannot be killed any further.
        let has_ended = state
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'));
        if !has_ended && (is_pods(&cgroup) || is_shim(&command)) {
            found.push(pid.to_owned());
        }
    }
    found.sort();
    found
}

/// Both cgroup drivers name the kubelet's part of the tree `kubepods`.
fn is_pods(cgroup: &str) -> bool {
    cgroup.lines().any(|line| {
        line.rsplit(':').next().is_some_and(|path| {
            path.split('/')
                .any(|part| part == "kubepods" || part.starts_with("kubepods.slice"))
        })
    })
}

/// The runtime's shims of Kubernetes' namespace, not those of other containers.
fn is_shim(command: &str) -> bool {
    let mut words = command.split('\0');
    let is_shim = words.next().is_some_and(|program| {
        program
            .rsplit('/')
            .next()
            .is_some_and(|name| name.starts_with("containerd-shim"))
    });
    let words: Vec<_> = words.collect();
    is_shim && words.windows(2).any(|pair| pair == ["-namespace", "k8s.io"])
}

/// Unmounts what pods had mounted, the newest first; what is still in use is detached, as a last resort.
pub(super) fn unmount(system: &dyn System) -> Result<(), NodeError> {
    for lazily in [false, true] {
        let points = pod_mounts(system);
        for points in points.chunks(AT_ONCE) {
            let mut arguments = if lazily { vec!["--lazy"] } else { Vec::new() };
            arguments.push("--");
            arguments.extend(points.iter().map(String::as_str));
            let command = Command::new("umount", &arguments);
            let result = act(system, &command);
            if lazily && pod_mounts(system).iter().any(|left| points.contains(left)) {
                result?;
            }
        }
    }
    match pod_mounts(system).first() {
        None => Ok(()),
        Some(left) => {
            let error = fault(format!("unmount {left}"), "it is still mounted");
            Err(hinted(
                error,
                "`fuser -vm` shows which process uses it; stop that, then run the same command again",
            ))
        }
    }
}

/// The mounts of pods, the newest first. A mount point that is a data directory itself is the node's.
fn pod_mounts(system: &dyn System) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mounts = mounts::read(system);
    mounts
        .into_iter()
        .rev()
        .map(|mount| mount.point)
        .filter(|point| {
            MOUNTS.iter().any(|directory| {
                let is_below = is_at_or_below(point, directory) && point != directory;
                is_below && (*directory != "/run/netns" || point.starts_with("/run/netns/cni-"))
            })
        })
        .filter(|point| seen.insert(point.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_processes_of_pods_under_both_cgroup_drivers() {
        assert!(is_pods(
            "0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-1.scope\n"
        ));
        assert!(is_pods(
            "4:memory:/n1/kubepods/besteffort/pod1/2\n1:name=systemd:/\n"
        ));
        assert!(!is_pods("0::/system.slice/kubelet.service\n"));
        assert!(!is_pods("0::/system.slice/kubepods-exporter.service\n"));
    }

    #[test]
    fn knows_shims_of_kubernetes_from_others() {
        assert!(is_shim(
            "/usr/local/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0-id\0x\0"
        ));
        assert!(!is_shim(
            "/usr/bin/containerd-shim-runc-v2\0-namespace\0moby\0-id\0x\0"
        ));
        assert!(!is_shim("/bin/sh\0-namespace\0k8s.io\0"));
    }
}
