//! How etcd's member of a control plane starts.
//!
//! A cluster is founded once, by all of its control planes together. Every one of them keeps who they all are
//! ([`crate::observed::Founders`]) before any member starts: a run that takes up an interrupted bootstrap with other
//! control planes would make a second etcd beside the first. From then on a member starts from its data, and a control
//! plane without data is no member: it would have to join.

use std::collections::BTreeMap;

use crate::observed::Observed;
use crate::spec::Cluster;

/// How etcd's member of a control plane starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EtcdStart {
    /// It founds the cluster, together with all other control planes: it may begin without data.
    Found,
    /// The cluster was founded before, and this control plane has no data: only etcd's other members can take it in.
    /// An apply refuses it (`plan::rules`); nothing lets it begin by itself.
    Join,
    /// It has data, and starts from that.
    #[default]
    Member,
}

/// How the members of the control planes start, from what was seen of their nodes.
pub fn etcd_starts(cluster: &Cluster, observed: &Observed) -> BTreeMap<String, EtcdStart> {
    let is_bootstrapped = observed.is_bootstrapped();
    let start = |name: &str| match observed.nodes.get(name) {
        _ if !is_bootstrapped => EtcdStart::Found,
        Some(seen) if !seen.facts.has_etcd_data => EtcdStart::Join,
        // What nobody could look at is not given a permission.
        Some(_) | None => EtcdStart::Member,
    };
    let control_planes = cluster.control_planes().map(|node| node.name.to_string());
    control_planes.map(|name| (name.clone(), start(&name))).collect()
}
