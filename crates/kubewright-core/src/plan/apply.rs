//! Making the cluster what cluster.yaml says.
//!
//! The recipe, read from top to bottom: every host is prepared; all etcd members start at once (joining one by one
//! would cost five seconds each by etcd's health interval); the API servers come up on them; meanwhile the runtime is
//! put in place; nodes and objects are registered as soon as one API server is ready; kubelets start and find their
//! node object, certificates and network in place; then the cluster is waited for.
//!
//! On a cluster that already serves, control planes are changed in turns (see [`super::control_planes`]).

use std::collections::BTreeMap;

use super::control_planes::api_ready_id;
use super::graph::Graph;
use super::identity::{changes_minor, refuse_forgotten_nodes, refuse_other_settings, refuse_version_jumps};
use super::safety::{refuse_blocked, refuse_lost_members, refuse_other_identities};
use super::{Condition, Operation, Plan, Refusal, Step, StepId, StepKind};
use crate::observed::{Change, Difference, Observed};
use crate::resource::{Digest, NodeState, Stage};
use crate::spec::Cluster;

/// Images may have to be pulled before a node or a deployment is up.
const CLUSTER_TIMEOUT_SECONDS: u32 = 600;

/// Plans what makes the cluster what it is to be.
///
/// # Errors
/// A [`Refusal`] when a safety rule forbids to go on; nothing was changed.
pub fn plan_apply(
    cluster: &Cluster,
    states: &BTreeMap<String, NodeState>,
    objects: &[String],
    observed: &Observed,
) -> Result<Plan, Refusal> {
    refuse_other_identities(cluster, states, observed)?;
    refuse_other_settings(cluster, observed)?;
    refuse_version_jumps(cluster, observed)?;
    refuse_forgotten_nodes(cluster, observed)?;
    refuse_lost_members(cluster, observed)?;
    refuse_blocked(observed)?;

    let recipe = Recipe {
        cluster,
        states,
        observed,
    };
    let mut graph = Graph::of(cluster.control_planes().count());
    recipe.prepare_hosts(&mut graph);
    recipe.converge_control_planes(&mut graph)?;
    recipe.mark_bootstrapped(&mut graph);
    recipe.converge_runtimes(&mut graph);
    recipe.register(&mut graph, objects);
    recipe.converge_nodes(&mut graph);
    recipe.wait_for_the_cluster(&mut graph);
    recipe.prune(&mut graph);

    Ok(Plan {
        operation: Operation::Apply,
        steps: graph.into_steps(),
        left_out: observed.unreachable.clone(),
        notes: recipe.notes_on_etcd(),
        made_from: fingerprint(cluster, states, objects, observed),
    })
}

pub(super) struct Recipe<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) states: &'a BTreeMap<String, NodeState>,
    pub(super) observed: &'a Observed,
}

impl Recipe<'_> {
    pub(super) fn differences(&self, node: &str, stage: Stage) -> Vec<Difference> {
        let (Some(state), Some(observed)) = (self.states.get(node), self.observed.nodes.get(node)) else {
            return Vec::new();
        };
        if observed.differences.is_empty() {
            return Vec::new();
        }
        let stages = state.stages();
        let stage_of =
            |difference: &Difference| stages.get(&difference.resource).copied().unwrap_or(Stage::Host);
        observed
            .differences
            .iter()
            .filter(|difference| stage_of(difference) == stage)
            .cloned()
            .collect()
    }

    /// Adds the step that converges one stage of one node, unless nothing differs.
    pub(super) fn converge(
        &self,
        graph: &mut Graph,
        node: &str,
        stage: Stage,
        after: Vec<StepId>,
    ) -> Option<StepId> {
        let differences = self.differences(node, stage);
        if differences.is_empty() {
            return None;
        }
        let why = reason(&differences);
        let step = Step::Converge {
            node: node.to_owned(),
            stage,
            differences,
        };
        Some(graph.add(StepId::converge(node, stage), step, why, after))
    }

    /// A host learns whom it belongs to. While there is no cluster, workers learn it when the control planes keep the
    /// authority: interrupted before, the next run makes another one, and no worker may belong to the lost one.
    fn prepare_hosts(&self, graph: &mut Graph) {
        let (control_planes, workers): (Vec<_>, Vec<_>) = self
            .cluster
            .nodes
            .iter()
            .partition(|node| node.is_control_plane());
        let mut keepers = Vec::new();
        for node in control_planes {
            keepers.extend(self.converge(graph, node.name.as_str(), Stage::Host, Vec::new()));
        }
        if self.observed.is_bootstrapped() {
            keepers.clear();
        }
        for node in workers {
            self.converge(graph, node.name.as_str(), Stage::Host, keepers.clone());
        }
    }

    /// What kubelets wait for when the minor version changes: none may be newer than any API server.
    fn every_server(&self) -> Vec<StepId> {
        if !changes_minor(self.cluster, self.observed) {
            return Vec::new();
        }
        let names = self.cluster.control_planes().map(|node| node.name.as_str());
        names.map(api_ready_id).collect()
    }

    fn converge_runtimes(&self, graph: &mut Graph) {
        for node in &self.cluster.nodes {
            let name = node.name.as_str();
            let stages = [Stage::Host, Stage::Etcd, Stage::ControlPlane];
            let mut after = stages.map(|stage| StepId::converge(name, stage)).to_vec();
            after.extend(self.every_server());
            self.converge(graph, name, Stage::Runtime, after);
        }
    }

    /// Node objects and cluster objects, as soon as the API can take them.
    fn register(&self, graph: &mut Graph, objects: &[String]) {
        let after: Vec<StepId> = self
            .cluster
            .control_planes()
            .map(|node| api_ready_id(node.name.as_str()))
            .collect();
        // Where an API answers already, its servers are only left in peace while they change.
        let needed = if self.observed.api.is_some() {
            Vec::new()
        } else {
            after.clone()
        };
        let (nodes, objects) = match &self.observed.api {
            Some(api) => (
                api.nodes_to_register.clone(),
                api.objects.keys().cloned().collect(),
            ),
            None => (
                self.cluster
                    .nodes
                    .iter()
                    .map(|node| node.name.to_string())
                    .collect(),
                objects.to_vec(),
            ),
        };
        if !nodes.is_empty() {
            let why = "kubelets find their node, its labels, taints and pod range";
            graph.add(REGISTER, Step::RegisterNodes { nodes }, why, needed.clone());
            graph.take_turns(after.clone());
        }
        if !objects.is_empty() {
            let why = "permissions, DNS and metrics, as cluster.yaml asks for";
            graph.add(OBJECTS, Step::ApplyManifests { objects }, why, needed);
            graph.take_turns(after);
        }
    }

    fn converge_nodes(&self, graph: &mut Graph) {
        for node in &self.cluster.nodes {
            let name = node.name.as_str();
            let mut after = Stage::ALL.map(|stage| StepId::converge(name, stage)).to_vec();
            after.extend([REGISTER, OBJECTS]);
            after.extend(self.every_server());
            self.converge(graph, name, Stage::Node, after);
        }
    }

    fn wait_for_the_cluster(&self, graph: &mut Graph) {
        let touched = |node: &&crate::spec::Node| {
            [Stage::Runtime, Stage::Node]
                .iter()
                .any(|stage| !self.differences(node.name.as_str(), *stage).is_empty())
        };
        let mut nodes: Vec<String> = self
            .cluster
            .nodes
            .iter()
            .filter(touched)
            .map(|node| node.name.to_string())
            .collect();
        let mut deployments = Vec::new();
        if let Some(api) = &self.observed.api {
            nodes.extend(api.nodes_not_ready.iter().cloned());
            deployments.extend(api.deployments_unavailable.iter().cloned());
        }
        nodes.sort();
        nodes.dedup();
        nodes.retain(|node| !self.observed.unreachable.contains_key(node));
        let mut after: Vec<StepId> = self
            .cluster
            .nodes
            .iter()
            .map(|node| StepId::converge(node.name.as_str(), Stage::Node))
            .collect();
        after.extend([REGISTER, OBJECTS]);
        if !nodes.is_empty() {
            let condition = Condition::NodesReady { nodes };
            let step = Step::Wait {
                condition,
                timeout_seconds: CLUSTER_TIMEOUT_SECONDS,
            };
            after.push(graph.add(NODES_READY, step, "pods can be placed", after.clone()));
        }
        let has_new_objects = self
            .observed
            .api
            .as_ref()
            .is_none_or(|api| api.objects.contains_key("Deployment kube-system/coredns"));
        let dns = "kube-system/coredns".to_owned();
        if (has_new_objects || deployments.contains(&dns))
            && self.cluster.network.cni != crate::spec::Cni::None
        {
            let condition = Condition::DeploymentAvailable {
                namespace: "kube-system".to_owned(),
                name: "coredns".to_owned(),
            };
            let step = Step::Wait {
                condition,
                timeout_seconds: CLUSTER_TIMEOUT_SECONDS,
            };
            graph.add(
                StepId::of_cluster(StepKind::DnsReady),
                step,
                "names resolve in pods",
                after,
            );
        }
    }

    /// What is no longer wanted goes last, when nothing on any node uses it any more.
    fn prune(&self, graph: &mut Graph) {
        let orphaned = self.observed.api.as_ref().map(|api| api.orphaned.clone());
        let Some(objects) = orphaned.filter(|objects| !objects.is_empty()) else {
            return;
        };
        let converged = self.cluster.nodes.iter().flat_map(|node| {
            let name = node.name.as_str();
            Stage::ALL.map(|stage| StepId::converge(name, stage))
        });
        let mut after: Vec<StepId> = converged.collect();
        after.extend([REGISTER, OBJECTS, NODES_READY]);
        let why = "cluster.yaml no longer asks for them";
        graph.add(
            StepId::of_cluster(StepKind::Prune),
            Step::PruneObjects { objects },
            why,
            after,
        );
    }
}

const REGISTER: StepId = StepId::of_cluster(StepKind::Nodes);
pub(super) const OBJECTS: StepId = StepId::of_cluster(StepKind::Objects);
const NODES_READY: StepId = StepId::of_cluster(StepKind::NodesReady);

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

/// Digest of everything the plan was made from, except what differs from one look to the next (clock, free space).
fn fingerprint(
    cluster: &Cluster,
    states: &BTreeMap<String, NodeState>,
    objects: &[String],
    observed: &Observed,
) -> Digest {
    // Authorities that do not exist yet are made again by every look, so states that hold them say nothing.
    let states: BTreeMap<&String, Digest> = states
        .iter()
        .filter(|_| observed.is_bootstrapped())
        .map(|(node, state)| (node, state.digest()))
        .collect();
    let nodes: BTreeMap<&String, (&str, &Vec<Difference>)> = observed
        .nodes
        .iter()
        .map(|(name, node)| (name, (node.facts.machine_id.as_str(), &node.differences)))
        .collect();
    let etcd = observed
        .etcd
        .as_ref()
        .map(|etcd| super::origin::etcd(cluster, etcd));
    let parts = (cluster, states, objects, nodes, &observed.api, etcd);
    Digest::of(&serde_json::to_vec(&parts).unwrap_or_default())
}
