//! Why a node did not do what was asked.

use std::time::Duration;

use kubewright_core::shown::sentence;
use kubewright_core::spec::NodeName;
use kubewright_core::wire::{LockHolder, NodeError};

use crate::transport::TransportError;

/// A node did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeCallError {
    /// The node could not be reached.
    #[error(transparent)]
    Transport(Box<TransportError>),
    /// Somebody else is working on the node.
    #[error("node {node} is locked by {} (run {}){}", holder.operator, holder.run, since(holder))]
    Locked {
        /// The node.
        node: NodeName,
        /// Who has the lock.
        holder: Box<LockHolder>,
    },
    /// The conversation ended before the answer; when it was asked at all, whether it was done is unknown.
    #[error("node {node}: {doing}: conversation lost ({cause}); {}", outcome(*asked))]
    Lost {
        /// The node.
        node: NodeName,
        /// What was asked.
        doing: String,
        /// How the conversation ended.
        cause: String,
        /// Whether it was asked before the end.
        asked: bool,
        /// The last lines on stderr, escaped.
        stderr: Box<str>,
    },
    /// The agent gave this side up and freed the lock; another run may have changed the node since.
    #[error(
        "node {node}: {doing}: the conversation was given up after {} s of silence, and another run may have changed the \
         node since; {}",
        silent.as_secs(),
        outcome(*asked)
    )]
    Fenced {
        /// The node.
        node: NodeName,
        /// What was asked.
        doing: String,
        /// How long this side had said nothing.
        silent: Duration,
        /// Whether it was asked before the end.
        asked: bool,
    },
    /// The node took too long; it may still be at it.
    #[error("node {node}: {doing}: {}", overdue(*after, last_seen.as_deref()))]
    TimedOut {
        /// The node.
        node: NodeName,
        /// What was asked.
        doing: String,
        /// How long was waited.
        after: Duration,
        /// What the node last said it was at.
        last_seen: Option<String>,
    },
    /// The node tried and says why it could not.
    #[error("node {node}: {error}")]
    Node {
        /// The node.
        node: NodeName,
        /// What went wrong there.
        #[source]
        error: Box<NodeError>,
    },
    /// The node answered something else than what was asked.
    #[error("node {node}: {doing}: {cause}")]
    Protocol {
        /// The node.
        node: NodeName,
        /// What was asked.
        doing: String,
        /// What is wrong with the answer, or with the question.
        cause: String,
    },
    /// A tunnel could not be opened.
    #[error("node {node}: connect to {address}: {cause}")]
    Tunnel {
        /// The node.
        node: NodeName,
        /// Where to.
        address: String,
        /// Why not.
        cause: String,
    },
}

/// Since when a lock is held, by the node's clock.
pub(crate) fn since(holder: &LockHolder) -> String {
    let time = jiff::Timestamp::from_second(holder.since).ok();
    time.filter(|_| holder.since > 0)
        .map_or_else(String::new, |time| format!(" since {time}"))
}

/// What is known of a request that has no answer.
pub(crate) fn outcome(asked: bool) -> &'static str {
    if asked {
        "whether it was done is unknown"
    } else {
        "it was not begun"
    }
}

/// How a wait for an answer ended.
pub(crate) fn overdue(after: Duration, last_seen: Option<&str>) -> String {
    let last = last_seen.map_or_else(String::new, |last| {
        format!("; the last it was at is {}", sentence(last))
    });
    format!("no answer within {} s{last}; {}", after.as_secs(), outcome(true))
}

impl NodeCallError {
    /// Which node.
    pub fn node(&self) -> &NodeName {
        match self {
            Self::Transport(error) => &error.node,
            Self::Locked { node, .. }
            | Self::Lost { node, .. }
            | Self::Fenced { node, .. }
            | Self::TimedOut { node, .. }
            | Self::Node { node, .. }
            | Self::Protocol { node, .. }
            | Self::Tunnel { node, .. } => node,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Transport(error) => error.hint(),
            Self::Locked { holder, .. } => Some(format!(
                "wait until {} is done; the lock goes with the connection of run {}",
                holder.operator, holder.run
            )),
            Self::Lost { node, .. } | Self::Fenced { node, .. } => Some(format!(
                "run the command again: it looks at {node} anew and goes on from there"
            )),
            Self::TimedOut { node, .. } => Some(format!(
                "see what {node} is busy with, then run the command again"
            )),
            Self::Node { error, .. } => error.hint.as_deref().map(sentence),
            // Both sides are of one build, so this is a bug: there is nothing an operator could change.
            Self::Protocol { .. } => None,
            Self::Tunnel { node, address, .. } => {
                Some(format!("see on {node} whether something listens on {address}"))
            }
        }
    }

    /// Whether the node just does not answer, as one that is switched off; a wrong answer is something else.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Transport(error) => error.may_pass(),
            Self::Lost { .. } | Self::Fenced { .. } | Self::TimedOut { .. } => true,
            Self::Locked { .. } | Self::Node { .. } | Self::Protocol { .. } | Self::Tunnel { .. } => false,
        }
    }
}
