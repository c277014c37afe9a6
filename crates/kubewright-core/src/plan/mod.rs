//! What will be done, as a value: the same object is printed, asked about, saved, executed and verified.

mod apply;
mod bootstrap;
mod change;
mod deferred;
mod disruption;
mod explain;
mod graph;
mod guards;
mod only;
mod origin;
mod pod_ranges;
mod recipe;
mod refusal;
mod reset;
mod rules;
mod saved;
mod schema;
mod step;
mod step_id;
pub mod text;
mod totals;
mod waits;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use apply::plan_apply;
pub use deferred::{Deferred, told as deferred_text};
pub use explain::explain;
pub use only::restrict;
pub use origin::{MadeFrom, NodeOrigin, Sources};
pub use pod_ranges::allocate_pod_ranges;
pub use refusal::{ClaimProblem, Obstacle, Refusal};
pub use reset::plan_reset;
pub use rules::quorum::MemberHealth;
pub use rules::{Guard, RULES, Rule, may_disturb, safety_rules_page};
pub use saved::{Making, PlanDocument, SCHEMA, SavedPlan, UnreadablePlan};
pub use schema::schema;
pub use step::{Condition, Disruption, PlannedStep, Step};
pub use step_id::{Place, StepId, StepKind, UnknownStep};
pub use totals::Totals;

#[cfg(test)]
mod tests;

/// What the operator asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Operation {
    /// Make the cluster what cluster.yaml says.
    Apply,
    /// Take the cluster down; hosts are left reusable.
    Reset,
}

/// An ordered graph of steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// What was asked for.
    pub operation: Operation,
    /// The steps; each comes after those it depends on.
    pub steps: Vec<PlannedStep>,
    /// Nodes nothing is planned for because they cannot be reached, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, String>,
    /// Changes of other control planes that wait until an unreachable one is back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deferred: Vec<Deferred>,
    /// What whoever reads the plan should know: of etcd members cluster.yaml does not name, learners, alarms; and which
    /// findings of a check cluster.yaml accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Plan {
    /// Counts the changes: steps that only wait are none.
    pub fn changes(&self) -> usize {
        self.totals().all()
    }

    /// Counts what is added, changed and removed.
    pub fn totals(&self) -> Totals {
        self.steps.iter().map(|planned| planned.step.totals()).sum()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes() == 0
    }
}
