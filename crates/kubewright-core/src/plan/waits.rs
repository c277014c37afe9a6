//! What steps wait for, in words: their own node's earlier steps, other nodes', the cluster's.

use std::collections::{BTreeMap, BTreeSet};

use super::PlannedStep;
use super::text::names_of;

/// What some steps that read the same wait for; `None` when they begin at once.
pub(super) fn told(steps: &[&PlannedStep]) -> Option<String> {
    let (mut own, mut cluster) = (BTreeSet::new(), BTreeSet::new());
    let mut others: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut takes_turns = false;
    for planned in steps {
        takes_turns |= !planned.in_turn.is_empty() && planned.step.node().is_some();
        let itself = planned.step.node().unwrap_or("cluster");
        for id in planned.after.iter().filter(|id| !planned.in_turn.contains(id)) {
            let (node, stage) = id.0.split_once('/').unwrap_or(("cluster", &id.0));
            if node == "cluster" {
                cluster.insert(stage);
            } else if node == itself {
                own.insert(stage);
            } else {
                others.entry(stage).or_default().insert(node);
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
        parts.push("the one before, one node after the other".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}
