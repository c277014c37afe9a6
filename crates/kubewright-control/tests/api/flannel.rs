//! flannel's identity of one worker, as whoever has root there can use it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kubewright_control::kube::objects::apply_objects;
use kubewright_core::catalogue::release;
use kubewright_core::manifest::manifests;
use kubewright_core::observed::Observed;
use kubewright_core::plan::allocate_pod_ranges;
use kubewright_core::render::{Artifacts, RenderContext};
use kubewright_core::spec::parse;
use serde_json::{Value, json};

use super::control_plane::ControlPlane;

const CLUSTER: &str = "apiVersion: kubewright/v1alpha1
kind: Cluster
metadata: { name: prod }
spec:
  nodes:
    - { name: cp-1, address: 192.0.2.11, roles: [control-plane] }
    - { name: w-1, address: 192.0.2.21, roles: [worker] }
    - { name: w-2, address: 192.0.2.22, roles: [worker] }
";

/// The objects of a cluster that are about flannel, as they are applied.
fn objects() -> Vec<Value> {
    let cluster = parse(CLUSTER, "cluster.yaml").unwrap().spec;
    let context = RenderContext {
        cluster: &cluster,
        release: &release(&cluster.kubernetes).unwrap(),
        platforms: &BTreeMap::new(),
        pod_cidrs: &allocate_pod_ranges(&cluster, &Observed::default()).unwrap(),
        authorities: &BTreeMap::new(),
        service_account_public_key: "",
        secrets: &BTreeMap::new(),
        artifacts: &Artifacts::unresolved(),
        agents: &BTreeMap::new(),
        cluster_id: "",
        etcd: &BTreeMap::new(),
    };
    let is_flannels = |object: &Value| object["metadata"]["name"].as_str().unwrap().contains("flannel");
    manifests(&context).into_iter().filter(is_flannels).collect()
}

/// Two workers as their kubelets and flannel keep them.
async fn register(nodes: &Api<Node>) {
    for (name, address) in [("flannel-1", "192.0.2.21"), ("flannel-2", "192.0.2.22")] {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {
            "name": name, "labels": {"disk": "ssd"}, "annotations": {"theirs": "1"}}});
        let node = serde_json::from_value(node).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
        let status = json!({
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [
                {"type": "Ready", "status": "True"},
                {"type": "NetworkUnavailable", "status": "True"},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        });
        patch(nodes, name, json!({"status": status})).await.unwrap();
    }
}

async fn patch(nodes: &Api<Node>, name: &str, patch: Value) -> Result<Node, kube::Error> {
    let patch = Patch::Strategic(patch);
    nodes.patch_status(name, &PatchParams::default(), &patch).await
}

fn endpoint(address: &str) -> Value {
    json!({"metadata": {"annotations": {
        "flannel.alpha.coreos.com/backend-data": "{\"VtepMAC\":\"aa:bb:cc:dd:ee:ff\"}",
        "flannel.alpha.coreos.com/public-ip": address,
    }}})
}

#[tokio::test]
async fn flannel_changes_what_it_writes_at_its_own_node_and_nothing_else() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let admin: Api<Node> = Api::all(plane.client().raw());
    let objects = objects();
    // Role, its binding, policy, its binding.
    assert_eq!(objects.len(), 4);
    apply_objects(&plane.client(), &objects).await.unwrap();
    register(&admin).await;
    let flannel = plane.client_of("kubewright:flannel:flannel-1", "kubewright:flannel");
    let flannel: Api<Node> = Api::all(flannel.raw());
    let denied = |name: &'static str, change: Value, message: &'static str| {
        let flannel = flannel.clone();
        async move {
            match patch(&flannel, name, change).await {
                Ok(_) => false,
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.contains(message), "{error}");
                    true
                }
            }
        }
    };
    // A policy holds a moment after it was written.
    let others = "flannel changes its own node only";
    let enforced = async {
        while !denied("flannel-2", endpoint("192.0.2.66"), others).await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), enforced)
        .await
        .unwrap();

    patch(&flannel, "flannel-1", endpoint("192.0.2.21"))
        .await
        .unwrap();
    let up = json!({"status": {"conditions": [
        {"type": "NetworkUnavailable", "status": "False", "reason": "FlannelIsUp"}]}});
    patch(&flannel, "flannel-1", up).await.unwrap();
    let seen = admin.get("flannel-1").await.unwrap();
    let conditions = seen.status.unwrap().conditions.unwrap();
    assert!(
        conditions
            .iter()
            .any(|one| one.reason.as_deref() == Some("FlannelIsUp"))
    );

    let labels = "flannel changes no labels of its node";
    let annotations = "flannel changes its own annotations only";
    let status = "flannel changes conditions of its node's status only";
    let condition = "flannel changes the condition NetworkUnavailable only";
    for (change, message) in [
        (json!({"metadata": {"labels": {"disk": "hdd"}}}), labels),
        (json!({"metadata": {"labels": {"more": "1"}}}), labels),
        (json!({"metadata": {"finalizers": ["example.org/kept"]}}), labels),
        (json!({"metadata": {"annotations": {"theirs": "2"}}}), annotations),
        (
            json!({"metadata": {"annotations": {"theirs": null}}}),
            annotations,
        ),
        (json!({"metadata": {"annotations": {"more": "1"}}}), annotations),
        (
            json!({"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.66"}]}}),
            status,
        ),
        (
            json!({"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}}),
            status,
        ),
        (json!({"status": {"capacity": {"cpu": "64"}}}), status),
        (
            json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
            condition,
        ),
        (
            json!({"status": {"conditions": [{"type": "More", "status": "True"}]}}),
            condition,
        ),
    ] {
        let told = change.to_string();
        assert!(denied("flannel-1", change, message).await, "{told}");
    }
    // An identity without a node in its name changes none.
    let nameless = Api::<Node>::all(plane.client_of("somebody", "kubewright:flannel").raw());
    let refused = patch(&nameless, "flannel-1", endpoint("192.0.2.66")).await;
    assert!(refused.unwrap_err().to_string().contains(others));
}
