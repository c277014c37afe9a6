//! `up`: blank machines, booted and reachable, of this lab only.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::{down, on_all};
use crate::lab::lock::LabLock;
use crate::lab::state::{to_json, write_atomically};
use crate::lab::{Lab, MachineName, Phase, Role};
use crate::machine::{Machine, boot, cgroup::Cgroup, disk, network};
use crate::place::Place;
use crate::registry::Registry;
use crate::wait::{Limit, wait_until};
use crate::{root_image, ssh, tool, ui};

/// How many inotify instances the machines of a few labs need together; kernels start at 128.
const INOTIFY_INSTANCES: u32 = 4096;

/// How long a machine may take from power-on to its first SSH answer.
const BOOT: Limit = Limit::Seconds(90);

/// Arguments of `up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Number of control planes, named cp-1, cp-2, …
    #[arg(long, default_value_t = 3)]
    control_planes: usize,

    /// Number of workers, named w-1, w-2, …
    #[arg(long, default_value_t = 2)]
    workers: usize,

    /// Names instead of numbers: NAME or NAME=ROLE, separated by commas; names with cp are control planes
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["control_planes", "workers"])]
    machines: Vec<String>,
}

/// What another program needs to reach the machines.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Inventory<'a> {
    machines: Vec<InventoryMachine<'a>>,
    known_hosts: String,
    identity_file: String,
    user: &'static str,
}

#[derive(Debug, Serialize)]
struct InventoryMachine<'a> {
    name: &'a str,
    address: String,
    role: &'static str,
}

pub(crate) fn run(place: &Place, arguments: &Arguments) -> Result<()> {
    let begin = Instant::now();
    let machines = arguments.machines()?;
    tool::require_root()?;
    tool::require(&["ip", "systemd-nspawn", "ssh", "ssh-keygen"])?;
    let registry = Registry::of_this_computer();
    let directory = place.directory()?;
    refuse_or_clean(place, &registry)?;
    let root_image = root_image::provide()?;

    let lock = registry.lock_lab(&place.lab)?;
    // Another `up` may have been faster while this one built the root.
    ensure!(
        registry.entry(&place.lab)?.is_none(),
        "lab {} has just been made by another `up`",
        place.lab
    );
    down::refuse_foreign_files(&directory)?;
    let subnet = registry.register(&place.lab, &directory)?;
    let mut lab = Lab::new(place.lab.clone(), directory, subnet, root_image, &machines)?;
    if let Err(error) = create(&lab, &lock) {
        down::take_down(&lab.name, &lab.directory).context("clean up after the failed `up`")?;
        return Err(error.context(format!("bring up lab {} (taken down again)", lab.name)));
    }
    lab.phase = Phase::Up;
    lab.write()?;
    ui::say(format_args!(
        "lab {}: {} machines answer after {:.1} s ({}, bridge {}); files in {}",
        lab.name,
        lab.machines.len(),
        begin.elapsed().as_secs_f64(),
        lab.subnet.gateway_cidr(),
        lab.subnet.bridge(),
        lab.directory.display()
    ));
    Ok(())
}

impl Arguments {
    fn machines(&self) -> Result<Vec<(MachineName, Role)>> {
        let mut machines = Vec::new();
        if self.machines.is_empty() {
            for (prefix, count, role) in [
                ("cp", self.control_planes, Role::ControlPlane),
                ("w", self.workers, Role::Worker),
            ] {
                for number in 1..=count {
                    machines.push((format!("{prefix}-{number}").parse()?, role));
                }
            }
        }
        for text in &self.machines {
            machines.push(parse_machine(text)?);
        }
        ensure!(!machines.is_empty(), "a lab needs at least one machine");
        let names: BTreeSet<&MachineName> = machines.iter().map(|(name, _)| name).collect();
        ensure!(names.len() == machines.len(), "two machines have the same name");
        Ok(machines)
    }
}

fn parse_machine(text: &str) -> Result<(MachineName, Role)> {
    let (name, role) = match text.split_once('=') {
        Some((name, "control-plane")) => (name, Role::ControlPlane),
        Some((name, "worker")) => (name, Role::Worker),
        Some((_, other)) => bail!("role {other:?} is neither control-plane nor worker"),
        None if text.starts_with("cp") => (text, Role::ControlPlane),
        None => (text, Role::Worker),
    };
    Ok((name.parse()?, role))
}

/// Refuses when the lab exists; cleans up when only what a crash or a reboot left of it exists.
fn refuse_or_clean(place: &Place, registry: &Registry) -> Result<()> {
    let _lock = registry.lock_lab(&place.lab)?;
    let entry = registry.entry(&place.lab)?;
    let directory = place.directory()?;
    let known = entry
        .as_ref()
        .map_or_else(|| directory.clone(), |entry| entry.directory.clone());
    let lab = Lab::read(&known)?;
    if let Some(other) = lab.as_ref().filter(|lab| lab.name != place.lab) {
        bail!(
            "directory {} belongs to lab {}: choose another with --dir",
            known.display(),
            other.name
        );
    }
    let name = &place.lab;
    let living = Cgroup::of_lab(name)?.processes()?.len();
    let phase = lab.as_ref().map(|lab| lab.phase);
    let downing = format!("`kubewright-lab --lab {name} down` removes it");
    match (phase, living > 0, entry.is_some()) {
        (Some(Phase::Up), true, _) => bail!("lab {name} is up already, in {}: {downing}", known.display()),
        (Some(Phase::Up), false, true) => bail!(
            "lab {name} exists in {} with all its machines off: \
             `kubewright-lab --lab {name} start --all` powers them on, {downing}",
            known.display()
        ),
        (None, true, _) => bail!(
            "lab {name} is up, but its directory {} is gone: {downing}",
            known.display()
        ),
        (None, false, false) if network::bridges_of(name, None).is_empty() => Ok(()),
        (Some(Phase::Creating), ..) | (Some(Phase::Up), false, false) | (None, false, _) => {
            ui::say(format_args!(
                "lab {name}: removing what an unfinished `up` or a reboot left in {}",
                known.display()
            ));
            down::take_down(name, &directory).map(drop)
        }
    }
}

fn create(lab: &Lab, lock: &LabLock) -> Result<()> {
    fs::create_dir_all(&lab.directory).with_context(|| format!("create {}", lab.directory.display()))?;
    lab.write()?;
    raise_inotify_limit()?;
    network::create_bridge(&lab.name, lab.subnet, lock)?;
    ssh::write_client(lab, lock)?;
    let machines = Machine::all(lab);
    on_all(&machines, |machine| disk::create(machine, lock))?;
    ssh::write_known_hosts(lab)?;
    write_inventory(lab)?;
    on_all(&machines, |machine| {
        boot::start(machine)?;
        wait_for_answer(machine)
    })
}

/// Waits until this very machine, living in its own processes and proving its own host key, lets the client in.
pub(crate) fn wait_for_answer(machine: &Machine<'_>) -> Result<()> {
    let mut last = String::from("no answer on port 22");
    let port = SocketAddr::from((machine.record.address, 22));
    let result = wait_until(&format!("{} to answer over SSH", machine.name()), BOOT, || {
        ensure!(
            !machine.cgroup()?.processes()?.is_empty(),
            "it ended while booting"
        );
        if TcpStream::connect_timeout(&port, Duration::from_secs(1)).is_err() {
            return Ok(false);
        }
        match ssh::answers(machine.lab, machine.record) {
            Ok(()) => Ok(machine.init()?.is_some()),
            Err(said) => {
                last = said;
                Ok(false)
            }
        }
    });
    result.with_context(|| format!("{last} ({})", boot::console_tail(machine)))
}

fn write_inventory(lab: &Lab) -> Result<()> {
    let machines = lab
        .machines
        .iter()
        .map(|machine| InventoryMachine {
            name: machine.name.as_str(),
            address: machine.address.to_string(),
            role: machine.role.word(),
        })
        .collect();
    let inventory = Inventory {
        machines,
        known_hosts: ssh::known_hosts_path(&lab.directory).display().to_string(),
        identity_file: ssh::identity_path(&lab.directory).display().to_string(),
        user: "root",
    };
    write_atomically(&lab.directory.join("inventory.json"), &to_json(&inventory)?)
}

/// All machines share this computer's count of inotify instances, and five of them need more than most have.
fn raise_inotify_limit() -> Result<()> {
    let path = "/proc/sys/fs/inotify/max_user_instances";
    let now: u32 = fs::read_to_string(path)?
        .trim()
        .parse()
        .context("read the inotify limit")?;
    if now < INOTIFY_INSTANCES {
        fs::write(path, INOTIFY_INSTANCES.to_string()).with_context(|| format!("write {path}"))?;
        ui::say(format_args!(
            "this computer: fs.inotify.max_user_instances raised from {now} to {INOTIFY_INSTANCES} (stays until reboot)"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(control_planes: usize, workers: usize, machines: &[&str]) -> Result<Vec<String>> {
        let machines = machines.iter().map(|text| (*text).to_owned()).collect();
        let machines = Arguments {
            control_planes,
            workers,
            machines,
        }
        .machines()?;
        Ok(machines
            .iter()
            .map(|(name, role)| format!("{name}={}", role.word()))
            .collect())
    }

    #[test]
    fn machines_are_named_by_role_and_number() {
        let expected = ["cp-1=control-plane", "cp-2=control-plane", "w-1=worker"];
        assert_eq!(names(2, 1, &[]).unwrap(), expected);
    }

    #[test]
    fn machines_can_be_named_with_and_without_role() {
        let expected = ["cp-a=control-plane", "db=worker", "node=control-plane"];
        assert_eq!(
            names(3, 2, &["cp-a", "db", "node=control-plane"]).unwrap(),
            expected
        );
    }

    #[test]
    fn refuses_no_machines_twins_and_unknown_roles() {
        assert!(names(0, 0, &[]).is_err());
        assert!(names(0, 0, &["a", "a"]).is_err());
        assert!(names(0, 0, &["a=etcd"]).is_err());
    }
}
