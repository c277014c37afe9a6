//! How an object differs from what applying would make of it, as text for people.
//!
//! Both sides come from the server, so defaults are filled in on both; what only the server writes is taken away
//! before they are compared. The values of a Secret are compared but never shown.

use kubewright_core::shown::unified;
use serde_json::{Map, Value};

/// Metadata that the server or other tools keep for themselves.
const KEPT_BY_THE_SERVER: &[&str] = &[
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// A copy of the whole object, Secrets included, that `kubectl apply` leaves behind.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Removes what must not be sent by server-side apply: what the server keeps, and the status.
pub(super) fn without_server_fields(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in KEPT_BY_THE_SERVER {
            metadata.remove(*field);
        }
    }
    object
}

/// Reduces a server's object to what can differ for a reason of ours.
fn comparable(object: Value) -> Value {
    let mut object = without_server_fields(object);
    if let Some(annotations) = object
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
    drop_empty(&mut object, "/metadata", "annotations");
    drop_empty(&mut object, "/metadata", "labels");
    object
}

fn drop_empty(object: &mut Value, at: &str, field: &str) {
    if let Some(parent) = object.pointer_mut(at).and_then(Value::as_object_mut)
        && parent
            .get(field)
            .and_then(Value::as_object)
            .is_some_and(Map::is_empty)
    {
        parent.remove(field);
    }
}

/// Returns a unified diff from `live` to `predicted`, or `None` when they are the same.
pub(super) fn between(live: &Value, predicted: Value) -> Option<String> {
    let (mut before, mut after) = (comparable(live.clone()), comparable(predicted));
    if before == after {
        return None;
    }
    if before.get("kind").and_then(Value::as_str) == Some("Secret") {
        hide_values(&mut before, &mut after);
    }
    let (before, after) = (as_yaml(&before), as_yaml(&after));
    Some(unified(&before, &after))
}

/// Replaces every value of a Secret by whether it changes.
fn hide_values(before: &mut Value, after: &mut Value) {
    for field in ["data", "stringData"] {
        let old = before
            .get(field)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let new = after
            .get(field)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        redact(before, field, |_| "(hidden)");
        redact(after, field, |key| match old.get(key) {
            Some(value) if new.get(key) != Some(value) => "(hidden, changes)",
            _ => "(hidden)",
        });
    }
}

fn redact(object: &mut Value, field: &str, shown: impl Fn(&str) -> &'static str) {
    match object.get_mut(field) {
        Some(Value::Object(values)) => {
            for (key, value) in values.iter_mut() {
                *value = Value::from(shown(key));
            }
        }
        Some(other) => *other = Value::from("(hidden)"),
        None => {}
    }
}

fn as_yaml(object: &Value) -> String {
    let options = serde_saphyr::ser_options! {
        folded_wrap_chars: usize::MAX,
    };
    // Every JSON value can be written as YAML; JSON itself is the fallback that needs no proof.
    serde_saphyr::to_string_with_options(object, options).unwrap_or_else(|_| format!("{object:#}\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_server_keeps_is_no_difference() {
        let live = json!({"kind": "ConfigMap", "metadata": {"name": "a", "uid": "1", "resourceVersion": "7",
            "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"manager": "x"}],
            "annotations": {LAST_APPLIED: "{}"}}, "data": {"k": "v"}, "status": {"x": 1}});
        let predicted = json!({"kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "8"},
            "data": {"k": "v"}});
        assert_eq!(between(&live, predicted), None);
    }

    #[test]
    fn a_changed_field_is_shown_with_its_surroundings() {
        let live = json!({"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": 1, "paused": false}});
        let predicted = json!({"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": 2, "paused": false}});
        let diff = between(&live, predicted).unwrap();
        assert!(diff.contains("-  replicas: 1\n+  replicas: 2\n"), "{diff}");
        assert!(diff.contains("   paused: false"), "{diff}");
    }

    #[test]
    fn text_of_many_lines_differs_by_line() {
        let with = |text: &str| json!({"kind": "ConfigMap", "data": {"Corefile": text}});
        let diff = between(&with("a {\n  one\n  two\n}\n"), with("a {\n  one\n  three\n}\n")).unwrap();
        assert!(diff.contains("-    "), "{diff}");
        assert!(
            diff.contains("two\n") && diff.contains("three\n") && !diff.contains("-    one"),
            "{diff}"
        );
    }

    #[test]
    fn a_secrets_values_are_never_shown() {
        let secret = |value: &str, extra: Value| {
            json!({"kind": "Secret", "metadata": {"name": "a", "annotations": {LAST_APPLIED: value}},
                "data": {"same": "canary-same", "changed": value}, "stringData": extra})
        };
        let diff = between(
            &secret("canary-old", Value::Null),
            secret("canary-new", json!({"plain": "canary-plain"})),
        )
        .unwrap();
        assert!(!diff.contains("canary"), "{diff}");
        assert!(diff.contains("+  changed: (hidden, changes)"), "{diff}");
        assert!(diff.contains("   same: (hidden)"), "{diff}");
    }
}
