//! The resource metrics API: what `kubectl top` and autoscalers read.
//!
//! Kubelets' certificates are verified against the cluster's authority, which every namespace has in a ConfigMap.
//! The API server does not verify metrics-server's own certificate, which it makes for itself at each start.

use serde_json::{Value, json};

use super::{
    SYSTEM, SystemNodes, account, cluster_role, cluster_role_binding, image, restricted, service_account,
};
use crate::context::RenderContext;

const NAME: &str = "metrics-server";
const PORT: u16 = 10250;

pub(super) fn manifests(context: &RenderContext) -> Vec<Value> {
    let nodes = SystemNodes::of(context);
    let own = json!([
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "list", "watch"]},
    ]);
    vec![
        service_account(NAME),
        cluster_role("system:metrics-server", &own),
        cluster_role_binding("system:metrics-server", "system:metrics-server", &account(NAME)),
        cluster_role_binding(
            "system:metrics-server:auth-delegator",
            "system:auth-delegator",
            &account(NAME),
        ),
        readers(),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "system:metrics-server:authentication-reader", "namespace": SYSTEM},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": "extension-apiserver-authentication-reader",
            },
            "subjects": [account(NAME)],
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": SYSTEM, "labels": {"k8s-app": NAME}},
            "spec": {
                "selector": {"k8s-app": NAME},
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": PORT}],
            },
        }),
        deployment(context, &nodes),
        json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": true,
                "service": {"name": NAME, "namespace": SYSTEM, "port": 443},
            },
        }),
    ]
}

/// Users who may view a cluster may see its metrics.
fn readers() -> Value {
    let rules = json!([{
        "apiGroups": ["metrics.k8s.io"],
        "resources": ["pods", "nodes"],
        "verbs": ["get", "list", "watch"],
    }]);
    let mut role = cluster_role("system:aggregated-metrics-reader", &rules);
    role["metadata"]["labels"] = json!({
        "rbac.authorization.k8s.io/aggregate-to-admin": "true",
        "rbac.authorization.k8s.io/aggregate-to-edit": "true",
        "rbac.authorization.k8s.io/aggregate-to-view": "true",
    });
    role
}

fn deployment(context: &RenderContext, nodes: &SystemNodes) -> Value {
    let labels = json!({"k8s-app": NAME});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": SYSTEM, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": NAME,
                    "automountServiceAccountToken": true,
                    "priorityClassName": "system-cluster-critical",
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "tolerations": nodes.tolerations(),
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": 1000,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container(context)],
                    "volumes": [
                        {"name": "tmp", "emptyDir": {}},
                        {"name": "cluster-ca", "configMap": {"name": "kube-root-ca.crt"}},
                    ],
                },
            },
        },
    })
}

fn container(context: &RenderContext) -> Value {
    json!({
        "name": NAME,
        "image": image(context, "metrics-server"),
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "--cert-dir=/tmp",
            format!("--secure-port={PORT}"),
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-use-node-status-port",
            "--kubelet-certificate-authority=/etc/kubernetes/cluster-ca/ca.crt",
            "--metric-resolution=15s",
        ],
        "ports": [{"name": "https", "containerPort": PORT, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}},
        "securityContext": restricted(),
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "https", "scheme": "HTTPS"},
            "initialDelaySeconds": 10,
            "periodSeconds": 2,
        },
        "livenessProbe": {
            "httpGet": {"path": "/livez", "port": "https", "scheme": "HTTPS"},
            "initialDelaySeconds": 30,
            "periodSeconds": 10,
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "cluster-ca", "mountPath": "/etc/kubernetes/cluster-ca", "readOnly": true},
        ],
    })
}
