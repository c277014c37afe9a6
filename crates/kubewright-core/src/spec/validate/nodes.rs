//! Nodes: their number, names, addresses, roles, labels, taints and SSH settings.

use super::super::cluster::{Cluster, Node, Role};
use super::super::report::{Report, Target, child, item};
use super::settings::check_ssh_word;
use crate::value::{SubjectAltName, shorten};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::IpAddr;

const NODES: &str = "spec.nodes";

pub(super) fn check(cluster: &Cluster, report: &mut Report) {
    check_numbers(cluster, report);
    check_unique(cluster, "name", "name", |node| node.name.to_string(), report);
    check_unique(cluster, "address", "address", |node| node.address, report);
    for (index, node) in cluster.nodes.iter().enumerate() {
        let path = item(NODES, index);
        if report.is_sound(&child(&path, "address")) {
            check_address(&child(&path, "address"), node, report);
        }
        check_name(&child(&path, "name"), cluster, node, report);
        check_roles(&child(&path, "roles"), node, report);
        check_labels(&child(&path, "labels"), node, report);
        check_taints(&child(&path, "taints"), node, report);
        if let Some(user) = &node.user {
            check_ssh_word(&child(&path, "user"), "user", user, report);
        }
        if let Some(key) = &node.host_key {
            check_host_key(&child(&path, "hostKey"), key, report);
        }
    }
}

fn check_numbers(cluster: &Cluster, report: &mut Report) {
    let roles_known =
        (0..cluster.nodes.len()).all(|index| report.is_sound(&child(&item(NODES, index), "roles")));
    let list_known = report.is_sound("spec") || !report.is_written("spec");
    let list_broken = !list_known && cluster.nodes.is_empty();
    if list_broken || !roles_known {
        return;
    }
    if cluster.nodes.is_empty() {
        if report.is_written(NODES) {
            let hint = "add at least `- { name: cp-1, address: 192.0.2.11, roles: [control-plane, worker] }`";
            report.error("no-nodes", NODES, Target::Key, "the list of nodes is empty", hint);
        }
        return;
    }
    let control_planes = cluster.control_planes().count();
    if control_planes == 0 {
        let hint = "give one node, or better three, `roles: [control-plane]`";
        report.error(
            "no-control-plane",
            NODES,
            Target::Key,
            "no node has the role `control-plane`",
            hint,
        );
    } else if control_planes.is_multiple_of(2) {
        let last = cluster
            .nodes
            .iter()
            .rposition(Node::is_control_plane)
            .unwrap_or(0);
        let message = format!(
            "{control_planes} control planes tolerate no more failures than {}",
            control_planes - 1
        );
        let hint = format!(
            "use {} or {}: etcd needs more than half of them",
            control_planes - 1,
            control_planes + 1
        );
        report.error(
            "even-control-planes",
            &child(&item(NODES, last), "roles"),
            Target::Value,
            message,
            hint,
        );
    } else if control_planes == 1 {
        let hint = "without it there is no API; use three for high availability";
        report.warning(
            "single-control-plane",
            NODES,
            Target::Key,
            "only one control plane",
            hint,
        );
    } else if control_planes > 7 {
        let message =
            format!("{control_planes} control planes: every write waits for more than half of them");
        report.warning(
            "many-control-planes",
            NODES,
            Target::Key,
            message,
            "use three or five",
        );
    }
    if cluster.workers().count() == 0 {
        let hint = "only system pods will run; add the role `worker` to a node";
        report.warning(
            "no-workers",
            NODES,
            Target::Key,
            "no node has the role `worker`",
            hint,
        );
    }
}

fn check_unique<T: Ord + Display>(
    cluster: &Cluster,
    key: &str,
    what: &str,
    value_of: impl Fn(&Node) -> T,
    report: &mut Report,
) {
    let mut first: BTreeMap<T, usize> = BTreeMap::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let path = child(&item(NODES, index), key);
        if !report.is_sound(&path) {
            continue;
        }
        let value = value_of(node);
        if let Some(other) = first.get(&value) {
            let message = format!("two nodes have the {what} {value}");
            let rule = if key == "name" {
                "duplicate-name"
            } else {
                "duplicate-address"
            };
            let line = report
                .line_of(&child(&item(NODES, *other), key))
                .unwrap_or_default();
            let hint = if key == "name" {
                format!("the other is on line {line}; rename this one, or remove one of the two")
            } else {
                format!(
                    "{} on line {line} has it already; every node needs its own",
                    cluster.nodes[*other].name
                )
            };
            report.error(rule, &path, Target::Value, message, hint);
        } else {
            first.insert(value, index);
        }
    }
}

fn check_address(path: &str, node: &Node, report: &mut Report) {
    let address = node.address;
    let problem = match address {
        IpAddr::V6(_) => {
            let message = format!(
                "IPv6 address {address} of node {}: IPv6 is not yet supported",
                node.name
            );
            report.error(
                "not-yet",
                path,
                Target::Value,
                message,
                "use the node's IPv4 address",
            );
            return;
        }
        IpAddr::V4(v4) if v4.is_unspecified() || v4.octets()[0] == 0 => "means “any address”",
        IpAddr::V4(v4) if v4.is_loopback() => "is the loopback address of every node",
        IpAddr::V4(v4) if v4.is_link_local() => "is link-local, which no router forwards",
        IpAddr::V4(v4) if v4.is_multicast() => "is a multicast address",
        IpAddr::V4(v4) if v4.octets()[0] >= 240 => "is reserved",
        IpAddr::V4(_) => return,
    };
    let message = format!("address {address} of node {} {problem}", node.name);
    report.error(
        "invalid-value",
        path,
        Target::Value,
        message,
        "write the address under which the other nodes reach it",
    );
}

/// A kubelet's certificate has its node's name and is of the same authority as those of API servers: a node called like
/// an API server could pass for one.
fn check_name(path: &str, cluster: &Cluster, node: &Node, report: &mut Report) {
    let name = node.name.as_str();
    let control_plane = &cluster.control_plane;
    let endpoint = control_plane.endpoint.iter().map(|endpoint| &endpoint.host);
    let mut others = endpoint
        .chain(&control_plane.extra_sans)
        .filter_map(|name| match name {
            SubjectAltName::Dns(name) => Some(name.as_str()),
            SubjectAltName::Ip(_) => None,
        });
    let is_reserved = name == "localhost"
        || name == "kubernetes"
        || name.starts_with("kubernetes.default")
        || !node.is_control_plane() && others.any(|other| other == name);
    if is_reserved {
        report.error(
            "reserved-name",
            path,
            Target::Value,
            format!("`{name}` is a name of the API servers, so no node can have it"),
            "name the node otherwise, such as `cp-1` or `w-1`",
        );
    }
}

fn check_roles(path: &str, node: &Node, report: &mut Report) {
    if !report.is_sound(path) {
        return;
    }
    if node.roles.is_empty() {
        let message = format!("node {} has no role", node.name);
        let hint = "write `roles: [control-plane]`, `roles: [worker]`, or both in one list";
        report.error("empty-value", path, Target::Key, message, hint);
    }
    for role in [Role::ControlPlane, Role::Worker] {
        if node.roles.iter().filter(|r| **r == role).count() > 1 {
            let message = format!("node {} has the role `{role}` twice", node.name);
            report.error("duplicate-name", path, Target::Key, message, "write it once");
        }
    }
}

/// Labels that kubewright or the kubelet sets: key, what to do instead.
const OWNED_LABELS: &[(&str, &str)] = &[
    ("kubernetes.io/hostname", "the kubelet sets it to the node's name"),
    ("kubernetes.io/os", "the kubelet sets it"),
    ("kubernetes.io/arch", "the kubelet sets it"),
    (
        "node-role.kubernetes.io/control-plane",
        "it follows from the node's `roles`",
    ),
    (
        "node-role.kubernetes.io/worker",
        "it follows from the node's `roles`",
    ),
];

fn check_labels(path: &str, node: &Node, report: &mut Report) {
    for key in node.labels.keys() {
        if let Some((_, why)) = OWNED_LABELS.iter().find(|(owned, _)| owned == key) {
            let message = format!("label `{key}` is not for the file: {why}");
            report.error(
                "owned-label",
                &child(path, key),
                Target::Key,
                message,
                "remove it",
            );
        }
    }
}

fn check_taints(path: &str, node: &Node, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for (index, taint) in node.taints.iter().enumerate() {
        if !seen.insert((&taint.key, taint.effect)) {
            let message = format!("taint `{taint}` has the key and the effect of an earlier one");
            report.error(
                "duplicate-name",
                &item(path, index),
                Target::Value,
                message,
                "keep one of them",
            );
        }
    }
}

fn check_host_key(path: &str, key: &str, report: &mut Report) {
    const KINDS: [&str; 7] = [
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ];
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let words: Vec<&str> = key.split_whitespace().collect();
    let problem = match words[..] {
        [kind, ..] if kind.starts_with("SHA256:") || kind.starts_with("MD5:") => {
            Some("is a fingerprint, not a key")
        }
        [_] => Some("has no kind in front of it"),
        [kind, data, ..] if KINDS.contains(&kind) => {
            (!data.starts_with("AAAA") || !data.chars().all(is_base64)).then_some("is cut off or mistyped")
        }
        _ => Some("is of no kind that SSH servers have"),
    };
    if let Some(problem) = problem {
        let message = format!("host key `{}` {problem}", shorten(key));
        let hint =
            "write what `ssh-keyscan -t ed25519 ADDRESS` prints after the address, once you have compared it";
        report.error("invalid-value", path, Target::Value, message, hint);
    }
}
