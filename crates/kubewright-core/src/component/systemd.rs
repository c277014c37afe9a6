//! What only systemd does for a process: conditions, commands around it, when it counts as up.

use crate::resource::Start;

/// What only systemd does for a process.
#[derive(Clone, Debug, Default)]
pub struct Systemd {
    /// How it tells that it is up.
    pub readiness: Readiness,
    /// Whether its start is waited for.
    pub start: Start,
    /// A file with more environment variables, which may be missing and is not an input.
    pub environment_file: Option<&'static str>,
    /// Paths of which at least one must exist, or it does not start.
    pub requires_any: Vec<&'static str>,
    /// Commands before it starts.
    pub before_start: Vec<Command>,
    /// Commands once it is up.
    pub after_start: Vec<Command>,
    /// Commands when it is stopped.
    pub on_stop: Vec<Command>,
}

/// How a process tells that it is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// It tells the service manager.
    Notify {
        /// Seconds it may take.
        timeout_seconds: u32,
    },
    /// It runs.
    #[default]
    Running,
    /// It has run; what it did stays.
    Finished,
}

/// A command that goes with a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; a program without a path is searched in the system's directories.
    pub words: Vec<String>,
    /// Its failure is no failure.
    pub may_fail: bool,
    /// It runs as root and unconfined, whatever the process may do.
    pub privileged: bool,
}

impl Command {
    /// A command from its words.
    pub fn new<const N: usize>(words: [&str; N]) -> Self {
        Self {
            words: words.map(str::to_owned).to_vec(),
            may_fail: false,
            privileged: false,
        }
    }

    /// The same, whose failure is no failure.
    #[must_use]
    pub fn may_fail(mut self) -> Self {
        self.may_fail = true;
        self
    }

    /// The same, as root and unconfined.
    #[must_use]
    pub fn privileged(mut self) -> Self {
        self.privileged = true;
        self
    }
}
