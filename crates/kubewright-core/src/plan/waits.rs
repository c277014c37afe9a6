//! What steps wait for, in words: their own node's earlier steps, other nodes', the cluster's.

use std::collections::{BTreeMap, BTreeSet};

use super::text::names_of;
use super::{Place, PlannedStep};
use crate::shown::count;

/// What some steps that read the same wait for; `None` when they begin at once.
pub(super) fn told(steps: &[&PlannedStep]) -> Option<String> {
    let (mut own, mut cluster) = (BTreeSet::new(), BTreeSet::new());
    let mut others: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut takes_turns = false;
    for planned in steps {
        takes_turns |=
            !planned.in_turn.is_empty() && planned.step.node().is_some() && planned.window.is_none();
        let itself = planned.step.node();
        for id in planned.after.iter().filter(|id| !planned.in_turn.contains(id)) {
            let kind = id.kind.as_str();
            match &id.place {
                Place::Cluster => drop(cluster.insert(kind)),
                Place::Node(node) if Some(node.as_str()) == itself => drop(own.insert(kind)),
                Place::Node(node) => drop(others.entry(kind).or_default().insert(node)),
            }
        }
    }
    let mut parts = Vec::new();
    let own: Vec<&str> = own
        .into_iter()
        .filter(|stage| !others.contains_key(stage))
        .collect();
    if !own.is_empty() {
        parts.push(format!("its {}", own.join(", ")));
    }
    for (stage, nodes) in others {
        let nodes: Vec<String> = nodes.into_iter().map(str::to_owned).collect();
        parts.push(format!("{stage} of {}", names_of(&nodes)));
    }
    if !cluster.is_empty() {
        let cluster: Vec<&str> = cluster.into_iter().collect();
        parts.push(format!("the cluster's {}", cluster.join(", ")));
    }
    if takes_turns {
        parts.push("rolling, one node at a time".to_owned());
    }
    parts.extend(windows(steps));
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// In which windows nodes are changed; `None` when there is one.
fn windows(steps: &[&PlannedStep]) -> Option<String> {
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for window in steps.iter().filter_map(|planned| planned.window) {
        *sizes.entry(window).or_default() += 1;
    }
    let canary = sizes.remove(&0);
    let most = sizes.into_values().max()?;
    let first = canary.map_or_else(String::new, |canary| {
        format!("{} first, then ", count(canary, "node"))
    });
    Some(format!("rolling, {first}{} at a time", count(most, "node")))
}
