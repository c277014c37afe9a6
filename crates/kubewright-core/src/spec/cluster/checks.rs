//! What a person has judged of the findings of a check.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check_kind::Kind;

/// How findings of `kubewright check` are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Checks {
    /// Findings that do not keep `apply` from beginning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<Acceptance>,
}

/// A kind of finding that somebody has judged to be right for these machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Acceptance {
    /// Its id, as `kubewright check` prints it in brackets.
    #[schemars(with = "String")]
    pub id: Kind,
    /// Why, for whoever reads the next plan.
    pub reason: String,
}

impl Checks {
    /// Why a kind of finding is accepted, if it is.
    pub fn accepts(&self, kind: Kind) -> Option<&str> {
        let accepted = self.accept.iter().find(|accepted| accepted.id == kind);
        accepted.map(|accepted| accepted.reason.as_str())
    }
}
