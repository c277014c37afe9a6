//! A cluster nobody has looked at: blank machines, no authorities, no artifacts at hand.
//!
//! It is what `plan --offline` plans for, and what the golden trees show.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::catalogue::Release;
use crate::desired::Desired;
use crate::founding::etcd_starts;
use crate::observed::{Change, Difference, Observed, ObservedNode, UnitAction};
use crate::plan::allocate_pod_ranges;
use crate::render::{Artifacts, RenderContext, RenderError};
use crate::resource::Resource;
use crate::spec::Cluster;

/// What blank machines are to become.
#[derive(Debug)]
pub struct Blank {
    /// What the cluster is to have.
    pub desired: Desired,
    /// Blank machines, as an observation would show them.
    pub observed: Observed,
}

/// Renders a cluster for blank machines; `addons` are the objects of its add-ons.
///
/// # Errors
/// [`RenderError`] when a node cannot be rendered.
pub fn blank(cluster: &Cluster, release: &Release, addons: Vec<Value>) -> Result<Blank, RenderError> {
    let pod_cidrs = allocate_pod_ranges(cluster, &Observed::default()).unwrap_or_default();
    let context = RenderContext {
        cluster,
        release,
        cluster_id: "",
        platforms: &BTreeMap::new(),
        pod_cidrs: &pod_cidrs,
        authorities: &BTreeMap::new(),
        service_account_public_key: "",
        secrets: &BTreeMap::new(),
        artifacts: &Artifacts::unresolved(),
        agents: &BTreeMap::new(),
        etcd: &etcd_starts(cluster, &Observed::default()),
    };
    let desired = Desired::of(&context, addons)?;
    let mut observed = Observed::default();
    for (name, state) in &desired.states {
        let resources = state.resources.iter();
        let blank = ObservedNode {
            differences: resources.map(|staged| missing(&staged.resource)).collect(),
            ..ObservedNode::default()
        };
        observed.nodes.insert(name.clone(), blank);
    }
    Ok(Blank { desired, observed })
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
