//! The operation log: who changed what, when, from where, by which plan, and how each step ended.
//!
//! Each run has one file of JSON lines, written as the run goes: a record before the first change, one when a step begins
//! and one when it ends, one at the end. A run without the last record did not finish. The same lines are kept on the
//! control planes and beside cluster.yaml; [`read`] makes an [`RecordedRun`] of them, [`merge`] one list of what several
//! places hold. Readers ignore lines, fields, events and outcomes they do not know, and a last line that was cut off.
//!
//! No record holds content of files or a service's log: error texts are one line of bounded length.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::Digest;

mod merge;
mod read;

pub use merge::{merge, of_id};
pub use read::read;

/// The schema this version writes.
pub const SCHEMA: u32 = 1;
/// How many runs each place keeps.
pub const RUNS_KEPT: usize = 100;
/// How large the record of one run may become, in bytes; the last record is written all the same.
pub const RUN_BYTES: usize = 4 << 20;
/// How many bytes the records of all runs may take at one place; the oldest go first.
pub const TOTAL_BYTES: u64 = 64 << 20;
/// How long an error's text may be, in bytes.
const ERROR_BYTES: usize = 2 << 10;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Version of the line's schema.
    pub schema: u32,
    /// The run's id; the journals on the nodes know the run by the same.
    pub run: String,
    /// Milliseconds since the epoch, by the clock of the computer the run was started on.
    pub time_ms: i64,
    /// What happened.
    pub event: Event,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Event {
    /// The run is about to make its first change.
    Begun(Begun),
    /// A step is about to be done.
    StepBegun {
        /// The step's name in its plan.
        step: String,
        /// The node it happens on, if it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// What it does, for people.
        #[serde(default)]
        title: String,
    },
    /// A step ended, or was never begun.
    #[serde(rename_all = "camelCase")]
    StepEnded {
        /// The step's name in its plan.
        step: String,
        /// The node it would have happened on, where no other record tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// What it would have done, where no other record tells.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        title: String,
        /// How it ended.
        outcome: StepOutcome,
        /// How long it took.
        #[serde(default)]
        duration_ms: u64,
    },
    /// The run ended.
    #[serde(rename_all = "camelCase")]
    Ended {
        /// How.
        ending: Ending,
        /// How many things were changed.
        #[serde(default)]
        changed: u64,
        /// How long it took.
        #[serde(default)]
        duration_ms: u64,
    },
    /// A line of a newer version.
    #[serde(other)]
    Unknown,
}

/// Who began what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Begun {
    /// `apply` or `reset`.
    pub operation: String,
    /// The cluster's name.
    pub cluster: String,
    /// Who runs it.
    pub who: String,
    /// The computer it is run on.
    pub from: String,
    /// The cluster file, as it was named.
    pub file: String,
    /// kubewright's version.
    pub version: String,
    /// Digest of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// How many steps the plan has.
    pub steps: u64,
    /// How many changes the plan has.
    pub changes: u64,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum StepOutcome {
    /// It succeeded and nothing had to be changed.
    Unchanged,
    /// It succeeded.
    Changed {
        /// How many things it changed.
        count: u64,
    },
    /// It did not succeed.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// What went wrong.
        error: String,
        /// The error's stable name, when it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_id: Option<String>,
    },
    /// It was not begun.
    Skipped,
    /// An outcome of a newer version.
    #[serde(other)]
    Unknown,
}

impl StepOutcome {
    /// A failure; of a long text only the beginning is kept, in one line.
    pub fn failed(error: &str, error_id: Option<String>) -> Self {
        let mut end = error.len().min(ERROR_BYTES);
        while !error.is_char_boundary(end) {
            end -= 1;
        }
        let mut text = error[..end].replace(['\n', '\r'], " ");
        if end < error.len() {
            text.push('…');
        }
        Self::Failed {
            error: text,
            error_id,
        }
    }

    /// Whether the step is done.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Unchanged | Self::Changed { .. })
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Ending {
    /// Every step succeeded.
    Done,
    /// A step failed.
    Failed,
    /// It was asked to stop.
    Stopped,
    /// In a way of a newer version.
    #[serde(other)]
    Unknown,
}

/// A run as its records tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedRun {
    /// The run's id.
    pub id: String,
    /// The newest schema among its records.
    pub schema: u32,
    /// When it began, milliseconds since the epoch.
    pub begun_ms: i64,
    /// Who began what.
    pub begun: Begun,
    /// When the last record was written, milliseconds since the epoch.
    pub last_ms: i64,
    /// How it ended; `None` when it did not finish (or is still going on).
    pub ending: Option<Ending>,
    /// How many things were changed, as far as the records tell.
    pub changed: u64,
    /// How many of its steps ended how.
    pub counts: Counts,
    /// Its steps in the order they were begun; empty where only a summary was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepRecord>,
    /// Where records of it were found.
    #[serde(default)]
    pub held_by: Vec<String>,
}

/// How many steps ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Succeeded.
    pub done: u64,
    /// Did not succeed.
    pub failed: u64,
    /// Were not begun.
    pub skipped: u64,
    /// Were begun and have no end.
    pub open: u64,
}

/// A step as the records tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// The step's name in its plan.
    pub step: String,
    /// The node it happens on, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What it does, for people.
    pub title: String,
    /// How it ended; `None` when that is not known.
    pub outcome: Option<StepOutcome>,
    /// How long it took.
    pub duration_ms: u64,
}

impl RecordedRun {
    /// The same without its steps.
    pub fn summary(self) -> Self {
        Self {
            steps: Vec::new(),
            ..self
        }
    }

    /// Whether a newer kubewright wrote parts of it that this one may not understand.
    pub const fn is_newer(&self) -> bool {
        self.schema > SCHEMA
    }

    /// `ada@workstation`.
    pub fn operator(&self) -> String {
        format!("{}@{}", self.begun.who, self.begun.from)
    }

    /// How it ended, in a few words.
    pub fn outcome(&self) -> String {
        match self.ending {
            Some(Ending::Done) => "done".to_owned(),
            Some(Ending::Failed) => {
                format!("failed ({} of {} steps done)", self.counts.done, self.begun.steps)
            }
            Some(Ending::Stopped) => {
                format!(
                    "stopped ({} of {} steps done)",
                    self.counts.done, self.begun.steps
                )
            }
            Some(Ending::Unknown) => "ended".to_owned(),
            None => format!(
                "did not finish ({} of {} steps done)",
                self.counts.done, self.begun.steps
            ),
        }
    }
}

/// Counts how steps ended.
fn count(steps: &BTreeMap<String, StepRecord>) -> Counts {
    let mut counts = Counts::default();
    for step in steps.values() {
        match &step.outcome {
            Some(outcome) if outcome.is_done() => counts.done += 1,
            Some(StepOutcome::Failed { .. }) => counts.failed += 1,
            Some(StepOutcome::Skipped) => counts.skipped += 1,
            Some(_) => {}
            None => counts.open += 1,
        }
    }
    counts
}

#[cfg(test)]
mod tests;
