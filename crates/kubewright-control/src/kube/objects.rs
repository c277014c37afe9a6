//! The objects kubewright keeps in a cluster: how they differ, and making them so.
//!
//! Both go by server-side apply, so that what other managers set on the same object stays theirs: a dry run tells what
//! an apply would do, by the server's own rules. Where the live object already proves that nothing would change, the dry
//! run is spared. All objects are one batch, worked on side by side; an error names its object, and one failing object
//! does not keep the others from being tried.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{GetParams, Patch, PatchParams};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::client::ApiClient;
use super::difference;
use super::kind::{Kind, Kinds, ObjectName, UnnamedObject};
use super::ownership;
use super::prediction;
use super::retry::RequestError;
use super::watch::{self, Selection, Verdict};

/// The name kubewright sets fields under.
pub const FIELD_MANAGER: &str = "kubewright";

/// Requests under way at once. More gain nothing on the smallest control planes.
const AT_ONCE: usize = 16;
/// How long a kind may take to be served after its definition was applied.
const KIND_SERVED_WITHIN: Duration = Duration::from_secs(30);
/// Discovery has no watch: how often it is asked for a kind that is about to be served.
const KIND_ASKED_EVERY: Duration = Duration::from_millis(200);

/// How one object differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectDifference {
    /// Which object, as in `Deployment kube-system/coredns`.
    pub id: String,
    /// What applying would do.
    pub change: ObjectChange,
}

/// What applying an object would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectChange {
    /// Create it.
    Missing,
    /// Change fields.
    Changed {
        /// A unified diff of the fields; a Secret's values are hidden.
        diff: String,
    },
}

/// One object that could not be compared or applied.
#[derive(Debug)]
pub struct ObjectFailure {
    /// Which object.
    pub id: String,
    /// What happened.
    pub cause: ObjectFailureCause,
}

/// Why an object could not be compared or applied.
#[derive(Debug, thiserror::Error)]
pub enum ObjectFailureCause {
    /// The server did not accept it, or did not answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The server does not serve the kind.
    #[error(
        "the API server has no kind `{kind}` in `{api_version}`; add its CustomResourceDefinition to the manifests"
    )]
    UnknownKind {
        /// As in `example.org/v1`.
        api_version: String,
        /// As in `Widget`.
        kind: String,
    },
    /// A definition was applied but the server did not take it into service.
    #[error("the definition is not established: {last_seen}")]
    NotEstablished {
        /// Its conditions.
        last_seen: String,
    },
}

/// Objects that could not be compared or applied.
// The text of each failure is the server's own and says what to change in the object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// An object without a name.
    #[error(transparent)]
    Unnamed(#[from] UnnamedObject),
    /// The same object twice, so that the outcome would be chance.
    #[error("{id} appears twice; remove one of them")]
    Twice {
        /// Which object.
        id: String,
    },
    /// Some objects failed; the others were done.
    #[error("{doing} {} of {of} objects:{}", .failures.len(), lines(.failures))]
    Failed {
        /// `compare` or `apply`.
        doing: &'static str,
        /// How many objects there were.
        of: usize,
        /// Those that failed, by name.
        failures: Vec<ObjectFailure>,
    },
}

impl fmt::Display for ObjectFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.id, self.cause)
    }
}

fn lines(failures: &[ObjectFailure]) -> String {
    let lines: Vec<_> = failures.iter().map(|failure| format!("\n  {failure}")).collect();
    lines.concat()
}

/// An object with its name.
struct Item {
    name: ObjectName,
    object: Value,
}

/// Tells how the live objects differ from `objects`, in their order; an empty answer means applying changes nothing.
///
/// Objects of a kind the server does not know yet are missing.
pub async fn diff_objects(
    client: &ApiClient,
    objects: &[Value],
) -> Result<Vec<ObjectDifference>, ObjectsError> {
    let items = items(objects)?;
    let kinds = Kinds::new(client.clone());
    let of = items.len();
    let differences: Vec<_> = futures::stream::iter(items)
        .map(|item| {
            let kinds = &kinds;
            async move {
                let id = item.name.to_string();
                match diff_object(client, kinds, item).await {
                    Ok(change) => Ok(change.map(|(id, change)| ObjectDifference { id, change })),
                    Err(error) => Err(ObjectFailure {
                        id,
                        cause: error.into(),
                    }),
                }
            }
        })
        .buffered(client.at_once(AT_ONCE))
        .collect()
        .await;
    Ok(gather("compare", of, differences)?
        .into_iter()
        .flatten()
        .collect())
}

/// Makes the live objects what `objects` say, taking over fields others hold.
///
/// Namespaces, definitions and priority classes go first, then what workloads need, then everything else; within each
/// the objects go side by side.
pub async fn apply_objects(client: &ApiClient, objects: &[Value]) -> Result<(), ObjectsError> {
    let items = items(objects)?;
    let kinds = Kinds::new(client.clone());
    let of = items.len();
    let defined: BTreeSet<(String, String)> = items
        .iter()
        .flat_map(|item| defined_kinds(&item.object))
        .collect();
    let mut stages: [Vec<Item>; 3] = Default::default();
    for item in items {
        stages[stage(&item.name)].push(item);
    }
    for stage in stages {
        let outcomes: Vec<_> = futures::stream::iter(stage)
            .map(|item| {
                let (kinds, defined) = (&kinds, &defined);
                async move {
                    let id = item.name.to_string();
                    apply_object(client, kinds, defined, item)
                        .await
                        .map_err(|cause| ObjectFailure { id, cause })
                }
            })
            .buffered(client.at_once(AT_ONCE))
            .collect()
            .await;
        gather("apply", of, outcomes)?;
    }
    Ok(())
}

fn gather<T>(
    doing: &'static str,
    of: usize,
    outcomes: Vec<Result<T, ObjectFailure>>,
) -> Result<Vec<T>, ObjectsError> {
    let mut done = Vec::with_capacity(outcomes.len());
    let mut failures = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(value) => done.push(value),
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() {
        Ok(done)
    } else {
        Err(ObjectsError::Failed { doing, of, failures })
    }
}

/// Names every object; a `List` stands for its items.
fn items(objects: &[Value]) -> Result<Vec<Item>, ObjectsError> {
    let mut items: Vec<Item> = Vec::new();
    let mut seen = BTreeSet::new();
    let flat = objects.iter().flat_map(|object| {
        let listed = match (object.get("kind").and_then(Value::as_str), object.get("items")) {
            (Some(kind), Some(Value::Array(items))) if kind.ends_with("List") => Some(items.as_slice()),
            _ => None,
        };
        listed.unwrap_or(std::slice::from_ref(object))
    });
    for (index, object) in flat.enumerate() {
        let name = ObjectName::of(object, index + 1)?;
        if !seen.insert(name.clone()) {
            return Err(ObjectsError::Twice { id: name.to_string() });
        }
        items.push(Item {
            name,
            object: difference::without_server_fields(object.clone()),
        });
    }
    Ok(items)
}

pub(super) fn stage(name: &ObjectName) -> usize {
    match name.kind.as_str() {
        "Namespace" | "CustomResourceDefinition" | "PriorityClass" => 0,
        "ServiceAccount" | "ConfigMap" | "Secret" | "ClusterRole" | "ClusterRoleBinding" | "Role"
        | "RoleBinding" => 1,
        _ => 2,
    }
}

/// Returns the kinds a CustomResourceDefinition makes the server serve.
pub(super) fn defined_kinds(object: &Value) -> Vec<(String, String)> {
    if object.get("kind").and_then(Value::as_str) != Some("CustomResourceDefinition") {
        return Vec::new();
    }
    let text = |pointer| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (group, kind) = (text("/spec/group"), text("/spec/names/kind"));
    object
        .pointer("/spec/versions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|version| version.get("name").and_then(Value::as_str))
        .map(|version| (format!("{group}/{version}"), kind.to_owned()))
        .collect()
}

async fn diff_object(
    client: &ApiClient,
    kinds: &Kinds,
    item: Item,
) -> Result<Option<(String, ObjectChange)>, RequestError> {
    let Some(kind) = kinds.find(&item.name.api_version, &item.name.kind).await? else {
        return Ok(Some((item.name.to_string(), ObjectChange::Missing)));
    };
    let name = kind.place(item.name);
    let parameters = PatchParams::apply(FIELD_MANAGER).force().dry_run();
    let change = prediction::change(
        || get(client, &kind, &name),
        || patch(client, &kind, &name, &parameters, &item.object),
        |live| ownership::is_bootstrapped(live, &item.object, FIELD_MANAGER),
    );
    match change.await {
        Ok(diff) => Ok(diff.map(|diff| (name.to_string(), ObjectChange::Changed { diff }))),
        Err(error) if error.is_not_found() => Ok(Some((name.to_string(), ObjectChange::Missing))),
        Err(error) => Err(error),
    }
}

async fn apply_object(
    client: &ApiClient,
    kinds: &Kinds,
    defined: &BTreeSet<(String, String)>,
    item: Item,
) -> Result<(), ObjectFailureCause> {
    let kind = served_kind(kinds, defined, &item.name).await?;
    let name = kind.place(item.name);
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    patch(client, &kind, &name, &parameters, &item.object).await?;
    if name.kind == "CustomResourceDefinition" {
        established(client, &name.name).await?;
    }
    Ok(())
}

/// Finds a kind; one that was just defined may take a moment.
async fn served_kind(
    kinds: &Kinds,
    defined: &BTreeSet<(String, String)>,
    name: &ObjectName,
) -> Result<Kind, ObjectFailureCause> {
    let end = Instant::now() + KIND_SERVED_WITHIN;
    loop {
        if let Some(kind) = kinds.find(&name.api_version, &name.kind).await? {
            return Ok(kind);
        }
        let is_defined = defined.contains(&(name.api_version.clone(), name.kind.clone()));
        if !is_defined || Instant::now() + KIND_ASKED_EVERY >= end {
            return Err(ObjectFailureCause::UnknownKind {
                api_version: name.api_version.clone(),
                kind: name.kind.clone(),
            });
        }
        sleep(KIND_ASKED_EVERY).await;
    }
}

async fn established(client: &ApiClient, name: &str) -> Result<(), ObjectFailureCause> {
    let api: Api<CustomResourceDefinition> = Api::all(client.raw());
    let end = Instant::now() + KIND_SERVED_WITHIN;
    watch::until(&api, &Selection::named(name), end, |definitions| {
        let conditions: Vec<_> = definitions
            .values()
            .filter_map(|definition| definition.status.as_ref()?.conditions.as_ref())
            .flatten()
            .collect();
        if conditions
            .iter()
            .any(|condition| condition.type_ == "Established" && condition.status == "True")
        {
            return Verdict::Done(());
        }
        let said: Vec<_> = conditions
            .iter()
            .filter(|condition| condition.status == "False")
            .map(|condition| {
                format!(
                    "{}: {}",
                    condition.type_,
                    condition.message.as_deref().unwrap_or("False")
                )
            })
            .collect();
        Verdict::Waiting(if said.is_empty() {
            "no condition reported yet".to_owned()
        } else {
            said.join("; ")
        })
    })
    .await
    .map_err(|over| ObjectFailureCause::NotEstablished {
        last_seen: over.last_seen,
    })
}

pub(super) async fn get(client: &ApiClient, kind: &Kind, name: &ObjectName) -> Result<Value, RequestError> {
    let collection = kube::core::Request::new(kind.collection(name));
    client
        .policy()
        .run(|| async {
            let request = collection
                .get(&name.name, &GetParams::default())
                .map_err(kube::Error::BuildRequest)?;
            client.request(request).await
        })
        .await
}

async fn patch(
    client: &ApiClient,
    kind: &Kind,
    name: &ObjectName,
    parameters: &PatchParams,
    object: &Value,
) -> Result<Value, RequestError> {
    let collection = kube::core::Request::new(kind.collection(name));
    client
        .policy()
        .run(|| async {
            let request = collection
                .patch(&name.name, parameters, &Patch::Apply(object))
                .map_err(kube::Error::BuildRequest)?;
            client.request(request).await
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config_map(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
    }

    #[test]
    fn a_list_stands_for_its_items() {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [config_map("a"), config_map("b")]});
        let names: Vec<_> = items(&[list, config_map("c")])
            .unwrap()
            .iter()
            .map(|item| item.name.name.clone())
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn the_same_object_twice_is_refused() {
        let error = items(&[config_map("a"), config_map("a")]).err().unwrap();
        assert_eq!(error.to_string(), "ConfigMap a appears twice; remove one of them");
    }

    #[test]
    fn a_definition_names_the_kinds_of_all_its_versions() {
        let definition = json!({"kind": "CustomResourceDefinition", "spec": {"group": "example.org",
            "names": {"kind": "Widget"}, "versions": [{"name": "v1"}, {"name": "v2"}]}});
        assert_eq!(
            defined_kinds(&definition),
            [
                ("example.org/v1".to_owned(), "Widget".to_owned()),
                ("example.org/v2".to_owned(), "Widget".to_owned())
            ]
        );
    }

    #[test]
    fn failures_are_told_one_per_line() {
        let failure = |id: &str| ObjectFailure {
            id: id.to_owned(),
            cause: ObjectFailureCause::UnknownKind {
                api_version: "e/v1".to_owned(),
                kind: "W".to_owned(),
            },
        };
        let error =
            gather::<()>("apply", 9, vec![Err(failure("W a")), Ok(()), Err(failure("W b"))]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("apply 2 of 9 objects:\n  W a: the API server has no kind `W`"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 3);
    }
}
