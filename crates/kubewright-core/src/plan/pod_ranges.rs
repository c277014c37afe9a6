//! Gives every node its pod range: what a node has it keeps, the rest get the lowest free ones in order of name, so
//! that the order of nodes in cluster.yaml never matters.
//!
//! What a node has is told by the API, or else by the node itself. A node may tell anything, and with `bridge` its range
//! becomes a route on all others, so its word counts only when it claims a part of the cluster's range that no other
//! node has; any other claim is never rendered, and a living cluster is not changed while a node makes one.

use std::collections::{BTreeMap, BTreeSet};

use super::{ClaimProblem, Refusal};
use crate::observed::Observed;
use crate::spec::{Cidr, Cluster, NODE_POD_PREFIX};

/// Allocates a pod range to every node of the cluster.
///
/// # Errors
/// [`Refusal::NoPodRange`] when the cluster's range has no free part left.
pub fn allocate_pod_ranges(
    cluster: &Cluster,
    observed: &Observed,
) -> Result<BTreeMap<String, Cidr>, Refusal> {
    let mut ranges = present_ranges(cluster, observed).0;
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

/// Every claim of a node that does not count.
pub(super) fn refused_claims(cluster: &Cluster, observed: &Observed) -> Vec<Refusal> {
    present_ranges(cluster, observed).1
}

/// What the API says first, then what the nodes' own markers remember, with the claims that do not count.
fn present_ranges(cluster: &Cluster, observed: &Observed) -> (BTreeMap<String, Cidr>, Vec<Refusal>) {
    let from_api = |node: &str| -> Option<Cidr> {
        let api = observed.api.as_ref()?;
        api.pod_cidrs.get(node)?.parse().ok()
    };
    let mut holders: BTreeMap<Cidr, String> = BTreeMap::new();
    if let Some(api) = &observed.api {
        let told = api.pod_cidrs.iter();
        holders.extend(told.filter_map(|(node, text)| Some((text.parse().ok()?, node.clone()))));
    }
    let mut ranges = BTreeMap::new();
    let mut refused = Vec::new();
    let names: BTreeSet<&str> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    for node in names {
        if let Some(range) = from_api(node) {
            ranges.insert(node.to_owned(), range);
            continue;
        }
        let marker = observed
            .nodes
            .get(node)
            .and_then(|seen| seen.facts.marker.as_ref());
        let Some(claimed) = marker.and_then(|marker| marker.pod_cidr.as_deref()) else {
            continue;
        };
        let part = claimed.parse().ok().filter(|range| is_part(cluster, range));
        let problem = match part {
            None => ClaimProblem::NoPartOfPodCidr(cluster.network.pod_cidr),
            Some(range) => {
                let Some(by) = holders.get(&range) else {
                    holders.insert(range, node.to_owned());
                    ranges.insert(node.to_owned(), range);
                    continue;
                };
                ClaimProblem::Taken { by: by.clone() }
            }
        };
        refused.push(Refusal::PodRangeClaim {
            node: node.to_owned(),
            claimed: claimed.to_owned(),
            problem,
        });
    }
    (ranges, refused)
}

/// Whether a range is one of those nodes get.
fn is_part(cluster: &Cluster, range: &Cidr) -> bool {
    range.prefix() == NODE_POD_PREFIX && cluster.network.pod_cidr.contains(range.address())
}
