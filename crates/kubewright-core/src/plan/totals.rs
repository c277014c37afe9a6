//! How much a plan adds, changes and removes.

use std::iter::Sum;

use super::Step;
use crate::observed::{Change, Difference};

/// How many things a step or a plan adds, changes and removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Things that are not there yet.
    pub add: usize,
    /// Things that differ.
    pub change: usize,
    /// Things that are no longer wanted.
    pub remove: usize,
}

impl Totals {
    /// What a step does; waiting is nothing.
    pub(super) fn of(step: &Step) -> Self {
        let written = |all: &[String], present: &[String]| Self {
            add: all.len() - present.len(),
            change: present.len(),
            remove: 0,
        };
        match step {
            Step::Converge { differences, .. } => differences.iter().map(Self::of_difference).sum(),
            Step::Wait { .. } => Self::default(),
            Step::RegisterNodes { nodes, present } => written(nodes, present),
            Step::ApplyManifests { objects, present } => written(objects, present),
            Step::RecordFounders { .. } | Step::AddMember { .. } | Step::MarkBootstrapped { .. } => Self {
                add: 1,
                ..Self::default()
            },
            Step::PromoteMember { .. } => Self {
                change: 1,
                ..Self::default()
            },
            Step::PruneObjects { objects } => Self {
                remove: objects.len(),
                ..Self::default()
            },
            Step::ResetNode { .. } => Self {
                remove: 1,
                ..Self::default()
            },
        }
    }

    fn of_difference(difference: &Difference) -> Self {
        let mut totals = Self::default();
        match &difference.change {
            Change::Missing => totals.add = 1,
            Change::Unit {
                before: None, enable, ..
            } if *enable => totals.add = 1,
            Change::Orphaned => totals.remove = 1,
            _ => totals.change = 1,
        }
        totals
    }

    /// All of them.
    pub const fn all(self) -> usize {
        self.add + self.change + self.remove
    }

    /// As in `3 to add, 1 to change`, without what there is nothing of.
    pub(super) fn told(self) -> String {
        let parts = [
            (self.add, "add"),
            (self.change, "change"),
            (self.remove, "remove"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, verb)| format!("{count} to {verb}")).collect();
        parts.join(", ")
    }
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            add: sum.add + one.add,
            change: sum.change + one.change,
            remove: sum.remove + one.remove,
        })
    }
}
