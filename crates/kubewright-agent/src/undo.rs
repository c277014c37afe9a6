//! Putting a node back to where it was before one run, by the run's own journal, the last change first.
//!
//! It is for people (`kubewright undo --node NAME`, or `kubewright-agent undo` on the node): a run never goes back by
//! itself, it converges. What cannot be put back is named and stops nothing else: secrets and keys that were replaced are
//! not kept, images and loaded kernel modules stay, a directory that holds other files stays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::journal::{Entry, Event, Left, SCHEMA, Undo, Undone};
use kubewright_core::resource::ResourceId;
use kubewright_core::wire::{LOCK_TIMEOUT, LockHolder, NodeError, Pulse};

use crate::fault::{fault, hinted};
use crate::journal::{self, Journal, Run};
use crate::lock::{self, Watch};
use crate::node::Node;
use crate::resource;
use crate::system::System;
use crate::tree::Tree;

/// Between two looks at a lock that an agent without a controller is about to free.
const LOOK: Duration = Duration::from_millis(100);

/// A run to be undone.
#[derive(Debug)]
pub struct Chosen {
    run: String,
    entries: Vec<Entry>,
}

impl Chosen {
    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }
}

/// Undoes a run under the node's lock, the last unfinished one if none is named.
///
/// # Errors
/// When the lock is held, or there is no such run or its journal is not understood.
pub fn undo(system: &Arc<dyn System>, run: Option<&str>) -> Result<Undone, NodeError> {
    let own = run.map_or_else(|| "undo".to_owned(), |run| format!("undo-{run}"));
    let holder = LockHolder::new("a person on the node", &own, system.now());
    let mut watch = Watch::new(LOCK_TIMEOUT, Pulse::default().silence);
    let _lock = loop {
        match lock::take(system, &holder)? {
            Ok(lock) => break lock,
            Err(held) if watch.is_worth_waiting(&held, system.boot_time()) => system.pause(LOOK),
            Err(held) => {
                let other = held.holder;
                let held = format!("{} holds the node's lock, for run {}", other.operator, other.run);
                return Err(fault("undo a run", held));
            }
        }
    };
    let mut node = Node::open(Arc::clone(system))?;
    let chosen = choose(&node.tree, run)?;
    let mut journal = Journal::new(Run {
        id: format!("undo-{}", chosen.run),
        operator: holder.operator,
        cluster: String::new(),
    });
    let undone = perform(&mut node, &mut journal, &chosen)?;
    journal.finish(system.as_ref(), &node.tree, undone.restored.len() as u64)?;
    Ok(undone)
}

/// The run that is named, or the last one if it has no end.
///
/// # Errors
/// When there is none, or its journal was written by a newer version.
pub fn choose(tree: &Tree, run: Option<&str>) -> Result<Chosen, NodeError> {
    let mut runs = journal::runs(tree)?;
    let known: Vec<_> = runs.iter().map(|(name, _)| name.clone()).collect();
    let none = |cause: String| {
        let error = fault("undo a run", cause);
        hinted(
            error,
            format!("the node has the journals of: {}", known.join(", ")),
        )
    };
    let found = if let Some(run) = run {
        runs.into_iter().find(|(name, _)| name == run)
    } else {
        // An undo that was interrupted itself has nothing to put back: what it was for is before it.
        while let Some((_, entries)) = runs.last()
            && !has_ended(entries)
            && !entries.iter().any(is_undoable)
        {
            runs.pop();
        }
        runs.pop().filter(|(_, entries)| !has_ended(entries))
    };
    let (run, entries) = found.ok_or_else(|| match run {
        Some(run) => none(format!("there is no journal of {run}")),
        None => none("the last run on this node ended, so there is none that is unfinished".to_owned()),
    })?;
    if let (Some(schema), _) = journal::judge(tree, &run)? {
        let error = fault(
            format!("undo {run}"),
            format!("its journal is written in schema {schema}, this version knows those up to {SCHEMA}"),
        );
        return Err(hinted(
            error,
            "undo it with the kubewright that ran it, or a newer one",
        ));
    }
    Ok(Chosen { run, entries })
}

fn has_ended(entries: &[Entry]) -> bool {
    matches!(
        entries.last().map(|entry| &entry.event),
        Some(Event::RunFinished { .. })
    )
}

fn is_undoable(entry: &Entry) -> bool {
    matches!(&entry.event, Event::Intended { undo, .. } if *undo != Undo::Nothing)
}

/// Tells what would be put back; changes nothing.
///
/// # Errors
/// When the journal cannot be read.
pub fn look(tree: &Tree, chosen: &Chosen) -> Result<Undone, NodeError> {
    let mut telling = Telling::new(tree, chosen)?;
    for (id, undo) in intended(chosen) {
        telling.note(id, undo, &Ok(()));
    }
    Ok(telling.undone)
}

/// Puts back what can be put back.
///
/// # Errors
/// When it cannot be journalled; what cannot be put back is no error, it is named.
pub fn perform(node: &mut Node, journal: &mut Journal, chosen: &Chosen) -> Result<Undone, NodeError> {
    let mut telling = Telling::new(&node.tree, chosen)?;
    let system = Arc::clone(&node.system);
    for (id, undo) in intended(chosen) {
        if is_final(undo) {
            telling.note(id, undo, &Ok(()));
            continue;
        }
        let intended = Event::Intended {
            resource: id.clone(),
            undo: Undo::Nothing,
        };
        journal.record(system.as_ref(), &node.tree, vec![intended])?;
        let result = put_back(node, id, undo);
        let event = match &result {
            Ok(()) => Event::Done { resource: id.clone() },
            Err(error) => Event::Failed {
                resource: id.clone(),
                error: error.to_string(),
            },
        };
        journal.record(system.as_ref(), &node.tree, vec![event])?;
        telling.note(id, undo, &result);
    }
    node.hashes.save(&node.tree)?;
    node.changed += telling.undone.restored.len() as u64;
    Ok(telling.undone)
}

fn put_back(node: &mut Node, id: &ResourceId, undo: &Undo) -> Result<(), NodeError> {
    resource::undo(node, id, undo)?;
    if matches!(undo, Undo::Remove | Undo::Unit { file: None, .. })
        && let Some(owned) = node.ledger.owned.remove(id)
    {
        // A certificate's key was made with it, and goes with it.
        for path in &owned.also {
            node.tree.remove(path)?;
        }
    }
    node.ledger.save(&node.tree)?;
    node.tree.sync()
}

/// What the run was about to change, the last first.
fn intended(chosen: &Chosen) -> impl Iterator<Item = (&ResourceId, &Undo)> {
    chosen
        .entries
        .iter()
        .rev()
        .filter_map(|entry| match &entry.event {
            Event::Intended { resource, undo } => Some((resource, undo)),
            _ => None,
        })
}

/// Whether nothing can be done about it.
fn is_final(undo: &Undo) -> bool {
    matches!(undo, Undo::Nothing | Undo::Unknown)
}

/// Gathers the report of an undo; a resource that was changed more than once is reported once.
struct Telling {
    undone: Undone,
    told: BTreeSet<ResourceId>,
}

impl Telling {
    fn new(tree: &Tree, chosen: &Chosen) -> Result<Self, NodeError> {
        let mut telling = Self {
            undone: Undone {
                run: chosen.run.clone(),
                ..Undone::default()
            },
            told: BTreeSet::new(),
        };
        if let Some(first) = chosen.entries.first() {
            telling.undone.begun = first.time;
            if let Event::RunStarted { operator, .. } = &first.event {
                telling.undone.operator.clone_from(operator);
            }
        }
        let (_, damaged) = journal::judge(tree, &chosen.run)?;
        if damaged > 0 {
            let journal = ResourceId::new("journal", &chosen.run);
            telling.leave(&journal, format!("{damaged} of its lines are damaged"));
        }
        Ok(telling)
    }

    fn note(&mut self, id: &ResourceId, undo: &Undo, result: &Result<(), NodeError>) {
        match (undo, result) {
            (Undo::Nothing, _) => self.leave(id, resource::why_left(id).to_owned()),
            (Undo::Unknown, _) => self.leave(id, "recorded by a newer version".to_owned()),
            (_, Err(error)) => self.leave(id, error.to_string()),
            (_, Ok(())) => {
                if self.told.insert(id.clone()) {
                    self.undone.restored.push(id.clone());
                }
                if id.kind() == "swap" {
                    let swap = ResourceId::new("swap", "areas");
                    self.leave(&swap, "off until the next boot, or until swapon --all".to_owned());
                }
            }
        }
    }

    fn leave(&mut self, id: &ResourceId, why: String) {
        let left = Left {
            resource: id.clone(),
            why,
        };
        if !self.undone.left.contains(&left) {
            self.undone.left.push(left);
        }
    }
}

#[cfg(test)]
mod tests;
