//! Putting a node back to where it was before one run, by the run's own journal, the last change first.
//!
//! It is for a person on the node (`kubewright-agent undo RUN`): the controller never goes back, it converges. Secrets and
//! keys that were replaced are not kept, and so not put back.

use std::sync::Arc;

use kubewright_core::journal::{Event, Undo};
use kubewright_core::resource::ResourceId;
use kubewright_core::wire::{LockHolder, NodeError};

use crate::fault::{fault, hinted};
use crate::journal::{self, Journal, Run};
use crate::lock;
use crate::node::Node;
use crate::resource;
use crate::system::System;

/// Undoes a run under the node's lock; tells what was put back.
///
/// # Errors
/// When the lock is held, the run is unknown, or something cannot be put back; what came after it in the run was.
pub fn undo(system: &Arc<dyn System>, run: &str) -> Result<Vec<ResourceId>, NodeError> {
    let holder = LockHolder {
        operator: "a person on the node".to_owned(),
        run: format!("undo-{run}"),
        since: system.now(),
    };
    let lock = lock::take(system, &holder)?;
    let _lock = lock.map_err(|other| {
        let held = format!("{} holds the node's lock, for run {}", other.operator, other.run);
        fault(format!("undo {run}"), held)
    })?;
    let mut node = Node::open(Arc::clone(system))?;
    let runs = journal::runs(&node.tree)?;
    let Some((_, entries)) = runs.iter().find(|(name, _)| name == run) else {
        let known: Vec<_> = runs.iter().map(|(name, _)| name.as_str()).collect();
        let error = fault(format!("undo {run}"), "the node has no journal of it");
        return Err(hinted(error, format!("it has those of: {}", known.join(", "))));
    };
    let mut journal = Journal::new(Run {
        id: holder.run,
        operator: holder.operator,
        cluster: String::new(),
    });
    let mut undone = Vec::new();
    for entry in entries.iter().rev() {
        let Event::Intended { resource: id, undo } = &entry.event else {
            continue;
        };
        let nothing = Undo::Nothing;
        if *undo == nothing {
            continue;
        }
        let intended = Event::Intended {
            resource: id.clone(),
            undo: nothing,
        };
        journal.record(system.as_ref(), &node.tree, vec![intended])?;
        resource::undo(&mut node, id, undo)?;
        if *undo == Undo::Remove {
            node.ledger.owned.remove(id);
        }
        node.ledger.save(&node.tree)?;
        node.tree.sync()?;
        journal.record(
            system.as_ref(),
            &node.tree,
            vec![Event::Done { resource: id.clone() }],
        )?;
        undone.push(id.clone());
    }
    node.hashes.save(&node.tree)?;
    journal.finish(system.as_ref(), &node.tree, undone.len() as u64)?;
    Ok(undone)
}
