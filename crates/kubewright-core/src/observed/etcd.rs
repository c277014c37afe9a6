//! etcd as its members tell it: which members there are, agreed by a quorum, and how each says it is.
//!
//! What a member is to the cluster is not what its node is: a learner answers its health endpoint and does not vote, a
//! member nobody knows votes and is on no node of cluster.yaml. Numbers that change by themselves (terms, indexes,
//! sizes) are not kept.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::spec::{Cluster, Node};

/// etcd as it was seen through the members of the control planes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedEtcd {
    /// The members, as a quorum knows them; `None` when no member could tell.
    pub members: Option<Vec<EtcdMember>>,
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
    /// Which, as in `NOSPACE` or `CORRUPT`.
    pub kind: String,
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

impl ObservedEtcd {
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
    pub fn alarms(&self) -> Vec<(String, String)> {
        let told = self.own.values().filter_map(|own| own.as_ref().ok());
        let mut alarms: Vec<(String, String)> = told
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
