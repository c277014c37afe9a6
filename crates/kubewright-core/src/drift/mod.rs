//! How a running cluster differs from cluster.yaml, read from one look at it: on every machine, in the API, in etcd.
//!
//! [`findings`] turns what was observed into values with stable ids; nothing here looks at a machine and nothing
//! decides. A consequence is no finding: a unit that would be restarted because one of its files was edited appears
//! with that file only. Diffs read like those of a plan: `-` is there now, `+` is what cluster.yaml makes of it.
//! Contents of secrets never appear.

mod cluster;
mod kind;
mod node;
mod reference;
mod report;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use kind::Kind;
pub use reference::reference;
pub use report::Report;

use crate::catalogue::Release;
use crate::observed::Observed;
use crate::resource::NodeState;
use crate::spec::Cluster;

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Which kind; its id is stable.
    #[serde(rename = "id")]
    pub kind: Kind,
    /// The node it is on; `None` when it is the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What it is about: a path, a unit, an object, a member.
    pub subject: String,
    /// How it differs.
    pub message: String,
    /// A unified diff from what is there to what should be, where there is text to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// Everything a look at a cluster yields.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'s> {
    /// What cluster.yaml says.
    pub cluster: &'s Cluster,
    /// The versions that belong to it.
    pub release: &'s Release,
    /// What every node is to have.
    pub states: &'s BTreeMap<String, NodeState>,
    /// What was seen of nodes, API and etcd.
    pub observed: &'s Observed,
}

/// Everything that differs: nodes in the order of cluster.yaml, then the cluster; within each by kind.
pub fn findings(seen: &Seen<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for spec in &seen.cluster.nodes {
        let name = spec.name.as_str();
        let mut own = node::findings(seen, name);
        own.extend(cluster::of_node(seen, spec));
        own.sort_by_key(|one| one.kind);
        found.extend(own);
    }
    let mut own = cluster::findings(seen);
    own.sort_by_key(|one| one.kind);
    found.extend(own);
    found
}

/// Whether a node was set up by kubewright at all; one that cannot be reached is taken to be.
fn is_built(seen: &Seen<'_>, node: &str) -> bool {
    if seen.observed.unreachable.contains_key(node) {
        return true;
    }
    let observed = seen.observed.nodes.get(node);
    observed.is_some_and(|node| node.facts.marker.is_some())
}
