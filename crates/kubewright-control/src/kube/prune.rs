//! Objects kubewright applied and no longer wants: finding them, and deleting them.
//!
//! Everything kubewright applies carries the label [`CLUSTER_LABEL`]. An object is kubewright's when it has the label
//! *and* the server's own record says that kubewright applied it: controllers and people copy labels. What would take
//! foreign things along is kept: a namespace or a definition with something in it that is not kubewright's, and volumes.
//! Deleting looks again and names the object's uid, so that a namesake made meanwhile is safe.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use kube::api::{DeleteParams, ListParams, Preconditions, PropagationPolicy};
use kubewright_core::manifest::CLUSTER_LABEL;
use serde_json::Value;

use super::client::ApiClient;
use super::kind::{self, Kind, Kinds, ObjectName};
use super::objects::{self, FIELD_MANAGER};
use super::retry::{RequestError, RetryPolicy};

/// Requests under way at once.
const AT_ONCE: usize = 16;
/// Kinds that only controllers and nodes make.
const NEVER_APPLIED: [&str; 8] = [
    "CertificateSigningRequest",
    "ControllerRevision",
    "Endpoints",
    "EndpointSlice",
    "Lease",
    "Node",
    "PodTemplate",
    "ReplicaSet",
];
/// Kinds with data in them.
const VOLUMES: [&str; 2] = ["PersistentVolume", "PersistentVolumeClaim"];
/// Namespaces every cluster has.
const PERMANENT: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
/// A group whose lists are measurements, not objects.
const MEASUREMENTS: &str = "metrics.k8s.io";

/// What is no longer wanted.
#[derive(Debug, Default)]
pub struct Orphaned {
    /// What can go, by name.
    pub deletable: BTreeMap<String, Deletable>,
    /// What stays, by name, and what it would take along.
    pub kept: BTreeMap<String, String>,
}

/// An object that can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletable {
    name: ObjectName,
    kind: Kind,
    uid: String,
}

/// What tells kubewright's own objects, and which of them are wanted.
struct Ours<'c> {
    cluster: &'c str,
    wanted: BTreeSet<Identity>,
}

/// Group, kind, namespace and name: the same object in another version of its group is the same object.
type Identity = (String, String, Option<String>, String);

impl Ours<'_> {
    /// Whether kubewright applied an object to this cluster and no longer wants it.
    fn may_go(&self, name: &ObjectName, metadata: &Value) -> bool {
        let label = metadata
            .get("labels")
            .and_then(|labels| labels.get(CLUSTER_LABEL));
        label.and_then(Value::as_str) == Some(self.cluster)
            && is_applied(metadata)
            && !self.wanted.contains(&identity(name))
    }
}

/// Looks for everything kubewright applied to this cluster that is not among `desired`.
pub async fn find(client: &ApiClient, cluster: &str, desired: &[Value]) -> Result<Orphaned, RequestError> {
    let kinds = Kinds::new(client.clone());
    let mut ours = Ours {
        cluster,
        wanted: BTreeSet::new(),
    };
    let mut looked_at = kind::all_known();
    looked_at.retain(|(_, kind, _)| !NEVER_APPLIED.contains(&kind.as_str()));
    let mut more: BTreeSet<(String, String)> = BTreeSet::new();
    for (position, object) in desired.iter().enumerate() {
        more.extend(objects::defined_kinds(object));
        let Ok(name) = ObjectName::of(object, position) else {
            continue;
        };
        more.insert((name.api_version.clone(), name.kind.clone()));
        if let Some(kind) = kinds.find(&name.api_version, &name.kind).await? {
            ours.wanted.insert(identity(&kind.place(name)));
        }
    }
    for (api_version, name) in more {
        if kind::known(&api_version, &name).is_none()
            && let Some(kind) = kinds.find(&api_version, &name).await?
        {
            looked_at.push((api_version, name, kind));
        }
    }
    let own = ListParams::default().labels(&format!("{CLUSTER_LABEL}={cluster}"));
    let lists: Vec<_> = futures::stream::iter(looked_at)
        .map(|(api_version, name, kind)| list(client, api_version, name, kind, None, &own))
        .buffer_unordered(client.at_once(AT_ONCE))
        .collect()
        .await;
    let mut candidates = BTreeMap::new();
    for found in lists {
        for (name, kind, metadata) in found? {
            if ours.may_go(&name, &metadata) && !is_going(&metadata) {
                let uid = text(&metadata, "/uid").to_owned();
                candidates.insert(name.to_string(), Deletable { name, kind, uid });
            }
        }
    }
    sort_out(client, candidates, &ours).await
}

/// Deletes what is orphaned, as far as it is named; what others need goes last. Returns how many were deleted.
pub async fn delete(
    client: &ApiClient,
    orphaned: Orphaned,
    names: &[String],
) -> Result<usize, (String, RequestError)> {
    let mut stages: [Vec<(String, Deletable)>; 3] = Default::default();
    for (name, object) in orphaned.deletable {
        if names.contains(&name) {
            stages[objects::stage(&object.name)].push((name, object));
        }
    }
    let mut deleted = 0;
    for stage in stages.into_iter().rev() {
        let outcomes: Vec<_> =
            futures::stream::iter(stage)
                .map(|(name, object)| async move {
                    delete_one(client, &object).await.map_err(|error| (name, error))
                })
                .buffered(client.at_once(AT_ONCE))
                .collect()
                .await;
        for outcome in outcomes {
            outcome?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

async fn delete_one(client: &ApiClient, object: &Deletable) -> Result<(), RequestError> {
    let collection = kube::core::Request::new(object.kind.collection(&object.name));
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions {
            uid: Some(object.uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let policy = RetryPolicy {
        repeats_conflicts: false,
        ..client.policy()
    };
    let sent = policy
        .run(|| async {
            let request = collection
                .delete(&object.name.name, &parameters)
                .map_err(kube::Error::BuildRequest)?;
            client.request::<Value>(request).await
        })
        .await;
    match sent {
        // Gone already, or replaced by another object of the name.
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Keeps what would take along what is not kubewright's.
async fn sort_out(
    client: &ApiClient,
    candidates: BTreeMap<String, Deletable>,
    ours: &Ours<'_>,
) -> Result<Orphaned, RequestError> {
    let mut orphaned = Orphaned::default();
    for (id, object) in candidates {
        let kind = object.name.kind.as_str();
        let holds = match kind {
            "Namespace" if PERMANENT.contains(&object.name.name.as_str()) => continue,
            "Namespace" => foreign_in_namespace(client, &object.name.name, ours).await?,
            "CustomResourceDefinition" => foreign_of_definition(client, &object.name, ours).await?,
            volume if VOLUMES.contains(&volume) => vec!["data".to_owned()],
            _ => Vec::new(),
        };
        match holds.as_slice() {
            [] => {
                orphaned.deletable.insert(id, object);
            }
            [one] => {
                orphaned.kept.insert(id, one.clone());
            }
            [first, rest @ ..] => {
                orphaned
                    .kept
                    .insert(id, format!("{first} and {} more", rest.len()));
            }
        }
    }
    Ok(orphaned)
}

async fn foreign_in_namespace(
    client: &ApiClient,
    namespace: &str,
    ours: &Ours<'_>,
) -> Result<Vec<String>, RequestError> {
    let mut versions = vec!["v1".to_owned()];
    let groups = client.policy().run(|| client.list_api_groups()).await?;
    let counted = groups
        .groups
        .into_iter()
        .filter(|group| group.name != MEASUREMENTS);
    versions
        .extend(counted.flat_map(|group| group.versions.into_iter().map(|version| version.group_version)));
    let kinds = Kinds::new(client.clone());
    let mut found = BTreeSet::new();
    for api_version in versions {
        match foreign_of_version(client, &kinds, &api_version, namespace, ours).await {
            Ok(foreign) => found.extend(foreign),
            // Nobody knows what is there: an API server of somebody else that is down must not cost his objects.
            Err(_) => drop(found.insert(format!("objects of {api_version}, which does not answer"))),
        }
    }
    Ok(found.into_iter().collect())
}

async fn foreign_of_version(
    client: &ApiClient,
    kinds: &Kinds,
    api_version: &str,
    namespace: &str,
    ours: &Ours<'_>,
) -> Result<Vec<String>, RequestError> {
    let everything = ListParams::default();
    let mut found = Vec::new();
    for (name, kind) in kinds.listed(api_version).await? {
        if kind.is_namespaced && !matches!(name.as_str(), "Endpoints" | "EndpointSlice" | "Event") {
            let version = api_version.to_owned();
            let listed = list(client, version, name, kind, Some(namespace), &everything).await?;
            found.extend(foreign(listed, ours));
        }
    }
    Ok(found)
}

async fn foreign_of_definition(
    client: &ApiClient,
    definition: &ObjectName,
    ours: &Ours<'_>,
) -> Result<Vec<String>, RequestError> {
    let kind = kind::known(&definition.api_version, &definition.kind);
    let Some(kind) = kind else { return Ok(Vec::new()) };
    let live = match objects::get(client, &kind, definition).await {
        Ok(live) => live,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let kinds = Kinds::new(client.clone());
    let mut found = BTreeSet::new();
    for (api_version, name) in objects::defined_kinds(&live) {
        if let Some(kind) = kinds.find(&api_version, &name).await? {
            let everything = ListParams::default();
            let listed = list(client, api_version, name, kind, None, &everything).await?;
            found.extend(foreign(listed, ours));
        }
    }
    Ok(found.into_iter().collect())
}

/// What is neither kubewright's, nor made by a controller from something that is there, nor in every namespace.
fn foreign(listed: Vec<(ObjectName, Kind, Value)>, ours: &Ours<'_>) -> Vec<String> {
    let is_foreign = |name: &ObjectName, metadata: &Value| {
        let is_made_of_another = metadata
            .pointer("/ownerReferences")
            .and_then(Value::as_array)
            .is_some_and(|owners| !owners.is_empty());
        let is_everywhere = matches!(
            (name.kind.as_str(), name.name.as_str()),
            ("ServiceAccount", "default") | ("ConfigMap", "kube-root-ca.crt")
        );
        // A volume of ours stays, and so does what it would go with.
        let goes_too = ours.may_go(name, metadata) && !VOLUMES.contains(&name.kind.as_str());
        !is_made_of_another && !is_everywhere && !goes_too
    };
    listed
        .into_iter()
        .filter(|(name, _, metadata)| is_foreign(name, metadata))
        .map(|(name, ..)| name.to_string())
        .collect()
}

/// The metadata of a kind's objects, in one namespace or all.
async fn list(
    client: &ApiClient,
    api_version: String,
    kind_name: String,
    kind: Kind,
    namespace: Option<&str>,
    parameters: &ListParams,
) -> Result<Vec<(ObjectName, Kind, Value)>, RequestError> {
    let everywhere = ObjectName {
        api_version,
        kind: kind_name,
        namespace: namespace.map(str::to_owned),
        name: String::new(),
    };
    let collection = kube::core::Request::new(kind.collection(&everywhere));
    let answer = client
        .policy()
        .run(|| async {
            let request = collection
                .list_metadata(parameters)
                .map_err(kube::Error::BuildRequest)?;
            client.request::<Value>(request).await
        })
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        // A kind this server does not serve has no objects.
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let items = answer.get("items").and_then(Value::as_array);
    let found = items.into_iter().flatten().filter_map(|item| {
        let metadata = item.get("metadata")?;
        let namespace = text(metadata, "/namespace");
        let name = ObjectName {
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: text(metadata, "/name").to_owned(),
            ..everywhere.clone()
        };
        Some((name, kind.clone(), metadata.clone()))
    });
    Ok(found.collect())
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn identity(name: &ObjectName) -> Identity {
    let group = name.api_version.rsplit_once('/').map_or("", |(group, _)| group);
    (
        group.to_owned(),
        name.kind.clone(),
        name.namespace.clone(),
        name.name.clone(),
    )
}

/// Whether the server's record says that kubewright applied the object.
fn is_applied(metadata: &Value) -> bool {
    let entries = metadata.pointer("/managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().any(|entry| {
        text(entry, "/manager") == FIELD_MANAGER
            && text(entry, "/operation") == "Apply"
            && text(entry, "/subresource").is_empty()
    })
}

fn is_going(metadata: &Value) -> bool {
    !text(metadata, "/deletionTimestamp").is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_with_a_copied_label_is_not_kubewrights() {
        let managed = |manager: &str, operation: &str| json!({"managedFields": [{"manager": manager, "operation": operation}]});
        assert!(is_applied(&managed("kubewright", "Apply")));
        assert!(!is_applied(&managed("kube-controller-manager", "Update")));
        assert!(!is_applied(&managed("kubewright", "Update")));
        assert!(!is_applied(&json!({})));
    }

    #[test]
    fn what_a_namespace_always_has_or_controllers_made_is_not_foreign() {
        let item = |kind: &str, name: &str, metadata: Value| {
            let name = ObjectName {
                api_version: "v1".to_owned(),
                kind: kind.to_owned(),
                namespace: Some("n".to_owned()),
                name: name.to_owned(),
            };
            let kind = Kind {
                plural: String::new(),
                is_namespaced: true,
            };
            (name, kind, metadata)
        };
        let managed = json!({"labels": {CLUSTER_LABEL: "prod"},
            "managedFields": [{"manager": "kubewright", "operation": "Apply"}]});
        let listed = vec![
            item("ServiceAccount", "default", json!({})),
            item("ConfigMap", "kube-root-ca.crt", json!({})),
            item("Pod", "a-1", json!({"ownerReferences": [{"name": "a"}]})),
            item("Secret", "ours", managed.clone()),
            item("Secret", "wanted", managed.clone()),
            item("PersistentVolumeClaim", "ours", managed),
            item("Secret", "theirs", json!({})),
        ];
        let mut ours = Ours {
            cluster: "prod",
            wanted: BTreeSet::new(),
        };
        ours.wanted.insert(identity(&listed[4].0));
        assert_eq!(
            foreign(listed, &ours),
            [
                "Secret n/wanted",
                "PersistentVolumeClaim n/ours",
                "Secret n/theirs"
            ]
        );
    }

    /// An API server that answers by path, one request per connection; what it does not know it forbids.
    async fn server(answers: BTreeMap<&'static str, Value>) -> ApiClient {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    request.push(byte);
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default().split('?').next();
                let (status, body) = match path.and_then(|path| answers.get(path)) {
                    Some(body) => ("200 OK", body.to_string()),
                    None => (
                        "403 Forbidden",
                        json!({"code": 403, "reason": "Forbidden"}).to_string(),
                    ),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await;
            }
        });
        let client = kube::Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
        ApiClient::new(client, crate::pace::Pace::default())
    }

    #[tokio::test]
    async fn a_namespace_is_kept_while_somebody_elses_api_server_does_not_say_what_is_in_it() {
        let version = |version: &str| json!({"groupVersion": version, "version": version});
        let group = |name: &str, versions: [Value; 1]| json!({"name": name, "versions": versions});
        let groups = json!({"kind": "APIGroupList", "groups": [
            group("metrics.k8s.io", [version("metrics.k8s.io/v1")]),
            group("theirs.example", [version("theirs.example/v1")])]});
        let core = json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [{"name": "secrets",
            "singularName": "secret", "namespaced": true, "kind": "Secret", "verbs": ["list"]}]});
        let secrets = json!({"items": [{"metadata": {"name": "a", "namespace": "n"}}]});
        let client = server(BTreeMap::from([
            ("/apis", groups),
            ("/api/v1", core),
            ("/api/v1/namespaces/n/secrets", secrets),
        ]))
        .await;
        let ours = Ours {
            cluster: "prod",
            wanted: BTreeSet::new(),
        };
        assert_eq!(
            foreign_in_namespace(&client, "n", &ours).await.unwrap(),
            [
                "Secret n/a",
                "objects of theirs.example/v1, which does not answer"
            ]
        );
    }
}
