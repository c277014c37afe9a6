//! Traces of other installers and runtimes that would get in the way. What kubewright put there itself is none.
//!
//! What tells of another kubelet, etcd or runtime is said by the components ([`Rival`]); installers are known here.

use std::collections::BTreeSet;
use std::time::Duration;

use kubewright_core::carrier::unit_name;
use kubewright_core::component::{self, Description, Rival, UnitTrace, etcd};
use kubewright_core::observed::Leftover;
use kubewright_core::resource::ResourceId;
use serde_json::Value;

use crate::ledger::Ledger;
use crate::resource::unit;
use crate::system::{Command, System};
use crate::tree::{Look, Tree};

/// Paths that tell of something else, and what of.
const PATHS: [(&str, &str); 10] = [
    ("/etc/kubernetes/admin.conf", "kubeadm"),
    ("/etc/kubernetes/pki/ca.crt", "kubeadm"),
    ("/etc/systemd/system/k3s.service", "k3s"),
    ("/etc/systemd/system/k3s-agent.service", "k3s"),
    ("/var/lib/rancher/k3s", "k3s"),
    ("/var/lib/rancher/rke2", "rke2"),
    ("/var/lib/k0s", "k0s"),
    ("/var/snap/microk8s", "microk8s"),
    ("/usr/lib/systemd/system/kubelet.service", "a kubelet package"),
    ("/lib/systemd/system/kubelet.service", "a kubelet package"),
];
/// Interfaces of other pod networks, by the beginnings of their names: they take packets that are not theirs.
const LINKS: [&str; 5] = ["cali", "cilium_", "kube-bridge", "kube-ipvs0", "weave"];
/// Chains that send packets for services and pods elsewhere, by the beginnings of their names.
const CHAINS: [&str; 3] = ["KUBE-ROUTER", "CILIUM_", "cali-"];
/// How long a program may take to tell.
const PATIENCE: Duration = Duration::from_secs(5);
/// Units that fight over what the cluster needs when they run.
const UNITS: [(&str, &str); 2] = [("docker.service", "docker"), ("crio.service", "CRI-O")];

/// The components that may be there already, and what tells of them.
fn rivals() -> impl Iterator<Item = (&'static Description, Rival)> {
    let all = component::ALL.iter();
    all.filter_map(|component| Some((*component, component.rival?)))
}

/// Finds them. What a node of ours has as well counts if it belongs to no unit of ours: on one without a marker.
pub(super) fn find(
    system: &dyn System,
    tree: &Tree,
    ledger: &Ledger,
    has_etcd_data: bool,
    is_marked: bool,
) -> Vec<Leftover> {
    let mut found = Vec::new();
    let mut add = |what: &str, of: &str| {
        found.push(Leftover {
            what: what.to_owned(),
            of: of.to_owned(),
        });
    };
    for (path, of) in PATHS {
        if !owns(ledger, path) && matches!(tree.look(path), Ok(Look::There(_))) {
            add(path, of);
        }
    }
    for (component, rival) in rivals().filter(|(_, rival)| rival.unit == Some(UnitTrace::File)) {
        let path = unit::path(&unit_name(component.name));
        if !owns(ledger, &path) && matches!(tree.look(&path), Ok(Look::There(_))) {
            add(&path, rival.of);
        }
    }
    let manifests = "/etc/kubernetes/manifests";
    for name in tree.list(manifests).unwrap_or_default() {
        let path = format!("{manifests}/{name}");
        if !owns(ledger, &path) {
            add(&path, "kubeadm");
        }
    }
    // A network plug-in of ours may write its configuration by itself, so this is reported only on nodes without anything of ours.
    if ledger.owned.is_empty() {
        let networks = "/etc/cni/net.d";
        for name in tree.list(networks).unwrap_or_default() {
            add(&format!("{networks}/{name}"), "another network plug-in");
        }
    }
    if ledger.owned.is_empty() && !is_marked {
        for (_, rival) in rivals() {
            for path in rival.paths {
                if matches!(tree.look(path), Ok(Look::There(_))) {
                    add(path, rival.of);
                }
            }
        }
        for name in links(system) {
            add(&name, "another pod network");
        }
        for name in chains(system) {
            add(&name, "another cluster's packet filter");
        }
    }
    if has_etcd_data && !is_marked {
        let of = etcd::DESCRIPTION.rival.map_or("", |rival| rival.of);
        add(etcd::DATA_DIRECTORY, of);
    }
    let mut units: Vec<(String, &str)> = UNITS.map(|(name, of)| (name.to_owned(), of)).into();
    let components = rivals().filter(|(_, rival)| rival.unit == Some(UnitTrace::Running));
    units.extend(components.map(|(component, rival)| (unit_name(component.name), rival.of)));
    units.retain(|(name, _)| !ledger.owned.contains_key(&ResourceId::new("unit", name)));
    for (name, of) in running(system, units) {
        add(&name, of);
    }
    found
}

fn links(system: &dyn System) -> Vec<String> {
    let beginnings: Vec<&str> = rivals()
        .flat_map(|(_, rival)| rival.links)
        .chain(&LINKS)
        .copied()
        .collect();
    let entries = std::fs::read_dir(system.path("/sys/class/net"))
        .into_iter()
        .flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| begins(name, &beginnings)).collect();
    names.sort();
    names
}

fn begins(name: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|beginning| name.starts_with(beginning))
}

/// Both kinds of tables are asked for only where they are in use already: asking loads them.
fn chains(system: &dyn System) -> Vec<String> {
    let mut found = BTreeSet::new();
    if system.path("/sys/module/nf_tables").exists() || !system.path("/proc/modules").exists() {
        let command = Command::new("nft", &["--json", "list", "chains"]).within(PATIENCE);
        let output = system.run(&command).unwrap_or_default();
        let listing: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        let all = listing["nftables"].as_array().into_iter().flatten();
        found.extend(all.filter_map(|entry| {
            let chain = &entry["chain"];
            // kube-proxy with nftables has a table of its own.
            let name = match chain["table"].as_str()? {
                "kube-proxy" => "KUBE-SERVICES",
                _ => chain["name"].as_str()?,
            };
            Some(name.to_owned())
        }));
    }
    let tables = system.text("/proc/net/ip_tables_names").unwrap_or_default();
    if tables.lines().any(|table| table == "nat") {
        for program in ["iptables-legacy-save", "iptables-save"] {
            let command = Command::new(program, &["-t", "nat"]).within(PATIENCE);
            let rules = system.run(&command).unwrap_or_default().stdout;
            // `:KUBE-SERVICES - [0:0]`
            let chains = rules
                .lines()
                .filter_map(|line| line.strip_prefix(':')?.split(' ').next());
            found.extend(chains.map(str::to_owned));
        }
    }
    let beginnings: Vec<&str> = rivals()
        .flat_map(|(_, rival)| rival.chains)
        .chain(&CHAINS)
        .copied()
        .collect();
    found.retain(|name| begins(name, &beginnings));
    found.into_iter().collect()
}

fn owns(ledger: &Ledger, path: &str) -> bool {
    let kinds = ["file", "certificate", "secret", "symlink"];
    kinds
        .iter()
        .any(|kind| ledger.owned.contains_key(&ResourceId::new(kind, path)))
        || path.rsplit_once('/').is_some_and(|(_, name)| {
            unit::path(name) == path && ledger.owned.contains_key(&ResourceId::new("unit", name))
        })
}

/// Those of the units that run.
fn running<'a>(system: &dyn System, units: Vec<(String, &'a str)>) -> Vec<(String, &'a str)> {
    let mut arguments = vec!["is-active", "--"];
    arguments.extend(units.iter().map(|(name, _)| name.as_str()));
    // Its exit code only says whether all of them are; its lines say which.
    let output = system.run(&Command::new("systemctl", &arguments));
    let lines = output.unwrap_or_default().stdout;
    units
        .into_iter()
        .zip(lines.lines())
        .filter(|(_, state)| *state == "active")
        .map(|(unit, _)| unit)
        .collect()
}
