//! Which API path an object lives at: from `apiVersion` and `kind` to plural name and scope.
//!
//! The kinds that come with Kubernetes are a table, so that comparing a cluster's objects asks for nothing but the
//! objects. Kinds that are not in it (those of custom resource definitions) are looked up in the server's discovery,
//! once per `apiVersion` while a [`Kinds`] lives. A kind the server does not know is [`None`], not an error.

mod known;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;

pub(super) use known::all_known;
pub use known::known;

use super::client::ApiClient;
use super::retry::{RequestError, RetryPolicy};

/// How long a group of an extension API server has to list its kinds.
const PATIENCE: Duration = Duration::from_secs(2);

/// An object that does not say which one it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnnamedObject {
    /// A field every object has is missing, empty or not text.
    #[error("object {position} has no {field}; every object needs apiVersion, kind and metadata.name")]
    Missing {
        /// Its place in the list, counted from 1.
        position: usize,
        /// The field.
        field: &'static str,
    },
    /// A part of the name has signs that no API accepts.
    #[error("object {position}: `{value}` cannot be the {field} of an object")]
    Unusable {
        /// Its place in the list, counted from 1.
        position: usize,
        /// The field.
        field: &'static str,
        /// What it holds.
        value: String,
    },
}

/// Which object: kind, place and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// As in `apps/v1`.
    pub api_version: String,
    /// As in `Deployment`.
    pub kind: String,
    /// The namespace written in the object, if any.
    pub namespace: Option<String>,
    /// The object's name.
    pub name: String,
}

impl ObjectName {
    /// Reads the name of an object; `position` is its place in its list, for the error.
    pub fn of(object: &Value, position: usize) -> Result<Self, UnnamedObject> {
        let text = |pointer: &str, field: &'static str| match object.pointer(pointer).and_then(Value::as_str)
        {
            None | Some("") => Err(UnnamedObject::Missing { position, field }),
            // These end up in the request's path.
            Some(value) if !value.bytes().all(is_path_byte(field)) || value == "." || value == ".." => {
                Err(UnnamedObject::Unusable {
                    position,
                    field,
                    value: value.to_owned(),
                })
            }
            Some(value) => Ok(value.to_owned()),
        };
        Ok(Self {
            api_version: text("/apiVersion", "apiVersion")?,
            kind: text("/kind", "kind")?,
            namespace: match object.pointer("/metadata/namespace") {
                None | Some(Value::Null) => None,
                Some(Value::String(empty)) if empty.is_empty() => None,
                Some(_) => Some(text("/metadata/namespace", "metadata.namespace")?),
            },
            name: text("/metadata/name", "metadata.name")?,
        })
    }
}

fn is_path_byte(field: &'static str) -> impl Fn(u8) -> bool {
    move |byte| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.')
            || (field == "apiVersion" && byte == b'/')
            // Names of RBAC objects: `system:node-proxier`, also with an underscore.
            || (field == "metadata.name" && matches!(byte, b':' | b'_'))
    }
}

/// `kind namespace/name`, or `kind name` where there is no namespace.
impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(formatter, "{} {namespace}/{}", self.kind, self.name),
            None => write!(formatter, "{} {}", self.kind, self.name),
        }
    }
}

/// How a kind is addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// As in `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub is_namespaced: bool,
}

impl Kind {
    /// Returns the name with the namespace the object really lives in: none for a cluster's object, `default` for an
    /// object in a namespace that names none.
    pub fn place(&self, mut name: ObjectName) -> ObjectName {
        name.namespace = match (self.is_namespaced, name.namespace) {
            (false, _) => None,
            (true, Some(namespace)) => Some(namespace),
            (true, None) => Some("default".to_owned()),
        };
        name
    }

    /// Returns the path of the collection a placed object is in.
    pub fn collection(&self, name: &ObjectName) -> String {
        let root = if name.api_version.contains('/') {
            "/apis"
        } else {
            "/api"
        };
        match &name.namespace {
            Some(namespace) => format!(
                "{root}/{}/namespaces/{namespace}/{}",
                name.api_version, self.plural
            ),
            None => format!("{root}/{}/{}", name.api_version, self.plural),
        }
    }
}

/// Finds kinds, remembering what the server said.
pub struct Kinds {
    client: ApiClient,
    discovered: Mutex<BTreeMap<String, BTreeMap<String, Kind>>>,
}

impl Kinds {
    /// Starts with the table alone.
    pub fn new(client: ApiClient) -> Self {
        Self {
            client,
            discovered: Mutex::default(),
        }
    }

    /// Returns how a kind is addressed; `None` when the server does not serve it.
    pub async fn find(&self, api_version: &str, kind: &str) -> Result<Option<Kind>, RequestError> {
        if let Some(kind) = known(api_version, kind) {
            return Ok(Some(kind));
        }
        let mut discovered = self.discovered.lock().await;
        if let Some(found) = discovered.get(api_version).and_then(|kinds| kinds.get(kind)) {
            return Ok(Some(found.clone()));
        }
        let kinds = discover(&self.client, api_version, "get", self.client.policy()).await?;
        let found = kinds.get(kind).cloned();
        discovered.insert(api_version.to_owned(), kinds);
        Ok(found)
    }

    /// Every kind of one `apiVersion` whose objects can be listed, as the server says.
    pub(super) async fn listed(&self, api_version: &str) -> Result<BTreeMap<String, Kind>, RequestError> {
        let policy = RetryPolicy {
            limit: PATIENCE,
            ..self.client.policy()
        };
        discover(&self.client, api_version, "list", policy).await
    }
}

async fn discover(
    client: &ApiClient,
    api_version: &str,
    verb: &str,
    policy: RetryPolicy,
) -> Result<BTreeMap<String, Kind>, RequestError> {
    let answer = policy
        .run(|| async {
            if api_version.contains('/') {
                client.list_api_group_resources(api_version).await
            } else {
                client.list_core_api_resources(api_version).await
            }
        })
        .await;
    let list = match answer {
        Ok(list) => list,
        Err(error) if error.is_not_found() => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    Ok(list
        .resources
        .into_iter()
        // `deployments/scale` is a part of an object, not a kind of its own.
        .filter(|resource| !resource.name.contains('/') && resource.verbs.iter().any(|can| can == verb))
        .map(|resource| {
            let kind = Kind {
                plural: resource.name,
                is_namespaced: resource.namespaced,
            };
            (resource.kind, kind)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(object: &Value) -> ObjectName {
        ObjectName::of(object, 1).unwrap()
    }

    #[test]
    fn an_object_is_named_by_kind_namespace_and_name() {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"namespace": "kube-system", "name": "coredns"}});
        assert_eq!(named(&deployment).to_string(), "Deployment kube-system/coredns");
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"}});
        assert_eq!(named(&role).to_string(), "ClusterRole system:coredns");
    }

    #[test]
    fn the_path_follows_group_and_scope() {
        let path = |object: Value| {
            let name = named(&object);
            let kind = known(&name.api_version, &name.kind).unwrap();
            kind.collection(&kind.place(name))
        };
        assert_eq!(
            path(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})),
            "/api/v1/namespaces/default/configmaps"
        );
        assert_eq!(
            path(
                json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "a", "namespace": "n"}})
            ),
            "/apis/apps/v1/namespaces/n/daemonsets"
        );
        assert_eq!(
            path(
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "namespace": "n"}})
            ),
            "/api/v1/namespaces"
        );
    }

    #[test]
    fn a_name_that_would_leave_its_path_is_refused() {
        let object = |name: &str, namespace: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}});
        for (name, namespace) in [("a/b", "n"), ("..", "n"), ("a", "../x"), ("a?b", "n"), ("", "n")] {
            assert!(
                ObjectName::of(&object(name, namespace), 1).is_err(),
                "{namespace}/{name}"
            );
        }
        let error = ObjectName::of(&json!({"apiVersion": "v1", "kind": "Secret"}), 3).unwrap_err();
        assert!(
            error.to_string().starts_with("object 3 has no metadata.name"),
            "{error}"
        );
    }
}
