//! Configuration files as values: the user's merged over ours, then written as YAML, JSON or TOML in a fixed order.

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::{Map, Value};

/// Merges `extra` over `base`: maps key by key, anything else is replaced.
pub(crate) fn merge(base: &mut Value, extra: &Map<String, Value>) {
    let Value::Object(base) = base else {
        *base = Value::Object(extra.clone());
        return;
    };
    for (key, value) in extra {
        match (base.get_mut(key), value) {
            (Some(present @ Value::Object(_)), Value::Object(inner)) => merge(present, inner),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Writes YAML: `apiVersion`, `kind` and `metadata` first, other keys by name.
///
/// The writer only fails on values JSON cannot hold, so the fallback (JSON, which is YAML too) is never seen.
pub(crate) fn to_yaml(value: &Value) -> String {
    let options = serde_saphyr::ser_options! {
        folded_wrap_chars: 10_000,
        compact_list_indent: false,
    };
    serde_saphyr::to_string_with_options(&Ordered(value), options).unwrap_or_else(|_| value.to_string())
}

/// Writes indented JSON with a line break at the end, keys as in YAML.
pub(crate) fn to_json(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(&Ordered(value)).unwrap_or_else(|_| value.to_string());
    text.push('\n');
    text
}

/// Writes TOML, keys by name.
///
/// # Errors
/// What TOML cannot hold: `null`.
pub(crate) fn to_toml(value: &Value) -> Result<String, String> {
    let value = toml::Value::try_from(Ordered(value)).map_err(|error| error.to_string())?;
    toml::to_string_pretty(&value).map_err(|error| error.to_string())
}

/// A value whose keys come in a fixed order, whatever map the JSON library was built with.
struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort_by_key(|key| (rank(key), key.as_str()));
                let mut output = serializer.serialize_map(Some(keys.len()))?;
                for key in keys {
                    output.serialize_entry(key, &Ordered(&map[key]))?;
                }
                output.end()
            }
            Value::Array(items) => {
                let mut output = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    output.serialize_element(&Ordered(item))?;
                }
                output.end()
            }
            other => other.serialize(serializer),
        }
    }
}

/// What a reader looks for first.
fn rank(key: &str) -> usize {
    let first = ["apiVersion", "kind", "metadata", "name", "namespace", "version"];
    first
        .iter()
        .position(|&known| known == key)
        .unwrap_or(first.len())
}

#[cfg(test)]
mod tests {
    use super::{merge, to_toml, to_yaml};
    use serde_json::json;

    #[test]
    fn merges_maps_key_by_key_and_replaces_the_rest() {
        let mut base = json!({"a": {"b": 1, "c": [1, 2]}, "d": "x"});
        let extra = json!({"a": {"c": [3], "e": true}, "d": {"f": null}});
        merge(&mut base, extra.as_object().unwrap());
        assert_eq!(
            base,
            json!({"a": {"b": 1, "c": [3], "e": true}, "d": {"f": null}})
        );
    }

    #[test]
    fn writes_yaml_a_person_reads_in_an_order_that_never_changes() {
        let value = json!({
            "kind": "K", "data": {"Corefile": ".:53 {\n  ready\n}\n"}, "apiVersion": "v1",
            "list": ["a", "yes", "1"], "empty": {}, "long": "x ".repeat(60).trim(),
        });
        let text = to_yaml(&value);
        assert!(text.starts_with("apiVersion: v1\nkind: K\n"), "{text}");
        assert!(text.contains("  Corefile: |\n    .:53 {\n"), "{text}");
        assert!(
            text.contains(&format!("long: {}\n", "x ".repeat(60).trim())),
            "{text}"
        );
        let back: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back, value);
    }

    #[test]
    fn refuses_null_in_toml() {
        assert!(to_toml(&json!({"a": null})).is_err());
        assert_eq!(
            to_toml(&json!({"version": 3, "a.b": {"c": true}})).unwrap(),
            "version = 3\n\n[\"a.b\"]\nc = true\n"
        );
    }
}
