//! What went wrong on the way to another machine or on it: whose matter it is, where, why, and what to do.
//!
//! The modules below have their own small enums; at the edge of this crate they become this one value, which the
//! terminal turns into text and an exit code.

use std::fmt;

use kubewright_core::plan::Refusal;
use kubewright_core::wire::NodeError;

use crate::artifact::ArtifactError;
use crate::authority::AuthorityError;
use crate::node::{NodeCallError, outcome, since};

/// Whose matter an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The file, the flags or this computer.
    User,
    /// The way to a node.
    Ssh,
    /// Something on a node.
    Node,
    /// etcd.
    Etcd,
    /// The Kubernetes API.
    Api,
    /// A safety rule said no.
    Refused,
    /// kubewright itself.
    Bug,
}

/// An error with everything an operator needs.
#[derive(Clone, Debug)]
pub struct Error {
    /// Whose matter it is.
    pub kind: Kind,
    /// The node, if one is concerned.
    pub node: Option<String>,
    /// What was being done.
    pub doing: String,
    /// Why it did not work, from the outside in.
    pub causes: Vec<String>,
    /// What the operator can do.
    pub hint: Option<String>,
    /// The last lines of the journal of the unit concerned.
    pub log: Vec<String>,
}

impl Error {
    /// An error of a kind.
    pub fn new(kind: Kind, doing: impl Into<String>) -> Self {
        Self {
            kind,
            node: None,
            doing: doing.into(),
            causes: Vec::new(),
            hint: None,
            log: Vec::new(),
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
            kind: Kind::Node,
            node: Some(node.to_owned()),
            doing: error.doing,
            causes: vec![error.cause],
            hint: error.hint,
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

impl From<NodeCallError> for Error {
    fn from(error: NodeCallError) -> Self {
        let hint = error.hint();
        let name = error.node().to_string();
        let own = match error {
            NodeCallError::Node { error, .. } => return Self::from_node(&name, *error),
            NodeCallError::Transport(error) => {
                let own = Self::new(Kind::Ssh, format!("connect to {}", error.destination))
                    .because(error.failure.to_string());
                Self {
                    log: error.stderr.lines().map(str::to_owned).collect(),
                    ..own
                }
            }
            NodeCallError::Locked { holder, .. } => Self::new(
                Kind::Refused,
                format!(
                    "{} is working on it (run {}){}",
                    holder.operator,
                    holder.run,
                    since(&holder)
                ),
            ),
            NodeCallError::Lost {
                doing,
                cause,
                asked,
                stderr,
                ..
            } => Self {
                log: stderr.lines().map(str::to_owned).collect(),
                ..Self::new(Kind::Ssh, doing).because(format!(
                    "the conversation was lost ({cause}); {}",
                    outcome(asked)
                ))
            },
            NodeCallError::Fenced {
                doing, silent, asked, ..
            } => Self::new(Kind::Ssh, doing).because(format!(
                "the conversation was given up after {} s of silence, and another run may have changed the node since; {}",
                silent.as_secs(),
                outcome(asked)
            )),
            NodeCallError::TimedOut { doing, after, .. } => {
                Self::new(Kind::Node, doing).because(format!("no answer within {} s", after.as_secs()))
            }
            NodeCallError::Protocol { doing, cause, .. } => Self::bug(doing).because(cause),
            NodeCallError::Tunnel { address, cause, .. } => {
                Self::new(Kind::Node, format!("connect to {address} on the node")).because(cause)
            }
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
        let own = Self::caused(Kind::Refused, "take up the cluster's authorities", &error);
        match error.hint() {
            Some(hint) => own.hint(hint),
            None => own,
        }
    }
}

impl From<ArtifactError> for Error {
    fn from(error: ArtifactError) -> Self {
        let own = Self::caused(Kind::User, "get the artifacts", &error);
        match error.hint() {
            Some(hint) => own.hint(hint),
            None => own,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let hint = refusal.hint();
        let own = Self::new(Kind::Refused, refusal.to_string());
        let details = refusal.details().iter().cloned();
        details
            .fold(own, Self::because)
            .because(format!("safety rule {}", refusal.rule()))
            .hint(hint)
    }
}
