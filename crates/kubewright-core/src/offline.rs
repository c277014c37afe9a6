//! A cluster nobody has looked at: blank machines, no authorities, no artifacts at hand.
//!
//! It is what `plan --offline` plans for, and what the golden trees show.

use std::collections::BTreeMap;

use crate::catalogue::Release;
use crate::manifest::manifests;
use crate::observed::{Change, Difference, Observed, ObservedNode, UnitAction};
use crate::plan::allocate_pod_ranges;
use crate::render::{Artifacts, RenderContext, RenderError, render};
use crate::resource::{NodeState, Resource};
use crate::spec::Cluster;

/// What blank machines are to become.
#[derive(Debug)]
pub struct Blank {
    /// What every node is to have.
    pub states: BTreeMap<String, NodeState>,
    /// Names of all objects the cluster is to have.
    pub objects: Vec<String>,
    /// Blank machines, as an observation would show them.
    pub observed: Observed,
}

/// Renders a cluster for blank machines.
///
/// # Errors
/// [`RenderError`] when a node cannot be rendered.
pub fn blank(cluster: &Cluster, release: &Release) -> Result<Blank, RenderError> {
    let pod_cidrs = allocate_pod_ranges(cluster, &Observed::default()).unwrap_or_default();
    let context = RenderContext {
        cluster,
        release,
        platforms: &BTreeMap::new(),
        pod_cidrs: &pod_cidrs,
        authorities: &BTreeMap::new(),
        service_account_public_key: "",
        secrets: &BTreeMap::new(),
        artifacts: &Artifacts::unresolved(),
        agents: &BTreeMap::new(),
        etcd_bootstrap: true,
    };
    let mut states = BTreeMap::new();
    let mut observed = Observed::default();
    for node in &cluster.nodes {
        let state = render(&context, node.name.as_str())?;
        let differences = state
            .resources
            .iter()
            .map(|staged| missing(&staged.resource))
            .collect();
        observed.nodes.insert(
            node.name.to_string(),
            ObservedNode {
                differences,
                ..ObservedNode::default()
            },
        );
        states.insert(node.name.to_string(), state);
    }
    let objects = manifests(&context).iter().map(object_name).collect();
    Ok(Blank {
        states,
        objects,
        observed,
    })
}

/// How a resource differs on a blank machine.
fn missing(resource: &Resource) -> Difference {
    let change = match resource {
        Resource::Unit(_) => Change::Unit {
            before: None,
            enable: true,
            action: UnitAction::Start,
            found: Vec::new(),
        },
        _ => Change::Missing,
    };
    Difference {
        resource: resource.id(),
        change,
    }
}

/// Returns `Kind namespace/name`, as people know an object.
pub fn object_name(object: &serde_json::Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(serde_json::Value::as_str);
    let (kind, name) = (
        text("/kind").unwrap_or_default(),
        text("/metadata/name").unwrap_or_default(),
    );
    match text("/metadata/namespace") {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}
