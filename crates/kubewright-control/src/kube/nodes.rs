//! Node objects: reading them, and seeing that labels, taints and pod ranges are as wanted.
//!
//! A Node has many owners: its kubelet, the controllers, the administrator. So nothing is applied as a whole: labels
//! and taints are compared one by one ([`NodeChange`]), and what kubewright set is remembered in annotations, so that
//! it takes away only what it gave. Objects of nodes whose kubelet has not started yet are created beforehand, which
//! saves the kubelet its registration.

mod change;

use std::collections::BTreeMap;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Node;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use kubewright_core::manifest::NodeObject;
use serde::Serialize;

pub use change::{MANAGED_LABELS, MANAGED_TAINTS, NodeChange, PodRangeConflict};

use super::client::ApiClient;
use super::objects::FIELD_MANAGER;
use super::retry::{RequestError, RetryPolicy};

/// Requests under way at once.
const AT_ONCE: usize = 16;
/// How often a Node that changes while it is being changed is read again.
const CONFLICTS_BORNE: usize = 8;

/// A node as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRecord {
    /// Its name.
    pub name: String,
    /// Whether its kubelet reports Ready.
    pub ready: bool,
    /// Why it is not, in the kubelet's or the controllers' words; empty when it is.
    pub reason: String,
    /// The kubelet's version, as in `v1.36.3`; empty before the kubelet has reported.
    pub version: String,
    /// Its pod range.
    pub pod_cidr: Option<String>,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// All taints, as in `key=value:Effect`.
    pub taints: Vec<String>,
    /// Its addresses by kind, as in `InternalIP`.
    pub addresses: BTreeMap<String, Vec<String>>,
    /// Whether new pods are kept off it.
    pub unschedulable: bool,
}

impl From<&Node> for NodeRecord {
    fn from(node: &Node) -> Self {
        let spec = node.spec.as_ref();
        let status = node.status.as_ref();
        let (ready, reason) = readiness(node);
        let mut addresses = BTreeMap::<String, Vec<String>>::new();
        for address in status
            .and_then(|status| status.addresses.as_ref())
            .into_iter()
            .flatten()
        {
            addresses
                .entry(address.type_.clone())
                .or_default()
                .push(address.address.clone());
        }
        Self {
            name: node.name_any(),
            ready,
            reason,
            version: status
                .and_then(|status| status.node_info.as_ref())
                .map(|info| info.kubelet_version.clone())
                .unwrap_or_default(),
            pod_cidr: spec
                .and_then(|spec| spec.pod_cidr.clone())
                .filter(|range| !range.is_empty()),
            labels: node.labels().clone(),
            taints: spec
                .and_then(|spec| spec.taints.as_ref())
                .into_iter()
                .flatten()
                .map(change::taint_text)
                .collect(),
            addresses,
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
        }
    }
}

/// Tells whether a node is Ready and, if not, why.
pub(super) fn readiness(node: &Node) -> (bool, String) {
    let condition = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "Ready");
    match condition {
        None => (false, "its kubelet has not reported yet".to_owned()),
        Some(condition) if condition.status == "True" => (true, String::new()),
        Some(condition) => {
            let words = [condition.reason.as_deref(), condition.message.as_deref()];
            let said: Vec<_> = words
                .into_iter()
                .flatten()
                .filter(|text| !text.is_empty())
                .collect();
            (false, said.join(": "))
        }
    }
}

/// How one node's object differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDifference {
    /// The node.
    pub name: String,
    /// What registering would do.
    pub change: NodeChange,
}

/// Node objects that could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum NodesError {
    /// The list of nodes could not be read.
    #[error("list the nodes")]
    List {
        /// What happened.
        #[source]
        source: RequestError,
    },
    /// One node could not be created or changed.
    #[error("register node {node}")]
    Register {
        /// The node.
        node: String,
        /// What happened.
        #[source]
        source: RequestError,
    },
    /// A node has a pod range already and it is another one.
    #[error("node {node}")]
    PodRange {
        /// The node.
        node: String,
        /// Both ranges.
        #[source]
        source: PodRangeConflict,
    },
}

/// Lists all nodes, by name.
pub async fn list_nodes(client: &ApiClient) -> Result<Vec<NodeRecord>, NodesError> {
    let mut nodes: Vec<_> = list(client).await?.iter().map(NodeRecord::from).collect();
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(nodes)
}

/// Tells how the Node objects differ from `desired`, in its order.
pub async fn diff_nodes(
    client: &ApiClient,
    desired: &[NodeObject],
) -> Result<Vec<NodeDifference>, NodesError> {
    let live: BTreeMap<String, Node> = list(client)
        .await?
        .into_iter()
        .map(|node| (node.name_any(), node))
        .collect();
    let mut differences = Vec::new();
    for wanted in desired {
        let change = change_of(wanted, live.get(&wanted.name))?;
        differences.extend(change.map(|change| NodeDifference {
            name: wanted.name.clone(),
            change,
        }));
    }
    Ok(differences)
}

/// Creates and completes Node objects; returns the names of those that were changed, in the order of `desired`.
pub async fn register_nodes(client: &ApiClient, desired: &[NodeObject]) -> Result<Vec<String>, NodesError> {
    let differences = diff_nodes(client, desired).await?;
    let wanted: Vec<NodeObject> = desired
        .iter()
        .filter(|wanted| {
            differences
                .iter()
                .any(|difference| difference.name == wanted.name)
        })
        .cloned()
        .collect();
    let outcomes: Vec<Result<Option<String>, NodesError>> = futures::stream::iter(wanted)
        .map(|wanted| async move {
            let is_changed = register(client, &wanted).await?;
            Ok(is_changed.then_some(wanted.name))
        })
        .buffered(client.at_once(AT_ONCE))
        .collect()
        .await;
    let changed: Result<Vec<_>, _> = outcomes.into_iter().collect();
    Ok(changed?.into_iter().flatten().collect())
}

/// Reads one node and changes it, again if another client changed it in between.
async fn register(client: &ApiClient, wanted: &NodeObject) -> Result<bool, NodesError> {
    let api: Api<Node> = Api::all(client.raw());
    let error = |source| NodesError::Register {
        node: wanted.name.clone(),
        source,
    };
    let handing_back_conflicts = RetryPolicy {
        repeats_conflicts: false,
        ..client.policy()
    };
    let mut conflicts = 0;
    loop {
        let live = client
            .policy()
            .run(|| api.get_opt(&wanted.name))
            .await
            .map_err(error)?;
        let Some(change) = change_of(wanted, live.as_ref())? else {
            return Ok(false);
        };
        let sent = match change {
            NodeChange::Missing => {
                let node = change::new_node(wanted);
                let parameters = PostParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PostParams::default()
                };
                handing_back_conflicts
                    .run(|| api.create(&parameters, &node))
                    .await
            }
            NodeChange::Changed { patch, .. } => {
                let parameters = PatchParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PatchParams::default()
                };
                // It carries the version it was made from: a conflict is answered by looking again.
                let patch = Patch::Merge(patch);
                handing_back_conflicts
                    .run(|| api.patch(&wanted.name, &parameters, &patch))
                    .await
            }
        };
        match sent {
            Ok(_) => return Ok(true),
            Err(conflict) if conflict.is_conflict() && conflicts < CONFLICTS_BORNE => conflicts += 1,
            Err(source) => return Err(error(source)),
        }
    }
}

fn change_of(wanted: &NodeObject, live: Option<&Node>) -> Result<Option<NodeChange>, NodesError> {
    change::between(wanted, live).map_err(|source| NodesError::PodRange {
        node: wanted.name.clone(),
        source,
    })
}

async fn list(client: &ApiClient) -> Result<Vec<Node>, NodesError> {
    let api: Api<Node> = Api::all(client.raw());
    let parameters = ListParams::default();
    let list = client
        .policy()
        .run(|| api.list(&parameters))
        .await
        .map_err(|source| NodesError::List { source })?;
    Ok(list.items)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_tells_why_a_node_is_not_ready() {
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": "w-1", "labels": {"a": "b"}},
            "spec": {"podCIDR": "10.244.3.0/24", "taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "192.0.2.21"}],
                "conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady",
                    "message": "cni plugin not initialized"}],
            },
        }))
        .unwrap();
        let record = NodeRecord::from(&node);
        assert!(!record.ready);
        assert_eq!(record.reason, "KubeletNotReady: cni plugin not initialized");
        assert_eq!(record.pod_cidr.as_deref(), Some("10.244.3.0/24"));
        assert_eq!(record.taints, ["k:NoSchedule"]);
        assert_eq!(record.addresses["InternalIP"], ["192.0.2.21"]);
    }

    #[test]
    fn a_node_without_a_kubelet_says_so() {
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "w-1"}})).unwrap();
        assert_eq!(NodeRecord::from(&node).reason, "its kubelet has not reported yet");
    }
}
