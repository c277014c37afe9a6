//! The JSON schema of cluster.yaml, for editors and for the reference page.
//!
//! Made from the same types that hold a parsed file; a test keeps its keys equal to those the decoder knows.

use super::Cluster;
use crate::value::ClusterName;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

/// A cluster.yaml as it is written.
#[derive(JsonSchema)]
#[schemars(rename = "Cluster", rename_all = "camelCase")]
#[allow(dead_code)] // Only its schema is used.
struct ClusterFile {
    /// The version of this file's form.
    api_version: ApiVersion,
    /// What the file describes.
    kind: Kind,
    /// The cluster's name.
    metadata: Metadata,
    /// The cluster.
    spec: Cluster,
}

/// What identifies the cluster.
#[derive(JsonSchema)]
#[allow(dead_code)] // Only its schema is used.
struct Metadata {
    /// The name that kubeconfig contexts and reports use.
    name: ClusterName,
}

/// A type whose schema is one constant.
macro_rules! constant {
    ($type:ident, $value:expr) => {
        struct $type;
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!({ "const": $value })
            }
        }
    };
}

constant!(ApiVersion, super::API_VERSION);
constant!(Kind, super::KIND);

/// Makes the schema as strict as the decoder: no unknown keys, and a key that is there has a value.
#[derive(Clone)]
struct Strict;

impl Transform for Strict {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|name| name != "null");
        }
        if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
            choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
        }
        if schema.get("default") == Some(&Value::Null) {
            schema.remove("default");
        }
        if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
            schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
        transform_subschemas(self, schema);
    }
}

/// Returns the JSON schema of cluster.yaml. The same every time.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with_transform(Strict);
    let mut schema = settings.into_generator().into_root_schema_for::<ClusterFile>();
    schema.insert("title".to_owned(), Value::from("cluster.yaml of kubewright"));
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::decode::known_keys;
    use std::collections::BTreeSet;

    /// Follows a path of `known_keys` through the schema.
    fn at<'s>(root: &'s Value, schema: &'s Value, path: &str) -> &'s Value {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            return at(root, &root["definitions"][name.rsplit('/').next().unwrap()], path);
        }
        if let Some(only) = schema.get("allOf").and_then(|all| all.get(0)) {
            return at(root, only, path);
        }
        if let Some(choices) = schema
            .get("oneOf")
            .or_else(|| schema.get("anyOf"))
            .and_then(Value::as_array)
        {
            let mut object = choices.iter().filter(|choice| {
                choice["type"] == "object" || (choice.get("$ref").is_some() && !path.is_empty())
            });
            if path.is_empty() {
                return schema;
            }
            return at(root, object.next_back().unwrap(), path);
        }
        if path.is_empty() {
            return schema;
        }
        if let Some(rest) = path.strip_prefix("[]") {
            return at(root, &schema["items"], rest.trim_start_matches('.'));
        }
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (key, rest) = path.split_at(end);
        let next = if key == "*" {
            schema
                .get("additionalProperties")
                .filter(|s| s.is_object())
                .unwrap_or_else(|| schema["properties"].as_object().unwrap().values().next().unwrap())
        } else {
            &schema["properties"][key]
        };
        at(root, next, rest.trim_start_matches('.'))
    }

    fn keys_of(root: &Value, schema: &Value) -> BTreeSet<String> {
        if let Some(choices) = schema
            .get("oneOf")
            .or_else(|| schema.get("anyOf"))
            .and_then(Value::as_array)
        {
            return choices
                .iter()
                .flat_map(|choice| keys_of(root, at(root, choice, "")))
                .collect();
        }
        schema
            .get("properties")
            .and_then(Value::as_object)
            .map_or_else(BTreeSet::new, |p| p.keys().cloned().collect())
    }

    #[test]
    fn it_has_exactly_the_keys_the_decoder_knows() {
        let root = schema();
        for (path, keys) in known_keys() {
            let expected: BTreeSet<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(keys_of(&root, at(&root, &root, path)), expected, "{path}");
        }
    }

    #[test]
    fn every_key_is_described_and_no_other_is_allowed() {
        fn walk(value: &Value, place: &str, missing: &mut Vec<String>) {
            if let Some(properties) = value.get("properties").and_then(Value::as_object) {
                if value.get("additionalProperties").is_none() {
                    missing.push(format!("{place} is open"));
                }
                for (key, property) in properties {
                    // Names of enum variants stand as keys where a source has a value; the variant is described.
                    if property.get("description").is_none() && value.get("description").is_none() {
                        missing.push(format!("{place}.{key} has no description"));
                    }
                }
            }
            match value {
                Value::Object(map) => map
                    .iter()
                    .for_each(|(key, v)| walk(v, &format!("{place}/{key}"), missing)),
                Value::Array(items) => items.iter().for_each(|v| walk(v, place, missing)),
                _ => {}
            }
        }
        let mut missing = Vec::new();
        walk(&schema(), "", &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn it_is_the_same_every_time() {
        assert_eq!(schema().to_string(), schema().to_string());
    }
}
