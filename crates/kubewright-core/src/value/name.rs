//! Names: of nodes, of the cluster, of its DNS domain, and the keys and values of labels.
//!
//! The rules are Kubernetes' own (RFC 1123 labels, qualified names), so that a name that passes here is never
//! refused later by the API server.

use super::{ValueError, shorten, written_as_string};
use std::fmt;
use std::str::FromStr;

/// Why a text is not an RFC 1123 label, in words that follow "`x`".
fn label_problem(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("is empty".into());
    }
    if text.len() > 63 {
        return Some(format!("has {} characters, the limit is 63", text.len()));
    }
    if let Some(c) = text
        .chars()
        .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-'))
    {
        return Some(match c {
            c if c.is_ascii_uppercase() => format!("has the capital letter `{c}`"),
            '_' => "has an underscore".into(),
            '.' => "has a dot".into(),
            c if c.is_control() => "has a control character".into(),
            c => format!("has the character `{c}`"),
        });
    }
    (text.starts_with('-') || text.ends_with('-')).then(|| "begins or ends with a dash".into())
}

const LABEL_HINT: &str =
    "use lower-case letters, digits and dashes, at most 63, with a letter or digit at both ends";

macro_rules! label_type {
    ($(#[$doc:meta])* $type:ident, $what:literal, $name:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = ValueError;
            fn from_str(text: &str) -> Result<Self, ValueError> {
                match label_problem(text) {
                    None => Ok(Self(text.to_owned())),
                    Some(problem) => Err(ValueError::new(
                        format!(concat!($what, " `{}` {}"), shorten(text), problem),
                        LABEL_HINT,
                    )),
                }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }
        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }
        written_as_string!($type, $name, {
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "minLength": 1, "maxLength": 63
        });
    };
}

label_type! {
    /// The name of a node: its Kubernetes name and its etcd member name. An RFC 1123 label of at most 63 characters.
    NodeName, "node name", "NodeName"
}
label_type! {
    /// The name of a cluster: what kubeconfig contexts and reports call it. An RFC 1123 label of at most 63 characters.
    ClusterName, "cluster name", "ClusterName"
}

/// The DNS domain of the cluster's services, such as `cluster.local`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// Returns the domain as text, without a dot at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DomainName {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        match domain_problem(text) {
            None => Ok(Self(text.to_owned())),
            Some(problem) => Err(ValueError::new(
                format!("domain `{}` {problem}", shorten(text)),
                "write labels of lower-case letters, digits and dashes with dots between, such as `cluster.local`",
            )),
        }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

written_as_string!(DomainName, "DomainName", {
    "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "maxLength": 253
});

/// Why a text is not a DNS name of RFC 1123 labels, in words that follow "`x`".
pub(crate) fn domain_problem(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("is empty".into());
    }
    if text.len() > 253 {
        return Some(format!("has {} characters, the limit is 253", text.len()));
    }
    if text.ends_with('.') {
        return Some("ends with a dot".into());
    }
    text.split('.').find_map(|label| {
        let problem = label_problem(label)?;
        Some(if label.is_empty() {
            "has an empty label".into()
        } else {
            problem
        })
    })
}

/// Checks the key of a label or taint: an optional DNS prefix and a slash, then a name of at most 63 characters.
pub fn check_label_key(key: &str) -> Result<(), ValueError> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let problem = prefix
        .and_then(domain_problem)
        .map(|problem| format!("has a prefix that {problem}"))
        .or_else(|| qualified_problem(name, false));
    problem.map_or(Ok(()), |problem| {
        Err(ValueError::new(
            format!("label key `{}` {problem}", shorten(key)),
            "write `name` or `domain/name`; a name has letters, digits, `-`, `_` and `.`, at most 63",
        ))
    })
}

/// Checks the value of a label or taint: empty, or letters, digits, `-`, `_` and `.`, at most 63.
pub fn check_label_value(value: &str) -> Result<(), ValueError> {
    qualified_problem(value, true).map_or(Ok(()), |problem| {
        Err(ValueError::new(
            format!("label value `{}` {problem}", shorten(value)),
            "use letters, digits, `-`, `_` and `.`, at most 63, with a letter or digit at both ends",
        ))
    })
}

fn qualified_problem(text: &str, may_be_empty: bool) -> Option<String> {
    if text.is_empty() {
        return (!may_be_empty).then(|| "has no name".into());
    }
    if text.len() > 63 {
        return Some(format!("has {} characters, the limit is 63", text.len()));
    }
    if let Some(c) = text
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
    {
        return Some(match c {
            ' ' => "has a space".into(),
            c if c.is_control() => "has a control character".into(),
            c => format!("has the character `{c}`"),
        });
    }
    let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    (!ends_well(text.chars().next()) || !ends_well(text.chars().last()))
        .then(|| "begins or ends with a character that is not a letter or digit".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_name_says_what_is_wrong_with_it() {
        let message = |text: &str| {
            text.parse::<NodeName>()
                .map_or_else(|e| e.to_string(), |n| n.to_string())
        };
        assert_eq!(message("cp-1"), "cp-1");
        assert_eq!(message("CP-1"), "node name `CP-1` has the capital letter `C`");
        assert_eq!(message("cp_1"), "node name `cp_1` has an underscore");
        assert_eq!(message("cp.1"), "node name `cp.1` has a dot");
        assert_eq!(message("-cp"), "node name `-cp` begins or ends with a dash");
        assert_eq!(message(""), "node name `` is empty");
        assert!(message(&"a".repeat(64)).contains("64 characters, the limit is 63"));
        assert!(message("a\0b").contains("control character"));
    }

    #[test]
    fn label_keys_and_values_follow_kubernetes_rules() {
        for key in ["disk", "topology.kubernetes.io/zone", "Example_1.x", "a.b/c"] {
            assert_eq!(check_label_key(key), Ok(()), "{key}");
        }
        for key in ["", "a b", "/x", "a/", "A.b/c/d", "-x", "UPPER/x"] {
            assert!(check_label_key(key).is_err(), "{key}");
        }
        assert_eq!(check_label_value(""), Ok(()));
        assert!(check_label_value("a b").is_err());
        assert!(check_label_value(&"x".repeat(64)).is_err());
    }

    #[test]
    fn a_domain_has_labels_and_no_dot_at_the_end() {
        assert!("cluster.local".parse::<DomainName>().is_ok());
        for bad in ["", "cluster.local.", "a..b", "Cluster.local", "a_b.local"] {
            assert!(bad.parse::<DomainName>().is_err(), "{bad}");
        }
    }
}
