//! Takes the node's lock before the first answer, and waits for it where that makes sense.
//!
//! A run that was killed leaves an agent that finishes the current change and then goes. A user who runs the command again
//! meets its lock; this waits for it, tells the controller for whom and for what, and goes away with the controller.

use std::sync::Arc;
use std::time::Duration;

use kubewright_core::wire::frame::{Decoder, Frame, decode_message};
use kubewright_core::wire::{FromAgent, LockHolder, NodeError, ToAgent};

use super::arriving::{Arriving, Heard};
use super::{End, ServeError};
use crate::link::Link;
use crate::lock::{self, Lock, Watch};
use crate::system::System;

/// What came of wanting the lock.
pub(super) enum Locking {
    /// It is held now.
    Held(Lock),
    /// Another run holds it and is not waited for, or no longer.
    Refused(LockHolder),
    /// It cannot be taken at all.
    Broken(NodeError),
    /// The controller did not wait for it.
    Ended(End),
}

/// Where the controller is heard while nothing is begun yet.
pub(super) struct Ear<'a> {
    pub(super) system: &'a Arc<dyn System>,
    pub(super) link: &'a Arc<Link>,
    pub(super) arriving: &'a Arriving,
    pub(super) decoder: &'a mut Decoder,
}

impl Ear<'_> {
    /// Takes the lock; waits up to `timeout` for the agent of a controller that has gone.
    pub(super) fn lock(&mut self, own: &LockHolder, limit: Duration) -> Result<Locking, ServeError> {
        let pulse = self.arriving.pulse();
        let mut watch = Watch::new(limit, pulse.silence);
        let mut told = None;
        loop {
            let held = match lock::take(self.system, own) {
                Ok(Ok(lock)) => return Ok(Locking::Held(lock)),
                Ok(Err(held)) => held,
                Err(error) => return Ok(Locking::Broken(error)),
            };
            if !watch.is_worth_waiting(&held, self.system.boot_time()) {
                return Ok(Locking::Refused(held.holder));
            }
            // Only changes are reported, not that time passes.
            let holder = held.holder;
            let now = (holder.run.clone(), holder.has_left, holder.doing.clone());
            if told.as_ref() != Some(&now) {
                told = Some(now);
                self.link.send(&FromAgent::Waiting { holder });
            }
            if let Some(end) = self.listen(pulse.every / 30)? {
                return Ok(Locking::Ended(end));
            }
        }
    }

    /// Listens for a moment whether the controller is still there; it has nothing else to say yet.
    fn listen(&mut self, moment: Duration) -> Result<Option<End>, ServeError> {
        match self.arriving.within(moment, self.system.as_ref()) {
            None => {}
            Some(Heard::Bytes(bytes)) => self.decoder.push(&bytes),
            Some(Heard::End) => return Ok(Some(End::Gone)),
            Some(Heard::Silence(silent)) => return Ok(Some(End::Silence(silent))),
        }
        while let Some(frame) = self.decoder.next_frame()? {
            let Frame::Message(body) = frame else {
                return Err(ServeError::OutOfTurn("data"));
            };
            match decode_message(&body)? {
                ToAgent::Heartbeat => {}
                ToAgent::Goodbye => return Ok(Some(End::Goodbye)),
                _ => return Err(ServeError::OutOfTurn("something before the lock was taken")),
            }
        }
        Ok(self.link.is_gone().then_some(End::Gone))
    }
}
