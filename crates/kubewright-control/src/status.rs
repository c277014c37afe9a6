//! How a cluster is, at a glance: nodes, API servers, etcd members, and how far the machines are from cluster.yaml.

use std::collections::BTreeMap;
use std::fmt;

use kubewright_core::component::apiserver;
use kubewright_core::component::etcd::Filling;
use kubewright_core::observed::{EtcdMember, Facts, ObservedEtcd};
use kubewright_core::shown::shown;
use kubewright_core::wire::NodeCondition;
use serde::{Serialize, Serializer};

use crate::kube::nodes::list_nodes;
use crate::observe::Observation;
use crate::session::Session;

/// How long one component has to answer.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3);
const SECONDS_OF_A_DAY: i64 = 86_400;

/// How a cluster is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Version of this form.
    pub api_version: &'static str,
    /// The cluster's name.
    pub cluster: String,
    /// The Kubernetes version cluster.yaml asks for.
    pub kubernetes: String,
    /// Whether the API answers, and if not, why.
    pub api: ApiState,
    /// Every node of cluster.yaml, in its order.
    pub nodes: Vec<NodeStatus>,
    /// The members of etcd, as a quorum knows them; none when no member could tell.
    pub etcd_members: Vec<MemberStatus>,
    /// The etcd clusters that the members are of, what each is and holds, where there is more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub etcd_clusters: Vec<String>,
    /// Databases of etcd that fill 60 % or more of their quota, and what makes room.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub etcd_databases: Vec<DatabaseStatus>,
    /// Nodes the API knows and cluster.yaml does not.
    pub unknown_nodes: Vec<String>,
    /// Cluster objects that differ.
    pub objects_differing: usize,
}

/// How a node is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// The kubelet's version, as the API shows it.
    pub kubelet_version: Option<String>,
    /// Whether the kubelet reports Ready.
    pub ready: bool,
    /// Why it is not, if it is not.
    pub reason: String,
    /// The API server on the node; control planes only.
    pub api_server: Option<ServerState>,
    /// The etcd member on the node; control planes only.
    pub etcd: Option<MemberState>,
    /// Certificates on the node, the one that ends first at the front.
    pub certificates: Vec<CertificateStatus>,
    /// How many resources differ from cluster.yaml; not known of a node that cannot be reached.
    pub differences: Option<usize>,
    /// Why the node cannot be reached, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
}

/// Whether the API answers; as text and in JSON, `ready` or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiState {
    /// It does.
    Ready,
    /// It does not, and why.
    Unavailable(String),
}

impl fmt::Display for ApiState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Ready => "ready",
            Self::Unavailable(why) => why,
        })
    }
}

impl Serialize for ApiState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How the API server of a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ServerState {
    /// It says that it can serve.
    #[serde(rename = "ready")]
    Ready,
    /// It does not.
    #[serde(rename = "not ready")]
    NotReady,
    /// The node cannot be reached.
    #[serde(rename = "unreachable")]
    Unreachable,
}

impl fmt::Display for ServerState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

/// How the etcd member of a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MemberState {
    /// It leads.
    #[serde(rename = "leader")]
    Leader,
    /// It sees a leader.
    #[serde(rename = "member")]
    Member,
    /// It answers and sees no leader.
    #[serde(rename = "no leader")]
    NoLeader,
    /// It does not answer.
    #[serde(rename = "no answer")]
    NoAnswer,
    /// The node cannot be reached.
    #[serde(rename = "unreachable")]
    Unreachable,
}

impl fmt::Display for MemberState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

/// A member of the etcd cluster.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Its name; empty until it has started.
    pub name: String,
    /// Whether it votes.
    pub is_voting: bool,
    /// The version it answers with, if it answers.
    pub version: Option<String>,
}

/// A database of etcd that is filling up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// The member's control plane.
    pub node: String,
    /// The size of its file, bytes.
    pub bytes: u64,
    /// The size at which etcd refuses writes, bytes.
    pub quota_bytes: u64,
    /// How much of the quota it fills.
    pub percent: u64,
    /// That in one sentence.
    pub message: String,
    /// What makes room.
    pub remedy: String,
}

impl From<Filling> for DatabaseStatus {
    fn from(filling: Filling) -> Self {
        Self {
            percent: filling.percent(),
            message: filling.to_string(),
            remedy: filling.remedy(),
            node: filling.node,
            bytes: filling.bytes,
            quota_bytes: filling.quota_bytes,
        }
    }
}

/// A certificate on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// Where it is.
    pub path: String,
    /// Whose it is.
    pub common_name: String,
    /// When it ends, as in `2027-11-20T00:00:00Z`.
    pub not_after: String,
    /// Whole days left by the node's clock; negative when it has ended.
    pub days_left: i64,
}

impl ClusterStatus {
    /// The certificate in the cluster that ends first, and its node.
    pub fn next_to_end(&self) -> Option<(&str, &CertificateStatus)> {
        self.nodes
            .iter()
            .filter_map(|node| Some((node.name.as_str(), node.certificates.first()?)))
            .min_by(|(_, one), (_, other)| one.not_after.cmp(&other.not_after))
    }

    /// Whether everything answers, is Ready and is as cluster.yaml says.
    pub fn is_healthy(&self) -> bool {
        let is_well = |node: &NodeStatus| {
            node.ready
                && node.differences == Some(0)
                && node.api_server.is_none_or(|state| state == ServerState::Ready)
                && node
                    .etcd
                    .is_none_or(|state| matches!(state, MemberState::Leader | MemberState::Member))
        };
        let is_one = self.etcd_clusters.is_empty();
        is_one && self.api == ApiState::Ready && self.objects_differing == 0 && self.nodes.iter().all(is_well)
    }
}

/// Puts together how the cluster is.
pub async fn look(session: &Session, observation: &Observation) -> ClusterStatus {
    let members = observation.observed.etcd.clone().unwrap_or_default();
    let (api, records) = match observation.api.client().await {
        Ok(client) => match list_nodes(&client).await {
            Ok(records) => (ApiState::Ready, records),
            Err(error) => (ApiState::Unavailable(error.to_string()), Vec::new()),
        },
        Err(error) => (ApiState::Unavailable(error.to_string()), Vec::new()),
    };
    let records: BTreeMap<String, _> = records
        .into_iter()
        .map(|record| (record.name.clone(), record))
        .collect();
    let mut nodes = Vec::new();
    for node in &session.cluster.nodes {
        let name = node.name.as_str();
        let record = records.get(name);
        let (api_server, etcd) = if node.is_control_plane() {
            let is_reached = observation.run_context.nodes.contains_key(name);
            let etcd = if is_reached {
                etcd(&members, name)
            } else {
                MemberState::Unreachable
            };
            (Some(api_server(observation, name).await), Some(etcd))
        } else {
            (None, None)
        };
        let seen = observation.observed.nodes.get(name);
        nodes.push(NodeStatus {
            name: name.to_owned(),
            address: node.address.to_string(),
            roles: node.roles.iter().map(ToString::to_string).collect(),
            kubelet_version: record
                .map(|record| record.version.clone())
                .filter(|version| !version.is_empty()),
            ready: record.is_some_and(|record| record.ready),
            reason: record.map_or_else(|| "not registered".to_owned(), |record| record.reason.clone()),
            api_server,
            etcd,
            certificates: seen.map(|seen| certificates(&seen.facts)).unwrap_or_default(),
            differences: seen.map(|seen| seen.differences.len()),
            unreachable: observation.observed.unreachable.get(name).cloned(),
        });
    }
    let seen = observation.observed.api.as_ref();
    ClusterStatus {
        api_version: "kubewright/v1alpha1",
        cluster: session.cluster.name.to_string(),
        kubernetes: session.cluster.kubernetes.to_string(),
        api,
        nodes,
        etcd_members: etcd_members(&members),
        etcd_clusters: etcd_clusters(&members),
        etcd_databases: Filling::all(&session.cluster, &observation.observed)
            .into_iter()
            .map(DatabaseStatus::from)
            .collect(),
        unknown_nodes: seen.map(|api| api.unknown_nodes.clone()).unwrap_or_default(),
        objects_differing: seen.map_or(0, |api| api.objects.len()),
    }
}

/// The certificates of a node, by expiry.
fn certificates(facts: &Facts) -> Vec<CertificateStatus> {
    let now = facts.clock_ms / 1000;
    let mut told: Vec<_> = facts.certificates.iter().collect();
    told.sort_by_key(|fact| (fact.not_after, fact.path.clone()));
    told.into_iter()
        .map(|fact| CertificateStatus {
            path: shown(&fact.path),
            common_name: shown(&fact.common_name),
            not_after: jiff::Timestamp::from_second(fact.not_after)
                .map_or_else(|_| "never".to_owned(), |end| end.to_string()),
            days_left: fact.not_after.saturating_sub(now).div_euclid(SECONDS_OF_A_DAY),
        })
        .collect()
}

fn etcd_members(seen: &ObservedEtcd) -> Vec<MemberStatus> {
    let member = |member: &EtcdMember| MemberStatus {
        name: shown(&member.name),
        is_voting: !member.is_learner && !member.name.is_empty(),
        version: seen
            .own
            .get(&member.name)
            .and_then(|own| own.as_ref().ok())
            .map(|own| shown(&own.version)),
    };
    seen.members.iter().flatten().map(member).collect()
}

fn etcd_clusters(seen: &ObservedEtcd) -> Vec<String> {
    let clusters = seen.clusters();
    let clusters = clusters.iter().filter(|_| clusters.len() > 1);
    clusters.map(ToString::to_string).collect()
}

async fn api_server(observation: &Observation, name: &str) -> ServerState {
    let Some(node) = observation.run_context.nodes.get(name) else {
        return ServerState::Unreachable;
    };
    let condition = NodeCondition::HttpOk {
        url: apiserver::PROBE.url(),
        ca_file: apiserver::PROBE.ca_file().map(str::to_owned),
        server_name: apiserver::PROBE.server_name.map(str::to_owned),
        unit: None,
    };
    match node.wait(condition, TIMEOUT).await {
        Ok(()) => ServerState::Ready,
        Err(_) => ServerState::NotReady,
    }
}

/// What a control plane's own member said of itself.
fn etcd(seen: &ObservedEtcd, name: &str) -> MemberState {
    match seen.own.get(name) {
        Some(Ok(own)) if own.is_leader => MemberState::Leader,
        Some(Ok(own)) if own.has_leader => MemberState::Member,
        Some(Ok(_)) => MemberState::NoLeader,
        Some(Err(_)) | None => MemberState::NoAnswer,
    }
}

#[cfg(test)]
mod tests {
    use kubewright_core::observed::{CertificateFact, EtcdStatus};

    use super::*;

    fn fact(path: &str, not_after: i64) -> CertificateFact {
        CertificateFact {
            path: path.to_owned(),
            common_name: "someone".to_owned(),
            not_after,
        }
    }

    #[test]
    fn certificates_are_counted_in_days_of_the_nodes_own_clock() {
        let facts = Facts {
            clock_ms: 1_700_000_000_000,
            certificates: vec![
                fact("/late", 1_700_000_000 + 10 * SECONDS_OF_A_DAY + 5),
                fact("/ended", 1_700_000_000 - 1),
                fact("/soon", 1_700_000_000 + SECONDS_OF_A_DAY - 1),
            ],
            ..Facts::default()
        };
        let told: Vec<_> = certificates(&facts)
            .into_iter()
            .map(|certificate| (certificate.path, certificate.days_left))
            .collect();
        let expected = [("/ended", -1), ("/soon", 0), ("/late", 10)];
        assert_eq!(told, expected.map(|(path, days)| (path.to_owned(), days)));
        assert_eq!(certificates(&facts)[0].not_after, "2023-11-14T22:13:19Z");
    }

    #[test]
    fn a_member_that_has_not_started_or_is_learning_does_not_vote() {
        let member = |name: &str, is_learner| EtcdMember {
            name: name.to_owned(),
            is_learner,
            ..EtcdMember::default()
        };
        let mut seen = ObservedEtcd {
            members: Some(vec![
                member("", false),
                member("cp-1", false),
                member("cp-2", true),
            ]),
            ..ObservedEtcd::default()
        };
        let status = EtcdStatus {
            version: "3.6.16".to_owned(),
            ..EtcdStatus::default()
        };
        seen.own.insert("cp-1".to_owned(), Ok(status));
        seen.own.insert("cp-2".to_owned(), Err("refused".to_owned()));
        let told: Vec<_> = etcd_members(&seen)
            .into_iter()
            .map(|member| (member.is_voting, member.version))
            .collect();
        assert_eq!(
            told,
            [(false, None), (true, Some("3.6.16".to_owned())), (false, None)]
        );
    }
}
