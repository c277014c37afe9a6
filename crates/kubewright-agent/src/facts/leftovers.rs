//! Traces of other installers and runtimes that would get in the way. What kubewright put there itself is none.

use kubewright_core::observed::Leftover;
use kubewright_core::resource::ResourceId;

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
/// Units that fight over what the cluster needs when they run.
const UNITS: [(&str, &str); 3] = [
    ("docker.service", "docker"),
    ("containerd.service", "another containerd"),
    ("crio.service", "CRI-O"),
];

/// Finds them. etcd's data counts when nobody claims it.
pub(super) fn find(
    system: &dyn System,
    tree: &Tree,
    ledger: &Ledger,
    foreign_etcd_data: bool,
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
    // A network plug-in of ours may write its configuration by itself, so this is told of nodes that have nothing of ours.
    if ledger.owned.is_empty() {
        let networks = "/etc/cni/net.d";
        for name in tree.list(networks).unwrap_or_default() {
            add(&format!("{networks}/{name}"), "another network plug-in");
        }
    }
    if foreign_etcd_data {
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
