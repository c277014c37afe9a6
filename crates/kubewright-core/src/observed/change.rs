//! How a resource on a node differs from what it is to be: a value programs decide by; people read the text it makes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::certificate::CertificateProblem;
use crate::resource::ResourceId;

/// How one resource on a node differs from what it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Which resource.
    pub resource: ResourceId,
    /// What differs.
    pub change: Change,
}

/// What differs, and so what converging will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Change {
    /// It is not there and will be made.
    Missing,
    /// The content differs; the present one is shown when it is text, not secret and not large.
    Content {
        /// What is there now.
        before: Option<String>,
    },
    /// Owner or mode differ.
    Access {
        /// As in `root:root 0644`.
        before: String,
        /// As in `root:root 0600`.
        after: String,
    },
    /// A value (link target, kernel parameter, digest) differs.
    Value {
        /// What is there now.
        before: String,
        /// What will be.
        after: String,
    },
    /// A certificate has to be issued again.
    Certificate {
        /// Why.
        problem: CertificateProblem,
    },
    /// A unit's file, enablement or state differs, or its inputs changed since it was started.
    Unit {
        /// The unit file now, when it differs.
        before: Option<String>,
        /// It has to be enabled.
        enable: bool,
        /// What will happen to the process.
        action: UnitAction,
        /// The reasons one by one, as far as they are not `enable`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        found: Vec<UnitFinding>,
    },
    /// kubewright put it there and no longer wants it: it will be removed.
    Orphaned,
    /// Something in the way that kubewright will not remove by itself.
    Blocked {
        /// What, as in `a directory is where the file should be`.
        reason: String,
    },
}

/// Something about a unit that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum UnitFinding {
    /// The unit's own file is not as it should be.
    File {
        /// How.
        problem: UnitFileProblem,
    },
    /// A file of somebody else changes the unit's settings: a drop-in, or a unit file that goes before its own.
    Override {
        /// Where it is. Converging removes it; the node's journal keeps what was in it.
        path: String,
        /// What is in it, when it is text, not secret and not large.
        content: Option<String>,
    },
    /// The running process was given other arguments than the unit's file gives.
    Arguments {
        /// Words it was given and its file does not have; secret values are left out.
        foreign: Vec<String>,
        /// Words its file has and it was not given.
        lacking: Vec<String>,
    },
    /// The running process executes another file than the one that is at its path now.
    Executable {
        /// The program's path in the unit's file.
        path: String,
        /// What it executes, as the kernel names it, as in `/usr/local/bin/kubelet (deleted)`.
        running: String,
    },
    /// It is to run and does not.
    NotRunning {
        /// systemd's `ActiveState`; empty when systemd does not know the unit.
        active: String,
        /// systemd's `SubState`.
        sub: String,
    },
    /// Something its process reads is about to change.
    InputChanges {
        /// What.
        input: ResourceId,
    },
    /// The process was started with other inputs than are on disk now.
    Inputs {},
}

/// What is wrong with a unit's own file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UnitFileProblem {
    /// It is not there.
    Missing,
    /// Its content differs.
    Content,
    /// Its owner or mode differ, and nothing else: the process does not notice.
    Access,
    /// systemd has not read what is there.
    NotRead,
}

/// What happens to a unit's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UnitAction {
    /// It keeps running.
    None,
    /// It is started.
    Start,
    /// It is restarted.
    Restart,
}

/// Every reason of a unit's change in one line, as in `its file differs; not enabled`; empty when there is none.
pub fn unit_reasons(enable: bool, found: &[UnitFinding]) -> String {
    let found = found.iter().map(ToString::to_string);
    let each: Vec<String> = found.chain(enable.then(|| "not enabled".to_owned())).collect();
    each.join("; ")
}

impl fmt::Display for UnitFinding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { problem } => problem.fmt(out),
            Self::Override { path, .. } => write!(out, "{path} overrides it"),
            Self::Arguments { .. } => out.write_str("its process has other arguments"),
            Self::Executable { path, .. } => write!(out, "its process is not what is at {path} now"),
            Self::NotRunning { active, .. } if active.is_empty() => {
                out.write_str("not running: unknown to systemd")
            }
            Self::NotRunning { active, sub } => write!(out, "not running: {active} ({sub})"),
            Self::InputChanges { input } => write!(out, "{} changes", input.what()),
            Self::Inputs {} => out.write_str("started with other inputs"),
        }
    }
}

impl fmt::Display for UnitFileProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Missing => "its file is missing",
            Self::Content => "its file differs",
            Self::Access => "its file's owner or mode differ",
            Self::NotRead => "systemd has not read its file",
        })
    }
}
