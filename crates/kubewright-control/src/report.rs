//! What a run reports as it happens.

use kubewright_core::errors::ErrorId;
use kubewright_core::plan::StepId;
use kubewright_core::resource::ResourceId;

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A node is being talked to, outside of any step.
    Node {
        /// The node.
        node: String,
        /// As in `connecting` or `looking`.
        doing: String,
    },
    /// A node is waited for before anything begins, which may take a while.
    Waiting {
        /// The node.
        node: String,
        /// What is waited for.
        what: String,
    },
    /// A step began.
    StepStarted {
        /// The step.
        step: StepId,
        /// Its node, if it has one.
        node: Option<String>,
        /// What it does, for people.
        title: String,
    },
    /// A resource of a node is being made so, or is so now.
    Resource {
        /// The node.
        node: String,
        /// The resource.
        resource: ResourceId,
        /// It is so now.
        done: bool,
    },
    /// A step has waited for long.
    StepWaits {
        /// The step.
        step: StepId,
        /// Its node, if it has one.
        node: Option<String>,
        /// What it waits for, for people.
        title: String,
        /// How long it has waited.
        seconds: u64,
        /// What is missing and why, line by line.
        why: Vec<String>,
    },
    /// A step succeeded.
    StepFinished {
        /// The step.
        step: StepId,
        /// Its node, if it has one.
        node: Option<String>,
        /// What it did, for people.
        title: String,
        /// How many things it changed.
        changed: usize,
        /// How long it took.
        seconds: f64,
    },
    /// A step did not succeed.
    StepFailed {
        /// The step.
        step: StepId,
        /// Its node, if it has one.
        node: Option<String>,
        /// Which situation it is.
        id: ErrorId,
        /// What went wrong.
        error: String,
    },
}

/// Watches a run.
pub trait Reporter: Send + Sync {
    /// Takes note of an event; must not block.
    fn event(&self, event: &Event);
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _event: &Event) {}
}
