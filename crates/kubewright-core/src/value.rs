//! The small typed values of cluster.yaml and the one error they all share.
//!
//! Each value is parsed once, at the edge; past that, a `Cidr` or a `NodeName` cannot be wrong. An error says what
//! is wrong with the value and how to write it, because it ends up under the user's own line.

mod cidr;
mod endpoint;
mod interval;
mod name;
mod node_count;
mod taint;
mod version;

pub use cidr::Cidr;
pub use endpoint::{Endpoint, SubjectAltName};
pub use interval::Interval;
pub use name::{ClusterName, DomainName, NodeName, check_label_key, check_label_value};
pub use node_count::NodeCount;
pub use taint::{Taint, TaintEffect};
pub use version::Version;

/// A value that could not be understood: what is wrong with it, and how to write it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("{problem}")]
pub struct ValueError {
    /// What is wrong, lower-case, naming the value.
    #[serde(rename = "message")]
    pub problem: String,
    /// What to write instead.
    pub hint: String,
}

impl ValueError {
    /// Makes an error from what is wrong and what to write instead.
    pub fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            hint: hint.into(),
        }
    }
}

/// Shortens a value for a message: hostile input may be megabytes long and hold control characters.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

/// Implements serde and schemars for a type that is written as one string and has `FromStr` and `Display`.
macro_rules! written_as_string {
    ($type:ty, $name:literal, { $($schema:tt)* }) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", $($schema)* })
            }
        }
    };
}
pub(crate) use written_as_string;
