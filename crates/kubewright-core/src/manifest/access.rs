//! Who may do what: bindings for the identities that kubewright's certificates name.

use serde_json::{Value, json};

use super::own_node;
use super::{
    ADMIN_GROUP, API_PROXY_GROUP, FLANNEL_GROUP, KUBELET_API_GROUP, cluster_role, cluster_role_binding, group,
};
use crate::spec::{Cluster, Cni};

/// The roles and bindings of a cluster.
pub(super) fn manifests(cluster: &Cluster) -> Vec<Value> {
    let mut all = vec![
        cluster_role_binding("kubewright:admins", "cluster-admin", &group(ADMIN_GROUP)),
        cluster_role_binding(
            "kubewright:kubelet-api-clients",
            "system:kubelet-api-admin",
            &group(KUBELET_API_GROUP),
        ),
        // Kubelets renew their client certificate by a request for their own name, approved by the controller manager.
        cluster_role_binding(
            "kubewright:approve-node-certificate-renewal",
            "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
            &group("system:nodes"),
        ),
    ];
    all.extend(api_proxy());
    if cluster.network.cni == Cni::Flannel {
        all.extend(flannel());
        all.extend(own_node::policy());
    }
    all
}

/// The proxies learn which API servers there are from the endpoints of the `kubernetes` service.
fn api_proxy() -> [Value; 2] {
    let metadata = json!({"name": "kubewright:api-proxy", "namespace": "default"});
    [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": [{
                "apiGroups": ["discovery.k8s.io"],
                "resources": ["endpointslices"],
                "verbs": ["get", "list", "watch"],
            }],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": "kubewright:api-proxy",
            },
            "subjects": [group(API_PROXY_GROUP)],
        }),
    ]
}

/// flannel reads pod ranges from nodes and writes its own node's addresses into annotations.
fn flannel() -> [Value; 2] {
    let rules = json!([
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
    ]);
    [
        cluster_role("kubewright:flannel", &rules),
        cluster_role_binding("kubewright:flannel", "kubewright:flannel", &group(FLANNEL_GROUP)),
    ]
}
