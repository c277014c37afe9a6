//! Taking the cluster off the node: afterwards a new one can be built on it as on a fresh machine.
//!
//! The order is what makes it safe to be interrupted and run again: nothing may start what is being removed, so units
//! go first, then the pods' processes, then their mounts, then the network, then files; what says that the node was
//! ours goes last. A node that nothing says that of is left alone, except for what a run noted that ended before its first
//! change. Volumes that are mounted somewhere are
//! unmounted or left, never entered.

mod network;
mod pods;
mod sweep;

use std::collections::BTreeSet;
use std::io::Write as _;

use kubewright_core::carrier::unit_name;
use kubewright_core::component::{self, kubelet};
use kubewright_core::journal::{Event, Undo};
use kubewright_core::observed::Marker;
use kubewright_core::resource::{NodeState, ResourceId};
use kubewright_core::wire::NodeError;

use crate::fault::{fault, hinted};
use crate::journal::Journal;
use crate::node::Node;
use crate::peer::Peer;
use crate::resource::{self, unit};
use crate::tree::Look;
use crate::{bootstrapped, founding, journal, ledger, mounts, operations};

/// Directories whose content belongs to the cluster, no matter which program wrote it. They themselves stay when they are
/// mount points. Components are taken from the last to the first, whose directory has the node's marker.
fn data() -> impl Iterator<Item = &'static str> {
    let components = component::ALL.iter().rev();
    components.flat_map(|component| component.traces.directories.iter().copied())
}

/// Where runs note what they are about to do, before they do anything.
const NOTES: [&str; 2] = [operations::DIRECTORY, journal::DIRECTORY];
/// First words of the unit files kubewright writes: how its units are found when the ledger was lost.
const OUR_UNIT: &str = "# Written by kubewright";
const UNITS: &str = "/etc/systemd/system";

/// Stops and removes everything kubewright put on the node, and all of the cluster's data. Tells what it removed.
///
/// # Errors
/// When something of the cluster could not be stopped or removed; the same call goes on from there.
pub fn reset(
    node: &mut Node,
    journal: &mut Journal,
    peer: &mut dyn Peer,
) -> Result<Vec<ResourceId>, NodeError> {
    let mut removed = BTreeSet::new();
    if !is_ours(node)? {
        return forget_what_never_began(node);
    }
    let whole = ResourceId::new("node", "reset");
    let intended = Event::Intended {
        resource: whole.clone(),
        undo: Undo::Nothing,
    };
    journal.record(node.system.as_ref(), &node.tree, vec![intended])?;
    peer.progress(&whole, false);
    for name in stop_units(node)? {
        removed.insert(ResourceId::new("unit", &name));
    }
    pods::kill(node.system.as_ref())?;
    pods::unmount(node.system.as_ref())?;
    network::clean(node.system.as_ref());
    removed.extend(remove_owned(node)?);
    let mut left = Vec::new();
    for path in data() {
        let mounts = mounts::read(node.system.as_ref());
        if sweep::contents(&node.tree, &mounts, path, &BTreeSet::new(), &mut left)? > 0 {
            removed.insert(ResourceId::new("directory", path));
        }
        // Empty now, unless something was left in it or it is a mount point: then it stays.
        let is_mount = mounts.iter().any(|mount| mount.point == path);
        if !is_mount && node.tree.list(path)?.is_empty() {
            node.tree.remove_directory(path)?;
        }
    }
    forget(node, &mut left)?;
    // The journal went with the rest: this run has no end to note.
    journal.forget();
    peer.progress(&whole, true);
    node.changed += removed.len() as u64;
    tell_left(&left);
    Ok(removed.into_iter().collect())
}

/// A run that ended before its first change has left what it noted, and nothing else: only that goes.
fn forget_what_never_began(node: &mut Node) -> Result<Vec<ResourceId>, NodeError> {
    let mut removed = Vec::new();
    for path in NOTES {
        if node.tree.look(path)? != Look::Missing {
            removed.push(ResourceId::new("directory", path));
        }
    }
    let mut left = Vec::new();
    if !removed.is_empty() {
        forget(node, &mut left)?;
        node.changed += removed.len() as u64;
    }
    tell_left(&left);
    Ok(removed)
}

/// Says what could not be removed.
fn tell_left(left: &[String]) {
    for path in left {
        let _ = writeln!(std::io::stderr(), "kubewright-agent: left alone: {path}");
    }
}

/// Whether anything says that kubewright was here.
fn is_ours(node: &Node) -> Result<bool, NodeError> {
    Ok(!node.ledger.owned.is_empty()
        || node.tree.look(Marker::PATH)? != Look::Missing
        || node.tree.look(ledger::PATH)? != Look::Missing
        || bootstrapped::is_bootstrapped(&node.tree)?
        || node.tree.look(founding::PATH)? != Look::Missing
        || !our_unit_files(node)?.is_empty())
}

/// Units whose file begins as those do that kubewright writes.
fn our_unit_files(node: &Node) -> Result<Vec<String>, NodeError> {
    let mut names = Vec::new();
    for name in node.tree.list(UNITS)? {
        let is_file = matches!(node.tree.look(&unit::path(&name))?, Look::There(seen)
            if seen.kind == crate::tree::Kind::File && seen.stamp.size < 1 << 20);
        if is_file
            && let Some(text) = node.tree.read(&unit::path(&name), 1 << 20)?
            && text.starts_with(OUR_UNIT.as_bytes())
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// Stops and removes all units of ours, the kubelet first so that it starts nothing again.
fn stop_units(node: &mut Node) -> Result<Vec<String>, NodeError> {
    let owned = node.ledger.owned.keys().filter(|id| id.kind() == "unit");
    let mut names: BTreeSet<_> = owned.map(|id| id.what().to_owned()).collect();
    names.extend(our_unit_files(node)?);
    let kubelet: Vec<_> = names
        .iter()
        .filter(|name| **name == unit_name(kubelet::NAME))
        .cloned()
        .collect();
    let names: Vec<_> = names.into_iter().collect();
    unit::stop(node, &kubelet)?;
    unit::stop(node, &names)?;
    unit::delete(node, &names)?;
    for name in &names {
        node.ledger.owned.remove(&ResourceId::new("unit", name));
    }
    Ok(names)
}

/// Removes what the ledger knows: files first, then directories that are empty by then, the deepest first.
fn remove_owned(node: &mut Node) -> Result<Vec<ResourceId>, NodeError> {
    let mut owned: Vec<_> = node.ledger.owned.clone().into_iter().collect();
    owned.sort_by_key(|(id, _)| {
        (
            id.kind() == "directory",
            std::cmp::Reverse(id.what().matches('/').count()),
        )
    });
    let nothing = NodeState::default();
    let mut removed = Vec::new();
    for (id, owned) in owned {
        // Images go with the runtime's data.
        let counts = id.kind() == "image" || resource::is_orphaned(node, &id)?;
        if counts && id.kind() != "image" {
            resource::remove(node, &nothing, &id, &owned)?;
        }
        if counts {
            removed.push(id);
        }
    }
    // Ours by their names, also when the ledger was lost.
    node.tree.remove(resource::sysctl::PERSISTED)?;
    node.tree.remove(resource::kernel_module::PERSISTED)?;
    Ok(removed)
}

/// Removes what is remembered of the node, the ledger last; the agents stay for the next cluster.
fn forget(node: &mut Node, left: &mut Vec<String>) -> Result<(), NodeError> {
    node.tree.sync()?;
    let mounts = mounts::read(node.system.as_ref());
    let last = ["state.json", "settled", "founders.json"];
    let keep: BTreeSet<_> = last
        .iter()
        .chain(["agent"].iter())
        .map(|name| (*name).to_owned())
        .collect();
    sweep::contents(&node.tree, &mounts, ledger::DIRECTORY, &keep, left)?;
    if node.tree.look(journal::DIRECTORY)? != Look::Missing {
        let error = fault(
            format!("remove {}", journal::DIRECTORY),
            "a file system is mounted in it",
        );
        return Err(hinted(error, "unmount it, then run the same command again"));
    }
    node.tree.remove(founding::PATH)?;
    node.tree.remove(bootstrapped::PATH)?;
    node.tree.remove(ledger::PATH)?;
    node.tree.sync()?;
    node.ledger = ledger::Ledger::default();
    node.hashes = crate::hashes::Hashes::default();
    Ok(())
}

#[cfg(test)]
mod tests;
