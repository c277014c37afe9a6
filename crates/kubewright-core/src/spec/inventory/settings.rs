//! Settings of an inventory beyond its hosts: carried over where cluster.yaml has them, else named in a note.
//!
//! A note repeats a value only where it cannot be a secret.

use super::super::cluster::ProxyMode;
use super::super::starter::StarterNetwork;
use super::model::{Variable, Variables, is_template};
use crate::value::shorten;
use std::collections::{BTreeMap, BTreeSet};

type Hosts<'a> = [(&'a str, &'a Variables)];

/// Variables that have become part of a node, or that say nothing where Ansible is not used.
const READ: [&str; 22] = [
    "ansible_host",
    "ansible_ssh_host",
    "ansible_user",
    "ansible_ssh_user",
    "ansible_port",
    "ansible_ssh_port",
    "ip",
    "access_ip",
    "k8s_nodename",
    "ansible_python_interpreter",
    "ansible_group_priority",
    "etcd_member_name",
    "ansible_ssh_private_key_file",
    "kube_pods_subnet",
    "kube_service_addresses",
    "kube_proxy_mode",
    "CLUSTER_CIDR",
    "SERVICE_CIDR",
    "CLUSTER_DNS_DOMAIN",
    "PROXY_MODE",
    "cluster_name",
    "dns_domain",
];

/// Values that are what kubewright does anyway.
const SAME: [(&str, &[&str]); 8] = [
    ("ansible_become", &["true", "True", "yes"]),
    ("ansible_become_user", &["root"]),
    ("ansible_become_method", &["sudo"]),
    ("ansible_connection", &["ssh"]),
    ("kube_network_plugin", &["flannel"]),
    ("kube_network_node_prefix", &["24"]),
    ("container_manager", &["containerd"]),
    ("CONTAINER_RUNTIME", &["containerd"]),
];

/// Settings of other tools that have a place in cluster.yaml or elsewhere, and that place.
const PLACES: [(&str, &str); 22] = [
    ("kube_version", "spec.kubernetes"),
    ("kube_network_plugin", "spec.network.cni"),
    ("CLUSTER_NETWORK", "spec.network.cni"),
    ("kube_network_node_prefix", "each node gets a /24 here"),
    (
        "supplementary_addresses_in_ssl_keys",
        "spec.controlPlane.extraSans",
    ),
    ("apiserver_loadbalancer_domain_name", "spec.controlPlane.endpoint"),
    ("loadbalancer_apiserver", "spec.controlPlane.endpoint"),
    ("node_labels", "spec.nodes[].labels"),
    ("node_taints", "spec.nodes[].taints"),
    (
        "ansible_ssh_common_args",
        "see `spec.ssh.jump`, or your ssh_config",
    ),
    ("ansible_ssh_extra_args", "see your ssh_config"),
    (
        "ansible_password",
        "log in with an SSH key; passwords are never typed",
    ),
    (
        "ansible_ssh_pass",
        "log in with an SSH key; passwords are never typed",
    ),
    (
        "ansible_ssh_password",
        "log in with an SSH key; passwords are never typed",
    ),
    ("ansible_become_password", "sudo has to work without a password"),
    ("ansible_become_pass", "sudo has to work without a password"),
    ("ansible_sudo_pass", "sudo has to work without a password"),
    ("http_proxy", "spec.proxy"),
    ("https_proxy", "spec.proxy"),
    ("no_proxy", "spec.proxy"),
    ("SECURE_PORT", "the API server listens on 6443"),
    ("NODE_PORT_RANGE", "spec.components.kube-apiserver.extraArgs"),
];

/// Variables of [`PLACES`] whose values cannot be secrets.
const SHOWN: [&str; 5] = [
    "kube_version",
    "kube_network_plugin",
    "CLUSTER_NETWORK",
    "kube_network_node_prefix",
    "NODE_PORT_RANGE",
];

/// Returns the value that all hosts have which have the variable at all, unless it is a template.
fn one_value<'a>(hosts: &Hosts<'a>, name: &str, notes: &mut Vec<String>) -> Option<&'a str> {
    let values: BTreeSet<&Variable> = hosts
        .iter()
        .filter_map(|(_, variables)| variables.get(name))
        .collect();
    let mut values = values.into_iter();
    let value = values.next()?;
    match value.text() {
        Some(text) if values.next().is_none() && !is_template(text) => Some(text),
        _ => {
            notes.push(format!(
                "`{name}` is a template, is not a text, or differs between hosts"
            ));
            None
        }
    }
}

/// Carries over the ranges, the domain and the service proxy.
pub(super) fn network(hosts: &Hosts<'_>, notes: &mut Vec<String>) -> StarterNetwork {
    StarterNetwork {
        pod_cidr: carried(
            hosts,
            &["kube_pods_subnet", "CLUSTER_CIDR"],
            "spec.network.podCidr",
            notes,
        ),
        service_cidr: carried(
            hosts,
            &["kube_service_addresses", "SERVICE_CIDR"],
            "spec.network.serviceCidr",
            notes,
        ),
        domain: carried(
            hosts,
            &["cluster_name", "dns_domain", "CLUSTER_DNS_DOMAIN"],
            "spec.network.domain",
            notes,
        ),
        proxy: proxy(hosts, notes),
    }
}

/// Reads the first of the variables that is there; a value that cannot be taken is named.
fn carried<T: std::str::FromStr>(
    hosts: &Hosts<'_>,
    names: &[&str],
    place: &str,
    notes: &mut Vec<String>,
) -> Option<T> {
    let name = names
        .iter()
        .find(|name| hosts.iter().any(|(_, variables)| variables.contains_key(**name)))?;
    let text = one_value(hosts, name, notes)?;
    let value = text.parse().ok();
    if value.is_none() {
        notes.push(format!(
            "`{name}: {}` cannot be used; see `{place}`",
            shorten(text)
        ));
    }
    value
}

fn proxy(hosts: &Hosts<'_>, notes: &mut Vec<String>) -> Option<ProxyMode> {
    for name in ["kube_proxy_mode", "PROXY_MODE"] {
        let Some(text) = one_value(hosts, name, notes) else {
            continue;
        };
        match ProxyMode::from_word(text) {
            Some(mode) => return Some(mode),
            None => notes.push(format!(
                "`{name}: {}` is not supported; see `spec.network.proxy`",
                shorten(text)
            )),
        }
    }
    None
}

/// Carries over the private key, if all hosts have the same.
pub(super) fn identity_file(hosts: &Hosts<'_>, notes: &mut Vec<String>) -> Option<String> {
    one_value(hosts, "ansible_ssh_private_key_file", notes).map(str::to_owned)
}

/// Names every other variable: with its place where there is one, in one list where there is none.
pub(super) fn note_others(hosts: &Hosts<'_>, notes: &mut Vec<String>) {
    let mut said: BTreeMap<&str, BTreeSet<&Variable>> = BTreeMap::new();
    for (name, value) in hosts.iter().flat_map(|(_, variables)| variables.iter()) {
        said.entry(name).or_default().insert(value);
    }
    said.retain(|name, values| {
        let same = SAME.iter().find(|(known, _)| known == name);
        let is_same = same.is_some_and(|(_, words)| {
            values
                .iter()
                .all(|value| value.text().is_some_and(|text| words.contains(&text)))
        });
        !is_same && !READ.contains(name)
    });
    for (name, place) in PLACES {
        let Some(values) = said.remove(name) else { continue };
        let value = values.iter().find_map(|value| value.text());
        match value.filter(|_| SHOWN.contains(&name) && values.len() == 1) {
            Some(value) => notes.push(format!(
                "`{name}: {}` was not carried over: {}",
                shorten(value),
                ticked(place)
            )),
            None => notes.push(format!("`{name}` was not carried over: {}", ticked(place))),
        }
    }
    if !said.is_empty() {
        let names: Vec<String> = said.keys().map(|name| format!("`{}`", shorten(name))).collect();
        notes.push(format!("no counterpart is known of: {}", names.join(", ")));
    }
}

/// Names a key of cluster.yaml; a sentence stays as it is.
fn ticked(place: &str) -> String {
    if place.starts_with("spec.") && !place.contains(' ') {
        format!("see `{place}`")
    } else {
        place.to_owned()
    }
}
