//! The way to a member of etcd: through the connection with its node, with an identity that lives for one command.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use kubewright_core::component::etcd;
use kubewright_core::errors::ErrorId;
use kubewright_core::observed::{EtcdAlarm, EtcdMember, EtcdStatus};
use kubewright_core::resource::AuthorityName;

use super::client::{EtcdClient, Status};
use crate::authority::Authorities;
use crate::error::{Error, Kind};
use crate::node::{Forward, Node};
use crate::pace::Pace;

/// A credential for as long as one command needs it; it exists in memory only.
const IDENTITY_LIFETIME: Duration = Duration::from_secs(3600);

/// The connections to the members of etcd; inside this process in the simulated cluster.
pub trait EtcdConnections: Send + Sync {
    /// The way to the member of a control plane, or why there is none.
    fn reach<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<Box<dyn EtcdConnection>, String>>;

    /// How slow the member's node has been in this run.
    fn pace(&self, node: &str) -> Pace {
        let _ = node;
        Pace::default()
    }
}

/// The way to one member.
pub trait EtcdConnection: Send + Sync {
    /// How the member says it is; it answers without a quorum as well.
    fn status(&self) -> BoxFuture<'_, Result<EtcdStatus, String>>;
    /// The members, agreed by a quorum.
    fn members(&self) -> BoxFuture<'_, Result<Vec<EtcdMember>, String>>;
    /// Has the member, which has to be the leader, hand the leadership over to another one; returns when that leads.
    fn move_leader(&self, to: u64) -> BoxFuture<'_, Result<(), String>>;
    /// Takes a member in as a learner, which others will reach at `peer_url`.
    fn add_learner<'a>(&'a self, peer_url: &'a str) -> BoxFuture<'a, Result<(), String>>;
    /// Makes a learner a voter; refused until it has caught up with the leader.
    fn promote(&self, id: u64) -> BoxFuture<'_, Result<(), String>>;
    /// Removes a member for good.
    fn remove_member(&self, id: u64) -> BoxFuture<'_, Result<(), String>>;
}

/// The ways through connections with the nodes.
pub struct ThroughNodes {
    nodes: BTreeMap<String, Node>,
    authorities: Arc<Authorities>,
}

impl ThroughNodes {
    /// Takes connections that are open.
    pub fn new(nodes: BTreeMap<String, Node>, authorities: Arc<Authorities>) -> Self {
        Self { nodes, authorities }
    }

    /// A client of one control plane's member, and the way it takes.
    ///
    /// # Errors
    /// When the way or the identity cannot be made; whether etcd answers shows later.
    pub async fn client(&self, name: &str) -> Result<(EtcdClient, Forward), Error> {
        let unreachable = || Error::new(Kind::Ssh, "the node cannot be reached").on(name);
        let node = self.nodes.get(name).ok_or_else(unreachable)?;
        let way = node.forward(&etcd::LOCAL.to_string()).await.map_err(|error| {
            Error::caused(Kind::User, "listen on the loopback interface", &error).id(ErrorId::LocalFailure)
        })?;
        let credentials = self.authorities.issue_client_of(
            AuthorityName::Etcd,
            "kubewright",
            &[],
            IDENTITY_LIFETIME,
            SystemTime::now(),
        )?;
        let certificates = self.authorities.certificates();
        let ca = certificates
            .get(&AuthorityName::Etcd)
            .map(String::as_str)
            .unwrap_or_default();
        let url = format!("https://{}", way.address());
        let client = EtcdClient::new(&url, ca, &credentials.certificate, &credentials.key, node.pace())
            .map_err(|error| Error::caused(Kind::Etcd, "prepare the etcd client", &error).on(name))?;
        Ok((client, way))
    }
}

impl EtcdConnections for ThroughNodes {
    fn pace(&self, node: &str) -> Pace {
        self.nodes
            .get(node)
            .map(|node| node.pace().clone())
            .unwrap_or_default()
    }

    fn reach<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<Box<dyn EtcdConnection>, String>> {
        Box::pin(async move {
            let (client, forward) = self.client(node).await.map_err(|error| error.to_string())?;
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
            let moved = self.client.move_leader(to).await;
            moved.map_err(|error| error.to_string())
        })
    }

    fn add_learner<'a>(&'a self, peer_url: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let added = self.client.add_learner(peer_url).await;
            added.map_err(|error| error.to_string())
        })
    }

    fn promote(&self, id: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move { self.client.promote(id).await.map_err(|error| error.to_string()) })
    }

    fn remove_member(&self, id: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let removed = self.client.remove_member(id).await;
            removed.map_err(|error| error.to_string())
        })
    }
}

/// A status without what changes by itself. Alarms stand among the errors, as in `memberID:1234 alarm:NOSPACE`.
fn observed(status: Status) -> EtcdStatus {
    let mut observed = EtcdStatus {
        member_id: status.member_id,
        cluster_id: status.cluster_id,
        revision: status.revision,
        database_bytes: status.database_bytes,
        used_bytes: status.database_used_bytes,
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
                kind: kind.to_owned().into(),
            }),
            None => observed.complaints.push(error),
        }
    }
    observed
}

#[cfg(test)]
mod tests {
    use kubewright_core::observed::AlarmKind;

    use super::*;

    #[test]
    fn alarms_are_taken_from_what_a_member_complains_about() {
        let status = Status {
            member_id: 7,
            cluster_id: 8,
            revision: 9,
            version: "3.6.16".to_owned(),
            leader: 7,
            database_bytes: 1,
            database_used_bytes: 1,
            raft_index: 1,
            raft_term: 1,
            raft_applied_index: 1,
            is_learner: false,
            errors: vec![
                "memberID:10276657743932975437  alarm:NOSPACE ".to_owned(),
                "etcdserver: no leader".to_owned(),
            ],
        };
        let observed = observed(status);
        assert!(observed.is_leader && observed.has_leader);
        let alarm = EtcdAlarm {
            member_id: 10_276_657_743_932_975_437,
            kind: AlarmKind::NoSpace,
        };
        assert_eq!(observed.alarms, [alarm]);
        assert_eq!(observed.complaints, ["etcdserver: no leader"]);
    }
}
