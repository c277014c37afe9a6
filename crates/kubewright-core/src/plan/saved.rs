//! A plan in a file: `plan --out` writes it, `apply --plan` reads it and applies exactly it or refuses.
//!
//! The file is for looking at, too, so it says who made it and when. It is never trusted: what is applied is what is
//! planned again, and only if that is, step for step, what the file says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::origin::lasting;
use super::{MadeFrom, Plan, Refusal, Step};
use crate::resource::Digest;

/// Version of the form of plans in files and of `plan -o json`. A field that is added does not raise it.
pub const SCHEMA: u32 = 1;
/// What the file says it is.
const KIND: &str = "SavedPlan";
/// What `plan -o json` says it is.
const SHOWN_KIND: &str = "Plan";

/// A plan as programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanDocument {
    /// Always `Plan`.
    pub kind: String,
    /// Version of this form.
    pub schema: u32,
    /// The cluster's name.
    pub cluster: String,
    /// How many things change; 0 when there is nothing to do.
    pub changes: usize,
    /// The nodes the plan was restricted to; absent when it is about all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// The plan.
    #[serde(flatten)]
    pub plan: Plan,
}

impl PlanDocument {
    /// The plan of a cluster, for programs.
    pub fn new(plan: &Plan, cluster: &str, only: &[String]) -> Self {
        Self {
            kind: SHOWN_KIND.to_owned(),
            schema: SCHEMA,
            cluster: cluster.to_owned(),
            changes: plan.changes(),
            only: only.to_vec(),
            plan: plan.clone(),
        }
    }
}

/// A plan in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SavedPlan {
    /// Always `SavedPlan`.
    pub kind: String,
    /// Version of this form.
    pub schema: u32,
    /// The version of kubewright that made it.
    pub kubewright: String,
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's id; absent while the cluster does not exist.
    pub cluster_id: Option<String>,
    /// When it was made, as in `2026-03-14T15:09:26Z`.
    pub made_at: String,
    /// Who made it, as in `ada@workstation`.
    pub made_by: String,
    /// The nodes the plan was restricted to; empty when it is about all.
    #[serde(default)]
    pub only: Vec<String>,
    /// The plan.
    pub plan: Plan,
    /// What it was made from.
    pub made_from: MadeFrom,
    /// Digest of `plan` and `madeFrom`: a file that was cut or edited is noticed before anything else.
    pub digest: Digest,
}

/// Who makes a plan, when, of what.
#[derive(Clone, Debug)]
pub struct Making<'a> {
    /// The version of kubewright.
    pub kubewright: &'a str,
    /// The cluster's name.
    pub cluster: &'a str,
    /// The cluster's id, if the cluster exists.
    pub cluster_id: Option<String>,
    /// When.
    pub at: String,
    /// Who.
    pub by: &'a str,
    /// The nodes the plan is restricted to.
    pub only: &'a [String],
}

/// Why a file is no plan this kubewright can apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadablePlan {
    /// It is JSON of something else, or no JSON at all.
    #[error("it is not a plan of kubewright: {cause}")]
    Foreign {
        /// What is wrong with it.
        cause: String,
    },
    /// It has another form.
    #[error("it has form {found} (written by kubewright {by}), this kubewright reads form {SCHEMA}")]
    OtherSchema {
        /// The form it has.
        found: u64,
        /// Who wrote it.
        by: String,
    },
    /// It was cut or edited.
    #[error("it is damaged: {cause}")]
    Damaged {
        /// What is wrong with it.
        cause: String,
    },
}

impl SavedPlan {
    /// A plan ready to be written.
    pub fn new(plan: Plan, made_from: MadeFrom, making: Making<'_>) -> Self {
        let digest = digest(&plan, &made_from);
        Self {
            kind: KIND.to_owned(),
            schema: SCHEMA,
            kubewright: making.kubewright.to_owned(),
            cluster: making.cluster.to_owned(),
            cluster_id: making.cluster_id,
            made_at: making.at,
            made_by: making.by.to_owned(),
            only: making.only.to_vec(),
            plan,
            made_from,
            digest,
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`UnreadablePlan`] when it is something else, another form, or not whole.
    pub fn from_text(text: &str) -> Result<Self, UnreadablePlan> {
        let foreign = |cause: String| UnreadablePlan::Foreign { cause };
        let value: serde_json::Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) if text.contains(&format!("\"kind\": \"{KIND}\"")) => {
                return Err(UnreadablePlan::Damaged {
                    cause: error.to_string(),
                });
            }
            Err(error) => return Err(foreign(error.to_string())),
        };
        match value["kind"].as_str() {
            Some(KIND) => {}
            Some(SHOWN_KIND) => {
                return Err(foreign(
                    "it is what plan -o json prints; plan --out writes one that can be applied".to_owned(),
                ));
            }
            Some(kind) => {
                let kind: String = kind.chars().take(60).collect();
                return Err(foreign(format!("it says it is a {kind:?}")));
            }
            None => return Err(foreign("it does not say what it is".to_owned())),
        }
        match value["schema"].as_u64() {
            Some(schema) if schema == u64::from(SCHEMA) => {}
            found => {
                return Err(UnreadablePlan::OtherSchema {
                    found: found.unwrap_or_default(),
                    by: value["kubewright"].as_str().map_or_else(
                        || "of unknown version".to_owned(),
                        |by| by.chars().take(60).collect(),
                    ),
                });
            }
        }
        let damaged = |cause: String| UnreadablePlan::Damaged { cause };
        let saved: Self = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        if digest(&saved.plan, &saved.made_from) != saved.digest {
            return Err(damaged("its digest does not fit its content".to_owned()));
        }
        Ok(saved)
    }

    /// Lets the plan through only if everything it was made from is as it was.
    ///
    /// # Errors
    /// [`Refusal::StalePlan`], naming what changed.
    pub fn refuse_changed(&self, now: &MadeFrom) -> Result<(), Refusal> {
        let changes = self.made_from.changed_since(now);
        if changes.is_empty() {
            return Ok(());
        }
        Err(self.stale(changes))
    }

    /// Lets the plan through only if it is, step for step, what this `kubewright` plans now.
    ///
    /// # Errors
    /// [`Refusal::StalePlan`] otherwise.
    pub fn refuse_other(&self, planned: &Plan, kubewright: &str) -> Result<(), Refusal> {
        if is_same(&self.plan, planned) {
            return Ok(());
        }
        let change = if self.kubewright == kubewright {
            "the steps in the file are not those that follow from what it was made from".to_owned()
        } else {
            format!(
                "kubewright {kubewright} plans other steps than kubewright {}, which made the plan",
                self.kubewright
            )
        };
        Err(self.stale(vec![change]))
    }

    fn stale(&self, changes: Vec<String>) -> Refusal {
        Refusal::StalePlan {
            made_at: self.made_at.clone(),
            changes,
        }
    }
}

fn digest(plan: &Plan, made_from: &MadeFrom) -> Digest {
    Digest::of(&serde_json::to_vec(&(plan, made_from)).unwrap_or_default())
}

/// Whether two plans do the same for the same reasons. How many days a certificate has left does not count, nor which
/// state a step applies: until a cluster exists, every look makes its authorities again, and [`MadeFrom`] compares the
/// states without them.
fn is_same(one: &Plan, other: &Plan) -> bool {
    let lasting_steps = |plan: &Plan| {
        let mut steps = plan.steps.clone();
        for planned in &mut steps {
            if let Step::Converge {
                state, differences, ..
            } = &mut planned.step
            {
                *state = Digest::of(b"");
                for difference in differences {
                    *difference = lasting(difference);
                }
            }
        }
        steps
    };
    one.operation == other.operation && lasting_steps(one) == lasting_steps(other)
}
