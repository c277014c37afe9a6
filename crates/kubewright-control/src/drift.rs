//! How a cluster differs from cluster.yaml: the look every plan is made from, and what etcd's members tell.
//!
//! Only looking: no lock is asked for, nothing is written on any node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::drift::{Report, Seen, SeenEtcd, SeenMember, SeenStatus};
use tokio::task::JoinSet;

use crate::node_access::Nodes;
use crate::observe::Observation;
use crate::session::Session;

/// How long one member has to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Puts together how the cluster differs.
pub async fn look(session: &Session, observation: &Observation) -> Report {
    let etcd = etcd(session, observation).await;
    Report::new(&Seen {
        cluster: &session.cluster,
        release: &session.release,
        states: &observation.states,
        observed: &observation.observed,
        etcd: &etcd,
    })
}

/// Asks every control plane's member at once how it is, and which members there are.
pub(crate) async fn etcd(session: &Session, observation: &Observation) -> SeenEtcd {
    let access = Arc::new(Nodes::new(
        &session.cluster,
        observation.hands.nodes.clone(),
        Arc::clone(&observation.authorities),
    ));
    let mut asked = JoinSet::new();
    for node in session.cluster.control_planes() {
        let (name, access) = (node.name.to_string(), Arc::clone(&access));
        asked.spawn(async move {
            let answer = tokio::time::timeout(TIMEOUT, member(&access, &name)).await;
            let late = || Err(format!("no answer within {} s", TIMEOUT.as_secs()));
            let (own, members) = answer.unwrap_or_else(|_| (late(), None));
            (name, own, members)
        });
    }
    let mut lists = BTreeMap::new();
    let mut seen = SeenEtcd::default();
    while let Some(answer) = asked.join_next().await {
        let Ok((name, own, members)) = answer else {
            continue;
        };
        if let Some(members) = members {
            lists.insert(name.clone(), members);
        }
        seen.own.insert(name, own);
    }
    // All lists are agreed by the same quorum.
    seen.members = lists.into_values().next();
    seen
}

type Answer = (Result<SeenStatus, String>, Option<Vec<SeenMember>>);

async fn member(access: &Nodes, name: &str) -> Answer {
    let (client, _way) = match access.etcd(name).await {
        Ok(reached) => reached,
        Err(error) => return (Err(error.to_string()), None),
    };
    let (status, members) = tokio::join!(client.status(), client.members());
    let status = status
        .map(|status| SeenStatus {
            version: status.version,
            has_leader: status.leader != 0,
            alarms: status.errors,
        })
        .map_err(|error| error.to_string());
    let members = members.ok().map(|members| {
        let seen = members.into_iter().map(|member| SeenMember {
            name: member.name,
            peer_urls: member.peer_urls,
            is_learner: member.is_learner,
        });
        seen.collect()
    });
    (status, members)
}
