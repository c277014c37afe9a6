//! Asks etcd's members who they are, all of them at once, each within a bound; one that is dead costs nobody's answer.
//!
//! What looks reads, and leaves no trace: the request for alarms would write to the log of the members, so alarms are taken
//! from what members say of themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::observed::{EtcdMember, EtcdStatus, Observed, ObservedEtcd};
use kubewright_core::spec::Cluster;
use tokio::task::JoinSet;

use super::connection::EtcdConnections;
use crate::node::Node;

/// How long one member has for each answer, on a usual node. A member of a cluster that serves needs milliseconds.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks the members of the control planes that were seen; nobody while none of them has a member's data.
pub(crate) async fn look(
    connections: Arc<dyn EtcdConnections>,
    cluster: &Cluster,
    observed: &Observed,
) -> Option<ObservedEtcd> {
    look_within(connections, cluster, observed, ANSWER).await
}

/// Asks the members of all control planes that can be reached.
pub(crate) async fn look_again(
    connections: Arc<dyn EtcdConnections>,
    cluster: &Cluster,
    nodes: &BTreeMap<String, Node>,
) -> ObservedEtcd {
    let names = cluster.control_planes().map(|node| node.name.to_string());
    let names = names.filter(|name| nodes.contains_key(name)).collect();
    ask_all(connections, names, ANSWER).await
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
    Some(ask_all(connections, names, bound).await)
}

/// Asks the members of the named control planes.
async fn ask_all(connections: Arc<dyn EtcdConnections>, names: Vec<String>, bound: Duration) -> ObservedEtcd {
    let mut asked = JoinSet::new();
    for name in names {
        let connections = Arc::clone(&connections);
        asked.spawn(async move {
            let (own, members) = ask(connections.as_ref(), &name, bound).await;
            (name, own, members)
        });
    }
    let mut etcd = ObservedEtcd::default();
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok((name, own, members)) => {
                etcd.lists.extend(members.map(|members| (name.clone(), members)));
                etcd.own.insert(name, own);
            }
            Err(panic) => tracing::error!(%panic, "asking a member of etcd"),
        }
    }
    etcd.members = agreed(&etcd.own, etcd.lists.clone());
    etcd
}

type Own = Result<EtcdStatus, String>;

/// What one member says of itself, and, where it sees a leader, of all of them.
async fn ask(
    connections: &dyn EtcdConnections,
    name: &str,
    bound: Duration,
) -> (Own, Option<Vec<EtcdMember>>) {
    let bound = connections.pace(name).bound(bound);
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

#[cfg(test)]
mod tests;
