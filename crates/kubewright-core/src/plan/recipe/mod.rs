//! What recipes share: a stage that is converged, something that is waited for, turns that are taken.
//!
//! An operation is a file beside this directory that calls these in its order.

mod control_planes;
mod joining;
mod nodes;
mod objects;
mod wait;
mod windows;

use std::collections::{BTreeMap, BTreeSet};

use super::graph::Graph;
use super::rules::control_planes::ControlPlanes;
use super::{Deferred, PlannedStep, Step, StepId};
use crate::carrier::{Disturbance, disturbance};
use crate::component::{self, Description};
use crate::observed::{Change, Difference, Observed};
use crate::resource::{NodeState, Stage};
use crate::spec::Cluster;

/// The steps of an operation as they are put together, and what they are made from.
pub(super) struct Recipe<'a> {
    cluster: &'a Cluster,
    states: &'a BTreeMap<String, NodeState>,
    objects: &'a [String],
    observed: &'a Observed,
    graph: Graph,
    deferred: Vec<Deferred>,
    /// Control planes that cannot join etcd now.
    held_back: BTreeSet<String>,
}

impl<'a> Recipe<'a> {
    /// A recipe without steps.
    pub(super) fn new(
        cluster: &'a Cluster,
        states: &'a BTreeMap<String, NodeState>,
        objects: &'a [String],
        observed: &'a Observed,
    ) -> Self {
        Self {
            cluster,
            states,
            objects,
            observed,
            graph: Graph::of(cluster.control_planes().count()),
            deferred: Vec::new(),
            held_back: BTreeSet::new(),
        }
    }

    /// The steps, in order.
    pub(super) fn into_steps(self) -> Vec<PlannedStep> {
        self.graph.into_steps()
    }

    fn differences(&self, node: &str, stage: Stage) -> Vec<Difference> {
        let (Some(state), Some(observed)) = (self.states.get(node), self.observed.nodes.get(node)) else {
            return Vec::new();
        };
        if observed.differences.is_empty() {
            return Vec::new();
        }
        let stages = state.stages();
        let stage_of =
            |difference: &Difference| stages.get(&difference.resource).copied().unwrap_or(Stage::Host);
        let deferred = self.deferred.iter().find(|deferred| deferred.node == node);
        let waits =
            |difference: &Difference| deferred.is_some_and(|one| one.differences.contains(difference));
        observed
            .differences
            .iter()
            .filter(|difference| stage_of(difference) == stage && !waits(difference))
            .cloned()
            .collect()
    }

    /// What waits for control planes that cannot be reached.
    pub(super) fn deferred(&self) -> Vec<Deferred> {
        self.deferred.clone()
    }

    /// Adds the step that converges one stage of one node, unless nothing differs.
    fn converge(&mut self, node: &str, stage: Stage, after: Vec<StepId>) -> Option<StepId> {
        let differences = self.differences(node, stage);
        let state = self
            .states
            .get(node)
            .filter(|_| !differences.is_empty())?
            .digest();
        let why = reason(&differences);
        let step = Step::Converge {
            node: node.to_owned(),
            stage,
            state,
            differences,
        };
        Some(self.graph.add(StepId::converge(node, stage), step, why, after))
    }

    /// The components that are restarted on a node and tell their health, in the order of the list of all components.
    fn restarted(&self, node: &str, stages: &[Stage]) -> Vec<&'static Description> {
        let differences: Vec<Difference> = stages
            .iter()
            .flat_map(|stage| self.differences(node, *stage))
            .collect();
        let names: Vec<&str> = differences
            .iter()
            .filter(|difference| matches!(disturbance(difference), Disturbance::Restarts(_)))
            .filter_map(|difference| disturbance(difference).component())
            .collect();
        let all = component::ALL.iter().copied();
        all.filter(|component| component.probe.is_some() && names.contains(&component.name))
            .collect()
    }

    /// How the control planes are.
    fn seen(&self) -> ControlPlanes<'a> {
        ControlPlanes::of(self.cluster, self.observed)
    }

    /// The control planes' names, in the order of cluster.yaml.
    fn control_planes(&self) -> Vec<&'a str> {
        self.seen().names()
    }

    /// The names of those that this plan makes members of etcd.
    fn joining(&self) -> Vec<&'a str> {
        let mut joining = self.seen().joining();
        joining.retain(|name| !self.held_back.contains(*name));
        joining
    }

    /// What whoever reads the plan should know: of etcd, whether or not it is in the way, and which findings of a
    /// check the file accepts.
    pub(super) fn notes(&self) -> Vec<String> {
        let accepted = self.cluster.checks.accept.iter();
        let accepted =
            accepted.map(|one| format!("{} is accepted (checks.accept): {}", one.id.id(), one.reason));
        let joining = self.joining();
        self.seen().notes(&joining).into_iter().chain(accepted).collect()
    }
}

/// The reason of a converge step, from what differs.
fn reason(differences: &[Difference]) -> String {
    let is_new = |difference: &&Difference| match &difference.change {
        Change::Missing => true,
        Change::Unit { before, enable, .. } => before.is_none() && *enable,
        _ => false,
    };
    let new = differences.iter().filter(is_new).count();
    match (new, differences.len() - new) {
        (_, 0) => "not there yet".to_owned(),
        (0, _) => "differs from cluster.yaml".to_owned(),
        _ => "partly there, partly different".to_owned(),
    }
}
