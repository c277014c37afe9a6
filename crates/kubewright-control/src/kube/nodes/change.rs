//! What has to change on one Node object: values in, a patch out.
//!
//! A label or taint is kubewright's when it is wanted now or is written in the object's own memory of what was set
//! before; everything else belongs to others and is not touched.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, NodeSpec, Taint as LiveTaint};
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use kubewright_core::manifest::NodeObject;
use kubewright_core::spec::Taint;
use serde_json::{Map, Value, json};

/// The annotation with the keys of the labels kubewright set, sorted, separated by commas.
pub const MANAGED_LABELS: &str = "kubewright.io/managed-labels";
/// The annotation with the taints kubewright set, as `key:Effect`, sorted, separated by commas.
pub const MANAGED_TAINTS: &str = "kubewright.io/managed-taints";

/// What registering a node would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeChange {
    /// Create the object.
    Missing,
    /// Change it.
    Changed {
        /// What changes, one line each, as in `+ label disk=ssd` or `- taint dedicated:NoSchedule`.
        lines: Vec<String>,
        /// The merge patch, valid for the version of the object it was made from.
        patch: Value,
    },
}

/// A node's pod range cannot be changed once it is set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "its pod range is {live} and cannot become {wanted}; use {live} for it, or delete the Node object after draining it"
)]
pub struct PodRangeConflict {
    /// The range it has.
    pub live: String,
    /// The range it was to have.
    pub wanted: String,
}

/// Compares; `None` when nothing has to change.
pub(super) fn between(
    wanted: &NodeObject,
    live: Option<&Node>,
) -> Result<Option<NodeChange>, PodRangeConflict> {
    let Some(live) = live else {
        return Ok(Some(NodeChange::Missing));
    };
    let mut lines = Vec::new();
    let mut spec = Map::new();
    let labels = label_patch(wanted, live, &mut lines);
    if let Some(taints) = taint_patch(wanted, live, &mut lines) {
        spec.insert("taints".to_owned(), taints);
    }
    if let Some(range) = pod_range_patch(wanted, live)? {
        lines.push(format!("+ pod range {range}"));
        spec.insert("podCIDR".to_owned(), json!(range));
        spec.insert("podCIDRs".to_owned(), json!([range]));
    }
    let annotations: Map<String, Value> = memory(wanted)
        .into_iter()
        .filter(|(key, value)| live.annotations().get(key) != Some(value))
        .map(|(key, value)| (key, Value::from(value)))
        .collect();
    if labels.is_empty() && spec.is_empty() && annotations.is_empty() {
        return Ok(None);
    }
    if lines.is_empty() {
        lines.push("  remember which labels and taints are kubewright's".to_owned());
    }
    let mut metadata = Map::new();
    // Taints are replaced as a whole: never over another client's change.
    metadata.insert("resourceVersion".to_owned(), json!(live.resource_version()));
    for (field, value) in [("labels", labels), ("annotations", annotations)] {
        if !value.is_empty() {
            metadata.insert(field.to_owned(), Value::Object(value));
        }
    }
    let mut patch = json!({ "metadata": metadata });
    if !spec.is_empty() {
        patch["spec"] = Value::Object(spec);
    }
    Ok(Some(NodeChange::Changed { lines, patch }))
}

/// Returns the object of a node that is not there yet.
pub(super) fn new_node(wanted: &NodeObject) -> Node {
    Node {
        metadata: ObjectMeta {
            name: Some(wanted.name.clone()),
            labels: Some(wanted.labels.clone()),
            annotations: Some(memory(wanted)),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            pod_cidr: wanted.pod_cidr.map(|range| range.to_string()),
            pod_cidrs: wanted.pod_cidr.map(|range| vec![range.to_string()]),
            taints: Some(wanted.taints.iter().map(live_taint).collect()),
            ..NodeSpec::default()
        }),
        ..Node::default()
    }
}

/// Writes a live taint as `key=value:Effect`.
pub(super) fn taint_text(taint: &LiveTaint) -> String {
    match taint.value.as_deref() {
        None | Some("") => format!("{}:{}", taint.key, taint.effect),
        Some(value) => format!("{}={value}:{}", taint.key, taint.effect),
    }
}

fn live_taint(taint: &Taint) -> LiveTaint {
    LiveTaint {
        key: taint.key.clone(),
        value: Some(taint.value.clone()).filter(|value| !value.is_empty()),
        effect: taint.effect.as_str().to_owned(),
        time_added: None,
    }
}

/// What identifies a taint: two of one key and effect cannot be on a node.
fn identity(taint: &LiveTaint) -> String {
    format!("{}:{}", taint.key, taint.effect)
}

fn memory(wanted: &NodeObject) -> BTreeMap<String, String> {
    let labels: Vec<_> = wanted.labels.keys().cloned().collect();
    let taints: BTreeSet<_> = wanted
        .taints
        .iter()
        .map(|taint| identity(&live_taint(taint)))
        .collect();
    BTreeMap::from([
        (MANAGED_LABELS.to_owned(), labels.join(",")),
        (
            MANAGED_TAINTS.to_owned(),
            taints.into_iter().collect::<Vec<_>>().join(","),
        ),
    ])
}

fn remembered(live: &Node, annotation: &str) -> BTreeSet<String> {
    live.annotations()
        .get(annotation)
        .into_iter()
        .flat_map(|text| text.split(','))
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
        .collect()
}

fn label_patch(wanted: &NodeObject, live: &Node, lines: &mut Vec<String>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (key, value) in &wanted.labels {
        match live.labels().get(key) {
            Some(present) if present == value => continue,
            Some(present) => lines.push(format!("~ label {key}={present} becomes {value}")),
            None => lines.push(format!("+ label {}", label_text(key, value))),
        }
        patch.insert(key.clone(), json!(value));
    }
    for key in remembered(live, MANAGED_LABELS) {
        if let Some(present) = live.labels().get(&key)
            && !wanted.labels.contains_key(&key)
        {
            lines.push(format!("- label {}", label_text(&key, present)));
            patch.insert(key, Value::Null);
        }
    }
    patch
}

fn label_text(key: &str, value: &str) -> String {
    if value.is_empty() {
        key.to_owned()
    } else {
        format!("{key}={value}")
    }
}

/// Returns the whole new list of taints, if it has to change.
fn taint_patch(wanted: &NodeObject, live: &Node, lines: &mut Vec<String>) -> Option<Value> {
    let present: &[LiveTaint] = live
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default();
    let ours = remembered(live, MANAGED_TAINTS);
    let mut missing: BTreeMap<String, LiveTaint> = wanted
        .taints
        .iter()
        .map(live_taint)
        .map(|taint| (identity(&taint), taint))
        .collect();
    let mut taints = Vec::new();
    let mut changes = Vec::new();
    for taint in present {
        let identity = identity(taint);
        match missing.remove(&identity) {
            Some(wanted) if taint_text(&wanted) != taint_text(taint) => {
                changes.push(format!(
                    "~ taint {} becomes {}",
                    taint_text(taint),
                    taint_text(&wanted)
                ));
                taints.push(wanted);
            }
            None if ours.contains(&identity) => changes.push(format!("- taint {}", taint_text(taint))),
            _ => taints.push(taint.clone()),
        }
    }
    for taint in missing.into_values() {
        changes.push(format!("+ taint {}", taint_text(&taint)));
        taints.push(taint);
    }
    if changes.is_empty() {
        return None;
    }
    lines.append(&mut changes);
    Some(json!(taints))
}

fn pod_range_patch(wanted: &NodeObject, live: &Node) -> Result<Option<String>, PodRangeConflict> {
    let present = live
        .spec
        .as_ref()
        .and_then(|spec| spec.pod_cidr.as_deref())
        .filter(|range| !range.is_empty());
    match (wanted.pod_cidr.map(|range| range.to_string()), present) {
        (None, _) => Ok(None),
        (Some(wanted), None) => Ok(Some(wanted)),
        (Some(wanted), Some(live)) if wanted == live => Ok(None),
        (Some(wanted), Some(live)) => Err(PodRangeConflict {
            live: live.to_owned(),
            wanted,
        }),
    }
}

#[cfg(test)]
mod tests;
