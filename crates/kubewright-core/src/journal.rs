//! The record an agent keeps on its node of every change it makes, written and fsynced before and after the change.
//!
//! The journal explains and undoes; it does not decide. What to do next is always decided from what is observed.
//! Lines are JSON, one entry each; readers ignore fields they do not know, and every schema ever written keeps a
//! fixture in the tests.

use serde::{Deserialize, Serialize};

use crate::resource::{Digest, ResourceId};

/// The schema this version writes.
pub const SCHEMA: u32 = 1;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Version of the line's schema.
    pub schema: u32,
    /// The run that made the change.
    pub run: String,
    /// Counts up within a run.
    pub sequence: u64,
    /// Seconds since the epoch, by the node's clock.
    pub time: i64,
    /// What happened.
    pub event: Event,
}

/// What a journal line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Event {
    /// A run begins on this node.
    RunStarted {
        /// Who runs it and from where.
        operator: String,
        /// The cluster it is for.
        cluster: String,
    },
    /// A change is about to be made.
    Intended {
        /// What will be changed.
        resource: ResourceId,
        /// How to put things back.
        undo: Undo,
    },
    /// A change was made and verified.
    Done {
        /// What was changed.
        resource: ResourceId,
    },
    /// A change was attempted and did not succeed.
    Failed {
        /// What was to be changed.
        resource: ResourceId,
        /// The error's text.
        error: String,
    },
    /// What the run changed of this is back to where it was before: the run took it back itself.
    TakenBack {
        /// What.
        resource: ResourceId,
    },
    /// The run ended on this node.
    RunFinished {
        /// How many resources changed.
        changed: u64,
    },
    /// A line of a newer version; kept, not understood.
    #[serde(other)]
    Unknown,
}

/// What puts a node back to where it was before one change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Undo {
    /// The thing did not exist: remove it.
    Remove,
    /// The bytes are kept beside the journal under their digest; put them back with this owner and mode.
    Restore {
        /// Digest, and name of the kept copy.
        sha256: Digest,
        /// Permission bits.
        mode: u32,
        /// Numeric owner.
        uid: u32,
        /// Numeric group.
        gid: u32,
    },
    /// A link pointed here.
    Link {
        /// The old target.
        target: String,
    },
    /// A value (of a sysctl, of an owner and mode) was this.
    Value {
        /// The old value.
        value: String,
    },
    /// A unit was in this state.
    Unit {
        /// It was enabled.
        enabled: bool,
        /// It was running.
        active: bool,
        /// Digest of the kept unit file, if there was one.
        file: Option<Digest>,
        /// The file's permission bits; those kubewright gives unit files, where none are recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<u32>,
        /// Numeric owner of the file; root, where none is recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<u32>,
        /// Numeric group of the file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gid: Option<u32>,
        /// Fingerprint of the inputs it was started with, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started: Option<Digest>,
    },
    /// Nothing can or need be undone (a cached image, a key that was replaced by a valid one).
    Nothing,
    /// A way of a newer version.
    #[serde(other)]
    Unknown,
}

/// What undoing a run put back, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Undone {
    /// The run.
    pub run: String,
    /// Who ran it and from where.
    pub operator: String,
    /// When it began, seconds since the epoch by the node's clock.
    pub begun: i64,
    /// What is put back to where it was: units that are removed first, then the last change first; units that were there
    /// before last, when all they read is back.
    pub restored: Vec<ResourceId>,
    /// What stays as the run left it, and why.
    pub left: Vec<Left>,
}

/// Something that is not put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// What.
    pub resource: ResourceId,
    /// Why.
    pub why: String,
}
