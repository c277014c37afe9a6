//! Why a node did not do what was asked.

use std::time::Duration;

use kubewright_core::carrier::jobs_command;
use kubewright_core::shown::sentence;
use kubewright_core::spec::NodeName;
use kubewright_core::wire::{LockHolder, NodeError, Pulse};

use super::lock_wait::at_hand;

use crate::transport::TransportError;

/// A node did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeCallError {
    /// The node could not be reached.
    #[error(transparent)]
    Transport(Box<TransportError>),
    /// Another run has locked the node.
    #[error("node {node}: {}{}", locked(holder), seen(holder, *waited))]
    Locked {
        /// The node.
        node: NodeName,
        /// Who has the lock.
        holder: Box<LockHolder>,
        /// How long was waited for it.
        waited: Duration,
    },
    /// The connection ended before the answer; when it was asked at all, whether it was done is unknown.
    #[error("node {node}: {doing}: connection lost ({cause}); {}", outcome(*asked))]
    Lost {
        /// The node.
        node: NodeName,
        /// What was asked.
        doing: String,
        /// How the connection ended.
        cause: String,
        /// Whether it was asked before the end.
        asked: bool,
        /// The last lines on stderr, escaped.
        stderr: Box<str>,
    },
    /// The agent gave this side up and freed the lock; another run may have changed the node since.
    #[error(
        "node {node}: {doing}: connection timed out after {} s without data; {}; another run may have changed the node since",
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
fn since(holder: &LockHolder) -> String {
    let time = jiff::Timestamp::from_second(holder.since).ok();
    time.filter(|_| holder.since > 0)
        .map_or_else(String::new, |time| format!(" since {time}"))
}

/// Whether the holder's controller is still there; agents that do not tell are believed to have one.
fn is_alive(holder: &LockHolder) -> bool {
    let is_silent = |heard| Duration::from_secs(heard) * 2 > Pulse::default().silence;
    !holder.has_left && !holder.heard_seconds_ago.is_some_and(is_silent)
}

/// Who has a node's lock.
pub(crate) fn locked(holder: &LockHolder) -> String {
    let (operator, run) = (sentence(&holder.operator), sentence(&holder.run));
    if is_alive(holder) {
        return format!("locked by run {run} of {operator}{}", since(holder));
    }
    format!(
        "locked by run {run} of {operator}, which has disconnected and has not finished {}",
        at_hand(holder)
    )
}

/// What was last seen of a lock's holder.
pub(crate) fn last_seen(holder: &LockHolder, waited: Duration) -> Option<String> {
    let heard = holder.heard_seconds_ago;
    let heard = heard.map(|heard| format!("that run was last heard {heard} s ago"));
    if is_alive(holder) {
        return heard;
    }
    let heard = heard.unwrap_or_else(|| "that run sends no heartbeat".to_owned());
    let left = if holder.has_left {
        ", its connection is closed"
    } else {
        ""
    };
    Some(format!("waited {} s; {heard}{left}", waited.as_secs()))
}

fn seen(holder: &LockHolder, waited: Duration) -> String {
    last_seen(holder, waited).map_or_else(String::new, |seen| format!(" ({seen})"))
}

/// What is known of a request that has no answer.
pub(crate) fn outcome(asked: bool) -> &'static str {
    if asked {
        "the result is unknown"
    } else {
        "it was not started"
    }
}

/// How a wait for an answer ended.
pub(crate) fn overdue(after: Duration, last_seen: Option<&str>) -> String {
    let last = last_seen.map_or_else(String::new, |last| format!("; last reported: {}", sentence(last)));
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
            Self::Locked { holder, .. } if is_alive(holder) => Some(format!(
                "wait until {} is done; the lock is released when run {} disconnects",
                sentence(&holder.operator),
                sentence(&holder.run)
            )),
            Self::Locked { node, .. } => Some(format!(
                "run the command again: it waits again; {} on {node} shows what is slow there",
                jobs_command()
            )),
            Self::Lost { node, .. } | Self::Fenced { node, .. } => Some(format!(
                "run the command again: it reads {node} again and continues from there"
            )),
            Self::TimedOut { node, .. } => Some(format!(
                "check what keeps {node} busy, then run the command again"
            )),
            Self::Node { error, .. } => error.hint.as_deref().map(sentence),
            // Both sides are of one build, so this is a bug: there is nothing an operator could change.
            Self::Protocol { .. } => None,
            Self::Tunnel { node, address, .. } => Some(format!(
                "check on {node} whether a process listens on {address}: ss -ltn"
            )),
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
