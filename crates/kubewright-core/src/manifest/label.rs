//! By what an object of the cluster is known: its name, and the label of everything kubewright applies.

use serde_json::{Map, Value};

/// The label of everything that was applied, with the cluster's name.
pub const CLUSTER_LABEL: &str = "kubewright.io/cluster";

/// Puts the label on an object, and on those of a list.
pub fn mark(object: &mut Value, cluster: &str) {
    if let Some(items) = object.get_mut("items").and_then(Value::as_array_mut) {
        for item in items {
            mark(item, cluster);
        }
        return;
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let labels = metadata
            .entry("labels")
            .or_insert_with(|| Value::Object(Map::new()));
        if labels.is_null() {
            *labels = Value::Object(Map::new());
        }
        labels[CLUSTER_LABEL] = Value::from(cluster);
    }
}

/// `Kind namespace/name`, or `Kind name` where there is no namespace, as people know an object.
pub fn object_name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let (kind, name) = (
        text("/kind").unwrap_or_default(),
        text("/metadata/name").unwrap_or_default(),
    );
    match text("/metadata/namespace").filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_object_and_every_item_of_a_list_is_marked() {
        let object = || json!({"metadata": {"name": "a", "labels": {"app": "a"}}});
        let mut list = json!({"items": [object(), {"metadata": {"name": "b", "labels": null}}]});
        mark(&mut list, "prod");
        assert_eq!(
            list["items"][0]["metadata"]["labels"],
            json!({"app": "a", CLUSTER_LABEL: "prod"})
        );
        assert_eq!(
            list["items"][1]["metadata"]["labels"],
            json!({CLUSTER_LABEL: "prod"})
        );
    }
}
