//! etcd as its members tell it: which members there are, agreed by a quorum, and how each says it is.
//!
//! What a member is to the cluster is not what its node is: a learner answers its health endpoint and does not vote, a
//! member nobody knows votes and is on no node of cluster.yaml. Of numbers that change by themselves only those are kept
//! that tell two databases apart.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::shown::shown;
use crate::spec::{Cluster, Node};

/// etcd as it was seen through the members of the control planes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedEtcd {
    /// The members, as a quorum knows them; `None` when no member could tell.
    pub members: Option<Vec<EtcdMember>>,
    /// The members, as each control plane's own member told them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lists: BTreeMap<String, Vec<EtcdMember>>,
    /// What each control plane's own member said of itself, or why it did not.
    pub own: BTreeMap<String, Result<EtcdStatus, String>>,
}

/// A member of the etcd cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EtcdMember {
    /// Its id.
    pub id: u64,
    /// Its name; empty until it has started.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Whether it does not vote yet.
    pub is_learner: bool,
}

impl EtcdMember {
    /// Whether it has ever started.
    pub fn is_started(&self) -> bool {
        !self.name.is_empty()
    }
}

/// How a member says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EtcdStatus {
    /// Its own id.
    pub member_id: u64,
    /// The id of the cluster it is a member of; 0 where it does not tell.
    pub cluster_id: u64,
    /// The revision its database is at. It changes by itself, like the size: both are for people.
    pub revision: u64,
    /// The size of its database, bytes.
    pub database_bytes: u64,
    /// The part of its database that is in use, bytes; 0 where it does not tell.
    pub used_bytes: u64,
    /// Its version, as in `3.6.16`.
    pub version: String,
    /// Whether it sees a leader.
    pub has_leader: bool,
    /// Whether it is the leader.
    pub is_leader: bool,
    /// Alarms of the cluster, as this member knows them.
    pub alarms: Vec<EtcdAlarm>,
    /// What else it complains about.
    pub complaints: Vec<String>,
}

/// An alarm: while one is raised, etcd refuses some or all requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdAlarm {
    /// The member it is about.
    pub member_id: u64,
    /// Which.
    pub kind: AlarmKind,
}

/// The kinds of alarms (etcd's `AlarmType`), written as etcd writes them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum AlarmKind {
    /// The database has reached its quota: etcd refuses writes.
    NoSpace,
    /// The data of a member differs from the others' or is damaged.
    Corrupt,
    /// One of a later etcd.
    Other(String),
}

impl From<String> for AlarmKind {
    fn from(word: String) -> Self {
        match word.as_str() {
            "NOSPACE" => Self::NoSpace,
            "CORRUPT" => Self::Corrupt,
            _ => Self::Other(word),
        }
    }
}

impl From<AlarmKind> for String {
    fn from(kind: AlarmKind) -> Self {
        kind.to_string()
    }
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace => out.write_str("NOSPACE"),
            Self::Corrupt => out.write_str("CORRUPT"),
            Self::Other(word) => out.write_str(&shown(word)),
        }
    }
}

/// What a control plane of cluster.yaml is to etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership<'a> {
    /// Nobody could tell which members there are.
    Untold,
    /// None of the members is its own.
    Absent,
    /// It is this member.
    Listed(&'a EtcdMember),
}

/// One etcd cluster, of which there should be no second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdCluster {
    /// Its id.
    pub id: u64,
    /// The control planes whose members are of it.
    pub nodes: Vec<String>,
    /// The names of its members; empty when none of them could tell.
    pub members: Vec<String>,
    /// The control plane with its leader, if that was seen.
    pub leader: Option<String>,
    /// The revision of its database.
    pub revision: u64,
    /// The size of its database, bytes.
    pub database_bytes: u64,
}

/// As in `1a2b on cp-1 (members cp-1; leader cp-1; revision 812, 20 MiB)`.
impl fmt::Display for EtcdCluster {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = match self.members.as_slice() {
            [] => "not told".to_owned(),
            names => shown(&names.join(", ")),
        };
        write!(
            out,
            "{:x} on {} (members {members}; leader {}; revision {}, {} MiB)",
            self.id,
            self.nodes.join(", "),
            self.leader.as_deref().unwrap_or("not seen"),
            self.revision,
            self.database_bytes >> 20,
        )
    }
}

impl ObservedEtcd {
    /// The clusters that the control planes' members are of; more than one is a fault that no change can be made on.
    pub fn clusters(&self) -> Vec<EtcdCluster> {
        let mut clusters: BTreeMap<u64, EtcdCluster> = BTreeMap::new();
        let told = self.own.iter();
        let told = told.filter_map(|(name, own)| Some((name, own.as_ref().ok()?)));
        for (name, own) in told.filter(|(_, own)| own.cluster_id != 0) {
            let cluster = clusters.entry(own.cluster_id).or_default();
            cluster.id = own.cluster_id;
            cluster.nodes.push(name.clone());
            cluster.revision = cluster.revision.max(own.revision);
            cluster.database_bytes = cluster.database_bytes.max(own.database_bytes);
            if own.is_leader {
                cluster.leader = Some(name.clone());
            }
            if let Some(list) = self.lists.get(name) {
                cluster.members = list.iter().map(|member| member.name.clone()).collect();
            }
        }
        clusters.into_values().collect()
    }

    /// What a control plane is to etcd: by the id its own member says, by name, or, for a member that has not started and
    /// has no name, by its peer address.
    pub fn membership(&self, node: &Node) -> Membership<'_> {
        let Some(members) = &self.members else {
            return Membership::Untold;
        };
        let own_id = self
            .own
            .get(node.name.as_str())
            .and_then(|own| own.as_ref().ok())
            .map(|own| own.member_id)
            .filter(|id| *id != 0);
        let listed = match own_id {
            Some(id) => members.iter().find(|member| member.id == id),
            None => members.iter().find(|member| is_at(member, node)),
        };
        listed.map_or(Membership::Absent, Membership::Listed)
    }

    /// Members that are on no control plane of cluster.yaml.
    pub fn unknown_members(&self, cluster: &Cluster) -> Vec<&EtcdMember> {
        let is_known = |member: &&EtcdMember| {
            cluster
                .control_planes()
                .any(|node| self.membership(node) == Membership::Listed(member))
        };
        let members = self.members.iter().flatten();
        members.filter(|member| !is_known(member)).collect()
    }

    /// Every alarm any member knows of, with the name of the member it is about.
    pub fn alarms(&self) -> Vec<(AlarmKind, String)> {
        let told = self.own.values().filter_map(|own| own.as_ref().ok());
        let mut alarms: Vec<(AlarmKind, String)> = told
            .flat_map(|own| &own.alarms)
            .map(|alarm| (alarm.kind.clone(), self.name_of(alarm.member_id)))
            .collect();
        alarms.sort();
        alarms.dedup();
        alarms
    }

    fn name_of(&self, id: u64) -> String {
        let members = self.members.iter().flatten();
        let mut named = members.filter(|member| member.id == id && member.is_started());
        match named.next() {
            Some(member) => member.name.clone(),
            None => format!("{id:x}"),
        }
    }
}

/// Whether a member is the one of a node, as far as the list alone tells.
fn is_at(member: &EtcdMember, node: &Node) -> bool {
    if member.is_started() {
        return member.name == node.name.as_str();
    }
    let host = match node.address {
        IpAddr::V6(address) => format!("//[{address}]:"),
        IpAddr::V4(address) => format!("//{address}:"),
    };
    member.peer_urls.iter().any(|url| url.contains(&host))
}
