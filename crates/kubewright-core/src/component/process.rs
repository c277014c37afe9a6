//! What runs of a component, in words every carrier understands; what only one of them knows is an extension.

use std::collections::BTreeMap;

use super::arguments::Arguments;
use super::description::Description;
use super::systemd::Systemd;

/// What runs of a component.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// The program's path; `None` when there are only the commands of an extension.
    pub program: Option<String>,
    /// Words between program and arguments, such as a subcommand.
    pub words: Vec<&'static str>,
    /// The program's arguments.
    pub arguments: Arguments,
    /// Groups it is in besides its user's own.
    pub groups: Vec<&'static str>,
    /// Whether it talks to the world outside the cluster, as the node's other programs do. A proxy that the whole node
    /// is told of is none of the others' business: what they talk to is in the cluster.
    pub leaves_the_cluster: bool,
    /// Environment variables; never secret.
    pub environment: BTreeMap<String, String>,
    /// Names of the components it starts after, where the node has them.
    pub starts_after: Vec<&'static str>,
    /// What it may reach on the node.
    pub confinement: Confinement,
    /// Limits and how it is stopped.
    pub limits: Limits,
    /// What only systemd does for it.
    pub systemd: Systemd,
}

impl Process {
    /// What runs of a component, without arguments, unconfined, up when it runs.
    pub fn new(description: &Description) -> Self {
        Self {
            program: description.program.path(),
            ..Self::default()
        }
    }
}

/// What a process may reach on its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Confinement {
    /// Everything: it manages the node (kubelet, runtime, network).
    #[default]
    None,
    /// The network, and the file system read-only but for these directories; no capability, no new privilege.
    Strict {
        /// Directories it writes. What it writes there it may give to itself: whoever starts a new log file gives it
        /// the owner of the one before.
        writable: Vec<&'static str>,
    },
}

/// Limits of a process, and what happens to what it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Open files; the system's limit wins when it is lower.
    pub open_files: Option<u32>,
    /// How eagerly the kernel kills it when memory runs out, -1000 to 1000.
    pub oom_score_adjust: Option<i32>,
    /// It starts containers: they have their own control groups and outlive it.
    pub parent_of_containers: bool,
}
