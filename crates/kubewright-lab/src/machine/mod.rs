//! One machine: a systemd-nspawn container that boots its own systemd on its own disk, network and cgroups.
//!
//! Whether it lives is always observed: its processes are those in its cgroup, its boot is the systemd-nspawn process
//! there and its init is that one's child. Nothing is ended that is not in this cgroup.

pub(crate) mod boot;
pub(crate) mod cgroup;
pub(crate) mod disk;
pub(crate) mod mounts;
pub(crate) mod network;
pub(crate) mod process;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::lab::{Lab, MachineRecord};
use crate::wait::{Limit, wait_until};
use cgroup::Cgroup;
use process::ProcessId;

/// A machine of a lab, seen from this computer.
#[derive(Debug, Clone)]
pub(crate) struct Machine<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) record: &'a MachineRecord,
}

/// What can be seen of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Its init runs and its cable is plugged in.
    Running,
    /// Its init runs, but its cable leads nowhere.
    Cut,
    /// No process of it lives.
    Off,
}

impl State {
    /// The word people read.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Cut => "cut",
            Self::Off => "off",
        }
    }
}

impl<'a> Machine<'a> {
    /// All machines of a lab.
    pub(crate) fn all(lab: &'a Lab) -> Vec<Self> {
        lab.machines.iter().map(|record| Self { lab, record }).collect()
    }

    /// The name as a person calls it.
    pub(crate) fn name(&self) -> &'a str {
        self.record.name.as_str()
    }

    /// The name towards systemd-nspawn, unique on this computer and short enough for an interface name.
    pub(crate) fn short_name(&self) -> String {
        format!("{}-{}", self.lab.subnet.bridge(), self.record.number)
    }

    /// This computer's end of the machine's cable.
    pub(crate) fn interface(&self) -> String {
        format!("vb-{}", self.short_name())
    }

    /// Where the machine's disk and console log are.
    pub(crate) fn directory(&self) -> PathBuf {
        self.lab.directory_of(self.record)
    }

    /// The root file system as it is mounted on this computer.
    pub(crate) fn root(&self) -> PathBuf {
        self.lab.root_of(self.record)
    }

    /// What the machine printed on its console since its last start.
    pub(crate) fn console_log(&self) -> PathBuf {
        self.directory().join("console.log")
    }

    /// The machine's cgroup.
    pub(crate) fn cgroup(&self) -> Result<Cgroup> {
        Cgroup::of_machine(&self.lab.name, &self.record.name)
    }

    /// The systemd-nspawn process and the machine's init, when both live.
    pub(crate) fn init(&self) -> Result<Option<(ProcessId, ProcessId)>> {
        let members = self.cgroup()?.processes()?;
        let nspawn = members.iter().find(|process| {
            process.command == "systemd-nspawn" && !members.iter().any(|other| other.id.pid == process.parent)
        });
        let Some(nspawn) = nspawn else { return Ok(None) };
        let init = members.iter().find(|process| process.parent == nspawn.id.pid);
        Ok(init.map(|init| (nspawn.id, init.id)))
    }

    /// What can be seen of the machine now.
    pub(crate) fn state(&self) -> Result<State> {
        if self.init()?.is_none() {
            return Ok(State::Off);
        }
        let plugged = network::master_of(&self.interface()) == Some(self.lab.subnet.bridge());
        Ok(if plugged { State::Running } else { State::Cut })
    }

    /// Takes the machine's power away: its init dies by SIGKILL, and the kernel ends everything else in it.
    ///
    /// What was written but not synced survives, unlike on real hardware: the page cache is this computer's.
    pub(crate) fn kill(&self) -> Result<()> {
        let Some((nspawn, init)) = self.init()? else {
            bail!("{} is off already", self.name())
        };
        init.kill();
        let gone = || Ok(!nspawn.is_alive() && !network::exists(&self.interface()));
        wait_until(
            &format!("{} to lose its power", self.name()),
            Limit::Seconds(10),
            gone,
        )
        .or_else(|_| self.end_all())
        .with_context(|| format!("kill {}", self.name()))
    }

    /// Ends every process of the machine, however deep a crash left it, and waits until none is left.
    pub(crate) fn end_all(&self) -> Result<()> {
        self.cgroup()?.end_all()?;
        network::delete(&self.interface())
    }
}
