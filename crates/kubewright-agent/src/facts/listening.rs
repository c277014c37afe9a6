//! TCP ports something listens on, and who.
//!
//! The kernel lists sockets by inode; a process' open files name the inodes; its cgroup names the unit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use kubewright_core::observed::Listener;

use crate::system::System;

/// Lists them, sorted.
pub(super) fn listening(system: &dyn System) -> Vec<Listener> {
    let mut ports: BTreeMap<u64, u16> = BTreeMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        ports.extend(parse(&system.text(table).unwrap_or_default()));
    }
    let mut found = BTreeSet::new();
    let owners = if ports.is_empty() {
        BTreeMap::new()
    } else {
        owners(system, &ports)
    };
    for (inode, port) in ports {
        let (process, unit) = owners.get(&inode).cloned().unwrap_or_default();
        found.insert(Listener { port, process, unit });
    }
    found.into_iter().collect()
}

/// Inode to port of the sockets in state LISTEN (0A), from `/proc/net/tcp`.
fn parse(table: &str) -> Vec<(u64, u16)> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let port = fields.get(1)?.rsplit_once(':')?.1;
            let inode = fields.get(9)?.parse().ok()?;
            (*fields.get(3)? == "0A").then_some((inode, u16::from_str_radix(port, 16).ok()?))
        })
        .collect()
}

/// Inode to the process and unit that hold it.
fn owners(system: &dyn System, wanted: &BTreeMap<u64, u16>) -> BTreeMap<u64, (String, String)> {
    let mut owners = BTreeMap::new();
    let Ok(processes) = fs::read_dir(system.path("/proc")) else {
        return owners;
    };
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(pid) = name
            .to_str()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            continue;
        };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        for file in files.flatten() {
            let Some(inode) = fs::read_link(file.path()).ok().and_then(|target| {
                let target = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                target.parse::<u64>().ok()
            }) else {
                continue;
            };
            if wanted.contains_key(&inode) && !owners.contains_key(&inode) {
                let comm = system.text(&format!("/proc/{pid}/comm")).unwrap_or_default();
                let unit = unit(&system.text(&format!("/proc/{pid}/cgroup")).unwrap_or_default());
                owners.insert(inode, (comm.trim().to_owned(), unit));
            }
        }
    }
    owners
}

/// The innermost unit in a process' cgroup path.
fn unit(cgroup: &str) -> String {
    let suffixes = [".service", ".scope", ".socket"];
    cgroup
        .lines()
        .flat_map(|line| line.rsplit('/'))
        .find(|part| suffixes.iter().any(|suffix| part.ends_with(suffix)))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_listening_ports_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1D13 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4242 1 0 100 0 0 10 0\n\
            1: 0100007F:1D13 0100007F:9999 01 00000000:00000000 00:00000000 00000000 0 0 4243 1 0 100 0 0 10 0\n";
        assert_eq!(parse(table), [(4242, 7443)]);
    }

    #[test]
    fn names_the_unit_of_a_cgroup() {
        assert_eq!(unit("0::/system.slice/kubelet.service\n"), "kubelet.service");
        assert_eq!(unit("0::/\n"), "");
    }
}
