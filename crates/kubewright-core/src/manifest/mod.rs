//! What is in the cluster: permissions, DNS, metrics, and the nodes' own objects.
//!
//! Built from values, applied by server-side apply in one batch, in the order given: what others refer to comes
//! first. The user's own manifests are not here; they are files and come after these.

mod access;
mod dns;
mod label;
mod metrics;
mod nodes;
mod own_node;

use serde_json::{Value, json};

pub use label::{CLUSTER_LABEL, mark, object_name};
pub use nodes::{NodeObject, node_objects};

use crate::context::RenderContext;

/// The group of administrators' certificates; a binding makes it cluster administrator.
pub const ADMIN_GROUP: &str = "kubewright:admins";
/// The group of the API servers' certificates towards kubelets.
pub const KUBELET_API_GROUP: &str = "kubewright:kubelet-api-clients";
/// The group of the node-local API proxies.
pub const API_PROXY_GROUP: &str = "kubewright:api-proxies";
/// The group of flannel's daemons.
pub const FLANNEL_GROUP: &str = "kubewright:flannel";

const SYSTEM: &str = "kube-system";

/// The cluster's own objects, in the order in which they are applied.
pub fn manifests(context: &RenderContext) -> Vec<Value> {
    let mut all = access::manifests(context.cluster);
    all.extend(dns::manifests(context));
    all.extend(metrics::manifests(context));
    for object in &mut all {
        object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "kubewright".into();
    }
    all
}

/// How many nodes may run the cluster's own pods, and whether these are all control planes.
struct SystemNodes {
    count: usize,
    are_tainted: bool,
}

impl SystemNodes {
    fn of(context: &RenderContext) -> Self {
        let workers = context.cluster.workers().count();
        Self {
            count: if workers == 0 {
                context.cluster.nodes.len()
            } else {
                workers
            },
            are_tainted: workers == 0,
        }
    }

    /// Add-ons for nodes that may be few, and control planes if there are no workers.
    fn tolerations(&self) -> Vec<Value> {
        let mut all = vec![json!({"key": "CriticalAddonsOnly", "operator": "Exists"})];
        if self.are_tainted {
            all.push(json!({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}));
        }
        all
    }
}

fn image(context: &RenderContext, name: &str) -> String {
    context
        .release
        .image(name)
        .map_or(String::new(), |image| image.reference)
}

fn service_account(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": SYSTEM},
        "automountServiceAccountToken": false,
    })
}

fn cluster_role(name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    })
}

fn cluster_role_binding(name: &str, role: &str, subject: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    })
}

fn group(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name})
}

fn account(name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": SYSTEM})
}

/// What a container of ours may do: nothing beyond its work.
fn restricted() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
    })
}
