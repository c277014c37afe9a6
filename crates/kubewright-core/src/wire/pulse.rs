//! How a dead connection is told from a quiet one.

use std::time::Duration;

/// How long a run waits for the lock of an agent whose controller has gone: several times what stopping an API server
/// takes, and short enough for an operator who watches.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// How often each side of a connection says something, and after how long a silence it gives the other up.
///
/// Anything that arrives counts, not only heartbeats: while content trickles over a slow link, the other side is there.
/// A side that does not read because it is busy does not count that time as silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// A side that had nothing to say for this long sends a heartbeat.
    pub every: Duration,
    /// A side that heard nothing for this long gives the other up.
    pub silence: Duration,
}

impl Default for Pulse {
    /// Five heartbeats fit into the silence, so that one lost segment or a busy second ends nothing. OpenSSH is set to
    /// notice a dead link in the same 15 s; an SSH server as distributed would not for hours.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(3),
            silence: Duration::from_secs(15),
        }
    }
}
