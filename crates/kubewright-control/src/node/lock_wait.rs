//! Waiting for a lock that an agent without a controller is about to free.
//!
//! The agent on the node judges whether the holder's controller is gone, and waits; this side tells the operator for whom
//! and for what, and stops waiting when it has become pointless, because another node belongs to a run that is alive.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::shown::sentence;
use kubewright_core::wire::{LOCK_TIMEOUT, LockHolder};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::HELLO;
use super::connection::{Greeting, Shared};

/// Who is told for whom a node is waited.
type Told = Arc<dyn Fn(&LockHolder) + Send + Sync>;

/// How a lock is waited for.
#[derive(Clone)]
pub struct LockWait {
    pub(super) limit: Duration,
    told: Told,
    /// True when there is no point in waiting any more.
    pointless: watch::Receiver<bool>,
}

impl LockWait {
    /// Waits as long as is sensible, tells for whom, and stops when it is pointless.
    pub fn new(told: Told, pointless: watch::Receiver<bool>) -> Self {
        Self {
            limit: LOCK_TIMEOUT,
            told,
            pointless,
        }
    }

    /// Does not wait.
    pub fn none() -> Self {
        Self {
            limit: Duration::ZERO,
            told: Arc::new(|_| {}),
            pointless: watch::channel(false).1,
        }
    }

    /// The agent's first word, however long it waits for the lock.
    pub(super) async fn greeting(
        &mut self,
        shared: &Shared,
        mut greeting: oneshot::Receiver<Greeting>,
    ) -> Heard {
        let begun = Instant::now();
        let mut limit = HELLO;
        let mut holders = shared.holders();
        let mut last: Option<Box<LockHolder>> = None;
        loop {
            tokio::select! {
                greeting = &mut greeting => return greeting.map_or(Heard::End, Heard::Greeting),
                Ok(()) = holders.changed() => {
                    let Some(holder) = holders.borrow_and_update().clone() else { continue };
                    (self.told)(&holder);
                    last = Some(Box::new(holder));
                    limit = HELLO + self.limit;
                }
                Ok(_) = self.pointless.wait_for(|is_pointless| *is_pointless), if last.is_some() => {
                    return last.map_or(Heard::End, Heard::NotWaited);
                }
                () = sleep_until(begun + limit) => return Heard::Nothing(limit),
            }
        }
    }
}

/// The agent's first word, or why there is none.
pub(super) enum Heard {
    Greeting(Greeting),
    /// The connection has ended.
    End,
    /// Nothing came for this long.
    Nothing(Duration),
    /// There was no point in waiting any longer for this one.
    NotWaited(Box<LockHolder>),
}

impl fmt::Debug for LockWait {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LockWait({:?})", self.limit)
    }
}

/// What is waited for at a node that another run has locked, for people.
pub fn waiting_for(holder: &LockHolder) -> String {
    let run = sentence(&holder.run);
    if !holder.has_left {
        return format!(
            "locked by run {run} of {}; checking if that run is still alive",
            sentence(&holder.operator)
        );
    }
    let doing = at_hand(holder);
    format!("waiting for run {run}, which has disconnected, to finish {doing}")
}

/// The current change, for people.
pub(super) fn at_hand(holder: &LockHolder) -> String {
    let doing = holder.doing.as_deref().map(sentence);
    doing.unwrap_or_else(|| "its last operation".to_owned())
}
