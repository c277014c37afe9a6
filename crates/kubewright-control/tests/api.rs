//! The Kubernetes side of the controller against a real API server.
//!
//! Needs the components of a lab: `KUBEWRIGHT_COMPONENTS=<directory> cargo test -p kubewright-control --test api`.
//! Without them every test says that it is skipped.

#![expect(
    clippy::unwrap_used,
    reason = "what a test needs and does not get ends the test"
)]

#[path = "api/control_plane.rs"]
mod control_plane;
#[path = "api/flannel.rs"]
mod flannel;
#[path = "api/lease.rs"]
mod lease;
#[path = "api/prune.rs"]
mod prune;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use control_plane::ControlPlane;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use kubewright_control::etcd::EtcdClient;
use kubewright_control::kube::client::ApiClient;
use kubewright_control::kube::nodes::{NodeChange, diff_nodes, list_nodes, register_nodes};
use kubewright_control::kube::objects::{ObjectChange, apply_objects, diff_objects};
use kubewright_control::kube::token::{TokenOptions, issue_token};
use kubewright_control::kube::wait;
use kubewright_control::smoke::{self, NodeAccess, ProbeImage, SmokeEvent, SmokeNode, SmokeOptions, Stream};
use kubewright_core::manifest::NodeObject;
use serde_json::{Value, json};

/// Everything here is run on tasks that move between threads.
#[expect(dead_code, reason = "it only has to compile")]
fn futures_can_be_sent(client: &ApiClient, smoke: &SmokeOptions, access: &dyn NodeAccess) {
    fn is_send(_: impl Send) {}
    is_send(apply_objects(client, &[]));
    is_send(diff_objects(client, &[]));
    is_send(register_nodes(client, &[]));
    is_send(wait::deployment_available(client, "", "", LIMIT));
    is_send(wait::nodes_ready(client, &[], LIMIT));
    is_send(wait::unavailable_deployments(client, &[]));
    is_send(smoke::run(client, smoke, access, &|_| {}, std::future::pending()));
}

const LIMIT: Duration = Duration::from_secs(60);

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn deployment(namespace: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace, "labels": {"app": "web"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{
                    "name": "web", "image": image, "ports": [{"containerPort": 8080, "name": "http"}],
                    "resources": {"requests": {"cpu": "0.1", "memory": "64Mi"}},
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}],
                    "volumes": [{"name": "tmp", "emptyDir": {}}]}}},
    })
}

async fn ids(client: &ApiClient, objects: &[Value]) -> Vec<String> {
    diff_objects(client, objects)
        .await
        .unwrap()
        .into_iter()
        .map(|difference| difference.id)
        .collect()
}

#[tokio::test]
async fn applied_objects_do_not_differ_and_changed_ones_show_what() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let objects = [
        deployment("objects", "example.org/web:1"),
        namespace("objects"),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "objects"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "test:reader"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
    ];
    assert_eq!(
        ids(&client, &objects).await,
        [
            "Deployment objects/web",
            "Namespace objects",
            "Service objects/web",
            "ClusterRole test:reader"
        ]
    );
    apply_objects(&client, &objects).await.unwrap();
    assert_eq!(ids(&client, &objects).await, Vec::<String>::new());

    let changed = [deployment("objects", "example.org/web:2")];
    let differences = diff_objects(&client, &changed).await.unwrap();
    let [difference] = differences.as_slice() else {
        panic!("{differences:?}");
    };
    let ObjectChange::Changed { diff } = &difference.change else {
        panic!("{difference:?}");
    };
    assert!(
        diff.contains("-      - image: example.org/web:1\n+      - image: example.org/web:2\n"),
        "{diff}"
    );
    assert_eq!(
        diff.lines().filter(|line| line.starts_with('+')).count(),
        1,
        "{diff}"
    );
    apply_objects(&client, &changed).await.unwrap();
    assert_eq!(ids(&client, &changed).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_field_no_longer_wanted_differs_and_is_taken_away() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let with = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fields"}, "data": data});
    apply_objects(&client, &[with(json!({"a": "1", "b": "2"}))])
        .await
        .unwrap();
    let api: Api<ConfigMap> = Api::namespaced(client.raw(), "default");
    let theirs = Patch::Merge(json!({"data": {"theirs": "3"}}));
    api.patch("fields", &PatchParams::default(), &theirs)
        .await
        .unwrap();

    let wanted = [with(json!({"a": "1"}))];
    assert_eq!(ids(&client, &wanted).await, ["ConfigMap default/fields"]);
    apply_objects(&client, &wanted).await.unwrap();
    assert_eq!(ids(&client, &wanted).await, Vec::<String>::new());
    let data = api.get("fields").await.unwrap().data.unwrap();
    assert_eq!(
        data,
        BTreeMap::from([
            ("a".to_owned(), "1".to_owned()),
            ("theirs".to_owned(), "3".to_owned())
        ])
    );
}

#[tokio::test]
async fn a_kind_and_its_objects_go_in_one_batch() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let objects = [
        json!({"apiVersion": "test.kubewright.io/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3}}),
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.test.kubewright.io"},
            "spec": {"group": "test.kubewright.io", "scope": "Cluster",
                "names": {"kind": "Widget", "plural": "widgets"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "properties": {"spec": {"type": "object",
                    "properties": {"size": {"type": "integer"}}}}}}}]}}),
    ];
    assert_eq!(
        ids(&client, &objects).await,
        ["Widget w", "CustomResourceDefinition widgets.test.kubewright.io"]
    );
    apply_objects(&client, &objects).await.unwrap();
    assert_eq!(ids(&client, &objects).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_error_names_each_object_and_the_others_are_done() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let objects = [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "good"}, "data": {"a": "1"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bad"}, "dta": {"a": "1"}}),
        json!({"apiVersion": "nobody.example/v1", "kind": "Gadget", "metadata": {"name": "g"}}),
    ];
    let error = apply_objects(&client, &objects).await.unwrap_err().to_string();
    assert!(
        error.contains("apply 1 of 3 objects:\n  ConfigMap bad: "),
        "{error}"
    );
    assert!(error.contains(".dta: field not declared in schema"), "{error}");
    let error = apply_objects(&client, &objects[2..])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Gadget g: the API server has no kind `Gadget` in `nobody.example/v1`"),
        "{error}"
    );
    assert_eq!(ids(&client, &objects[..1]).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_secret_is_encrypted_in_etcd_and_hidden_in_differences() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let secret = |value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "canary"}, "stringData": {"password": value}});
    apply_objects(&client, &[secret("canary-one")]).await.unwrap();
    let raw = plane
        .etcd()
        .value("/registry/secrets/default/canary")
        .await
        .unwrap()
        .unwrap();
    assert!(raw.expose().starts_with(b"k8s:enc:secretbox:v1:k1:"));
    assert_eq!(ids(&client, &[secret("canary-one")]).await, Vec::<String>::new());
    let differences = format!(
        "{:?}",
        diff_objects(&client, &[secret("canary-two")]).await.unwrap()
    );
    assert!(differences.contains("(hidden, changes)"), "{differences}");
    // `canary-two` and `canary-one` as they are in the object, in base64.
    for hidden in ["canary-", "Y2FuYXJ5LW9uZQ", "Y2FuYXJ5LXR3bw"] {
        assert!(!differences.contains(hidden), "{differences}");
    }
    assert!(plane.etcd().value("/registry/nothing").await.unwrap().is_none());
}

#[tokio::test]
async fn etcd_tells_members_status_and_health() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let etcd = plane.etcd();
    etcd.health().await.unwrap();
    let members = etcd.members().await.unwrap();
    let status = etcd.status().await.unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].name.as_str(), members[0].is_learner), ("test", false));
    assert_eq!((status.member_id, status.leader), (members[0].id, members[0].id));
    assert!(status.version.starts_with("3.") && status.database_bytes > 0 && status.errors.is_empty());
}

fn node(name: &str, labels: &[&str], taints: &[&str]) -> NodeObject {
    NodeObject {
        name: name.to_owned(),
        labels: labels
            .iter()
            .map(|key| ((*key).to_owned(), String::new()))
            .collect(),
        taints: taints.iter().map(|taint| taint.parse().unwrap()).collect(),
        pod_cidr: Some("10.244.7.0/24".parse().unwrap()),
    }
}

#[tokio::test]
async fn nodes_are_created_completed_and_cleaned_of_what_was_ours() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let api: Api<Node> = Api::all(client.raw());
    let role = "node-role.kubernetes.io/control-plane";
    let first = [node(
        "n-1",
        &[role, "disk"],
        &[
            "node-role.kubernetes.io/control-plane:NoSchedule",
            "a=b:NoExecute",
        ],
    )];
    assert_eq!(
        diff_nodes(&client, &first).await.unwrap()[0].change,
        NodeChange::Missing
    );
    assert_eq!(register_nodes(&client, &first).await.unwrap(), ["n-1"]);
    assert_eq!(diff_nodes(&client, &first).await.unwrap(), []);
    assert_eq!(
        register_nodes(&client, &first).await.unwrap(),
        Vec::<String>::new()
    );

    let theirs = Patch::Merge(json!({"metadata": {"labels": {"theirs": "x"}}}));
    api.patch("n-1", &PatchParams::default(), &theirs).await.unwrap();
    let second = [node(
        "n-1",
        &[role],
        &["node-role.kubernetes.io/control-plane:NoSchedule"],
    )];
    assert_eq!(register_nodes(&client, &second).await.unwrap(), ["n-1"]);
    assert_eq!(diff_nodes(&client, &second).await.unwrap(), []);
    let nodes = list_nodes(&client).await.unwrap();
    let record = nodes.iter().find(|record| record.name == "n-1").unwrap();
    assert!(record.labels.contains_key("theirs") && record.labels.contains_key(role));
    assert!(!record.labels.contains_key("disk"));
    assert!(
        record
            .taints
            .contains(&"node-role.kubernetes.io/control-plane:NoSchedule".to_owned())
    );
    assert!(
        !record.taints.iter().any(|taint| taint.starts_with("a=")),
        "{:?}",
        record.taints
    );
    assert_eq!(record.pod_cidr.as_deref(), Some("10.244.7.0/24"));
    assert!(!record.ready);

    let wait = wait::nodes_ready(&client, &["n-1".to_owned()], Duration::from_millis(300)).await;
    let message = wait.unwrap_err().to_string();
    assert!(
        message.contains("until node n-1 is Ready; last seen: n-1: "),
        "{message}"
    );
    api.delete("n-1", &DeleteParams::default()).await.unwrap();
}

/// Pods can be made in a namespace when it has its `default` service account.
async fn service_account(client: &ApiClient, namespace: &str) {
    let api: Api<ServiceAccount> = Api::namespaced(client.raw(), namespace);
    let asking = async {
        while api.get_opt("default").await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LIMIT, asking).await.unwrap();
}

#[tokio::test]
async fn waiting_ends_when_the_server_tells_or_says_what_is_missing() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let error = wait::deployment_available(&client, "default", "nothing", Duration::from_millis(300)).await;
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("last seen: there is no such deployment"),
        "{message}"
    );

    apply_objects(
        &client,
        &[namespace("waiting"), deployment("waiting", "example.org/web:1")],
    )
    .await
    .unwrap();
    service_account(&client, "waiting").await;
    let error = wait::deployment_available(&client, "waiting", "web", Duration::from_secs(3)).await;
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("last seen: 0 of 2 replicas available") && message.contains("\n  pod web-"),
        "{message}"
    );
    let late = wait::unavailable_deployments(&client, &[("waiting", "web")])
        .await
        .unwrap();
    assert!(
        late["waiting/web"].starts_with("0 of 2 replicas available"),
        "{late:?}"
    );
}

#[tokio::test]
async fn a_token_is_issued_for_an_account_that_was_not_there() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let options = TokenOptions {
        name: "robot".to_owned(),
        namespace: "default".to_owned(),
        cluster_admin: true,
        lifetime: Duration::from_secs(3600),
    };
    let token = issue_token(&client, &options).await.unwrap();
    assert!(token.token.expose().starts_with(b"ey"));
    let left = token.expires.as_second() - jiff::Timestamp::now().as_second();
    assert!((3000..=3700).contains(&left), "{left}");
}

/// A cluster without kubelets: only etcd can be looked at.
struct EtcdOnly(EtcdClient);

impl NodeAccess for EtcdOnly {
    fn connect<'a>(&'a self, _: &'a str, _: SocketAddr) -> BoxFuture<'a, Result<Box<dyn Stream>, String>> {
        Box::pin(async { Err("no nodes".to_owned()) })
    }

    fn etcd_value<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        Box::pin(async move {
            let value = self.0.value(key).await.map_err(|error| error.to_string())?;
            Ok(value.map(|value| value.expose().to_vec()))
        })
    }

    fn kill_proxy<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Err("no proxy".to_owned()) })
    }

    fn proxy_answers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

fn smoke_options(pods_limit: Duration) -> SmokeOptions {
    SmokeOptions {
        nodes: vec![SmokeNode {
            name: "nobody".to_owned(),
            address: Ipv4Addr::LOCALHOST.into(),
            is_control_plane: true,
        }],
        images: vec![ProbeImage::upstream()],
        domain: "cluster.local".to_owned(),
        encryption_prefix: Some("k8s:enc:secretbox:v1:".to_owned()),
        pods_limit,
    }
}

#[tokio::test]
async fn a_smoke_test_tries_everything_says_what_failed_and_leaves_nothing() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let access = EtcdOnly(plane.etcd());
    let options = smoke_options(Duration::from_secs(2));
    let results = smoke::run(&client, &options, &access, &|_| {}, std::future::pending()).await;
    let outcomes: Vec<_> = results
        .iter()
        .map(|result| (result.name.as_str(), result.ok))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("namespace", true),
            ("pods on every node", false),
            ("encryption at rest", true),
            ("node-local proxy", false),
            ("cleanup", true),
        ]
    );
    assert!(
        results[1].detail.starts_with("nobody: no pod"),
        "{}",
        results[1].detail
    );
    assert_eq!(results[2].detail, "k8s:enc:secretbox:v1:k1");
    assert_eq!(results[3].detail, "nobody: no proxy");
    let namespaces: Api<Namespace> = Api::all(client.raw());
    assert!(namespaces.get_opt(&results[0].detail).await.unwrap().is_none());
}

#[tokio::test]
async fn a_smoke_test_that_is_stopped_cleans_up_all_the_same() {
    let Some(plane) = ControlPlane::get().await else {
        return;
    };
    let client = plane.client();
    let access = EtcdOnly(plane.etcd());
    let (started, pods_started) = tokio::sync::watch::channel(false);
    let report = move |event: SmokeEvent<'_>| {
        if let SmokeEvent::Started {
            check: "pods on every node",
        } = event
        {
            started.send_replace(true);
        }
    };
    let mut pods_started = pods_started;
    let stop = async move {
        let _ = pods_started.wait_for(|started| *started).await;
    };
    let results = smoke::run(&client, &smoke_options(LIMIT), &access, &report, stop).await;
    let outcomes: Vec<_> = results
        .iter()
        .map(|result| (result.name.as_str(), result.ok))
        .collect();
    assert_eq!(outcomes, [("interrupted", false), ("cleanup", true)]);
}
