//! Tells without asking the server again that applying an object would change nothing.
//!
//! A server-side apply changes an object when it sets a field to another value, or when it leaves out a field the
//! same manager set before. Both can be read off the live object: its values, and the record of who set which field
//! (`metadata.managedFields`, see
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>). The answer is careful: *yes* is
//! certain, anything that is not plain (`1` written as `"1"`, `0.5` as `500m`, a list in another order) is *no*, and the
//! server is asked.

use serde_json::{Map, Value};

/// Tells whether applying `desired` as `manager` certainly leaves `live` as it is.
pub(super) fn is_bootstrapped(live: &Value, desired: &Value, manager: &str) -> bool {
    contains(live, desired) && owned_fields(live, manager).all(|owned| covers(desired, owned))
}

/// Tells whether every value in `desired` is in `live`, lists position by position.
fn contains(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            desired.iter().all(|(key, wanted)| match live.get(key) {
                Some(value) => contains(value, wanted),
                None => false,
            })
        }
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len()
                && live
                    .iter()
                    .zip(desired)
                    .all(|(live, desired)| contains(live, desired))
        }
        (live, desired) => live == desired,
    }
}

fn owned_fields<'a>(live: &'a Value, manager: &'a str) -> impl Iterator<Item = &'a Map<String, Value>> {
    live.pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(move |entry| {
            entry.get("manager").and_then(Value::as_str) == Some(manager)
                && entry.get("operation").and_then(Value::as_str) == Some("Apply")
                && entry
                    .get("subresource")
                    .and_then(Value::as_str)
                    .is_none_or(str::is_empty)
        })
        .filter_map(|entry| entry.get("fieldsV1").and_then(Value::as_object))
}

/// Tells whether `desired` still has every field of a recorded field set.
///
/// Keys of the record: `f:name` a field, `k:{…}` the list item with these key fields, `v:…` the list item of this
/// value, `.` the thing itself.
fn covers(desired: &Value, owned: &Map<String, Value>) -> bool {
    owned.iter().all(|(key, inner)| {
        let place = match key.split_once(':') {
            Some(("f", field)) => desired.get(field),
            Some(("k", keys)) => item_with_keys(desired, keys),
            Some(("v", value)) => item_of_value(desired, value),
            _ if key == "." => Some(desired),
            _ => None,
        };
        match (place, inner.as_object()) {
            (Some(_), None) => true,
            (Some(place), Some(inner)) => inner.is_empty() || covers(place, inner),
            (None, _) => false,
        }
    })
}

fn item_with_keys<'a>(list: &'a Value, keys: &str) -> Option<&'a Value> {
    let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
    // A key the desired item leaves out is one the server defaults (`protocol: TCP` of a port).
    let fits = |item: &&Value| {
        keys.iter()
            .all(|(key, value)| item.get(key).is_none_or(|present| present == value))
    };
    list.as_array()?.iter().find(fits)
}

fn item_of_value<'a>(list: &'a Value, value: &str) -> Option<&'a Value> {
    let value: Value = serde_json::from_str(value).ok()?;
    list.as_array()?.iter().find(|item| **item == value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> Value {
        json!({
            "kind": "Deployment",
            "metadata": {"name": "a", "labels": {"app": "a", "other": "x"}, "managedFields": [
                {"manager": "kubewright", "operation": "Apply", "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:app": {}}},
                    "f:spec": {"f:replicas": {}, "f:template": {"f:containers": {
                        "k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:image": {}, "f:ports": {
                            "k:{\"containerPort\":53,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}},
                {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:metadata": {"f:labels": {"f:other": {}}}}},
            ]},
            "spec": {"replicas": 2, "paused": false, "template": {"containers": [
                {"name": "c", "image": "i:1", "ports": [{"containerPort": 53, "protocol": "TCP"}], "tty": false}]}},
        })
    }

    fn desired() -> Value {
        json!({
            "kind": "Deployment",
            "metadata": {"name": "a", "labels": {"app": "a"}},
            "spec": {"replicas": 2, "template": {"containers": [
                {"name": "c", "image": "i:1", "ports": [{"containerPort": 53}]}]}},
        })
    }

    #[test]
    fn what_is_there_with_defaults_and_other_owners_is_settled() {
        assert!(is_bootstrapped(&live(), &desired(), "kubewright"));
    }

    #[test]
    fn another_value_is_not() {
        let mut desired = desired();
        desired["spec"]["template"]["containers"][0]["image"] = json!("i:2");
        assert!(!is_bootstrapped(&live(), &desired, "kubewright"));
    }

    #[test]
    fn a_field_no_longer_wanted_is_not() {
        let mut desired = desired();
        desired["metadata"] = json!({"name": "a"});
        assert!(!is_bootstrapped(&live(), &desired, "kubewright"));
        let mut live = live();
        live["spec"]["template"]["containers"] = json!([]);
        let mut desired = super::tests::desired();
        desired["spec"]["template"]["containers"] = json!([]);
        assert!(!is_bootstrapped(&live, &desired, "kubewright"));
    }

    #[test]
    fn an_additional_list_item_of_somebody_else_is_left_to_the_server() {
        let mut live = live();
        live["spec"]["template"]["containers"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "sidecar"}));
        assert!(!is_bootstrapped(&live, &desired(), "kubewright"));
    }

    #[test]
    fn a_set_item_no_longer_wanted_is_not_settled() {
        let live = json!({"metadata": {"finalizers": ["a/b"], "managedFields": [{"manager": "kubewright",
            "operation": "Apply", "fieldsV1": {"f:metadata": {"f:finalizers": {"v:\"a/b\"": {}}}}}]}});
        assert!(is_bootstrapped(
            &live,
            &json!({"metadata": {"finalizers": ["a/b"]}}),
            "kubewright"
        ));
        assert!(!is_bootstrapped(
            &live,
            &json!({"metadata": {"finalizers": []}}),
            "kubewright"
        ));
    }
}
