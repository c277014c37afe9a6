//! What etcd's members answer when they are asked who they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use kubewright_control::etcd::{EtcdConnection, EtcdConnections};
use kubewright_control::node::Node;
use kubewright_core::observed::{AlarmKind, EtcdAlarm, EtcdMember, EtcdStatus};
use kubewright_core::resource::Digest;

use super::etcd;
use super::world::{State, World};

/// The connections to the members of a simulated world.
pub(crate) struct Members {
    world: Arc<World>,
    nodes: BTreeMap<String, Node>,
}

impl Members {
    pub(crate) fn new(world: Arc<World>, nodes: BTreeMap<String, Node>) -> Self {
        Self { world, nodes }
    }
}

impl EtcdConnections for Members {
    fn reach<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<Box<dyn EtcdConnection>, String>> {
        let is_there = self.nodes.get(node).is_some_and(|node| !node.is_lost());
        let way = One {
            world: Arc::clone(&self.world),
            node: node.to_owned(),
        };
        Box::pin(async move {
            if is_there {
                Ok(Box::new(way) as Box<dyn EtcdConnection>)
            } else {
                Err("the node cannot be reached".to_owned())
            }
        })
    }
}

struct One {
    world: Arc<World>,
    node: String,
}

impl EtcdConnection for One {
    fn status(&self) -> BoxFuture<'_, Result<EtcdStatus, String>> {
        Box::pin(async {
            let state = self.world.state();
            if state.machines.get(&self.node).and_then(etcd::member).is_none() {
                return Err("connection refused".to_owned());
            }
            let alarm = state.meddling.alarm.as_ref().map(|member| EtcdAlarm {
                member_id: id(&state, &self.node, member),
                kind: AlarmKind::NoSpace,
            });
            Ok(EtcdStatus {
                member_id: id(&state, &self.node, &self.node),
                cluster_id: cluster_id(&state, &self.node),
                version: "3.6.16".to_owned(),
                has_leader: etcd::has_quorum(&state, &self.node),
                is_leader: etcd::leads(&state, &self.node),
                alarms: alarm.into_iter().collect(),
                ..EtcdStatus::default()
            })
        })
    }

    fn members(&self) -> BoxFuture<'_, Result<Vec<EtcdMember>, String>> {
        Box::pin(async {
            let state = self.world.state();
            if !etcd::has_quorum(&state, &self.node) {
                return Err("etcdserver: no leader".to_owned());
            }
            let own = state.machines.get(&self.node).and_then(etcd::member);
            let known = own.map(|own| own.peer_urls.clone()).unwrap_or_default();
            let url = |name: &str| match known.get(name) {
                Some(url) => url.clone(),
                None => format!("https://{name}.invalid:2380"),
            };
            let members = names(&state, &self.node).into_iter().map(|name| EtcdMember {
                id: id(&state, &self.node, &name),
                peer_urls: vec![url(&name)],
                is_learner: state.meddling.learners.contains(&name),
                name,
            });
            Ok(members.collect())
        })
    }

    fn move_leader(&self, to: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let mut state = self.world.state();
            let all = names(&state, &self.node);
            let to = all.into_iter().find(|name| id(&state, &self.node, name) == to);
            let to = to.ok_or("etcdserver: bad leader transferee")?;
            etcd::move_leader(&mut state, &self.node, &to)
        })
    }
}

/// The members of a machine's etcd, whoever added them.
fn names(state: &State, machine: &str) -> Vec<String> {
    let own = state.machines.get(machine).and_then(etcd::member);
    let own = own.map(|own| own.members.clone()).unwrap_or_default();
    own.into_iter()
        .chain(state.meddling.unknown_members.clone())
        .collect()
}

/// What makes a cluster another one, as a number.
fn cluster_id(state: &State, machine: &str) -> u64 {
    let Some(own) = state.machines.get(machine).and_then(etcd::member) else {
        return 0;
    };
    let digest = Digest::of(format!("{} {}", own.cluster, own.authority).as_bytes());
    u64::from_str_radix(&digest.to_string()[..15], 16).unwrap_or(1)
}

fn id(state: &State, machine: &str, name: &str) -> u64 {
    let position = names(state, machine).iter().position(|other| other == name);
    position.map_or(0, |position| position as u64 + 1)
}
