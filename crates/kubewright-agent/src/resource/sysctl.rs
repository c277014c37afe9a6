//! Kernel parameters: now through `/proc/sys`, after a reboot through one file made of all of them.

use kubewright_core::journal::Undo;
use kubewright_core::observed::Change;
use kubewright_core::resource::{NodeState, Resource, ResourceId, Sysctl};
use kubewright_core::wire::NodeError;

use crate::fault::{Doing as _, fault, hinted};
use crate::node::Node;
use crate::tree::Owner;

/// The file systemd-sysctl reads at boot.
pub(crate) const PERSISTED: &str = "/etc/sysctl.d/99-kubewright.conf";

pub(super) fn inspect(node: &Node, sysctl: &Sysctl) -> Option<Change> {
    let present = get(node, &sysctl.key);
    let persisted = text(node).lines().any(|found| found == line(sysctl));
    let reached = match &present {
        Some(value) => same(value, &sysctl.value) || was_refused(node, sysctl),
        None => sysctl.optional,
    };
    match (reached, persisted, present) {
        (true, true, _) => None,
        (true, false, _) => Some(Change::Value {
            before: "not kept over a reboot".to_owned(),
            after: sysctl.value.clone(),
        }),
        (false, _, None) => Some(Change::Missing),
        (false, _, Some(before)) => Some(Change::Value {
            before,
            after: sysctl.value.clone(),
        }),
    }
}

pub(super) fn record(node: &Node, sysctl: &Sysctl) -> Undo {
    get(node, &sysctl.key).map_or(Undo::Nothing, |value| Undo::Value { value })
}

pub(super) fn change(node: &mut Node, state: &NodeState, sysctl: &Sysctl) -> Result<(), NodeError> {
    persist(node, state)?;
    let Some(present) = get(node, &sysctl.key) else {
        if sysctl.optional {
            return Ok(());
        }
        let error = fault(format!("set {}", sysctl.key), "this kernel has no such parameter");
        return Err(hinted(
            error,
            "load the kernel module that brings it, or use a newer kernel",
        ));
    };
    if same(&present, &sysctl.value) {
        return Ok(());
    }
    let result = set(node, &sysctl.key, &sysctl.value);
    let took = result.is_ok() && get(node, &sysctl.key).is_some_and(|value| same(&value, &sysctl.value));
    let id = ResourceId::new("sysctl", &sysctl.key);
    if took {
        node.ledger.refused.remove(&id);
        return Ok(());
    }
    if sysctl.optional {
        node.ledger.refused.insert(id, refusal(node, &sysctl.value));
        return Ok(());
    }
    result?;
    Err(fault(
        format!("set {}", sysctl.key),
        "the kernel took it and kept its old value",
    ))
}

/// Sets a parameter of the running kernel.
pub(super) fn set(node: &Node, key: &str, value: &str) -> Result<(), NodeError> {
    let doing = || format!("set {key} to {value}");
    node.system.effect(&doing()).doing(doing)?;
    std::fs::write(node.system.path(&path(key)), format!("{value}\n")).doing(doing)
}

/// Writes the file for all parameters of a state; removes it when there are none.
pub(super) fn persist(node: &mut Node, state: &NodeState) -> Result<(), NodeError> {
    let lines: Vec<_> = state
        .resources
        .iter()
        .filter_map(|staged| match &staged.resource {
            Resource::Sysctl(sysctl) => Some(line(sysctl)),
            _ => None,
        })
        .collect();
    if lines.is_empty() {
        return node.tree.remove(PERSISTED);
    }
    let content = format!(
        "# Kept by kubewright; changes here do not last.\n{}\n",
        lines.join("\n")
    );
    if text(node) == content {
        return Ok(());
    }
    node.tree.write(PERSISTED, content.as_bytes(), Owner::mine(0o644))
}

pub(super) fn is_persisted(node: &Node, key: &str) -> bool {
    text(node)
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .any(|(found, _)| found.trim_start_matches('-') == key)
}

/// A leading dash lets a kernel without the parameter boot without a complaint (sysctl.d(5)).
fn line(sysctl: &Sysctl) -> String {
    let dash = if sysctl.optional { "-" } else { "" };
    format!("{dash}{} = {}", sysctl.key, sysctl.value)
}

fn text(node: &Node) -> String {
    let bytes = node
        .tree
        .read(PERSISTED, 1 << 20)
        .ok()
        .flatten()
        .unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn path(key: &str) -> String {
    format!("/proc/sys/{}", key.replace('.', "/"))
}

fn get(node: &Node, key: &str) -> Option<String> {
    node.system.text(&path(key)).map(|value| value.trim().to_owned())
}

/// The kernel separates several numbers by tabs.
fn same(left: &str, right: &str) -> bool {
    left.split_whitespace().eq(right.split_whitespace())
}

fn was_refused(node: &Node, sysctl: &Sysctl) -> bool {
    let id = ResourceId::new("sysctl", &sysctl.key);
    sysctl.optional && node.ledger.refused.get(&id) == Some(&refusal(node, &sysctl.value))
}

/// A refusal holds for this kernel and this value.
fn refusal(node: &Node, value: &str) -> String {
    format!("{} {value}", kernel(node))
}

/// The running kernel: what one would not take, it will not take after a reboot either.
pub(super) fn kernel(node: &Node) -> String {
    let release = node.system.text("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().to_owned()
}
