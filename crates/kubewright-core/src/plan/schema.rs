//! The JSON schema of plans as programs read them.

use schemars::{JsonSchema, Schema};

use super::{PlanDocument, SavedPlan};

/// A plan of kubewright: what `plan -o json` prints, or what `plan --out` writes.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "KubewrightPlan")]
#[allow(dead_code, reason = "it exists for its schema only")]
enum AnyPlan {
    /// What `plan -o json` prints.
    Shown(PlanDocument),
    /// What `plan --out` writes.
    Saved(Box<SavedPlan>),
}

/// The schema of both forms.
pub fn schema() -> Schema {
    schemars::schema_for!(AnyPlan)
}
