//! What a run works with: the open connections with the nodes and the cluster's API, and how each kind of step is
//! done with them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::manifest::NodeObject;
use kubewright_core::observed::{Counters, Observed, ObservedApi};
use kubewright_core::plan::{Condition, Step};
use kubewright_core::resource::ResourceId;
use kubewright_core::spec::Cluster;
use serde_json::Value;

use crate::error::Error;
use crate::node::{Node, Progress, Services};
use crate::report::{Event, Reporter};
use crate::run_lease::LeaseHolder;

/// A boxed future, so that [`ClusterApi`] can be another thing in tests.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The Kubernetes API as looking and steps use it.
pub trait ClusterApi: Send + Sync {
    /// Looks for an API server that is ready; whether there is one.
    fn find<'a>(&'a self, observed: &'a Observed) -> BoxFuture<'a, bool>;
    /// What the API says of nodes, before anything is rendered.
    fn look_at_nodes<'a>(&'a self, cluster: &'a Cluster) -> BoxFuture<'a, Result<ObservedApi, Error>>;
    /// Says what the cluster is to have.
    fn set_desired(&self, objects: Vec<Value>, nodes: Vec<NodeObject>) -> Result<(), Error>;
    /// Names of all objects the cluster is to have, in the order they are applied.
    fn object_names(&self) -> Vec<String>;
    /// How the API differs from what it is to have; nothing when there is none.
    fn compare(&self, seen: Option<ObservedApi>) -> BoxFuture<'_, Result<Option<ObservedApi>, Error>>;
    /// A client of an API server that is ready, for what is no step.
    fn client(&self) -> BoxFuture<'_, Result<kube::Client, Error>>;
    /// Creates or completes the named Node objects.
    fn register_nodes<'a>(&'a self, nodes: &'a [String]) -> BoxFuture<'a, Result<usize, Error>>;
    /// Applies the named objects.
    fn apply_objects<'a>(&'a self, objects: &'a [String]) -> BoxFuture<'a, Result<usize, Error>>;
    /// Deletes the named objects, as far as kubewright applied them and they are not wanted.
    fn delete_objects<'a>(&'a self, objects: &'a [String]) -> BoxFuture<'a, Result<usize, Error>>;
    /// Waits until the condition holds.
    fn wait<'a>(&'a self, condition: &'a Condition, timeout: Duration) -> BoxFuture<'a, Result<(), Error>>;
    /// Leases the cluster for a run that is about to change it: now if an API server answers, otherwise before the API is
    /// changed for the first time.
    fn begin_changes(&self, holder: LeaseHolder, api_answers: bool) -> BoxFuture<'_, Result<(), Error>> {
        let _ = (holder, api_answers);
        Box::pin(async { Ok(()) })
    }
    /// Ends the claim.
    fn end_changes(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

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
