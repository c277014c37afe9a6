//! Kernel modules: now through `modprobe`, after a reboot through one file that names all of them.

use kubewright_core::observed::Change;
use kubewright_core::resource::{KernelModule, NodeState, Resource, ResourceId};
use kubewright_core::wire::NodeError;

use super::sysctl::kernel;
use crate::fault::hinted;
use crate::node::Node;
use crate::system::{Command, act};
use crate::tree::Owner;

/// The file systemd-modules-load reads at boot.
pub(crate) const PERSISTED: &str = "/etc/modules-load.d/kubewright.conf";

pub(super) fn inspect(node: &Node, module: &KernelModule) -> Option<Change> {
    let reached = is_loaded(node, &module.name) || was_refused(node, module);
    match (reached, is_persisted(node, &module.name)) {
        (true, true) => None,
        (true, false) => Some(Change::Value {
            before: "not kept over a reboot".to_owned(),
            after: "loaded at boot".to_owned(),
        }),
        (false, _) => Some(Change::Missing),
    }
}

pub(super) fn change(node: &mut Node, state: &NodeState, module: &KernelModule) -> Result<(), NodeError> {
    persist(node, state)?;
    if is_loaded(node, &module.name) {
        return Ok(());
    }
    let id = ResourceId::new("module", &module.name);
    match act(
        node.system.as_ref(),
        &Command::new("modprobe", &["--", &module.name]),
    ) {
        Ok(_) => {
            node.ledger.refused.remove(&id);
            // Built in, and of a kind that shows nowhere.
            if !is_loaded(node, &module.name) {
                node.ledger.refused.insert(id, kernel(node));
            }
            Ok(())
        }
        Err(_) if module.optional => {
            node.ledger.refused.insert(id, kernel(node));
            Ok(())
        }
        Err(error) => Err(hinted(
            error,
            "install the package with the kernel's modules (on Debian and Ubuntu `linux-modules-extra-…`)",
        )),
    }
}

/// Writes the file for all modules of a state; removes it when there are none.
pub(super) fn persist(node: &mut Node, state: &NodeState) -> Result<(), NodeError> {
    let names: Vec<_> = state
        .resources
        .iter()
        .filter_map(|staged| match &staged.resource {
            Resource::KernelModule(module) => Some(module.name.as_str()),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        return node.tree.remove(PERSISTED);
    }
    let content = format!(
        "# Kept by kubewright; changes here do not last.\n{}\n",
        names.join("\n")
    );
    if text(node) == content {
        return Ok(());
    }
    node.tree.write(PERSISTED, content.as_bytes(), Owner::mine(0o644))
}

pub(super) fn is_persisted(node: &Node, name: &str) -> bool {
    text(node).lines().any(|line| line == name)
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

/// Loaded or built in: the kernel lists both with underscores, the latter only when they have parameters.
fn is_loaded(node: &Node, name: &str) -> bool {
    let name = name.replace('-', "_");
    if node.system.path(&format!("/sys/module/{name}")).exists() {
        return true;
    }
    let loaded = node.system.text("/proc/modules").unwrap_or_default();
    loaded.lines().any(|line| line.split(' ').next() == Some(&name))
}

fn was_refused(node: &Node, module: &KernelModule) -> bool {
    let id = ResourceId::new("module", &module.name);
    node.ledger.refused.get(&id) == Some(&kernel(node))
}
