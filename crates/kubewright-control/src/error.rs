//! What went wrong on the way to another machine or on it: whose matter it is, where, why, and what to do.
//!
//! The modules below have their own small enums; at the edge of this crate they become this one value, which the
//! terminal turns into text and an exit code.

use std::fmt;

use kubewright_core::errors::{Diagnosis, diagnose};
pub use kubewright_core::errors::{ErrorId, Kind};
use kubewright_core::plan::Refusal;
use kubewright_core::wire::NodeError;

use crate::artifact::ArtifactError;
use crate::authority::AuthorityError;
use crate::node::{NodeCallError, last_seen, locked, outcome, overdue};

/// An error with everything an operator needs.
#[derive(Clone, Debug)]
pub struct Error {
    /// Which situation it is; that says whose matter it is.
    pub id: ErrorId,
    /// The node, if one is concerned.
    pub node: Option<String>,
    /// What was being done.
    pub doing: String,
    /// Why it did not work, from the outside in.
    pub causes: Vec<String>,
    /// What the operator can do.
    pub hint: Option<String>,
    /// The program that was run, with its arguments, when one was.
    pub command: Option<String>,
    /// The unit concerned, when one is.
    pub unit: Option<String>,
    /// The last lines of the unit's journal, or of what a program said.
    pub log: Vec<String>,
}

impl Error {
    /// An error of which no more is known than whose matter it is.
    pub fn new(kind: Kind, doing: impl Into<String>) -> Self {
        Self::named(ErrorId::of_kind(kind), doing)
    }

    /// An error that is a known situation.
    pub fn named(id: ErrorId, doing: impl Into<String>) -> Self {
        Self {
            id,
            node: None,
            doing: doing.into(),
            causes: Vec::new(),
            hint: None,
            command: None,
            unit: None,
            log: Vec::new(),
        }
    }

    /// Whose matter it is.
    pub const fn kind(&self) -> Kind {
        self.id.kind()
    }

    /// Names the situation.
    pub fn id(mut self, id: ErrorId) -> Self {
        self.id = id;
        self
    }

    /// What the log lines and causes point to.
    pub fn diagnosis(&self) -> Option<&'static Diagnosis> {
        match self.id.kind() {
            // What ssh and a login shell say is understood already, and has its own ids.
            Kind::Ssh | Kind::User | Kind::Refused => None,
            _ => diagnose(self.log.iter().chain(&self.causes).map(String::as_str)),
        }
    }

    /// A bug of ours.
    pub fn bug(doing: impl Into<String>) -> Self {
        Self::new(Kind::Bug, doing).hint("this is a bug in kubewright; please report it with the log file")
    }

    /// An error with all causes another one tells of.
    pub fn caused(kind: Kind, doing: impl Into<String>, error: &dyn std::error::Error) -> Self {
        let mut own = Self::new(kind, doing);
        let mut next = Some(error);
        while let Some(cause) = next {
            let text = cause.to_string();
            // Libraries like to repeat the inner message in the outer one.
            let is_repeated = own.causes.iter().any(|known| known.contains(&text));
            if !is_repeated {
                own.causes.push(text);
            }
            next = cause.source();
        }
        own
    }

    /// Names the node.
    pub fn on(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// Adds a cause.
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Says what the operator can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What an agent reported.
    pub fn from_node(node: &str, error: NodeError) -> Self {
        Self {
            id: of_a_node(error.id),
            node: Some(node.to_owned()),
            doing: error.doing,
            causes: vec![error.cause],
            hint: error.hint,
            command: error.command,
            unit: error.unit,
            log: error.log,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(node) = &self.node {
            write!(formatter, "node {node}: ")?;
        }
        formatter.write_str(&self.doing)?;
        self.causes
            .iter()
            .try_for_each(|cause| write!(formatter, ": {cause}"))
    }
}

impl std::error::Error for Error {}

/// A node says what went wrong there; that it is anything else is not its to say.
fn of_a_node(id: ErrorId) -> ErrorId {
    if id.kind() == Kind::Node {
        id
    } else {
        ErrorId::NodeFailed
    }
}

impl From<NodeCallError> for Error {
    fn from(error: NodeCallError) -> Self {
        let hint = error.hint();
        let name = error.node().to_string();
        let own = match error {
            NodeCallError::Node { error, .. } => return Self::from_node(&name, *error),
            NodeCallError::Transport(error) => {
                let own = Self::named(error.failure.id(), format!("connect to {}", error.destination));
                Self {
                    causes: error.causes(),
                    log: error.told(),
                    ..own
                }
            }
            NodeCallError::Locked { holder, waited, .. } => {
                let own = Self::named(ErrorId::NodeLocked, locked(&holder));
                last_seen(&holder, waited).into_iter().fold(own, Self::because)
            }
            NodeCallError::Lost {
                doing,
                cause,
                asked,
                stderr,
                ..
            } => Self {
                log: stderr.lines().map(str::to_owned).collect(),
                ..Self::named(ErrorId::ConnectionLost, doing).because(format!(
                    "the connection was lost ({cause}); {}",
                    outcome(asked)
                ))
            },
            NodeCallError::Fenced {
                doing, silent, asked, ..
            } => Self::named(ErrorId::ConnectionFenced, doing).because(format!(
                "connection timed out after {} s without data; {}; another run may have changed the node since",
                silent.as_secs(),
                outcome(asked)
            )),
            NodeCallError::TimedOut {
                doing,
                after,
                last_seen,
                ..
            } => Self::named(ErrorId::NodeTimeout, doing).because(overdue(after, last_seen.as_deref())),
            NodeCallError::Protocol { doing, cause, .. } => Self::bug(doing).because(cause),
            NodeCallError::Tunnel { address, cause, .. } => Self::named(
                ErrorId::NodeConnection,
                format!("connect to {address} on the node"),
            )
            .because(cause),
        };
        let own = own.on(&name);
        match hint {
            Some(hint) => own.hint(hint),
            None => own,
        }
    }
}

impl From<AuthorityError> for Error {
    fn from(error: AuthorityError) -> Self {
        let id = match &error {
            AuthorityError::Missing { .. } | AuthorityError::NoCertificate(_) => ErrorId::AuthoritiesMissing,
            AuthorityError::Mismatch(_)
            | AuthorityError::Unreadable { .. }
            | AuthorityError::Differs { .. } => ErrorId::AuthoritiesDiffer,
            AuthorityError::Request { .. } => ErrorId::Refused,
            AuthorityError::Make { .. } | AuthorityError::Randomness(_) => ErrorId::Bug,
        };
        let own = Self::caused(id.kind(), "read the cluster's CAs and shared secrets", &error).id(id);
        match error.hint() {
            Some(hint) => own.hint(hint),
            None => own,
        }
    }
}

impl From<ArtifactError> for Error {
    fn from(error: ArtifactError) -> Self {
        let id = match &error {
            ArtifactError::File { .. } => ErrorId::LocalFailure,
            ArtifactError::Absent { .. } | ArtifactError::Download { .. } | ArtifactError::NotYet(_) => {
                ErrorId::ArtifactUnavailable
            }
            ArtifactError::Format { .. }
            | ArtifactError::Digest { .. }
            | ArtifactError::Untrusted { .. }
            | ArtifactError::Archive { .. } => ErrorId::ArtifactRejected,
        };
        let own = Self::caused(Kind::User, "download the artifacts", &error).id(id);
        match error.hint() {
            Some(hint) => own.hint(hint),
            None => own,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let hint = refusal.hint();
        let own = Self::named(refusal.id(), refusal.to_string());
        let details = refusal.details().iter().cloned();
        details
            .fold(own, Self::because)
            .because(format!("safety rule {}", refusal.rule()))
            .hint(hint)
    }
}
