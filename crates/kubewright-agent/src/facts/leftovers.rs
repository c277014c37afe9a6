//! Traces of other installers and runtimes that would get in the way. What kubewright put there itself is none.

use std::collections::BTreeSet;
use std::time::Duration;

use kubewright_core::observed::Leftover;
use kubewright_core::resource::ResourceId;
use serde_json::Value;

use crate::ledger::Ledger;
use crate::resource::unit;
use crate::system::{Command, System};
use crate::tree::{Look, Tree};

/// Paths that tell of something else, and what of.
const PATHS: [(&str, &str); 12] = [
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
    ("/etc/systemd/system/kubelet.service", "another kubelet"),
    ("/etc/systemd/system/etcd.service", "another etcd"),
];
/// What a kubelet keeps: one of ours would go on with the certificates and settings of another cluster.
const KUBELETS: [&str; 2] = ["/var/lib/kubelet/config.yaml", "/var/lib/kubelet/pki"];
/// Interfaces of pod networks, by the beginnings of their names. A bridge with another range's address is refused by the
/// plug-in; the others take packets that are not theirs.
const LINKS: [&str; 7] = [
    "cni0",
    "flannel.",
    "cali",
    "cilium_",
    "kube-bridge",
    "kube-ipvs0",
    "weave",
];
/// Chains of packet filters that send packets for services and pods elsewhere, by the beginnings of their names.
const CHAINS: [&str; 4] = ["KUBE-SERVICES", "KUBE-ROUTER", "CILIUM_", "cali-"];
/// How long a program may take to tell.
const PATIENCE: Duration = Duration::from_secs(5);
/// Units that fight over what the cluster needs when they run.
const UNITS: [(&str, &str); 3] = [
    ("docker.service", "docker"),
    ("containerd.service", "another containerd"),
    ("crio.service", "CRI-O"),
];

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
        for path in KUBELETS {
            if matches!(tree.look(path), Ok(Look::There(_))) {
                add(path, "another kubelet");
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
        add("/var/lib/etcd", "another etcd");
    }
    let running = running(system);
    for (name, of) in UNITS {
        let is_ours = ledger.owned.contains_key(&ResourceId::new("unit", name));
        if !is_ours && running.iter().any(|running| running == name) {
            add(name, of);
        }
    }
    found
}

fn links(system: &dyn System) -> Vec<String> {
    let entries = std::fs::read_dir(system.path("/sys/class/net"))
        .into_iter()
        .flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| LINKS.iter().any(|beginning| name.starts_with(beginning)))
        .collect();
    names.sort();
    names
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
    found.retain(|name| CHAINS.iter().any(|beginning| name.starts_with(beginning)));
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

fn running(system: &dyn System) -> Vec<String> {
    let names = UNITS.map(|(name, _)| name);
    let mut arguments = vec!["is-active", "--"];
    arguments.extend(names);
    // Its exit code only says whether all of them are; its lines say which.
    let output = system.run(&Command::new("systemctl", &arguments));
    let lines = output.unwrap_or_default().stdout;
    names
        .iter()
        .zip(lines.lines())
        .filter(|(_, state)| *state == "active")
        .map(|(name, _)| (*name).to_owned())
        .collect()
}
