//! The objects the smoke test brings: a namespace, one pod per node, two services.
//!
//! The pods pass Pod Security's strictest profile, so the namespace asks for it: nothing here needs a privilege.

use serde_json::{Value, json};

use super::image::{PORT, ProbeImage};

/// The service in front of the pods; also its name in DNS.
pub(super) const SERVICE: &str = "probe";
/// The service without an address of its own.
pub(super) const HEADLESS: &str = "probe-headless";
/// The container's name.
pub(super) const CONTAINER: &str = "probe";
/// The label of everything here.
const LABEL: &str = "kubewright.io/smoke";
/// The label that tells which attempt at an image a pod belongs to.
const ATTEMPT: &str = "kubewright.io/smoke-attempt";

pub(super) fn namespace_name(random: [u8; 4]) -> String {
    format!("kubewright-smoke-{:08x}", u32::from_be_bytes(random))
}

pub(super) fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {
            LABEL: "true",
            "pod-security.kubernetes.io/enforce": "restricted",
        }},
    })
}

/// Selects the pods of one attempt.
pub(super) fn selector(attempt: usize) -> String {
    format!("{ATTEMPT}={attempt}")
}

pub(super) fn daemon_set_name(attempt: usize) -> String {
    format!("probe-{attempt}")
}

/// One pod on every node, control planes and cordoned nodes included.
pub(super) fn daemon_set(namespace: &str, image: &ProbeImage, attempt: usize) -> Value {
    let labels = json!({LABEL: "true", ATTEMPT: attempt.to_string()});
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": daemon_set_name(attempt), "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "tolerations": [{"operator": "Exists"}],
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    // Nothing is lost with them, and the end need not wait.
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": CONTAINER,
                        "image": image.reference,
                        "imagePullPolicy": "IfNotPresent",
                        "args": image.serve(),
                        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
                        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
                        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "capabilities": {"drop": ["ALL"]},
                            "readOnlyRootFilesystem": true,
                        },
                    }],
                },
            },
        },
    })
}

pub(super) fn services(namespace: &str) -> [Value; 2] {
    let service = |name: &str, port: u16, more: Value| {
        let mut spec = json!({
            "selector": {LABEL: "true"},
            "ports": [{"name": "http", "port": port, "targetPort": "http", "protocol": "TCP"}],
        });
        if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "labels": {LABEL: "true"}},
            "spec": spec,
        })
    };
    [
        service(SERVICE, 80, json!({"type": "NodePort"})),
        service(HEADLESS, PORT, json!({"clusterIP": "None"})),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespaces_name_is_a_dns_label() {
        assert_eq!(namespace_name([0, 0xab, 1, 2]), "kubewright-smoke-00ab0102");
    }

    #[test]
    fn the_services_select_the_pods_of_every_attempt() {
        let pods = daemon_set("n", &ProbeImage::upstream(), 1);
        let labels = pods["spec"]["template"]["metadata"]["labels"]
            .as_object()
            .unwrap();
        for service in services("n") {
            for (key, value) in service["spec"]["selector"].as_object().unwrap() {
                assert_eq!(labels.get(key), Some(value));
            }
        }
    }
}
