//! What a plan was made from, in one digest.

use std::collections::BTreeMap;

use crate::observed::{Difference, Observed};
use crate::resource::{Digest, NodeState};
use crate::spec::Cluster;

/// Digest of everything the plan was made from, except what differs from one look to the next (clock, free space).
pub(super) fn fingerprint(
    cluster: &Cluster,
    states: &BTreeMap<String, NodeState>,
    objects: &[String],
    observed: &Observed,
) -> Digest {
    // Authorities that do not exist yet are made again by every look, so states that hold them say nothing.
    let states: BTreeMap<&String, Digest> = states
        .iter()
        .filter(|_| observed.is_bootstrapped())
        .map(|(node, state)| (node, state.digest()))
        .collect();
    let nodes: BTreeMap<&String, (&str, &Vec<Difference>)> = observed
        .nodes
        .iter()
        .map(|(name, node)| (name, (node.facts.machine_id.as_str(), &node.differences)))
        .collect();
    let etcd = observed
        .etcd
        .as_ref()
        .map(|etcd| super::origin::etcd(cluster, etcd));
    let parts = (cluster, states, objects, nodes, &observed.api, etcd);
    Digest::of(&serde_json::to_vec(&parts).unwrap_or_default())
}
