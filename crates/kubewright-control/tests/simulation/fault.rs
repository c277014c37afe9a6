//! What can go wrong at an effect.

use std::fmt;

use super::disk::Loss;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Controller and agent are killed; the effect does not happen.
    KilledBefore,
    /// The effect happens, then the controller is killed; the agents leave by themselves.
    KilledAfter,
    /// The effect happens and the agent does all it was asked, but the controller hears nothing more of it and goes on
    /// without the node.
    ReplyLost,
    /// The effect happens, both sides notice that the connection is gone, and the controller goes on without the node.
    Reset,
    /// The effect does not happen, the machine starts again, and the controller goes on without it.
    Rebooted,
    /// The same, and of what the agent wrote and did not sync nothing is there any more, neither contents nor names.
    WritesLost,
    /// The same, and files whose content was not synced are empty, or as they were.
    ContentsLost,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::KilledBefore,
        Self::KilledAfter,
        Self::ReplyLost,
        Self::Reset,
        Self::Rebooted,
        Self::WritesLost,
        Self::ContentsLost,
    ];

    /// What the machine's disk loses, when the machine starts again.
    pub(crate) const fn loss(self) -> Option<Loss> {
        match self {
            Self::Rebooted => Some(Loss::Nothing),
            Self::WritesLost => Some(Loss::Unsynced),
            Self::ContentsLost => Some(Loss::Contents),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::KilledBefore => "killed before",
            Self::KilledAfter => "killed after",
            Self::ReplyLost => "reply lost after",
            Self::Reset => "connection reset at",
            Self::Rebooted => "rebooted instead of",
            Self::WritesLost => "power cut and all unsynced writes lost instead of",
            Self::ContentsLost => "power cut and unsynced contents lost instead of",
        })
    }
}

/// One fault: at the n-th effect of an actor in a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    /// A node's name, or [`API`].
    pub(crate) actor: String,
    /// Which of its effects, from 0.
    pub(crate) effect: usize,
    /// What happens.
    pub(crate) kind: Kind,
}

/// The actor of writes to the cluster's API.
pub(crate) const API: &str = "api";

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} effect {} of {}",
            self.kind, self.effect, self.actor
        )
    }
}
