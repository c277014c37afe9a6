//! Putting a node back to where it was before one run, by the run's own journal, the last change first.
//!
//! It is for people (`kubewright undo --node NAME`, or `kubewright-agent undo` on the node), and for a run whose change
//! made a part of the node unhealthy: that takes back what it changed of this part, and nothing else. What cannot be put back is named and stops nothing else: secrets and keys that were replaced are
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
    /// Only these, if not everything is undone.
    only: Option<BTreeSet<ResourceId>>,
}

impl Chosen {
    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Leaves everything but these resources as it is. What was removed because it overrode a unit belongs to the unit.
    pub fn limit_to(&mut self, resources: impl IntoIterator<Item = ResourceId>) {
        self.only = Some(resources.into_iter().collect());
    }

    fn has(&self, id: &ResourceId) -> bool {
        let Some(only) = &self.only else { return true };
        let is_override = |unit: &ResourceId| {
            id.kind() == "override"
                && unit.kind() == "unit"
                && id
                    .what()
                    .split('/')
                    .any(|part| part.strip_suffix(".d").unwrap_or(part) == unit.what())
        };
        only.contains(id) || only.iter().any(is_override)
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
    Ok(Chosen {
        run,
        entries,
        only: None,
    })
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

/// Puts back what the run that is still going on changed of some resources, and notes that in its own journal.
///
/// # Errors
/// As [`perform`]; also when the run has changed nothing.
pub fn take_back(
    node: &mut Node,
    journal: &mut Journal,
    run: &str,
    resources: Vec<ResourceId>,
) -> Result<Undone, NodeError> {
    let mut chosen = choose(&node.tree, Some(run))?;
    chosen.limit_to(resources);
    put_back_all(node, journal, &chosen, Telling::taking_back)
}

/// Puts back what can be put back.
///
/// # Errors
/// When it cannot be journalled; what cannot be put back is no error, it is named.
pub fn perform(node: &mut Node, journal: &mut Journal, chosen: &Chosen) -> Result<Undone, NodeError> {
    put_back_all(node, journal, chosen, Telling::undoing)
}

/// What the journal says of one resource: before it is put back, and when it is.
type Announce = fn(&ResourceId) -> (Option<Event>, Event);

fn put_back_all(
    node: &mut Node,
    journal: &mut Journal,
    chosen: &Chosen,
    announce: Announce,
) -> Result<Undone, NodeError> {
    let mut telling = Telling::new(&node.tree, chosen)?;
    let system = Arc::clone(&node.system);
    for (id, undo) in intended(chosen) {
        if is_final(undo) {
            telling.note(id, undo, &Ok(()));
            continue;
        }
        let (intended, done) = announce(id);
        journal.record(system.as_ref(), &node.tree, intended.into_iter().collect())?;
        let result = put_back(node, id, undo);
        let event = match &result {
            Ok(()) => done,
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

/// What the run was about to change, in the order in which it is put back: units that were not there before go first;
/// then everything else, the last change first; then units that were there before, in the order they were changed,
/// so that they are started with what they read before; accounts last, when nothing runs as them any more.
fn intended(chosen: &Chosen) -> impl Iterator<Item = (&ResourceId, &Undo)> {
    let mut open: Vec<(&ResourceId, &Undo)> = Vec::new();
    for entry in &chosen.entries {
        match &entry.event {
            Event::Intended { resource, undo } if chosen.has(resource) => open.push((resource, undo)),
            Event::TakenBack { resource } => open.retain(|(id, _)| *id != resource),
            _ => {}
        }
    }
    let (units, mut rest): (Vec<_>, Vec<_>) = open
        .into_iter()
        .partition(|(_, undo)| matches!(undo, Undo::Unit { .. }));
    rest.reverse();
    // How a unit was before the run is what its first change says.
    let mut known = BTreeSet::new();
    let units = units.into_iter().filter(|(id, _)| known.insert(*id));
    let (mut new, present): (Vec<_>, Vec<_>) =
        units.partition(|(_, undo)| matches!(undo, Undo::Unit { file: None, .. }));
    new.reverse();
    let (accounts, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(id, _)| id.kind() == "user");
    new.into_iter().chain(rest).chain(present).chain(accounts)
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
    /// An undo is a run of its own, whose changes are announced and have no way back.
    fn undoing(id: &ResourceId) -> (Option<Event>, Event) {
        let resource = id.clone();
        let undo = Undo::Nothing;
        let done = Event::Done { resource: id.clone() };
        (Some(Event::Intended { resource, undo }), done)
    }

    /// A run that goes back has announced the change already.
    fn taking_back(id: &ResourceId) -> (Option<Event>, Event) {
        (None, Event::TakenBack { resource: id.clone() })
    }

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
