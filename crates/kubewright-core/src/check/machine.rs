//! The machine itself: processor, kernel, systemd, control groups, memory, swap, programs.

use super::text::{list, shown};
use super::{Found, Kind, Look, Subject, packages};
use crate::carrier;
use crate::catalogue::Platform;
use crate::component::callers_of;
use crate::spec::{Cluster, ComponentName, ProxyMode};

const MIB: u64 = 1 << 20;
/// kubeadm's limit: `ControlPlaneMem` in cmd/kubeadm/app/constants of Kubernetes 1.36.
const CONTROL_PLANE_MEMORY: u64 = 1700 * MIB;
const WORKER_MEMORY: u64 = 700 * MIB;
/// kubeadm's limit: `ControlPlaneNumCPU`.
const CONTROL_PLANE_PROCESSORS: u32 = 2;
const OLDEST_SYSTEMD: u32 = 244;
/// The oldest of system-validators v1.12, which Kubernetes 1.36 uses.
const OLDEST_KERNEL: (u32, u32) = (5, 4);
/// `NFTablesKubeProxyKernelVersion` in pkg/util/kernel of Kubernetes 1.36.
const OLDEST_KERNEL_WITH_NFTABLES: (u32, u32) = (5, 13);
/// system-validators v1.12 recommends it for cgroup v2.
const OLDEST_KERNEL_WITH_CGROUP_V2: (u32, u32) = (5, 10);
/// Of those that system-validators v1.12 requires, the ones that exist as controllers in both versions.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

pub(super) fn judge(look: &Look, found: &mut Found) {
    for subject in &look.subjects {
        architecture(subject, found);
        systemd(subject, found);
        kernel(look.cluster, subject, found);
        control_groups(look.cluster, subject, found);
        memory(subject, found);
        swap(subject, found);
        commands(look.cluster, subject, found);
        selinux(subject, found);
    }
}

fn architecture(subject: &Subject, found: &mut Found) {
    let architecture = subject.facts.architecture.as_str();
    if architecture.is_empty()
        || Platform::ALL
            .iter()
            .any(|platform| platform.arch() == architecture)
    {
        return;
    }
    found.error(
        Kind::Architecture,
        subject.name(),
        format!(
            "the processor is {}; supported are amd64 and arm64",
            shown(architecture)
        ),
        "use another machine for this node",
    );
}

fn systemd(subject: &Subject, found: &mut Found) {
    let message = match subject.facts.systemd {
        0 => "systemd does not run".to_owned(),
        version if version < OLDEST_SYSTEMD => {
            format!("systemd is {version}; {OLDEST_SYSTEMD} or newer is needed")
        }
        _ => return,
    };
    let system = match subject.facts.os_name.as_str() {
        "" => String::new(),
        name => format!(" (it is {})", shown(name)),
    };
    found.error(
        Kind::Systemd,
        subject.name(),
        message,
        format!("upgrade the operating system{system} to one with systemd {OLDEST_SYSTEMD} or newer"),
    );
}

fn kernel(cluster: &Cluster, subject: &Subject, found: &mut Found) {
    let Some(version) = kernel_version(&subject.facts.kernel) else {
        return;
    };
    let release = shown(&subject.facts.kernel);
    if version < OLDEST_KERNEL {
        found.error(
            Kind::Kernel,
            subject.name(),
            format!("the kernel is {release}; Kubernetes needs 5.4 or newer"),
            "upgrade the kernel and reboot the node",
        );
    } else if version < OLDEST_KERNEL_WITH_NFTABLES && cluster.network.proxy == ProxyMode::Nftables {
        found.error(
            Kind::Kernel,
            subject.name(),
            format!("the kernel is {release}; kube-proxy with nftables needs 5.13 or newer"),
            "set network.proxy: iptables in cluster.yaml, or upgrade the kernel",
        );
    } else if version < OLDEST_KERNEL_WITH_CGROUP_V2 && subject.facts.cgroup_version == 2 {
        found.warning(
            Kind::Kernel,
            subject.name(),
            format!("the kernel is {release}; for cgroup v2 upstream recommends 5.10 or newer"),
            "upgrade the kernel when you can",
        );
    }
}

/// The first two numbers of a release such as `6.1.0-18-amd64`.
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release
        .split(|character: char| !character.is_ascii_digit())
        .map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn control_groups(cluster: &Cluster, subject: &Subject, found: &mut Found) {
    if subject.facts.cgroup_version == 1 {
        let message = "the node uses cgroup v1, on which the kubelet refuses to start";
        if is_cgroup_v1_accepted(cluster) {
            found.warning(
                Kind::CgroupV1,
                subject.name(),
                "the node uses cgroup v1, which Kubernetes and containerd will drop",
                "boot it with systemd.unified_cgroup_hierarchy=1 on the kernel's command line when you can",
            );
        } else {
            found.error(
                Kind::CgroupV1,
                subject.name(),
                message,
                "boot it with systemd.unified_cgroup_hierarchy=1 on the kernel's command line; where that is not \
                 possible: components.kubelet.extraConfig.failCgroupV1: false in cluster.yaml",
            );
        }
    }
    let usable = &subject.facts.cgroup_controllers;
    let missing: Vec<&str> = CONTROLLERS
        .into_iter()
        .filter(|controller| {
            // Version 1 mounts some controllers together and lists them as one.
            !usable
                .iter()
                .any(|one| one.split(',').any(|name| name == *controller))
        })
        .collect();
    if usable.is_empty() || missing.is_empty() {
        return;
    }
    let options: Vec<String> = missing
        .iter()
        .map(|controller| format!("cgroup_enable={controller}"))
        .collect();
    found.error(
        Kind::CgroupControllers,
        subject.name(),
        format!("cgroup controllers are not available: {}", list(&missing)),
        format!(
            "add {} to the kernel's command line and reboot the node",
            options.join(" ")
        ),
    );
}

fn is_cgroup_v1_accepted(cluster: &Cluster) -> bool {
    cluster
        .overrides(ComponentName::Kubelet)
        .and_then(|overrides| overrides.extra_config.get("failCgroupV1"))
        .is_some_and(|value| value == false)
}

fn memory(subject: &Subject, found: &mut Found) {
    let (role, needed) = if subject.node.is_control_plane() {
        ("control plane", CONTROL_PLANE_MEMORY)
    } else {
        ("worker", WORKER_MEMORY)
    };
    let memory = subject.facts.memory_bytes;
    if memory > 0 && memory < needed {
        found.error(
            Kind::Memory,
            subject.name(),
            format!(
                "{} MiB of memory; a {role} needs {} MiB",
                memory / MIB,
                needed / MIB
            ),
            "give the machine more memory",
        );
    }
    let processors = subject.facts.processors;
    if subject.node.is_control_plane() && processors > 0 && processors < CONTROL_PLANE_PROCESSORS {
        found.warning(
            Kind::Processors,
            subject.name(),
            format!("{processors} processor; a control plane should have {CONTROL_PLANE_PROCESSORS}"),
            format!("give the machine {CONTROL_PLANE_PROCESSORS} processors"),
        );
    }
}

fn swap(subject: &Subject, found: &mut Found) {
    let swaps = &subject.facts.swaps;
    if swaps.is_empty() {
        return;
    }
    let areas: Vec<String> = swaps.iter().take(4).map(|area| shown(area)).collect();
    if subject.facts.container.is_some() {
        found.error(
            Kind::SwapOn,
            subject.name(),
            format!("swap is on ({}), and a container cannot turn it off", list(areas)),
            "on the host of the container: swapoff --all, and remove swap from its /etc/fstab",
        );
        return;
    }
    found.warning(
        Kind::SwapOn,
        subject.name(),
        format!("swap is on ({}); the kubelet does not start with it", list(areas)),
        "none needed: apply turns it off and comments it out in /etc/fstab",
    );
}

fn commands(cluster: &Cluster, subject: &Subject, found: &mut Found) {
    let missing: Vec<(&str, Vec<&str>)> = subject
        .facts
        .missing_commands
        .iter()
        .map(|program| (program.as_str(), callers_of(cluster, subject.node, program)))
        .filter(|(program, callers)| !callers.is_empty() || carrier::PROGRAMS.contains(program))
        .collect();
    if missing.is_empty() {
        return;
    }
    let names: Vec<String> = missing
        .iter()
        .take(10)
        .map(|(program, callers)| match callers.as_slice() {
            // The agent's, which everything needs.
            [] | ["host", ..] => shown(program),
            callers => format!("{} ({})", shown(program), callers.join(", ")),
        })
        .collect();
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    found.error(
        Kind::MissingCommand,
        subject.name(),
        format!("not installed: {}", list(names)),
        packages::install(&subject.facts.os_id, &programs),
    );
}

fn selinux(subject: &Subject, found: &mut Found) {
    let mode = subject.facts.selinux.as_deref().unwrap_or_default();
    if mode.eq_ignore_ascii_case("enforcing") {
        found.warning(
            Kind::Selinux,
            subject.name(),
            "SELinux is enforcing; kubewright installs no policy for its units",
            "if a unit is denied something (ausearch -m avc), install container-selinux, or set SELINUX=permissive in \
             /etc/selinux/config and run setenforce 0",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::kernel_version;

    #[test]
    fn reads_kernel_releases_of_all_kinds() {
        assert_eq!(kernel_version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(kernel_version("5.14.0-362.el9.x86_64"), Some((5, 14)));
        assert_eq!(kernel_version("6.18-rc1"), Some((6, 18)));
        for odd in ["", "linux", "99999999999.1", "6"] {
            assert_eq!(kernel_version(odd), None, "{odd}");
        }
    }
}
