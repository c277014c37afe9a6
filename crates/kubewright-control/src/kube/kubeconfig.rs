//! Kubeconfig files: making one for a person, and merging it into the one they have.
//!
//! Text in, text out; reading and writing files is the caller's. Merging replaces the entries of the same names and
//! keeps everything else, fields this version does not know included (comments are lost, as with `kubectl config`).
//! Where a cluster has more than one address, each further one is a context of its own, called after the first and the
//! control plane, as in `admin@prod/cp-2`: a kubeconfig cannot name two servers for one context.
//! What is made holds a private key, so it is a [`Secret`].

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubewright_core::secret::Secret;
use serde_json::{Map, Value, json};

/// What our extension of a cluster's entry is called.
const EXTENSION: &str = "kubewright.io";

/// Access of one user to one cluster.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// The cluster's name; entries are called after it.
    pub cluster: &'a str,
    /// What tells it from every other cluster, if that is known.
    pub cluster_id: Option<&'a str>,
    /// Where its API is, as in `https://api.prod.example:6443`.
    pub server: &'a str,
    /// Other places it is at, by the names of control planes, for when that one is down.
    pub others: &'a BTreeMap<String, String>,
    /// The cluster's certificate authority, PEM.
    pub authority_pem: &'a str,
    /// The user's name; together with the cluster's it names the user and the context, as in `admin@prod`.
    pub user: &'a str,
    /// The user's certificate, PEM.
    pub certificate_pem: &'a str,
    /// The certificate's key, PEM.
    pub key_pem: &'a Secret,
}

impl Access<'_> {
    /// Returns the name of the user's entry and of the context.
    pub fn context(&self) -> String {
        format!("{}@{}", self.user, self.cluster)
    }

    /// Returns the name of the context that goes through one control plane.
    pub fn context_through(&self, control_plane: &str) -> String {
        format!("{}/{control_plane}", self.context())
    }
}

/// A kubeconfig file that cannot be merged into.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// It is not YAML.
    #[error("the existing kubeconfig is not valid YAML: {message}; fix it or choose another file")]
    Syntax {
        /// Where and what; never the file's values.
        message: String,
    },
    /// It is YAML of another shape.
    #[error("`{field}` of the existing kubeconfig is not {expected}; fix it or choose another file")]
    Shape {
        /// Which field, or `the document`.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// It could not be written as text.
    // No hint: every value read from YAML can be written as YAML.
    #[error("write the kubeconfig as YAML: {message}")]
    Write {
        /// What the writer says.
        message: String,
    },
}

/// Makes a kubeconfig with one access, current.
pub fn render(access: &Access<'_>) -> Result<Secret, KubeconfigError> {
    merge("", access)
}

/// Returns where the entry of the cluster's name in an existing kubeconfig leads, unless that is this cluster: it has the
/// same id, or else the same authority.
///
/// # Errors
/// [`KubeconfigError`] when the text is no kubeconfig.
pub fn other_cluster(existing: &str, access: &Access<'_>) -> Result<Option<String>, KubeconfigError> {
    let document = parse(existing)?;
    let entries = document.get("clusters").and_then(Value::as_array);
    let named = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some(access.cluster);
    let Some(entry) = entries.and_then(|entries| entries.iter().find(named)) else {
        return Ok(None);
    };
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
    let is_same = if let (Some(theirs), Some(ours)) = (id_in(entry), access.cluster_id) {
        theirs == ours
    } else {
        let authority = text("/cluster/certificate-authority-data");
        authority.and_then(|text| STANDARD.decode(text).ok()).as_deref()
            == Some(access.authority_pem.as_bytes())
    };
    Ok((!is_same).then(|| {
        text("/cluster/server")
            .unwrap_or("a server without an address")
            .to_owned()
    }))
}

/// Returns the id of the cluster that an entry was made for.
fn id_in(entry: &Value) -> Option<&str> {
    let extensions = entry.pointer("/cluster/extensions")?.as_array()?;
    let own = extensions
        .iter()
        .find(|extension| extension.get("name").and_then(Value::as_str) == Some(EXTENSION))?;
    own.pointer("/extension/clusterId")?.as_str()
}

/// Adds an access to the text of an existing kubeconfig and makes it the current one.
pub fn merge(existing: &str, access: &Access<'_>) -> Result<Secret, KubeconfigError> {
    let mut document = parse(existing)?;
    document.entry("apiVersion").or_insert_with(|| json!("v1"));
    document.entry("kind").or_insert_with(|| json!("Config"));
    document.entry("preferences").or_insert_with(|| json!({}));
    let context = access.context();
    forget(&mut document, access);
    let mut connections = vec![(access.cluster.to_owned(), context.clone(), access.server)];
    connections.extend(access.others.iter().map(|(name, server)| {
        let cluster = format!("{}/{name}", access.cluster);
        (cluster, access.context_through(name), server.as_str())
    }));
    for (cluster, name, server) in connections {
        let mut set = vec![
            ("server", json!(server)),
            (
                "certificate-authority-data",
                json!(STANDARD.encode(access.authority_pem)),
            ),
        ];
        if let Some(id) = access.cluster_id {
            // Whatever other tools have noted there is about the entry that is replaced.
            set.push((
                "extensions",
                json!([{ "name": EXTENSION, "extension": { "clusterId": id } }]),
            ));
        }
        put(
            &mut document,
            "clusters",
            &cluster,
            "cluster",
            &set,
            // Set before by hand or by another tool, they would contradict the authority given here.
            &["certificate-authority", "insecure-skip-tls-verify"],
        )?;
        put(
            &mut document,
            "contexts",
            &name,
            "context",
            &[("cluster", json!(cluster)), ("user", json!(context))],
            &[],
        )?;
    }
    put(
        &mut document,
        "users",
        &context,
        "user",
        &[
            (
                "client-certificate-data",
                json!(STANDARD.encode(access.certificate_pem)),
            ),
            ("client-key-data", json!(STANDARD.encode(access.key_pem.expose()))),
        ],
        &[
            "client-certificate",
            "client-key",
            "token",
            "tokenFile",
            "exec",
            "auth-provider",
        ],
    )?;
    document.insert("current-context".to_owned(), json!(context));
    let options = serde_saphyr::ser_options! {
        folded_wrap_chars: usize::MAX,
    };
    serde_saphyr::to_string_with_options(&Value::Object(document), options)
        .map(|text| Secret::new(text.into_bytes()))
        .map_err(|error| KubeconfigError::Write {
            message: error.to_string(),
        })
}

/// Drops the entries of control planes that are none any more, and the contexts that used them, of all users.
fn forget(document: &mut Map<String, Value>, access: &Access<'_>) {
    let is_gone = |name: Option<&Value>| {
        let through = name
            .and_then(Value::as_str)
            .and_then(|name| name.strip_prefix(access.cluster)?.strip_prefix('/'));
        through.is_some_and(|control_plane| !access.others.contains_key(control_plane))
    };
    if let Some(clusters) = document.get_mut("clusters").and_then(Value::as_array_mut) {
        clusters.retain(|entry| !is_gone(entry.get("name")));
    }
    if let Some(contexts) = document.get_mut("contexts").and_then(Value::as_array_mut) {
        contexts.retain(|entry| !is_gone(entry.pointer("/context/cluster")));
    }
}

fn parse(existing: &str) -> Result<Map<String, Value>, KubeconfigError> {
    if existing.trim().is_empty() {
        return Ok(Map::new());
    }
    let value: Value = serde_saphyr::from_str(existing).map_err(|error| KubeconfigError::Syntax {
        // The parser's own text may show lines of the file, which has keys in it.
        message: error.location().map_or_else(
            || "it cannot be read".to_owned(),
            |place| format!("line {}, column {}", place.line(), place.column()),
        ),
    })?;
    match value {
        Value::Object(document) => Ok(document),
        Value::Null => Ok(Map::new()),
        _ => Err(KubeconfigError::Shape {
            field: "the document",
            expected: "a mapping",
        }),
    }
}

/// Sets fields of the entry called `name` in a list of `{name, <inner>: {…}}`, adding it at the end if it is new.
fn put(
    document: &mut Map<String, Value>,
    list: &'static str,
    name: &str,
    inner: &'static str,
    set: &[(&str, Value)],
    unset: &[&str],
) -> Result<(), KubeconfigError> {
    let entries = document.entry(list).or_insert_with(|| json!([]));
    if entries.is_null() {
        *entries = json!([]);
    }
    let entries = entries.as_array_mut().ok_or(KubeconfigError::Shape {
        field: list,
        expected: "a list",
    })?;
    let named = |entry: &Value| entry.get("name").and_then(Value::as_str) == Some(name);
    let index = if let Some(index) = entries.iter().position(named) {
        index
    } else {
        entries.push(json!({ "name": name }));
        entries.len() - 1
    };
    let not_a_mapping = KubeconfigError::Shape {
        field: list,
        expected: "a list of mappings",
    };
    let Some(entry) = entries[index].as_object_mut() else {
        return Err(not_a_mapping);
    };
    let fields = entry.entry(inner).or_insert_with(|| json!({}));
    if fields.is_null() {
        *fields = json!({});
    }
    let Some(fields) = fields.as_object_mut() else {
        return Err(not_a_mapping);
    };
    for field in unset {
        fields.remove(*field);
    }
    for (field, value) in set {
        fields.insert((*field).to_owned(), value.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Secret {
        Secret::new(b"KEY".to_vec())
    }

    static NONE: BTreeMap<String, String> = BTreeMap::new();

    fn access(key: &Secret) -> Access<'_> {
        Access {
            cluster: "prod",
            cluster_id: Some("a1"),
            server: "https://192.0.2.11:6443",
            others: &NONE,
            authority_pem: "CA",
            user: "admin",
            certificate_pem: "CERT",
            key_pem: key,
        }
    }

    fn text(secret: &Secret) -> String {
        String::from_utf8(secret.expose().to_vec()).unwrap()
    }

    fn value(secret: &Secret) -> Value {
        serde_saphyr::from_str(&text(secret)).unwrap()
    }

    #[test]
    fn a_new_file_has_everything_embedded() {
        let key = key();
        assert_eq!(
            text(&render(&access(&key)).unwrap()),
            "\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    extensions:
    - extension:
        clusterId: a1
      name: kubewright.io
    server: https://192.0.2.11:6443
  name: prod
contexts:
- context:
    cluster: prod
    user: admin@prod
  name: admin@prod
current-context: admin@prod
kind: Config
preferences: {}
users:
- name: admin@prod
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
"
        );
    }

    const OTHERS: &str = "
apiVersion: v1
kind: Config
future-field: {x: 1}
current-context: home
clusters:
- {name: home, cluster: {server: 'https://home:6443', certificate-authority: /ca, proxy-url: 'http://p'}}
- {name: prod, cluster: {server: 'https://old:6443', insecure-skip-tls-verify: true, tls-server-name: api}}
contexts:
- {name: home, context: {cluster: home, user: me, namespace: '123'}}
users:
- name: me
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: login, args: ['yes', '0x10'], interactiveMode: Never}
";

    #[test]
    fn other_entries_and_unknown_fields_are_kept() {
        let key = key();
        let before: Value = serde_saphyr::from_str(OTHERS).unwrap();
        let after = value(&merge(OTHERS, &access(&key)).unwrap());
        assert_eq!(after["future-field"], before["future-field"]);
        for list in ["clusters", "contexts", "users"] {
            assert_eq!(after[list][0], before[list][0], "{list}");
        }
        assert_eq!(after["contexts"][0]["context"]["namespace"], json!("123"));
        assert_eq!(after["users"][0]["user"]["exec"]["args"], json!(["yes", "0x10"]));
        assert_eq!(after["current-context"], json!("admin@prod"));
    }

    #[test]
    fn an_entry_of_the_same_name_is_brought_up_to_date() {
        let key = key();
        let after = value(&merge(OTHERS, &access(&key)).unwrap());
        assert_eq!(after["clusters"].as_array().unwrap().len(), 2);
        assert_eq!(
            after["clusters"][1]["cluster"],
            json!({
                "server": "https://192.0.2.11:6443", "certificate-authority-data": "Q0E=", "tls-server-name": "api",
                "extensions": [{"name": "kubewright.io", "extension": {"clusterId": "a1"}}],
            })
        );
    }

    #[test]
    fn merging_twice_changes_nothing_more() {
        let key = key();
        let once = text(&merge(OTHERS, &access(&key)).unwrap());
        assert_eq!(text(&merge(&once, &access(&key)).unwrap()), once);
    }

    #[test]
    fn an_entry_of_another_cluster_is_told_from_an_older_one_of_the_same() {
        let key = key();
        let ours = access(&key);
        let other = |existing: &str, access: &Access<'_>| other_cluster(existing, access).unwrap();
        let old = Some("https://old:6443".to_owned());
        assert_eq!(other("", &ours), None);
        assert_eq!(other(OTHERS, &ours), old);
        let merged = text(&merge(OTHERS, &ours).unwrap());
        assert_eq!(other(&merged, &ours), None);
        // A new authority of the same cluster, and another cluster of the same name.
        let renewed = Access {
            authority_pem: "NEW",
            ..ours
        };
        assert_eq!(other(&merged, &renewed), None);
        let stranger = Access {
            cluster_id: Some("b2"),
            ..renewed
        };
        assert_eq!(
            other(&merged, &stranger),
            Some("https://192.0.2.11:6443".to_owned())
        );
        // What an earlier version merged has no id; its authority says whose it is.
        let without = text(
            &merge(
                "",
                &Access {
                    cluster_id: None,
                    ..ours
                },
            )
            .unwrap(),
        );
        assert_eq!(other(&without, &ours), None);
        assert!(other(&without, &renewed).is_some());
    }

    fn names(document: &Value, list: &str) -> Vec<String> {
        let entries = document[list].as_array().unwrap().iter();
        entries
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_other_control_plane_is_a_context_with_the_same_user() {
        let key = key();
        let others: BTreeMap<String, String> = ["cp-1", "cp-2"]
            .map(|name| (name.to_owned(), format!("https://{name}:6443")))
            .into();
        let access = Access {
            others: &others,
            ..access(&key)
        };
        let after = value(&merge(OTHERS, &access).unwrap());
        assert_eq!(
            names(&after, "clusters"),
            ["home", "prod", "prod/cp-1", "prod/cp-2"]
        );
        assert_eq!(
            names(&after, "contexts"),
            ["home", "admin@prod", "admin@prod/cp-1", "admin@prod/cp-2"]
        );
        assert_eq!(names(&after, "users"), ["me", "admin@prod"]);
        assert_eq!(
            after["contexts"][3]["context"],
            json!({"cluster": "prod/cp-2", "user": "admin@prod"})
        );
        assert_eq!(
            after["clusters"][3]["cluster"]["server"],
            json!("https://cp-2:6443")
        );
        assert_eq!(after["current-context"], json!("admin@prod"));
    }

    #[test]
    fn a_control_plane_that_is_none_any_more_is_forgotten_with_everybodys_contexts() {
        let key = key();
        let others = |names: &[&str]| -> BTreeMap<String, String> {
            let servers = names.iter();
            servers
                .map(|name| ((*name).to_owned(), format!("https://{name}:6443")))
                .collect()
        };
        let (before, now) = (others(&["cp-1", "cp-2"]), others(&["cp-1"]));
        let with = |user, others| Access {
            others,
            user,
            ..access(&key)
        };
        let ada = text(&merge(OTHERS, &with("ada", &before)).unwrap());
        let both = text(&merge(&ada, &with("admin", &before)).unwrap());
        let after = value(&merge(&both, &with("admin", &now)).unwrap());
        assert_eq!(names(&after, "clusters"), ["home", "prod", "prod/cp-1"]);
        assert_eq!(
            names(&after, "contexts"),
            [
                "home",
                "ada@prod",
                "ada@prod/cp-1",
                "admin@prod",
                "admin@prod/cp-1"
            ]
        );
    }

    #[test]
    fn empty_lists_written_as_null_are_filled() {
        let key = key();
        let existing = "apiVersion: v1\nkind: Config\nclusters: null\ncontexts: null\nusers: null\n";
        assert_eq!(
            value(&merge(existing, &access(&key)).unwrap())["users"][0]["name"],
            json!("admin@prod")
        );
    }

    #[test]
    fn a_file_that_cannot_be_merged_is_refused_without_showing_it() {
        let key = key();
        let refused = |text: &str| merge(text, &access(&key)).unwrap_err().to_string();
        let syntax = refused("users:\n- {name: canary-secret\nx: [");
        assert!(syntax.contains("not valid YAML: line "), "{syntax}");
        assert!(!syntax.contains("canary"), "{syntax}");
        assert!(refused("- a\n").contains("the document"));
        assert!(refused("users: 3\n").contains("`users`"));
        assert!(refused("users: [{name: admin@prod, user: 7}]\n").contains("a list of mappings"));
    }
}
