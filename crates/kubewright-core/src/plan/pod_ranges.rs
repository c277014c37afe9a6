//! Gives every node its pod range: what a node has it keeps, the rest get the lowest free ones in order of name, so
//! that the order of nodes in cluster.yaml never matters.

use std::collections::{BTreeMap, BTreeSet};

use super::Refusal;
use crate::observed::Observed;
use crate::spec::{Cidr, Cluster};

/// Allocates a pod range to every node of the cluster.
///
/// # Errors
/// [`Refusal::NoPodRange`] when the cluster's range has no free part left.
pub fn allocate_pod_ranges(
    cluster: &Cluster,
    observed: &Observed,
) -> Result<BTreeMap<String, Cidr>, Refusal> {
    let mut ranges = BTreeMap::new();
    for node in &cluster.nodes {
        if let Some(range) = present_range(node.name.as_str(), observed) {
            ranges.insert(node.name.to_string(), range);
        }
    }
    let mut taken: BTreeSet<Cidr> = ranges.values().copied().collect();
    if let Some(api) = &observed.api {
        taken.extend(
            api.pod_cidrs
                .values()
                .filter_map(|text| text.parse::<Cidr>().ok()),
        );
    }
    let names: BTreeSet<String> = cluster.nodes.iter().map(|node| node.name.to_string()).collect();
    let mut next = 0;
    for name in names
        .into_iter()
        .filter(|name| !ranges.contains_key(name))
        .collect::<Vec<_>>()
    {
        let range = loop {
            let Some(candidate) = cluster.pod_subnet_of(next) else {
                return Err(Refusal::NoPodRange {
                    node: name,
                    pod_cidr: cluster.network.pod_cidr.to_string(),
                });
            };
            next += 1;
            if taken.insert(candidate) {
                break candidate;
            }
        };
        ranges.insert(name, range);
    }
    Ok(ranges)
}

/// What the API says first, then what the node's own marker remembers.
fn present_range(node: &str, observed: &Observed) -> Option<Cidr> {
    let from_api = observed
        .api
        .as_ref()
        .and_then(|api| api.pod_cidrs.get(node))
        .cloned();
    let from_marker = || {
        let marker = observed.nodes.get(node)?.facts.marker.as_ref()?;
        marker.pod_cidr.clone()
    };
    from_api.or_else(from_marker)?.parse().ok()
}
