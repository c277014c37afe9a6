//! The cluster's DNS: CoreDNS, two of it on different nodes, at the tenth address of the service range.

use serde_json::{Value, json};

use super::{
    SYSTEM, SystemNodes, account, cluster_role, cluster_role_binding, image, restricted, service_account,
};
use crate::context::RenderContext;
use crate::spec::Cluster;

/// The deployment's name.
const NAME: &str = "coredns";
/// The service's name and the pods' label, as other software expects them.
const SERVICE: &str = "kube-dns";
/// CoreDNS needs no root: pods may bind port 53 without (containerd's `enable_unprivileged_ports` is on).
const USER_ID: u32 = 65532;

pub(super) fn manifests(context: &RenderContext) -> Vec<Value> {
    let nodes = SystemNodes::of(context);
    let rules = json!([
        {"apiGroups": [""], "resources": ["namespaces", "pods", "services"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]);
    vec![
        service_account(NAME),
        cluster_role("system:coredns", &rules),
        cluster_role_binding("system:coredns", "system:coredns", &account(NAME)),
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": SYSTEM},
            "data": {"Corefile": corefile(context.cluster)},
        }),
        service(context),
        deployment(context, &nodes),
        json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": NAME, "namespace": SYSTEM},
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": {"k8s-app": SERVICE}},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        }),
    ]
}

/// Names of the cluster are answered from the API and never cached; all others are asked of the file's name servers, or
/// of the node's own.
fn corefile(cluster: &Cluster) -> String {
    let domain = &cluster.network.domain;
    let servers: Vec<String> = cluster.dns.upstream.iter().map(ToString::to_string).collect();
    let upstream = if servers.is_empty() {
        "/etc/resolv.conf".to_owned()
    } else {
        servers.join(" ")
    };
    let mut text = format!(
        "\
.:53 {{
    errors
    health {{
        lameduck 5s
    }}
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus :9153
    forward . {upstream} {{
        max_concurrent 1000
    }}
    cache 30 {{
        disable success {domain}
        disable denial {domain}
    }}
    loop
    reload
    loadbalance
}}
"
    );
    if let Some(more) = &cluster.dns.extra_config {
        text.push_str(more.trim_end());
        text.push('\n');
    }
    text
}

fn service(context: &RenderContext) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": SERVICE,
            "namespace": SYSTEM,
            "labels": {
                "k8s-app": SERVICE,
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
            "annotations": {"prometheus.io/port": "9153", "prometheus.io/scrape": "true"},
        },
        "spec": {
            "clusterIP": context.cluster.dns_service_ip(),
            "selector": {"k8s-app": SERVICE},
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
                {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153},
            ],
        },
    })
}

fn deployment(context: &RenderContext, nodes: &SystemNodes) -> Value {
    let labels = json!({"k8s-app": SERVICE});
    let replicas = nodes.count.min(2);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": SYSTEM, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": replicas - 1}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": NAME,
                    "automountServiceAccountToken": true,
                    "priorityClassName": "system-cluster-critical",
                    "dnsPolicy": "Default",
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "tolerations": nodes.tolerations(),
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": USER_ID,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "topologySpreadConstraints": [{
                        "labelSelector": {"matchLabels": labels},
                        "matchLabelKeys": ["pod-template-hash"],
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "DoNotSchedule",
                    }],
                    "containers": [container(context)],
                    "volumes": [{
                        "name": "config",
                        "configMap": {"name": NAME, "items": [{"key": "Corefile", "path": "Corefile"}]},
                    }],
                },
            },
        },
    })
}

fn container(context: &RenderContext) -> Value {
    json!({
        "name": NAME,
        "image": image(context, "coredns"),
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9153, "protocol": "TCP"},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "70Mi"}, "limits": {"memory": "170Mi"}},
        "securityContext": restricted(),
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": 8181},
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": 8080},
            "initialDelaySeconds": 30,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 5,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": true}],
    })
}
