//! A taint of a node, written as kubectl writes it: `key=value:Effect`.

use super::{ValueError, check_label_key, check_label_value, shorten, written_as_string};
use std::fmt;
use std::str::FromStr;

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaintEffect {
    /// New pods are not placed on the node.
    NoSchedule,
    /// New pods are placed elsewhere if there is an elsewhere.
    PreferNoSchedule,
    /// New pods are not placed on the node and running ones are evicted.
    NoExecute,
}

impl TaintEffect {
    /// Returns the effect as Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// A taint, such as `dedicated=gpu:NoSchedule`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taint {
    /// The key, a label key.
    pub key: String,
    /// The value, a label value, empty when none is written.
    pub value: String,
    /// What it does.
    pub effect: TaintEffect,
}

impl FromStr for Taint {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        const HINT: &str = "write `key=value:Effect` or `key:Effect`, such as `dedicated=gpu:NoSchedule`";
        let shown = shorten(text);
        let Some((subject, effect)) = text.rsplit_once(':') else {
            return Err(ValueError::new(format!("taint `{shown}` has no effect"), HINT));
        };
        let effect = match effect {
            "NoSchedule" => TaintEffect::NoSchedule,
            "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
            "NoExecute" => TaintEffect::NoExecute,
            _ => {
                return Err(ValueError::new(
                    format!("taint `{shown}` has an unknown effect"),
                    "the effects are NoSchedule, PreferNoSchedule and NoExecute",
                ));
            }
        };
        let (key, value) = subject.split_once('=').unwrap_or((subject, ""));
        check_label_key(key)
            .and_then(|()| check_label_value(value))
            .map_err(|error| ValueError::new(format!("taint `{shown}`: {}", error.problem), HINT))?;
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
            effect,
        })
    }
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equals = if self.value.is_empty() { "" } else { "=" };
        f.pad(&format!(
            "{}{equals}{}:{}",
            self.key,
            self.value,
            self.effect.as_str()
        ))
    }
}

written_as_string!(Taint, "Taint", { "examples": ["dedicated=gpu:NoSchedule"] });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_same_way() {
        for text in [
            "dedicated=gpu:NoSchedule",
            "node-role.kubernetes.io/control-plane:NoSchedule",
            "a:NoExecute",
        ] {
            assert_eq!(text.parse::<Taint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_unusable_taint_says_why() {
        let message = |text: &str| text.parse::<Taint>().unwrap_err().to_string();
        assert_eq!(message("dedicated=gpu"), "taint `dedicated=gpu` has no effect");
        assert_eq!(message("a:Never"), "taint `a:Never` has an unknown effect");
        assert!(message("a b:NoExecute").contains("has a space"));
    }
}
