//! A cluster that is as it is to be, for a controller that is another process: what its API has, and etcd's members.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use kubewright_control::cluster_api::{ClusterApi, Late};
use kubewright_control::error::{Error, Kind};
use kubewright_control::etcd::{EtcdConnection, EtcdConnections};
use kubewright_control::kube::client::ApiClient;
use kubewright_core::desired::Desired;
use kubewright_core::manifest::{NodeObject, object_name};
use kubewright_core::observed::{EtcdMember, EtcdStatus, Observed, ObservedApi};
use kubewright_core::plan::Condition;
use kubewright_core::spec::Cluster;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::world::World;

/// What an API has.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Present {
    objects: BTreeMap<String, Value>,
    nodes: BTreeMap<String, Value>,
    pod_cidrs: BTreeMap<String, String>,
}

impl Present {
    pub(super) fn of(world: &World) -> Self {
        let mut state = world.state();
        let through = state.any_api().unwrap().to_owned();
        let found = state.objects_of(&through).unwrap();
        let mut present = Self::default();
        for object in found.objects.values() {
            present.objects.insert(object_name(object), object.clone());
        }
        present.add_nodes(found.nodes.values());
        present
    }

    fn add_nodes<'a>(&mut self, nodes: impl IntoIterator<Item = &'a NodeObject>) {
        for node in nodes {
            self.nodes.insert(node.name.clone(), node.manifest());
            if let Some(range) = node.pod_cidr {
                self.pod_cidrs.insert(node.name.clone(), range.to_string());
            }
        }
    }
}

/// An API that has what it has, and is well.
pub(super) struct Still {
    present: Present,
}

impl Still {
    pub(super) fn with(present: Present) -> Self {
        Self { present }
    }
}

impl ClusterApi for Still {
    fn find<'a>(&'a self, _: &'a Observed) -> BoxFuture<'a, bool> {
        Box::pin(async { true })
    }

    fn look_at_nodes<'a>(&'a self, _: &'a Cluster) -> BoxFuture<'a, Result<ObservedApi, Error>> {
        let seen = ObservedApi {
            pod_cidrs: self.present.pod_cidrs.clone(),
            ..ObservedApi::default()
        };
        Box::pin(async { Ok(seen) })
    }

    fn compare<'a>(
        &'a self,
        seen: ObservedApi,
        desired: &'a Desired,
    ) -> BoxFuture<'a, Result<ObservedApi, Error>> {
        let mut wanted = Present::default();
        for object in &desired.objects {
            wanted
                .objects
                .insert(object.name.clone(), object.manifest.clone());
        }
        wanted.add_nodes(desired.node_objects.values());
        let is_the_same = wanted == self.present;
        Box::pin(async move {
            if is_the_same {
                Ok(seen)
            } else {
                Err(Error::new(Kind::Bug, "the API has something else"))
            }
        })
    }

    fn client(&self) -> BoxFuture<'_, Result<ApiClient, Error>> {
        Box::pin(async { Err(not_here()) })
    }

    fn register_nodes<'a>(&'a self, _: &'a [NodeObject]) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async { Err(not_here()) })
    }

    fn apply_objects<'a>(&'a self, _: &'a [Value]) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async { Err(not_here()) })
    }

    fn delete_objects<'a>(&'a self, _: &'a [String], _: &'a Desired) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async { Err(not_here()) })
    }

    fn wait<'a>(&'a self, _: &'a Condition, _: Duration) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Err(not_here()) })
    }

    fn explain<'a>(&'a self, _: &'a Condition) -> BoxFuture<'a, Result<Late, Error>> {
        Box::pin(async { Err(not_here()) })
    }
}

fn not_here() -> Error {
    Error::new(Kind::Bug, "nothing is changed here")
}

/// The members of etcd, one on every control plane; all of them are well.
#[derive(Clone)]
pub(super) struct Members(Vec<EtcdMember>);

impl Members {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let members = (1..).zip(cluster.control_planes()).map(|(id, node)| EtcdMember {
            id,
            name: node.name.to_string(),
            peer_urls: vec![format!("https://{}:2380", node.address)],
            is_learner: false,
        });
        Self(members.collect())
    }
}

impl EtcdConnections for Members {
    fn reach<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<Box<dyn EtcdConnection>, String>> {
        Box::pin(async move {
            let own = self.0.iter().find(|member| member.name == node);
            let own = own.ok_or("no control plane")?.id;
            Ok(Box::new(Member(own, self.clone())) as Box<dyn EtcdConnection>)
        })
    }
}

/// One of them.
struct Member(u64, Members);

impl EtcdConnection for Member {
    fn status(&self) -> BoxFuture<'_, Result<EtcdStatus, String>> {
        Box::pin(async {
            Ok(EtcdStatus {
                member_id: self.0,
                version: "3.6.16".to_owned(),
                has_leader: true,
                ..EtcdStatus::default()
            })
        })
    }

    fn members(&self) -> BoxFuture<'_, Result<Vec<EtcdMember>, String>> {
        Box::pin(async { Ok(self.1.0.clone()) })
    }

    fn move_leader(&self, _: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Err("nothing is changed here".to_owned()) })
    }

    fn add_learner<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Err("nothing is changed here".to_owned()) })
    }

    fn promote(&self, _: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Err("nothing is changed here".to_owned()) })
    }

    fn remove_member(&self, _: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Err("nothing is changed here".to_owned()) })
    }
}
