//! The API of a real cluster: found through any control plane that is ready, reached through the connection with that
//! node, spoken to with an identity that lives for this invocation only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use kubewright_core::component::apiserver;
use kubewright_core::desired::Desired;
use kubewright_core::errors::ErrorId;
use kubewright_core::manifest::NodeObject;
use kubewright_core::observed::{Observed, ObservedApi};
use kubewright_core::plan::Condition;
use kubewright_core::spec::Cluster;
use serde_json::Value;
use tokio::time::Instant;

use super::connection::ApiConnection;
use super::leases::ApiLeases;
use super::{ClusterApi, Late};
use crate::authority::Authorities;
use crate::error::{Error, Kind};
use crate::kube::client::ApiClient;
use crate::kube::nodes;
use crate::kube::objects::{self, ObjectChange};
use crate::kube::{prune, wait};
use crate::node::Node;
use crate::run_lease::{LeaseHolder, LeaseTiming, RunLease};

/// The cluster's API.
pub struct KubernetesApi {
    cluster: String,
    way: Arc<ApiConnection>,
    holder: Mutex<Option<LeaseHolder>>,
    lease: tokio::sync::Mutex<Option<RunLease>>,
}

impl KubernetesApi {
    /// An API that is connected to when it is first needed.
    pub fn new(cluster: &Cluster, nodes: BTreeMap<String, Node>, authorities: Arc<Authorities>) -> Self {
        let control_planes = cluster.control_planes().map(|node| node.name.to_string());
        Self {
            cluster: cluster.name.to_string(),
            way: Arc::new(ApiConnection::new(control_planes.collect(), nodes, authorities)),
            holder: Mutex::default(),
            lease: tokio::sync::Mutex::default(),
        }
    }

    /// Takes the run's lease on the cluster, or makes sure that it still holds; only a run that changes has one.
    async fn lease(&self) -> Result<(), Error> {
        let holder = self.holder.lock().map(|holder| holder.clone());
        let Some(holder) = holder.unwrap_or_default() else {
            return Ok(());
        };
        let mut lease = self.lease.lock().await;
        if let Some(lease) = &*lease {
            return lease.confirm().await;
        }
        let (_, node) = self.way.first(&self.way.control_planes).await?;
        let timing = LeaseTiming::default().at(node.pace());
        let leases = Arc::new(ApiLeases(Arc::clone(&self.way)));
        *lease = Some(RunLease::take(leases, holder, timing).await?);
        Ok(())
    }
}

impl ClusterApi for KubernetesApi {
    fn find<'a>(&'a self, observed: &'a Observed) -> BoxFuture<'a, bool> {
        // Among those where something listens.
        let listens = |name: &&String| {
            observed.nodes.get(*name).is_some_and(|node| {
                node.facts
                    .listening
                    .iter()
                    .any(|listener| listener.port == apiserver::PORT)
            })
        };
        let candidates: Vec<String> = self.way.control_planes.iter().filter(listens).cloned().collect();
        Box::pin(async move { !candidates.is_empty() && self.way.first(&candidates).await.is_ok() })
    }

    fn look_at_nodes<'a>(&'a self, cluster: &'a Cluster) -> BoxFuture<'a, Result<ObservedApi, Error>> {
        Box::pin(async move {
            let listed = nodes::list_nodes(&self.client().await?)
                .await
                .map_err(|error| Error::caused(Kind::Api, "list the nodes", &error))?;
            let mut seen = ObservedApi::default();
            for node in listed {
                if cluster.node(&node.name).is_none() {
                    seen.unknown_nodes.push(node.name.clone());
                } else if !node.ready {
                    seen.nodes_not_ready.push(node.name.clone());
                }
                seen.kubelet_versions.insert(node.name.clone(), node.version);
                if let Some(range) = node.pod_cidr {
                    seen.pod_cidrs.insert(node.name, range);
                }
            }
            Ok(seen)
        })
    }

    fn compare<'a>(
        &'a self,
        mut seen: ObservedApi,
        desired: &'a Desired,
    ) -> BoxFuture<'a, Result<ObservedApi, Error>> {
        Box::pin(async move {
            let client = self.client().await?;
            let objects = desired.manifests();
            let nodes: Vec<NodeObject> = desired.node_objects.values().cloned().collect();
            let (objects, nodes, dns, orphaned) = tokio::join!(
                objects::diff_objects(&client, &objects),
                nodes::diff_nodes(&client, &nodes),
                wait::unavailable_deployments(&client, &[("kube-system", "coredns")]),
                prune::find(&client, &self.cluster, &objects),
            );
            let objects = objects.map_err(|error| Error::caused(Kind::Api, "compare the objects", &error))?;
            let nodes = nodes.map_err(|error| Error::caused(Kind::Api, "compare the nodes", &error))?;
            let diff = |change| match change {
                ObjectChange::Missing => None,
                ObjectChange::Changed { diff } => Some(diff),
            };
            seen.objects = objects
                .into_iter()
                .map(|difference| (difference.id, diff(difference.change)))
                .collect();
            seen.nodes_to_register = nodes.into_iter().map(|difference| difference.name).collect();
            let dns = dns.map_err(|error| Error::caused(Kind::Api, "read the deployments", &error))?;
            seen.deployments_unavailable = dns.into_keys().collect();
            let orphaned =
                orphaned.map_err(|error| Error::caused(Kind::Api, "list orphaned objects", &error))?;
            seen.orphaned = orphaned.deletable.into_keys().collect();
            seen.kept = orphaned.kept;
            Ok(seen)
        })
    }

    fn client(&self) -> BoxFuture<'_, Result<ApiClient, Error>> {
        Box::pin(async move { Ok(self.way.first(&self.way.control_planes).await?.0) })
    }

    fn register_nodes<'a>(&'a self, nodes: &'a [NodeObject]) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            self.lease().await?;
            let register = |client: ApiClient| async move {
                let changed = nodes::register_nodes(&client, nodes).await;
                changed.map_err(|error| Error::caused(Kind::Api, "register the nodes", &error))
            };
            Ok(self.way.with(register).await?.len())
        })
    }

    fn delete_objects<'a>(
        &'a self,
        names: &'a [String],
        desired: &'a Desired,
    ) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            self.lease().await?;
            let client = self.client().await?;
            let orphaned = prune::find(&client, &self.cluster, &desired.manifests())
                .await
                .map_err(|error| Error::caused(Kind::Api, "list orphaned objects", &error))?;
            prune::delete(&client, orphaned, names)
                .await
                .map_err(|(name, error)| Error::caused(Kind::Api, format!("delete {name}"), &error))
        })
    }

    fn apply_objects<'a>(&'a self, objects: &'a [Value]) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            self.lease().await?;
            let apply = |client: ApiClient| async move {
                let applied = objects::apply_objects(&client, objects).await;
                applied.map_err(|error| Error::caused(Kind::Api, "apply the objects", &error))
            };
            self.way.with(apply).await?;
            Ok(objects.len())
        })
    }

    fn wait<'a>(&'a self, condition: &'a Condition, timeout: Duration) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let deadline = Instant::now() + timeout;
            let wait = |client: ApiClient| async move {
                let left = deadline.saturating_duration_since(Instant::now());
                let waited = match condition {
                    Condition::NodeReady { node } => {
                        wait::nodes_ready(&client, std::slice::from_ref(node), left).await
                    }
                    Condition::NodesReady { nodes } => wait::nodes_ready(&client, nodes, left).await,
                    Condition::DeploymentAvailable { namespace, name } => {
                        wait::deployment_available(&client, namespace, name, left).await
                    }
                    Condition::OnNode { .. } => {
                        return Err(Error::bug("a node's condition was asked of the API"));
                    }
                };
                waited.map_err(|error| {
                    Error::caused(Kind::Api, format!("wait until {condition}"), &error)
                        .id(ErrorId::ApiWaitTimedOut)
                        .hint("kubectl get pods -A -o wide and kubectl get events -A show the cause; then run the same command again")
                })
            };
            self.way.with(wait).await
        })
    }

    fn explain<'a>(&'a self, condition: &'a Condition) -> BoxFuture<'a, Result<Late, Error>> {
        Box::pin(async move {
            let client = self.client().await?;
            let late = match condition {
                Condition::NodeReady { node } => wait::unready_nodes(&client, std::slice::from_ref(node))
                    .await
                    .map(Late::of_nodes),
                Condition::NodesReady { nodes } => {
                    wait::unready_nodes(&client, nodes).await.map(Late::of_nodes)
                }
                Condition::DeploymentAvailable { namespace, name } => {
                    let lines = wait::late_deployment(&client, namespace, name).await;
                    lines.map(|lines| Late {
                        lines,
                        ..Late::default()
                    })
                }
                Condition::OnNode { .. } => {
                    return Err(Error::bug("a node's condition was asked of the API"));
                }
            };
            late.map_err(|error| Error::caused(Kind::Api, format!("look why not: {condition}"), &error))
        })
    }

    fn begin_changes(&self, holder: LeaseHolder, api_answers: bool) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            if let Ok(mut own) = self.holder.lock() {
                *own = Some(holder);
            }
            if !api_answers {
                return Ok(());
            }
            match self.lease().await {
                Err(error) if error.kind() == Kind::Refused => Err(error),
                // The nodes are locked, and an API that cannot be written to may be what this run repairs; before the API
                // is changed, the lease is asked for again.
                Err(error) => {
                    tracing::warn!(%error, "the run's lease could not be taken yet");
                    Ok(())
                }
                Ok(()) => Ok(()),
            }
        })
    }

    fn end_changes(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(lease) = self.lease.lock().await.take() {
                lease.release().await;
            }
        })
    }
}
