//! Asks etcd's members who they are, all of them at once, each within a bound; one that is dead costs nobody's answer.
//!
//! What looks reads, and leaves no trace: the request for alarms would write to the log of the members, so alarms are taken
//! from what members say of themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use kubewright_core::observed::{EtcdAlarm, EtcdMember, EtcdStatus, Observed, ObservedEtcd};
use kubewright_core::spec::Cluster;
use tokio::task::JoinSet;

use crate::authority::Authorities;
use crate::etcd::{EtcdClient, Status};
use crate::node::{Forward, Node};
use crate::node_access::Nodes;

/// How long one member has for each answer. A member of a cluster that serves needs milliseconds.
const ANSWER: Duration = Duration::from_secs(5);

/// The connections to the members of etcd; inside this process in the simulated cluster.
pub trait EtcdConnections: Send + Sync {
    /// The way to the member of a control plane, or why there is none.
    fn reach<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<Box<dyn EtcdConnection>, String>>;
}

/// The way to one member.
pub trait EtcdConnection: Send + Sync {
    /// How the member says it is; it answers without a quorum as well.
    fn status(&self) -> BoxFuture<'_, Result<EtcdStatus, String>>;
    /// The members, agreed by a quorum.
    fn members(&self) -> BoxFuture<'_, Result<Vec<EtcdMember>, String>>;
    /// Has the member, which has to be the leader, hand the leadership over to another one; returns when that leads.
    fn move_leader(&self, to: u64) -> BoxFuture<'_, Result<(), String>>;
}

/// Asks the members of the control planes that were seen; nobody while none of them has a member's data.
pub(crate) async fn look(
    connections: Arc<dyn EtcdConnections>,
    cluster: &Cluster,
    observed: &Observed,
) -> Option<ObservedEtcd> {
    look_within(connections, cluster, observed, ANSWER).await
}

async fn look_within(
    connections: Arc<dyn EtcdConnections>,
    cluster: &Cluster,
    observed: &Observed,
    bound: Duration,
) -> Option<ObservedEtcd> {
    let names = cluster.control_planes().map(|node| node.name.to_string());
    let names: Vec<String> = names.filter(|name| observed.nodes.contains_key(name)).collect();
    let has_data = |name: &String| observed.nodes[name].facts.has_etcd_data;
    if !names.iter().any(has_data) {
        return None;
    }
    let mut asked = JoinSet::new();
    for name in names {
        let connections = Arc::clone(&connections);
        asked.spawn(async move {
            let (own, members) = ask(connections.as_ref(), &name, bound).await;
            (name, own, members)
        });
    }
    let mut etcd = ObservedEtcd::default();
    let mut lists = BTreeMap::new();
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok((name, own, members)) => {
                lists.extend(members.map(|members| (name.clone(), members)));
                etcd.own.insert(name, own);
            }
            Err(panic) => tracing::error!(%panic, "asking a member of etcd"),
        }
    }
    etcd.members = agreed(&etcd.own, lists);
    Some(etcd)
}

type Own = Result<EtcdStatus, String>;

/// What one member says of itself, and, where it sees a leader, of all of them.
async fn ask(
    connections: &dyn EtcdConnections,
    name: &str,
    bound: Duration,
) -> (Own, Option<Vec<EtcdMember>>) {
    let reached = async {
        let way = connections.reach(name).await?;
        let own = way.status().await?;
        Ok((way, own))
    };
    let (way, own) = match in_time(reached, bound).await {
        Ok(reached) => reached,
        Err(error) => return (Err(error), None),
    };
    // Without a leader it would wait for one until it gives up.
    let members = if own.has_leader {
        in_time(way.members(), bound)
            .await
            .inspect_err(|error| {
                tracing::warn!(
                    node = name,
                    error,
                    "its etcd member does not tell who the members are"
                );
            })
            .ok()
    } else {
        None
    };
    (Ok(own), members)
}

async fn in_time<T>(asking: impl Future<Output = Result<T, String>>, bound: Duration) -> Result<T, String> {
    let late = || format!("no answer within {} s", bound.as_secs());
    tokio::time::timeout(bound, asking)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// The list most of those who answered are in. There is more than one only where somebody founded a second etcd.
fn agreed(own: &BTreeMap<String, Own>, lists: BTreeMap<String, Vec<EtcdMember>>) -> Option<Vec<EtcdMember>> {
    let knows = |members: &Vec<EtcdMember>| {
        let ids = own.values().flatten().map(|own| own.member_id);
        ids.filter(|id| members.iter().any(|member| member.id == *id))
            .count()
    };
    let mut lists: Vec<Vec<EtcdMember>> = lists.into_values().collect();
    lists.sort_by_key(|members| std::cmp::Reverse(knows(members)));
    lists.into_iter().next()
}

/// The connections through connections with the nodes.
pub(crate) struct ThroughNodes(Nodes);

impl ThroughNodes {
    pub(crate) fn new(
        cluster: &Cluster,
        nodes: &BTreeMap<String, Node>,
        authorities: &Arc<Authorities>,
    ) -> Self {
        Self(Nodes::new(cluster, nodes.clone(), Arc::clone(authorities)))
    }
}

impl EtcdConnections for ThroughNodes {
    fn reach<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<Box<dyn EtcdConnection>, String>> {
        Box::pin(async move {
            let (client, forward) = self.0.etcd(node).await.map_err(|error| error.to_string())?;
            Ok(Box::new(Reached {
                client,
                _forward: forward,
            }) as Box<dyn EtcdConnection>)
        })
    }
}

/// A member, and what keeps the way to it open.
struct Reached {
    client: EtcdClient,
    _forward: Forward,
}

impl EtcdConnection for Reached {
    fn status(&self) -> BoxFuture<'_, Result<EtcdStatus, String>> {
        Box::pin(async {
            let status = self.client.status().await.map_err(|error| error.to_string())?;
            Ok(observed(status))
        })
    }

    fn members(&self) -> BoxFuture<'_, Result<Vec<EtcdMember>, String>> {
        Box::pin(async { self.client.members().await.map_err(|error| error.to_string()) })
    }

    fn move_leader(&self, to: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.client
                .move_leader(to)
                .await
                .map_err(|error| error.to_string())
        })
    }
}

/// A status without what changes by itself. Alarms stand among the errors, as in `memberID:1234 alarm:NOSPACE`.
fn observed(status: Status) -> EtcdStatus {
    let mut observed = EtcdStatus {
        member_id: status.member_id,
        version: status.version,
        has_leader: status.leader != 0,
        is_leader: status.leader == status.member_id && status.leader != 0,
        ..EtcdStatus::default()
    };
    for error in status.errors {
        let field = |name: &str| error.split_whitespace().find_map(|word| word.strip_prefix(name));
        match field("alarm:") {
            Some(kind) => observed.alarms.push(EtcdAlarm {
                member_id: field("memberID:")
                    .and_then(|id| id.parse().ok())
                    .unwrap_or_default(),
                kind: kind.to_owned(),
            }),
            None => observed.complaints.push(error),
        }
    }
    observed
}

#[cfg(test)]
mod tests;
