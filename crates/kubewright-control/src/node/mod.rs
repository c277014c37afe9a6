//! One connection with one node: an agent on the other side, questions and answers, streams of bytes.
//!
//! [`Node`] is a handle; clones speak in the same connection, which ends with [`Node::goodbye`] or with the last
//! handle. Everything the agent may ask back — content, signatures, secrets — is answered only while something is
//! converging, and only if it belongs to the state that was inspected on this very node. When the connection is lost,
//! every open call says so; the result of the request is then unknown, and only reading the node again can tell.

mod answering;
mod blob;
mod calls;
mod connection;
mod error;
mod lock_wait;
mod service;
mod tunnel;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::observed::Counters;
use kubewright_core::spec::NodeName;
use kubewright_core::wire::{LockHolder, PROTOCOL, ToAgent};
use tokio::time::{Instant, timeout};

pub use blob::{BlobOpening, Blobs, NoBlob};
pub use calls::{Inspection, Work};
pub use error::NodeCallError;
pub(crate) use error::{last_seen, locked, outcome, overdue};
pub use lock_wait::{LockWait, waiting_for};
pub use service::{Progress, Services};
pub use tunnel::{Forward, TunnelStream};

use crate::pace::Pace;
use crate::transport::{Transport, TransportError};
pub(crate) use connection::boot_time;
use connection::{Guard, Shared, Timing};
use lock_wait::Heard;

/// How long an agent has to answer the first word.
const HELLO: Duration = Duration::from_secs(20);
/// How long an agent has to leave after goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// What the controller introduces itself with.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// The run's id, for journal and log.
    pub run: String,
    /// The cluster's name.
    pub cluster: String,
    /// Who runs it, from where, as in `ada@workstation`.
    pub operator: String,
    /// Whether the node's lock is taken for the length of the connection.
    pub lock: bool,
}

/// A connection with one node.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
    guard: Arc<Guard>,
}

impl fmt::Debug for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Node({})", self.shared.node)
    }
}

impl Node {
    /// Reaches a node and opens the connection; a lock that another run holds is not waited for.
    ///
    /// # Errors
    /// [`NodeCallError::Transport`] when the node cannot be reached, [`NodeCallError::Locked`] when the lock is wanted
    /// and another run holds it.
    pub async fn connect(
        transport: &dyn Transport,
        introduction: &Introduction,
    ) -> Result<Self, NodeCallError> {
        Self::connect_with(transport, introduction, LockWait::none(), Timing::default()).await
    }

    /// The same, but a lock whose holder's controller has gone is waited for.
    ///
    /// # Errors
    /// As [`Node::connect`].
    pub async fn connect_waiting(
        transport: &dyn Transport,
        introduction: &Introduction,
        lock_wait: LockWait,
    ) -> Result<Self, NodeCallError> {
        Self::connect_with(transport, introduction, lock_wait, Timing::default()).await
    }

    async fn connect_with(
        transport: &dyn Transport,
        introduction: &Introduction,
        mut lock_wait: LockWait,
        timing: Timing,
    ) -> Result<Self, NodeCallError> {
        let channel = transport
            .open()
            .await
            .map_err(|error: TransportError| NodeCallError::Transport(Box::new(error)))?;
        let (shared, guard, greeting) = connection::start(
            transport.node().clone(),
            channel,
            transport.answer_limit(),
            timing,
        );
        let node = Self {
            shared,
            guard: Arc::new(guard),
        };
        let doing = "greet the agent";
        node.shared.say(
            doing,
            &ToAgent::Hello {
                protocol: PROTOCOL,
                run: introduction.run.clone(),
                cluster: introduction.cluster.clone(),
                operator: introduction.operator.clone(),
                lock: introduction.lock,
                lock_timeout_ms: u64::try_from(lock_wait.limit.as_millis()).unwrap_or(u64::MAX),
            },
        )?;
        let begun = Instant::now();
        let greeting = match lock_wait.greeting(&node.shared, greeting).await {
            Heard::Greeting(greeting) => greeting,
            Heard::Nothing(after) => return Err(node.shared.timed_out(doing, after)),
            Heard::End => return Err(node.shared.lost(doing)),
            Heard::NotWaited(holder) => return Err(node.locked(holder, begun).await),
        };
        if let Some(holder) = greeting.locked_by.filter(|_| introduction.lock) {
            return Err(node.locked(Box::new(holder), begun).await);
        }
        tracing::debug!(node = %node.shared.node, agent = %greeting.version, "talking to the agent");
        Ok(node)
    }

    /// Leaves a node that another run has locked.
    async fn locked(self, holder: Box<LockHolder>, begun: Instant) -> NodeCallError {
        let node = self.shared.node.clone();
        self.goodbye().await;
        NodeCallError::Locked {
            node,
            holder,
            waited: begun.elapsed(),
        }
    }

    /// The node's name.
    pub fn name(&self) -> &NodeName {
        &self.shared.node
    }

    /// How slow the node has been in this connection.
    pub fn pace(&self) -> &Pace {
        self.shared.pace()
    }

    /// The work of this connection's agent, as it last told.
    pub fn counters(&self) -> Counters {
        self.shared.state().counters
    }

    /// Whether the connection has ended.
    pub fn is_lost(&self) -> bool {
        self.shared.is_lost()
    }

    /// Waits until the connection has ended.
    pub async fn ended(&self) {
        self.shared.ended().await;
    }

    /// Ends the connection: the agent releases the lock and exits. Other handles are of no use afterwards.
    pub async fn goodbye(self) {
        if self.shared.leave().is_ok() && timeout(GOODBYE, self.shared.ended()).await.is_err() {
            tracing::debug!(node = %self.shared.node, "the agent did not leave in time");
        }
        self.guard.end();
    }
}

#[cfg(test)]
pub(crate) mod agent_tests;
#[cfg(test)]
mod tests;
