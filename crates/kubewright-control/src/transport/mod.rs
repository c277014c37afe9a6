//! Connections to reach an agent: over the operator's own `ssh`, as a child process, or inside this process for tests.
//!
//! A [`Transport`] knows one node and opens [`Channel`]s to a running agent there: two streams of bytes, and what is
//! known about the other end when it is gone. It never interprets what is said (that is [`crate::node`]), never
//! repeats an attempt (the caller knows whether a node is just booting) and never asks anything: a password
//! prompt or an unknown host key is an error.

mod agents;
mod bootstrap;
mod descriptors;
mod diagnosis;
mod error;
mod known_hosts;
mod local;
mod memory;
mod peer;
mod ssh;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use kubewright_core::spec::NodeName;
use tokio::io::{AsyncRead, AsyncWrite};

pub use agents::{Agent, Agents};
pub use descriptors::allow_many_channels;
pub use error::{Failure, TransportError};
pub use known_hosts::KnownKey;
pub use local::Local;
pub use memory::Memory;
pub use peer::{Ending, Peer};
pub use ssh::{Ssh, SshSettings};

/// Bytes from the agent.
pub type Reader = Box<dyn AsyncRead + Send + Unpin>;
/// Bytes to the agent.
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;
/// What [`Transport::open`] returns.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<Channel, TransportError>> + Send + 'a>>;

/// Two streams of bytes to an agent that runs and waits to be spoken to.
pub struct Channel {
    /// What the agent says.
    pub reader: Reader,
    /// What the agent hears.
    pub writer: Writer,
    /// The process that carries the channel.
    pub peer: Peer,
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Channel").finish_non_exhaustive()
    }
}

/// A way to reach the agent of one node.
pub trait Transport: Send + Sync + fmt::Debug {
    /// The node at the other end.
    fn node(&self) -> &NodeName;

    /// Opens a channel to an agent, bringing it there first if need be.
    fn open(&self) -> Opening<'_>;

    /// How long an agent at the other end has for a question that it answers from what it sees, on a usual node without
    /// other work. Worlds in which time passes differently have another.
    fn answer_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
}
