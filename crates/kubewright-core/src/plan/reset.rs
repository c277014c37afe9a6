//! Taking a cluster down: every node is emptied of what kubewright put there, workers first, so that what still runs
//! can say goodbye to an API that still answers.

use std::collections::BTreeMap;

use super::graph::Graph;
use super::rules::{refuse_different_clusters, refuse_other_identities};
use super::{Operation, Plan, Refusal, Step, StepId, StepKind};
use crate::observed::Observed;
use crate::spec::Cluster;

/// Plans the end of a cluster.
///
/// # Errors
/// A [`Refusal`] when a node says that it is another one, or another cluster's.
pub fn plan_reset(cluster: &Cluster, observed: &Observed) -> Result<Plan, Refusal> {
    // Which authority a node lives under is not compared: a reset that was interrupted has removed the keys.
    refuse_other_identities(cluster, &BTreeMap::new(), observed)?;
    refuse_different_clusters(observed)?;
    let mut graph = Graph::of(cluster.control_planes().count());
    let mut workers: Vec<StepId> = Vec::new();
    let (control_planes, others): (Vec<_>, Vec<_>) =
        cluster.nodes.iter().partition(|node| node.is_control_plane());
    for node in others {
        let step = Step::ResetNode {
            node: node.name.to_string(),
        };
        workers.push(graph.add(
            StepId::on(node.name.as_str(), StepKind::Reset),
            step,
            "the cluster is taken down",
            [],
        ));
    }
    for node in control_planes {
        let step = Step::ResetNode {
            node: node.name.to_string(),
        };
        graph.add(
            StepId::on(node.name.as_str(), StepKind::Reset),
            step,
            "the cluster is taken down",
            workers.clone(),
        );
    }
    Ok(Plan {
        operation: Operation::Reset,
        steps: graph.into_steps(),
        left_out: BTreeMap::new(),
        deferred: Vec::new(),
        notes: Vec::new(),
    })
}
