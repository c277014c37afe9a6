//! What etcd's members answer when they are asked who they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use kubewright_control::etcd::{EtcdConnection, EtcdConnections};
use kubewright_control::node::Node;
use kubewright_core::observed::{AlarmKind, EtcdAlarm, EtcdMember, EtcdStatus};
use kubewright_core::resource::Digest;

use super::etcd::{self, Listed};
use super::fault::{self, Kind};
use super::systemd::settle;
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
            let members = listed(&state, &self.node).into_iter().map(|member| EtcdMember {
                id: member.id,
                is_learner: member.is_learner || state.meddling.learners.contains(&member.name),
                name: member.name,
                peer_urls: vec![member.peer_url],
            });
            Ok(members.collect())
        })
    }

    fn move_leader(&self, to: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let mut state = self.world.state();
            let all = listed(&state, &self.node);
            let to = all.into_iter().find(|member| member.id == to);
            let to = to.ok_or("etcdserver: bad leader transferee")?;
            etcd::move_leader(&mut state, &self.node, &to.name)
        })
    }

    fn add_learner<'a>(&'a self, peer_url: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.change("add a learner", |state| {
                etcd::add_learner(state, &self.node, peer_url)
            })
        })
    }

    fn promote(&self, id: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(
            async move { self.change("promote a learner", |state| etcd::promote(state, &self.node, id)) },
        )
    }

    fn remove_member(&self, id: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.change("remove a member", |state| {
                etcd::remove_member(state, &self.node, id)
            })
        })
    }
}

impl One {
    /// Makes one change of the members, unless something comes between.
    fn change(
        &self,
        doing: &str,
        change: impl FnOnce(&mut State) -> Result<(), String>,
    ) -> Result<(), String> {
        let state = &mut *self.world.state();
        if state.is_killed {
            return Err("connection refused".to_owned());
        }
        let before = state.memberships.clone();
        change(state)?;
        // Only what changes something is an effect.
        let fate = self.world.note_effect(state, fault::API, doing);
        let loss = fate.and_then(Kind::loss);
        if loss.is_some() || matches!(fate, Some(Kind::KilledBefore | Kind::Reset)) {
            state.memberships = before;
        }
        if matches!(fate, Some(Kind::KilledBefore | Kind::KilledAfter)) {
            self.world.kill_controller(state);
        }
        if let Some(loss) = loss {
            self.world.cut_power(state, &self.node, loss, false);
        }
        settle(state);
        fate.map_or(Ok(()), |kind| Err(kind.to_string()))
    }
}

/// The members of a machine's etcd, whoever added them.
fn listed(state: &State, machine: &str) -> Vec<Listed> {
    let mut listed = etcd::listed(state, machine);
    for (number, name) in (1000..).zip(&state.meddling.unknown_members) {
        listed.push(Listed {
            id: number,
            name: name.clone(),
            peer_url: format!("https://{name}.invalid:2380"),
            is_learner: false,
        });
    }
    listed
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
    let members = listed(state, machine).into_iter();
    let mut own = members.filter(|member| member.name == name);
    own.next().map_or(0, |member| member.id)
}
