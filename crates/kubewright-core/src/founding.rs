//! How etcd's member of a control plane starts.
//!
//! A cluster is founded once, by all of its control planes together. Every one of them keeps who they all are
//! ([`crate::observed::Founders`]) before any member starts: a run that takes up an interrupted bootstrap with other
//! control planes would make a second etcd beside the first. From then on a member starts from its data, and a control
//! plane that is no member yet joins: the others take it in as a learner, it starts with the list of all of them, and votes
//! when it has caught up. See <https://etcd.io/docs/v3.6/learning/design-learner/>.

use std::collections::BTreeMap;

use crate::observed::{EtcdMember, Membership, Observed, ObservedEtcd, peer_url};
use crate::spec::{Cluster, Node};

/// How etcd's member of a control plane starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EtcdStart {
    /// It founds the cluster, together with all other control planes: it may begin without data.
    Found,
    /// It joins the members that are there: it may begin without data, as one of these, itself included; names and the
    /// addresses where others reach them.
    Join(BTreeMap<String, String>),
    /// It was a member, or may have been one, and has no data: started without, it would vote a second time. An apply refuses
    /// it (`plan::rules`); nothing lets it begin by itself.
    Lost,
    /// It has data, and starts from that.
    #[default]
    Member,
}

/// How the members of the control planes start, from what was seen of their nodes and of etcd.
pub fn etcd_starts(cluster: &Cluster, observed: &Observed) -> BTreeMap<String, EtcdStart> {
    let is_bootstrapped = observed.is_bootstrapped();
    let mut members = observed.etcd.as_ref().map(known_members).unwrap_or_default();
    let mut start = |node: &Node| match observed.nodes.get(node.name.as_str()) {
        _ if !is_bootstrapped => EtcdStart::Found,
        Some(seen) if !seen.facts.has_etcd_data => {
            if !may_join(node, observed) {
                return EtcdStart::Lost;
            }
            // Who joins first is a member when the next one does.
            let url = peer_url(node.address);
            members.retain(|_, known| *known != url);
            members.insert(node.name.to_string(), url);
            EtcdStart::Join(members.clone())
        }
        // What nobody could look at is not given a permission.
        Some(_) | None => EtcdStart::Member,
    };
    cluster
        .control_planes()
        .map(|node| (node.name.to_string(), start(node)))
        .collect()
}

/// Whether a control plane without data is no member of etcd, or one that was taken in as a learner and never started.
fn may_join(node: &Node, observed: &Observed) -> bool {
    match observed.etcd.as_ref().map(|etcd| etcd.membership(node)) {
        Some(Membership::Absent) => true,
        Some(Membership::Listed(member)) => member.is_learner && !member.is_started(),
        Some(Membership::Untold) | None => false,
    }
}

/// The members there are, by name; one that has not started has none, and stands under its id.
fn known_members(etcd: &ObservedEtcd) -> BTreeMap<String, String> {
    let named = |member: &EtcdMember| {
        let name = if member.is_started() {
            member.name.clone()
        } else {
            format!("{:x}", member.id)
        };
        (name, member.peer_urls.join(","))
    };
    etcd.members.iter().flatten().map(named).collect()
}
