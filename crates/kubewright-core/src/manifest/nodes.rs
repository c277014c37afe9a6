//! The nodes' own objects: labels, taints and pod ranges, made before the kubelets start.
//!
//! A kubelet that finds its node there is Ready at once, and the network finds its range: nothing waits for anything.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::context::RenderContext;
use crate::spec::{Cidr, Taint};

/// What kubewright says about a node in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeObject {
    /// The node's name.
    pub name: String,
    /// Labels: the user's and the roles'.
    pub labels: BTreeMap<String, String>,
    /// Taints, sorted.
    pub taints: Vec<Taint>,
    /// The node's pod range; it cannot change once it is set.
    pub pod_cidr: Option<Cidr>,
}

impl NodeObject {
    /// The object as it is created.
    pub fn manifest(&self) -> Value {
        let mut spec = json!({});
        if let Some(range) = self.pod_cidr {
            spec["podCIDR"] = range.to_string().into();
            spec["podCIDRs"] = json!([range]);
        }
        if !self.taints.is_empty() {
            spec["taints"] = self.taints.iter().map(taint).collect();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.name, "labels": self.labels},
            "spec": spec,
        })
    }
}

fn taint(taint: &Taint) -> Value {
    let mut value = json!({"key": taint.key, "effect": taint.effect.as_str()});
    if !taint.value.is_empty() {
        value["value"] = taint.value.as_str().into();
    }
    value
}

/// Every node's object, in the order of cluster.yaml.
pub fn node_objects(context: &RenderContext) -> Vec<NodeObject> {
    context
        .cluster
        .nodes
        .iter()
        .map(|node| {
            let mut labels = node.labels.clone();
            let mut role =
                |name: &str| labels.insert(format!("node-role.kubernetes.io/{name}"), String::new());
            if node.is_control_plane() {
                role("control-plane");
            }
            if node.is_worker() {
                role("worker");
            }
            if node.is_control_plane() && !node.is_worker() {
                // Load balancers of services leave it alone.
                let key = "node.kubernetes.io/exclude-from-external-load-balancers";
                labels.insert(key.to_owned(), String::new());
            }
            NodeObject {
                name: node.name.to_string(),
                labels,
                taints: node.effective_taints(),
                pod_cidr: context.pod_cidrs.get(node.name.as_str()).copied(),
            }
        })
        .collect()
}
