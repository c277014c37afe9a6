//! Puts steps together: every step names what it comes after, and a step that is not planned is no obstacle.

use std::collections::BTreeSet;

use super::disruption::disruption;
use super::{Guard, PlannedStep, Step, StepId};

/// Collects the steps of a plan in an order that respects their dependencies.
#[derive(Debug, Default)]
pub(super) struct Graph {
    steps: Vec<PlannedStep>,
    known: BTreeSet<StepId>,
    control_planes: usize,
}

impl Graph {
    /// A plan without steps for a cluster with so many control planes.
    pub(super) fn of(control_planes: usize) -> Self {
        Self {
            control_planes,
            ..Self::default()
        }
    }

    /// Appends a step; dependencies on steps that were not planned (because there is nothing to do) are dropped.
    pub(super) fn add(
        &mut self,
        id: StepId,
        step: Step,
        why: impl Into<String>,
        after: impl IntoIterator<Item = StepId>,
    ) -> StepId {
        let after: BTreeSet<StepId> = after
            .into_iter()
            .filter(|step| self.known.contains(step))
            .collect();
        let disruption = disruption(&step, self.control_planes);
        self.steps.push(PlannedStep {
            id: id.clone(),
            step,
            why: why.into(),
            after: after.into_iter().collect(),
            in_turn: Vec::new(),
            guard: Vec::new(),
            takes_back: Vec::new(),
            window: None,
            disruption,
        });
        self.known.insert(id.clone());
        id
    }

    /// Whether a step is planned already.
    pub(super) fn has(&self, id: &StepId) -> bool {
        self.known.contains(id)
    }

    /// Makes the last step come after others that it needs nothing of, so that it does not run beside them.
    pub(super) fn take_turns(&mut self, after: impl IntoIterator<Item = StepId>) {
        let Some(last) = self.steps.last_mut() else { return };
        for id in after {
            if self.known.contains(&id) && id != last.id && !last.after.contains(&id) {
                last.after.push(id.clone());
                last.in_turn.push(id);
            }
        }
        last.after.sort();
        last.in_turn.sort();
    }

    /// How many steps there are.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Makes the steps from one on a part of a window: they come after the steps of the window before, of which they
    /// need nothing.
    pub(super) fn join_window(&mut self, first: usize, before: &[StepId], window: usize) {
        for planned in self.steps.iter_mut().skip(first) {
            planned.window = Some(window);
            for id in before {
                if !planned.after.contains(id) {
                    planned.after.push(id.clone());
                    planned.in_turn.push(id.clone());
                }
            }
            planned.after.sort();
            planned.in_turn.sort();
        }
    }

    /// Lets the last step be done only while these guards hold.
    pub(super) fn guard(&mut self, guards: Vec<Guard>) {
        if let Some(last) = self.steps.last_mut() {
            last.guard = guards;
        }
    }

    /// Has some steps taken back when one of them shows that a part of the node is not healthy.
    pub(super) fn take_back(&mut self, judges: &[StepId], steps: &[StepId]) {
        let steps: Vec<StepId> = steps
            .iter()
            .filter(|id| self.known.contains(id))
            .cloned()
            .collect();
        for planned in self
            .steps
            .iter_mut()
            .filter(|planned| judges.contains(&planned.id))
        {
            planned.takes_back.clone_from(&steps);
        }
    }

    /// The steps, in order.
    pub(super) fn into_steps(self) -> Vec<PlannedStep> {
        self.steps
    }
}
