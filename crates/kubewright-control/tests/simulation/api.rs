//! The cluster's API as observing and steps use it: what etcd holds, served while an API server is ready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use kubewright_control::authority::Authorities;
use kubewright_control::cluster_api::{ClusterApi, Late};
use kubewright_control::error::{Error, ErrorId, Kind as ErrorKind};
use kubewright_control::kube::client::ApiClient;
use kubewright_control::node::Node;
use kubewright_core::desired::Desired;
use kubewright_core::manifest::{NodeObject, object_name};
use kubewright_core::observed::{Observed, ObservedApi};
use kubewright_core::plan::Condition;
use kubewright_core::resource::{AuthorityName, Digest};
use kubewright_core::spec::Cluster;
use serde_json::Value;

use super::fault::{self, Kind};
use super::systemd::is_node_ready;
use super::world::{Objects, State, World};

/// The API through the first control plane that was ready when it was first needed.
pub(crate) struct Api {
    world: Arc<World>,
    nodes: BTreeMap<String, Node>,
    authority: Digest,
    through: Mutex<Option<String>>,
}

impl Api {
    pub(crate) fn new(world: Arc<World>, nodes: BTreeMap<String, Node>, authorities: &Authorities) -> Self {
        let certificates = authorities.certificates();
        let authority = Digest::of(certificates[&AuthorityName::Kubernetes].as_bytes());
        Self {
            world,
            nodes,
            authority,
            through: Mutex::default(),
        }
    }

    /// The control plane that is asked, if it answers.
    fn reach(&self, state: &mut State) -> Option<String> {
        if state.api_silences > 0 {
            state.api_silences -= 1;
            return None;
        }
        let answers = |name: &String| {
            state.is_api_ready(name)
                && state.authority_of_api(name) == Some(self.authority)
                && self.nodes.get(name).is_some_and(|node| !node.is_lost())
        };
        let mut through = self.through.lock().unwrap();
        if through.is_none() {
            *through = state.control_planes.iter().find(|name| answers(name)).cloned();
        }
        through.clone().filter(answers)
    }

    /// Waits until `look` finds something, or for so long that nothing happens any more.
    async fn wait_for<T>(&self, mut look: impl FnMut(&Self, &mut State) -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = look(self, &mut self.world.state()) {
                return Some(found);
            }
            if self.world.is_idle() {
                return None;
            }
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
    }

    /// Asks when it answers.
    async fn ask<T>(&self, mut question: impl FnMut(&mut State, &str) -> Option<T>) -> Result<T, Error> {
        self.wait_for(|api, state| {
            let through = api.reach(state)?;
            question(state, &through)
        })
        .await
        .ok_or_else(|| Error::new(ErrorKind::Api, "no API server answers"))
    }

    /// Makes one change, unless something comes between.
    async fn change(&self, doing: &str, mut change: impl FnMut(&mut Objects)) -> Result<(), Error> {
        let fate = self
            .ask(|state, through| {
                if state.is_killed {
                    return None;
                }
                let fate = self.world.note_effect(state, fault::API, doing);
                let loss = fate.and_then(Kind::loss);
                let is_done = loss.is_none() && !matches!(fate, Some(Kind::KilledBefore | Kind::Reset));
                if is_done {
                    change(state.objects_of(through)?);
                }
                if matches!(fate, Some(Kind::KilledBefore | Kind::KilledAfter)) {
                    self.world.kill_controller(state);
                }
                if let Some(loss) = loss {
                    self.world.cut_power(state, through, loss, false);
                }
                Some(fate)
            })
            .await?;
        match fate {
            None => Ok(()),
            Some(kind) => Err(Error::new(ErrorKind::Api, doing).because(kind.to_string())),
        }
    }
}

impl ClusterApi for Api {
    fn find<'a>(&'a self, _: &'a Observed) -> BoxFuture<'a, bool> {
        Box::pin(async { self.reach(&mut self.world.state()).is_some() })
    }

    fn look_at_nodes<'a>(&'a self, cluster: &'a Cluster) -> BoxFuture<'a, Result<ObservedApi, Error>> {
        Box::pin(async move {
            self.ask(|state, through| {
                let nodes = state.objects_of(through)?.nodes.clone();
                let mut seen = ObservedApi::default();
                for (name, node) in nodes {
                    if cluster.node(&name).is_none() {
                        seen.unknown_nodes.push(name.clone());
                    } else if !is_node_ready(state, &name) {
                        seen.nodes_not_ready.push(name.clone());
                    }
                    if let Some(range) = node.pod_cidr {
                        seen.pod_cidrs.insert(name, range.to_string());
                    }
                }
                Some(seen)
            })
            .await
        })
    }

    fn compare<'a>(
        &'a self,
        mut seen: ObservedApi,
        desired: &'a Desired,
    ) -> BoxFuture<'a, Result<ObservedApi, Error>> {
        Box::pin(async move {
            self.ask(|state, through| {
                let present = state.objects_of(through)?.clone();
                for object in &desired.objects {
                    let found = present.objects.get(&object.name);
                    if found != Some(&object.manifest) {
                        let diff = found.map(|_| "it differs".to_owned());
                        seen.objects.insert(object.name.clone(), diff);
                    }
                }
                let wanted = desired.object_names();
                let orphaned = present.objects.keys();
                seen.orphaned = orphaned.filter(|name| !wanted.contains(*name)).cloned().collect();
                let differing = desired
                    .node_objects
                    .values()
                    .filter(|node| present.nodes.get(&node.name) != Some(node));
                seen.nodes_to_register = differing.map(|node| node.name.clone()).collect();
                if !is_dns_available(state, &present) {
                    seen.deployments_unavailable = vec![DNS.to_owned()];
                }
                Some(())
            })
            .await?;
            Ok(seen)
        })
    }

    fn client(&self) -> BoxFuture<'_, Result<ApiClient, Error>> {
        Box::pin(async { Err(Error::new(ErrorKind::Api, "the simulated API has no address")) })
    }

    fn register_nodes<'a>(&'a self, nodes: &'a [NodeObject]) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            for node in nodes {
                self.change(&format!("register {}", node.name), |objects| {
                    objects.nodes.insert(node.name.clone(), node.clone());
                })
                .await?;
            }
            Ok(nodes.len())
        })
    }

    fn apply_objects<'a>(&'a self, objects: &'a [Value]) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            for object in objects {
                let name = object_name(object);
                self.change(&format!("apply {name}"), |objects| {
                    objects.objects.insert(name.clone(), object.clone());
                })
                .await?;
            }
            Ok(objects.len())
        })
    }

    fn delete_objects<'a>(
        &'a self,
        names: &'a [String],
        _: &'a Desired,
    ) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            for name in names {
                self.change(&format!("delete {name}"), |objects| {
                    objects.objects.remove(name);
                })
                .await?;
            }
            Ok(names.len())
        })
    }

    fn wait<'a>(&'a self, condition: &'a Condition, _: Duration) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.ask(|state, through| {
                let present = state.objects_of(through)?.clone();
                let holds = match condition {
                    Condition::NodeReady { node } => {
                        present.nodes.contains_key(node) && is_node_ready(state, node)
                    }
                    Condition::NodesReady { nodes } => nodes
                        .iter()
                        .all(|name| present.nodes.contains_key(name) && is_node_ready(state, name)),
                    Condition::DeploymentAvailable { .. } => is_dns_available(state, &present),
                    Condition::OnNode { .. } => false,
                };
                holds.then_some(())
            })
            .await
            .map_err(|error| error.id(ErrorId::ApiWaitTimedOut))
        })
    }

    fn explain<'a>(&'a self, condition: &'a Condition) -> BoxFuture<'a, Result<Late, Error>> {
        Box::pin(async move {
            let mut state = self.world.state();
            let through = self.reach(&mut state);
            let present = through.and_then(|through| state.objects_of(&through).cloned());
            let present = present.ok_or_else(|| Error::new(ErrorKind::Api, "no API server answers"))?;
            let nodes = match condition {
                Condition::NodeReady { node } => std::slice::from_ref(node),
                Condition::NodesReady { nodes } => nodes,
                Condition::DeploymentAvailable { .. } | Condition::OnNode { .. } => &[],
            };
            let unready = nodes.iter().filter(|name| !is_node_ready(&state, name));
            let unready = unready.map(|name| {
                let is_known = present.nodes.contains_key(name);
                let reason = if is_known {
                    "KubeletNotReady"
                } else {
                    "not registered"
                };
                (name.clone(), reason.to_owned())
            });
            Ok(Late::of_nodes(unready))
        })
    }
}

const DNS: &str = "kube-system/coredns";

fn is_dns_available(state: &State, present: &Objects) -> bool {
    present.objects.contains_key(&format!("Deployment {DNS}"))
        && present.nodes.keys().any(|name| is_node_ready(state, name))
}
