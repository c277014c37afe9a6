//! The loop: inspect, record, change, verify.
//!
//! [`inspect`] compares the whole node with its state and writes nothing. [`converge`] makes the resources named so, in the
//! state's order. Consecutive resources without a process form a batch: what is about to be done to all of them is
//! journalled with one fsync, then they are changed and looked at again, then that is journalled with one fsync. Units are
//! brought up one at a time. A crash anywhere leaves a node that the same call brings to its end.

use std::collections::{BTreeMap, BTreeSet};

use kubewright_core::journal::Event;
use kubewright_core::observed::{Change, Difference, UnitAction, unit_reasons};
use kubewright_core::resource::{NodeState, Resource, ResourceId, Unit};
use kubewright_core::wire::NodeError;

use crate::fault::{fault, hinted};
use crate::journal::Journal;
use crate::node::Node;
use crate::peer::Peer;
use crate::resource::{self, Work, unit};

/// How the node differs from a state, in order of convergence, orphaned last.
///
/// # Errors
/// When the node cannot be looked at.
pub fn inspect(node: &mut Node, state: &NodeState) -> Result<Vec<Difference>, NodeError> {
    node.images = None;
    let mut changes = BTreeMap::new();
    for staged in &state.resources {
        if let Some(change) = resource::inspect(node, state, &staged.resource)? {
            changes.insert(staged.resource.id(), change);
        }
    }
    let units: Vec<_> = state
        .resources
        .iter()
        .filter_map(|staged| as_unit(&staged.resource))
        .collect();
    for (unit, change) in inspect_units(node, state, &units, &changes)? {
        changes.insert(ResourceId::new("unit", &unit.name), change);
    }
    let mut differences = Vec::new();
    for staged in &state.resources {
        let resource = staged.resource.id();
        if let Some(change) = changes.remove(&resource) {
            differences.push(Difference { resource, change });
        }
    }
    differences.extend(orphaned(node, state)?.into_iter().map(|resource| Difference {
        resource,
        change: Change::Orphaned,
    }));
    Ok(differences)
}

fn as_unit(resource: &Resource) -> Option<&Unit> {
    match resource {
        Resource::Unit(unit) => Some(unit),
        _ => None,
    }
}

/// Units differ by themselves, and by those of their inputs that do.
fn inspect_units<'u>(
    node: &mut Node,
    state: &NodeState,
    units: &[&'u Unit],
    changes: &BTreeMap<ResourceId, Change>,
) -> Result<Vec<(&'u Unit, Change)>, NodeError> {
    let names: Vec<_> = units.iter().map(|unit| unit.name.as_str()).collect();
    let statuses = unit::statuses(node.system.as_ref(), &names)?;
    // A process does not notice a change of owner or mode of what it has read.
    let changing: Vec<_> = changes
        .iter()
        .filter(|(_, change)| !matches!(change, Change::Access { .. } | Change::Blocked { .. }))
        .map(|(id, _)| id.clone())
        .collect();
    let mut found = Vec::new();
    for unit in units {
        let status = statuses.get(&unit.name).cloned().unwrap_or_default();
        if let Some(change) = unit::inspect(node, state, unit, &status, &changing)? {
            found.push((*unit, change));
        }
    }
    Ok(found)
}

/// What kubewright put on the node and the state no longer has: units first, then files, directories from the deepest.
fn orphaned(node: &Node, state: &NodeState) -> Result<Vec<ResourceId>, NodeError> {
    let wanted: BTreeSet<_> = state
        .resources
        .iter()
        .map(|staged| staged.resource.id())
        .collect();
    let mut ids = Vec::new();
    for id in node.ledger.owned.keys().filter(|id| !wanted.contains(*id)) {
        if !is_replaced(id, &wanted) && resource::is_orphaned(node, id)? {
            ids.push(id.clone());
        }
    }
    ids.sort_by_key(|id| {
        let rank = match id.kind() {
            "unit" => 0,
            "directory" => 2,
            _ => 1,
        };
        (
            rank,
            std::cmp::Reverse(id.what().matches('/').count()),
            id.clone(),
        )
    });
    Ok(ids)
}

/// A path that changed its kind (a file that became a secret, say) is not orphaned.
fn is_replaced(id: &ResourceId, wanted: &BTreeSet<ResourceId>) -> bool {
    let kinds = ["file", "symlink", "secret", "certificate", "binary"];
    kinds.contains(&id.kind())
        && kinds
            .iter()
            .any(|kind| wanted.contains(&ResourceId::new(kind, id.what())))
}

/// Makes the named resources so and tells which were changed.
///
/// # Errors
/// The first thing that goes wrong; what was done before it is journalled and stays.
pub fn converge(
    node: &mut Node,
    journal: &mut Journal,
    state: &NodeState,
    peer: &mut dyn Peer,
    named: &[ResourceId],
) -> Result<Vec<ResourceId>, NodeError> {
    let named: BTreeSet<_> = named.iter().collect();
    let wanted: Vec<_> = state
        .resources
        .iter()
        .map(|staged| &staged.resource)
        .filter(|resource| named.contains(&resource.id()))
        .collect();
    let known: BTreeSet<_> = wanted.iter().map(|resource| resource.id()).collect();
    let orphaned: Vec<_> = orphaned(node, state)?
        .into_iter()
        .filter(|id| named.contains(id))
        .collect();
    if let Some(unknown) = named
        .iter()
        .find(|id| !known.contains(**id) && !orphaned.contains(id) && !node.ledger.owned.contains_key(**id))
    {
        return Err(fault(
            format!("converge {unknown}"),
            "not part of the state that was inspected",
        ));
    }
    let mut changed = Vec::new();
    let mut work = Work::new(state, peer);
    let mut run = Run {
        node,
        journal,
        changed: &mut changed,
        announced: BTreeSet::new(),
    };
    let result = run
        .resources(&mut work, &wanted)
        .and_then(|()| run.removals(&mut work, &orphaned));
    let kept = node
        .tree
        .sync()
        .and(node.ledger.save(&node.tree))
        .and(node.hashes.save(&node.tree));
    node.changed += changed.len() as u64;
    result.and(kept).map(|()| changed)
}

struct Run<'r> {
    node: &'r mut Node,
    journal: &'r mut Journal,
    changed: &'r mut Vec<ResourceId>,
    /// Units whose change is journalled and not yet done.
    announced: BTreeSet<ResourceId>,
}

impl Run<'_> {
    fn resources(&mut self, work: &mut Work<'_>, wanted: &[&Resource]) -> Result<(), NodeError> {
        let mut installed = false;
        for batch in wanted.chunk_by(|left, right| as_unit(left).is_some() == as_unit(right).is_some()) {
            if as_unit(batch[0]).is_none() {
                self.batch(work, batch)?;
                continue;
            }
            if !installed {
                // All unit files of this call at once: systemd reads its files once.
                installed = true;
                let units: Vec<_> = wanted.iter().filter_map(|resource| as_unit(resource)).collect();
                self.install(work, &units)?;
            }
            for unit in batch.iter().filter_map(|resource| as_unit(resource)) {
                self.bring_up(work, unit)?;
            }
        }
        Ok(())
    }

    /// Changes resources without a process, between two fsyncs of the journal.
    fn batch(&mut self, work: &mut Work<'_>, batch: &[&Resource]) -> Result<(), NodeError> {
        let mut differing = Vec::new();
        self.node.images = None;
        for resource in batch {
            if let Some(change) = resource::inspect(self.node, work.state, resource)? {
                differing.push((*resource, change));
            }
        }
        if differing.is_empty() {
            return Ok(());
        }
        for (resource, change) in &differing {
            refuse_blocked(&resource.id(), change)?;
        }
        let ids: Vec<_> = differing.iter().map(|(resource, _)| resource.id()).collect();
        let mut intents = resource::record_shared(self.node, ids.iter())?;
        for (resource, change) in &differing {
            let undo = resource::record(self.node, resource, change)?;
            if !(matches!(resource, Resource::Directory(_) | Resource::User(_)) && *change != Change::Missing)
            {
                self.node.ledger.own(resource);
            }
            let resource = resource.id();
            if !matches!(change, Change::Access { .. }) {
                self.outdate(work.state, &resource);
            }
            intents.push(Event::Intended { resource, undo });
        }
        self.node.ledger.save(&self.node.tree)?;
        self.node.tree.sync()?;
        self.record(intents)?;
        for (resource, change) in &differing {
            resource::prepare(work, resource, change)?;
        }
        let mut done = Vec::new();
        let mut result = Ok(());
        for (resource, _) in &differing {
            result = refuse_when_gone(work.peer).and_then(|()| self.one(work, resource));
            if let Err(error) = &result {
                done.push(failed(&resource.id(), error));
                break;
            }
            done.push(Event::Done {
                resource: resource.id(),
            });
        }
        self.node.tree.sync().and_then(|()| self.record(done)).and(result)
    }

    /// Forgets what the units that read a resource were started with, before it changes. Repaired to what it was, it
    /// would look as if nothing had happened, yet a process may have been started with what was there in between.
    fn outdate(&mut self, state: &NodeState, id: &ResourceId) {
        for unit in state
            .resources
            .iter()
            .filter_map(|staged| as_unit(&staged.resource))
        {
            if unit.inputs.contains(id) {
                self.node.outdate(&unit.name);
            }
        }
    }

    /// Changes one resource and looks whether it is so now. An earlier one of its batch can have changed it along
    /// (one file holds all kernel parameters): it counts as changed all the same, it was announced.
    fn one(&mut self, work: &mut Work<'_>, resource: &Resource) -> Result<(), NodeError> {
        let id = resource.id();
        work.peer.progress(&id, false);
        if let Some(change) = resource::inspect(self.node, work.state, resource)? {
            resource::change(self.node, work, resource, &change)?;
            if let Some(left) = resource::inspect(self.node, work.state, resource)?
                && !matches!(resource, Resource::SharedSecret(secret) if secret.sha256.is_none())
            {
                return Err(still_differs(&id, &left));
            }
        }
        self.changed.push(id.clone());
        work.peer.progress(&id, true);
        Ok(())
    }

    /// Puts the files of differing units in place, announced and journalled; nothing is started yet.
    fn install(&mut self, work: &mut Work<'_>, units: &[&Unit]) -> Result<(), NodeError> {
        refuse_when_gone(work.peer)?;
        let differing = inspect_units(self.node, work.state, units, &BTreeMap::new())?;
        if differing.is_empty() {
            return Ok(());
        }
        let (mut intents, mut removed) = (Vec::new(), Vec::new());
        for (unit, change) in &differing {
            let resource = Resource::Unit((*unit).clone());
            refuse_blocked(&resource.id(), change)?;
            let undo = resource::record(self.node, &resource, change)?;
            self.node.ledger.own(&resource);
            self.announced.insert(resource.id());
            let resource = resource.id();
            intents.push(Event::Intended { resource, undo });
            let overrides = unit::record_overrides(self.node, change)?;
            if !overrides.is_empty() {
                // Once they are gone, it would look as if its process had never known them.
                self.node.outdate(&unit.name);
            }
            for (resource, undo) in overrides {
                removed.push(Event::Done {
                    resource: resource.clone(),
                });
                intents.push(Event::Intended { resource, undo });
            }
        }
        self.node.ledger.save(&self.node.tree)?;
        self.node.tree.sync()?;
        self.record(intents)?;
        let changes: Vec<_> = differing.iter().map(|(unit, change)| (*unit, change)).collect();
        unit::install(self.node, &changes)?;
        self.record(removed)
    }

    fn bring_up(&mut self, work: &mut Work<'_>, unit: &Unit) -> Result<(), NodeError> {
        let id = ResourceId::new("unit", &unit.name);
        let mut action = self.action(work, unit)?;
        if action.is_some() && !self.announced.contains(&id) {
            // Its inputs changed within this call, after the unit files were put in place.
            self.install(work, &[unit])?;
            action = self.action(work, unit)?;
        }
        if !self.announced.contains(&id) {
            return Ok(());
        }
        refuse_when_gone(work.peer)?;
        work.peer.progress(&id, false);
        let action = action.unwrap_or(UnitAction::None);
        if let Err(mut error) = unit::bring_up(self.node, work.state, unit, action) {
            error.resource = Some(id.clone());
            self.record(vec![failed(&id, &error)])?;
            return Err(error);
        }
        // What it was started with has to survive whatever comes next.
        self.node.ledger.save(&self.node.tree)?;
        self.record(vec![Event::Done { resource: id.clone() }])?;
        self.changed.push(id.clone());
        work.peer.progress(&id, true);
        Ok(())
    }

    fn action(&mut self, work: &Work<'_>, unit: &Unit) -> Result<Option<UnitAction>, NodeError> {
        let difference = inspect_units(self.node, work.state, &[unit], &BTreeMap::new())?.pop();
        match difference {
            None => Ok(None),
            Some((_, Change::Unit { action, .. })) => Ok(Some(action)),
            Some((_, change)) => {
                let id = ResourceId::new("unit", &unit.name);
                refuse_blocked(&id, &change)?;
                Err(still_differs(&id, &change))
            }
        }
    }

    fn removals(&mut self, work: &mut Work<'_>, orphaned: &[ResourceId]) -> Result<(), NodeError> {
        let mut intents = resource::record_shared(self.node, orphaned.iter())?;
        for id in orphaned {
            let undo = resource::record_removal(self.node, id)?;
            let resource = id.clone();
            intents.push(Event::Intended { resource, undo });
        }
        self.node.tree.sync()?;
        self.record(intents)?;
        for id in orphaned {
            refuse_when_gone(work.peer)?;
            work.peer.progress(id, false);
            let owned = self.node.ledger.owned.get(id).cloned().unwrap_or_default();
            if let Err(error) = resource::remove(self.node, work.state, id, &owned) {
                self.record(vec![failed(id, &error)])?;
                return Err(error);
            }
            self.node.ledger.owned.remove(id);
            self.changed.push(id.clone());
            work.peer.progress(id, true);
        }
        self.node.tree.sync()?;
        let done = orphaned.iter().map(|id| Event::Done { resource: id.clone() });
        self.record(done.collect())
    }

    fn record(&mut self, events: Vec<Event>) -> Result<(), NodeError> {
        self.journal
            .record(self.node.system.as_ref(), &self.node.tree, events)
    }
}

fn refuse_when_gone(peer: &dyn Peer) -> Result<(), NodeError> {
    if peer.is_gone() {
        return Err(fault("continue", "the controller has disconnected"));
    }
    Ok(())
}

fn refuse_blocked(id: &ResourceId, change: &Change) -> Result<(), NodeError> {
    let Change::Blocked { reason } = change else {
        return Ok(());
    };
    let mut error = fault(format!("change {}", id.what()), reason.as_str());
    error.resource = Some(id.clone());
    Err(hinted(
        error,
        "move it away if it is not needed, then run the same command again",
    ))
}

fn still_differs(id: &ResourceId, left: &Change) -> NodeError {
    let left = match left {
        Change::Access { before, .. } => format!("owner and mode are {before}"),
        Change::Value { before, .. } => format!("it is {before}"),
        Change::Certificate { problem } => problem.to_string(),
        Change::Unit { enable, found, .. } => unit_reasons(*enable, found),
        Change::Blocked { reason } => reason.clone(),
        Change::Missing => "it is missing".to_owned(),
        Change::Content { .. } => "its content differs".to_owned(),
        Change::Orphaned => "it is still there".to_owned(),
    };
    let mut error = fault(
        format!("change {}", id.what()),
        format!("the change did not persist: {left}"),
    );
    error.resource = Some(id.clone());
    hinted(
        error,
        "another program on the node manages it: find out which, and stop it",
    )
}

fn failed(id: &ResourceId, error: &NodeError) -> Event {
    Event::Failed {
        resource: id.clone(),
        error: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
