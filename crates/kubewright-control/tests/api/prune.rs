//! Objects that were deleted, changed or are no longer wanted, against a real API server.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kubewright_control::kube::client::ApiClient;
use kubewright_control::kube::objects::{ObjectChange, apply_objects, diff_objects};
use kubewright_control::kube::prune;
use kubewright_core::manifest::{CLUSTER_LABEL, mark};
use serde_json::{Value, json};

use super::control_plane::ControlPlane;
use super::namespace;

fn marked(cluster: &str, mut objects: Vec<Value>) -> Vec<Value> {
    for object in &mut objects {
        mark(object, cluster);
    }
    objects
}

fn config_map(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {"a": "1"}})
}

fn binding(name: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "nobody"}]})
}

async fn found(client: &ApiClient, cluster: &str, desired: &[Value]) -> (Vec<String>, Vec<(String, String)>) {
    let orphaned = prune::find(client, cluster, desired).await.unwrap();
    (
        orphaned.deletable.into_keys().collect(),
        orphaned.kept.into_iter().collect(),
    )
}

#[tokio::test]
async fn a_deleted_binding_and_a_changed_object_differ_until_they_are_applied() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let objects = marked(
        "drifting",
        vec![binding("test:drift"), config_map("default", "drift")],
    );
    apply_objects(&client, &objects).await.unwrap();
    let bindings: Api<ClusterRoleBinding> = Api::all(client.raw());
    bindings
        .delete("test:drift", &DeleteParams::default())
        .await
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.raw(), "default");
    let edit = Patch::Merge(json!({"data": {"a": "edited"}}));
    maps.patch("drift", &PatchParams::default(), &edit).await.unwrap();
    let differences = diff_objects(&client, &objects).await.unwrap();
    let [missing, changed] = differences.as_slice() else {
        panic!("{differences:?}");
    };
    assert_eq!(
        (missing.id.as_str(), &missing.change),
        ("ClusterRoleBinding test:drift", &ObjectChange::Missing)
    );
    assert_eq!(changed.id, "ConfigMap default/drift");
    assert!(
        matches!(&changed.change, ObjectChange::Changed { diff } if diff.contains("-  a: edited\n+  a: \"1\"")),
        "{changed:?}"
    );
    apply_objects(&client, &objects).await.unwrap();
    assert_eq!(diff_objects(&client, &objects).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_no_longer_wanted_is_deleted_and_nothing_of_others() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let objects = marked(
        "pruning",
        vec![
            namespace("pruning"),
            config_map("pruning", "ours"),
            config_map("default", "pruning"),
            binding("test:pruning"),
        ],
    );
    apply_objects(&client, &objects).await.unwrap();
    assert_eq!(found(&client, "pruning", &objects).await, (vec![], vec![]));
    assert_eq!(found(&client, "another", &[]).await, (vec![], vec![]));

    // A person's copy with our label, in our namespace.
    let copy = json!({"metadata": {"name": "copy", "labels": {CLUSTER_LABEL: "pruning"}}});
    let maps: Api<ConfigMap> = Api::namespaced(client.raw(), "pruning");
    maps.create(&PostParams::default(), &serde_json::from_value(copy).unwrap())
        .await
        .unwrap();
    let (deletable, kept) = found(&client, "pruning", &objects[3..]).await;
    assert_eq!(deletable, ["ConfigMap default/pruning", "ConfigMap pruning/ours"]);
    assert_eq!(
        kept,
        [(
            "Namespace pruning".to_owned(),
            "ConfigMap pruning/copy".to_owned()
        )]
    );

    // Only what was named, although more could go.
    let orphaned = prune::find(&client, "pruning", &[]).await.unwrap();
    let named = [
        "ConfigMap pruning/ours",
        "ClusterRoleBinding test:pruning",
        "ConfigMap pruning/copy",
    ];
    let deleted = prune::delete(&client, orphaned, &named.map(str::to_owned))
        .await
        .unwrap();
    assert_eq!(deleted, 2);
    assert!(maps.get_opt("copy").await.unwrap().is_some());
    assert_eq!(
        found(&client, "pruning", &[]).await.0,
        ["ConfigMap default/pruning"]
    );

    maps.delete("copy", &DeleteParams::default()).await.unwrap();
    let orphaned = prune::find(&client, "pruning", &[]).await.unwrap();
    let all: Vec<String> = orphaned.deletable.keys().cloned().collect();
    assert_eq!(all, ["ConfigMap default/pruning", "Namespace pruning"]);
    assert_eq!(prune::delete(&client, orphaned, &all).await.unwrap(), 2);
    // A namespace on its way out is not asked to go twice.
    assert_eq!(found(&client, "pruning", &[]).await, (vec![], vec![]));
}

#[tokio::test]
async fn a_definition_with_objects_of_others_is_kept() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.prune.kubewright.io"},
        "spec": {"group": "prune.kubewright.io", "scope": "Cluster", "names": {"kind": "Thing", "plural": "things"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    let thing = |name: &str| json!({"apiVersion": "prune.kubewright.io/v1", "kind": "Thing", "metadata": {"name": name}});
    let ours = marked("defining", vec![definition, thing("ours")]);
    apply_objects(&client, &ours).await.unwrap();
    apply_objects(&client, &marked("somebody-else", vec![thing("theirs")]))
        .await
        .unwrap();
    let (deletable, kept) = found(&client, "defining", &ours[..1]).await;
    assert_eq!((deletable, kept), (vec!["Thing ours".to_owned()], vec![]));
    let (deletable, kept) = found(&client, "defining", &[]).await;
    assert_eq!(deletable, Vec::<String>::new());
    let id = "CustomResourceDefinition things.prune.kubewright.io".to_owned();
    assert_eq!(kept, [(id, "Thing theirs".to_owned())]);
}
