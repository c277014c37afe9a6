//! What a run works with: the open connections with the nodes and the cluster's API, and how each kind of step is
//! done with them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::observed::Counters;
use kubewright_core::plan::{Condition, Step};
use kubewright_core::resource::ResourceId;

use crate::cluster_api::ClusterApi;
use crate::error::Error;
use crate::node::{Node, Progress, Services};
use crate::report::{Event, Reporter};

/// Everything a run works with.
pub struct RunContext {
    /// Open connections, by node.
    pub nodes: BTreeMap<String, Node>,
    /// Who answers what nodes ask for while they converge.
    pub services: Services,
    /// The cluster's API; connected to when the first step needs it.
    pub api: Arc<dyn ClusterApi>,
}

impl RunContext {
    /// The work of all nodes' agents in this run.
    pub fn counters(&self) -> Counters {
        self.nodes.values().map(Node::counters).sum()
    }

    /// Does one step and says how many things it changed.
    pub(super) async fn perform(&self, step: &Step, reporter: &Arc<dyn Reporter>) -> Result<usize, Error> {
        match step {
            Step::Converge {
                node, differences, ..
            } => {
                let resources: Vec<ResourceId> = differences
                    .iter()
                    .map(|difference| difference.resource.clone())
                    .collect();
                let work = self
                    .node(node)?
                    .converge(resources, &self.services, tell(node, reporter))
                    .await?;
                Ok(work.changed.len())
            }
            Step::Wait {
                condition: Condition::OnNode { node, condition },
                timeout_seconds,
            } => {
                let timeout = Duration::from_secs(u64::from(*timeout_seconds));
                self.node(node)?.wait(condition.clone(), timeout).await?;
                Ok(0)
            }
            Step::Wait {
                condition,
                timeout_seconds,
            } => {
                self.api
                    .wait(condition, Duration::from_secs(u64::from(*timeout_seconds)))
                    .await?;
                Ok(0)
            }
            Step::MarkBootstrapped { node } => {
                self.node(node)?.mark_bootstrapped().await?;
                Ok(1)
            }
            Step::RegisterNodes { nodes } => self.api.register_nodes(nodes).await,
            Step::ApplyManifests { objects } => self.api.apply_objects(objects).await,
            Step::PruneObjects { objects } => self.api.delete_objects(objects).await,
            Step::ResetNode { node } => {
                let work = self.node(node)?.reset(tell(node, reporter)).await?;
                Ok(work.changed.len())
            }
        }
    }

    /// Ends the connections after a run that is complete: the nodes note that it ended, and free their locks.
    pub async fn goodbye(&self) {
        let leaving = self.nodes.values().map(|node| node.clone().goodbye());
        futures::future::join_all(leaving).await;
    }

    fn node(&self, name: &str) -> Result<&Node, Error> {
        self.nodes
            .get(name)
            .ok_or_else(|| Error::bug(format!("no connection with node {name}")))
    }
}

/// Passes on what a node says it is at.
fn tell(node: &str, reporter: &Arc<dyn Reporter>) -> Progress {
    let (node, reporter) = (node.to_owned(), Arc::clone(reporter));
    Arc::new(move |resource, done| {
        if done {
            tracing::debug!(%node, %resource, "resource changed");
        }
        reporter.event(&Event::Resource {
            node: node.clone(),
            resource: resource.clone(),
            done,
        });
    })
}
