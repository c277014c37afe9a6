//! The cgroups of labs and machines: `kubewright-lab/LAB/MACHINE` in every hierarchy of this computer.
//!
//! On cgroup v1 there is one hierarchy per controller, each of which must be entered before systemd-nspawn starts; on
//! v2 there is one. A machine's processes cannot leave their cgroup, so it also tells who belongs to a machine.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::process::Process;
use crate::lab::{LabName, MachineName};
use crate::wait::{Limit, wait_until};

/// The folder that holds all labs.
const FOLDER: &str = "kubewright-lab";

/// The same folder in all hierarchies.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    hierarchies: Vec<Hierarchy>,
    /// Below each hierarchy's root.
    path: PathBuf,
}

/// How long a quota counts before the next begins, microseconds: the kernel's default.
const PERIOD_US: u32 = 100_000;

/// Per cent of one processor as microseconds of a period.
const fn quota(percent: u32) -> u32 {
    PERIOD_US / 100 * percent
}

/// A mounted cgroup hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    mount: PathBuf,
    is_v2: bool,
}

impl Cgroup {
    /// The cgroup of a whole lab.
    pub(crate) fn of_lab(lab: &LabName) -> Result<Self> {
        Ok(Self {
            hierarchies: hierarchies()?,
            path: Path::new(FOLDER).join(lab.as_str()),
        })
    }

    /// The cgroup of one machine.
    pub(crate) fn of_machine(lab: &LabName, machine: &MachineName) -> Result<Self> {
        let mut cgroup = Self::of_lab(lab)?;
        cgroup.path.push(machine.as_str());
        Ok(cgroup)
    }

    /// Makes the cgroup in every hierarchy, ready to be entered.
    pub(crate) fn create(&self) -> Result<()> {
        for hierarchy in &self.hierarchies {
            let mut directory = hierarchy.mount.clone();
            for part in &self.path {
                let parent = directory.clone();
                directory.push(part);
                match fs::create_dir(&directory) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                        return Err(error).with_context(|| format!("create {}", directory.display()));
                    }
                    _ => {}
                }
                if hierarchy.is_v2 {
                    delegate(&parent);
                } else {
                    fill_cpuset(&parent, &directory)?;
                }
            }
        }
        Ok(())
    }

    /// Moves the calling process, and with it all its future children, into the cgroup.
    pub(crate) fn enter(&self) -> Result<()> {
        for directory in self.directories() {
            let file = directory.join("cgroup.procs");
            fs::write(&file, std::process::id().to_string())
                .with_context(|| format!("write {}", file.display()))?;
        }
        Ok(())
    }

    /// Gives all processes in the cgroup together so many per cent of one processor, or as much as there is.
    pub(crate) fn hold(&self, percent: Option<u32>) -> Result<()> {
        let mut is_held = false;
        for (hierarchy, directory) in self.hierarchies.iter().zip(self.directories()) {
            let (file, value) = if hierarchy.is_v2 {
                (
                    "cpu.max",
                    percent.map_or("max".to_owned(), |percent| {
                        format!("{} {PERIOD_US}", quota(percent))
                    }),
                )
            } else {
                let quota = percent.map_or("-1".to_owned(), |percent| quota(percent).to_string());
                ("cpu.cfs_quota_us", quota)
            };
            let file = directory.join(file);
            if !file.exists() {
                continue;
            }
            if !hierarchy.is_v2 {
                let period = directory.join("cpu.cfs_period_us");
                fs::write(&period, PERIOD_US.to_string())
                    .with_context(|| format!("write {}", period.display()))?;
            }
            fs::write(&file, value).with_context(|| format!("write {}", file.display()))?;
            is_held = true;
        }
        ensure!(is_held, "no hierarchy of this computer has the cpu controller");
        Ok(())
    }

    /// The living processes in the cgroup and below.
    pub(crate) fn processes(&self) -> Result<Vec<Process>> {
        let mut pids = Vec::new();
        for directory in self.directories() {
            collect_pids(&directory, &mut pids)?;
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids.into_iter().filter_map(Process::look).collect())
    }

    /// Ends all processes in the cgroup, again and again until none is left, and removes it.
    ///
    /// A process that is about to enter either finds the cgroup gone, or keeps it from being removed and is found.
    pub(crate) fn end_all(&self) -> Result<()> {
        wait_until(
            &format!("the processes of cgroup {} to end", self.path.display()),
            Limit::Seconds(15),
            || {
                for process in self.processes()? {
                    process.id.kill();
                }
                Ok(self.directories().iter().all(|directory| remove(directory)))
            },
        )
    }

    fn directories(&self) -> Vec<PathBuf> {
        self.hierarchies
            .iter()
            .map(|hierarchy| hierarchy.mount.join(&self.path))
            .collect()
    }
}

/// Whether this computer's controllers are on cgroup v1.
pub(crate) fn is_v1() -> Result<bool> {
    Ok(hierarchies()?.iter().any(|hierarchy| !hierarchy.is_v2))
}

/// Removes the folder of all labs once the last lab is gone.
pub(crate) fn remove_empty_folder() -> Result<()> {
    for hierarchy in hierarchies()? {
        // It fails while another lab is in there, as it should.
        let _ = fs::remove_dir(hierarchy.mount.join(FOLDER));
    }
    Ok(())
}

fn hierarchies() -> Result<Vec<Hierarchy>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("read the mounts of this computer")?;
    Ok(parse_hierarchies(&text))
}

/// Picks the cgroup mounts below /sys/fs/cgroup out of a mount table.
fn parse_hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = mountinfo
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mount = PathBuf::from(left.split(' ').nth(4)?);
            let is_v2 = match right.split(' ').next()? {
                "cgroup" => false,
                "cgroup2" => true,
                _ => return None,
            };
            mount
                .starts_with("/sys/fs/cgroup")
                .then_some(Hierarchy { mount, is_v2 })
        })
        .collect();
    found.sort_by(|left, right| left.mount.cmp(&right.mount));
    found.dedup();
    found
}

/// A v1 cpuset without processors and memory refuses every process: it takes over its parent's.
fn fill_cpuset(parent: &Path, directory: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = directory.join(file);
        if own.exists() && fs::read_to_string(&own)?.trim().is_empty() {
            let value = fs::read_to_string(parent.join(file))?;
            fs::write(&own, value.trim()).with_context(|| format!("write {}", own.display()))?;
        }
    }
    Ok(())
}

/// On v2 a parent must hand each controller down. One that cannot be handed down is simply missing below.
fn delegate(parent: &Path) {
    let controllers = fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

fn collect_pids(directory: &Path, pids: &mut Vec<i32>) -> Result<()> {
    match fs::read_to_string(directory.join("cgroup.procs")) {
        // A pid of 0 is a process this computer's own pid namespace cannot see.
        Ok(text) => pids.extend(
            text.lines()
                .filter_map(|line| line.parse().ok())
                .filter(|pid: &i32| *pid > 0),
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        // ENODEV: removed while being read. EOPNOTSUPP: a threaded cgroup, whose processes its parent lists.
        Err(error) if matches!(error.raw_os_error(), Some(19 | 95)) => {}
        Err(error) => return Err(error).with_context(|| format!("read {}", directory.display())),
    }
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_pids(&entry.path(), pids)?;
        }
    }
    Ok(())
}

/// Removes a cgroup with those below it, deepest first; tells whether it is gone.
fn remove(directory: &Path) -> bool {
    if let Ok(entries) = fs::read_dir(directory) {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove(&entry.path());
            }
        }
    }
    match fs::remove_dir(directory) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_hierarchy_of_a_v1_computer() {
        let text = "30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                    31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                    32 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                    33 24 0:28 / /srv/elsewhere rw - cgroup2 cgroup2 rw\n";
        let expected = [
            Hierarchy {
                mount: "/sys/fs/cgroup/cpu".into(),
                is_v2: false,
            },
            Hierarchy {
                mount: "/sys/fs/cgroup/unified".into(),
                is_v2: true,
            },
        ];
        assert_eq!(parse_hierarchies(text), expected);
    }

    #[test]
    fn finds_the_one_hierarchy_of_a_v2_computer() {
        let text = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            parse_hierarchies(text),
            [Hierarchy {
                mount: "/sys/fs/cgroup".into(),
                is_v2: true
            }]
        );
    }
}
