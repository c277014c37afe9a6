//! What waits until a control plane that cannot be reached is back.
//!
//! While one is away no other may be disturbed, so everything that restarts a part of another one waits, together with what
//! that part reads: a process that ends by itself meanwhile has to find what it was started with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::waits::names_of;
use crate::carrier::{Disturbance, disturbance};
use crate::observed::Difference;
use crate::resource::{NodeState, Resource, ResourceId, Stage};
use crate::shown::count;

/// Changes of a control plane that wait for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deferred {
    /// The control plane that is not changed.
    pub node: String,
    /// The unreachable control planes that are waited for.
    pub waits_for: Vec<String>,
    /// It is to join etcd, which is all that waits; otherwise what would restart a part of it does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joins: bool,
    /// What would restart a part of it, and what that part reads; all of it when it is to join.
    pub differences: Vec<Difference>,
}

/// Those differences of a control plane that must not be repaired while another one is away.
pub(super) fn disturbing(state: &NodeState, differences: &[Difference]) -> BTreeSet<ResourceId> {
    let stages = state.stages();
    let is_part = |difference: &&Difference| {
        let stage = stages.get(&difference.resource);
        matches!(stage, Some(Stage::Etcd | Stage::ControlPlane))
            && disturbance(difference) != Disturbance::None
    };
    let units: BTreeSet<&ResourceId> = differences
        .iter()
        .filter(is_part)
        .map(|difference| &difference.resource)
        .collect();
    let read = state
        .resources
        .iter()
        .filter_map(|staged| match &staged.resource {
            Resource::Unit(unit) if units.contains(&staged.resource.id()) => Some(&unit.inputs),
            _ => None,
        });
    let read: BTreeSet<&ResourceId> = read.flatten().collect();
    let waits = differences
        .iter()
        .map(|difference| &difference.resource)
        .filter(|id| units.contains(id) || read.contains(id));
    waits.cloned().collect()
}

/// What waits, one line for control planes of which the same number waits for the same ones.
pub fn told(deferred: &[Deferred]) -> String {
    let mut lines: BTreeMap<(bool, &[String], usize), Vec<String>> = BTreeMap::new();
    for one in deferred {
        let key = (one.joins, one.waits_for.as_slice(), one.differences.len());
        lines.entry(key).or_default().push(one.node.clone());
    }
    lines
        .into_iter()
        .fold(String::new(), |mut text, ((joins, waits_for, changes), nodes)| {
            let each = if nodes.len() > 1 { " each" } else { "" };
            let (nodes, waits_for) = (names_of(&nodes), names_of(waits_for));
            let changes = count(changes, "change");
            if joins {
                let _ = writeln!(
                    text,
                    "{nodes}: joining etcd, {changes}{each}, waits for {waits_for} to be healthy"
                );
                return text;
            }
            let _ = writeln!(
                text,
                "{nodes}: {changes}{each} that restart a part of the control plane wait for {waits_for}"
            );
            text
        })
}
