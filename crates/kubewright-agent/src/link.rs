//! The way to the controller: what every thread has to say waits in one queue, and one thread writes it.
//!
//! Only that thread ever waits for the other end: a worker must be able to finish and to free the lock although
//! the controller has stopped reading. When there is nothing to say for a while, a heartbeat is written.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kubewright_core::wire::frame::{FrameError, encode_data, encode_message};
use kubewright_core::wire::{FromAgent, NodeError, Reply, RequestId, StreamId};

use crate::fault::{fault, hinted};

/// Bytes that may wait to be written before the writers wait, too.
const CAPACITY: usize = 1 << 20;

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Nothing more is taken; what was taken before is still written.
    is_closed: bool,
    /// The writing thread has ended.
    is_written: bool,
}

#[derive(Debug, Default)]
struct Outbox {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// The way to the controller.
#[derive(Debug)]
pub struct Link(Arc<Outbox>);

impl Link {
    /// Writes frames to `output` from a thread of its own, and a heartbeat after each time `every` without any.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(output: impl Write + Send + 'static, every: Duration) -> io::Result<Self> {
        let outbox = Arc::<Outbox>::default();
        let own = Arc::clone(&outbox);
        std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || own.write_to(output, every))?;
        Ok(Self(outbox))
    }

    /// Whether the controller has gone, as far as is known.
    pub fn is_gone(&self) -> bool {
        self.0.queue().is_closed
    }

    /// Notes that the controller has gone.
    pub fn close(&self) {
        self.0.close();
    }

    /// Notes that the controller has gone, and tells it so in case it has not.
    pub fn close_with(&self, last: &FromAgent) {
        if let Ok(frame) = encode_message(last) {
            let mut queue = self.0.queue();
            if !queue.is_closed {
                queue.bytes += frame.len();
                queue.frames.push_back(frame);
            }
        }
        self.close();
    }

    /// Waits until everything that was said before the link was closed is written, for `timeout` at most.
    pub fn drain(&self, limit: Duration) {
        let writing = |queue: &mut Queue| !queue.is_written;
        let waited = self.0.changed.wait_timeout_while(self.0.queue(), limit, writing);
        drop(waited);
    }

    /// Sends a message; when the controller has gone, nothing happens.
    pub fn send(&self, message: &FromAgent) {
        if let Ok(frame) = encode_message(message) {
            self.0.take(frame);
        }
    }

    /// Answers a request; an answer the controller would refuse becomes an error it understands.
    pub fn reply(&self, id: RequestId, reply: Result<Reply, NodeError>) {
        match encode_message(&FromAgent::Reply { id, reply }) {
            Ok(frame) => self.0.take(frame),
            Err(error) => {
                let error = fault("answer", error.to_string());
                let error = hinted(error, "request less at once");
                self.send(&FromAgent::Reply {
                    id,
                    reply: Err(error),
                });
            }
        }
    }

    /// Sends bytes of a stream; none end it.
    ///
    /// # Errors
    /// When there are more than one frame holds.
    pub fn data(&self, stream: StreamId, bytes: &[u8]) -> Result<(), FrameError> {
        self.0.take(encode_data(stream, bytes)?);
        Ok(())
    }
}

impl Outbox {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.queue().is_closed = true;
        self.changed.notify_all();
    }

    /// Queues a frame; waits while the queue is full.
    fn take(&self, frame: Vec<u8>) {
        let full = |queue: &mut Queue| queue.bytes >= CAPACITY && !queue.is_closed;
        let waited = self.changed.wait_while(self.queue(), full);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        if !queue.is_closed {
            queue.bytes += frame.len();
            queue.frames.push_back(frame);
            drop(queue);
            self.changed.notify_all();
        }
    }

    fn write_to(&self, mut output: impl Write, every: Duration) {
        while let Some(frame) = self.next(every) {
            if output.write_all(&frame).and_then(|()| output.flush()).is_err() {
                break;
            }
        }
        let mut queue = self.queue();
        queue.is_closed = true;
        queue.is_written = true;
        drop(queue);
        self.changed.notify_all();
    }

    /// The next frame, a heartbeat when there is none in time, nothing at the end.
    fn next(&self, every: Duration) -> Option<Vec<u8>> {
        let idle = |queue: &mut Queue| queue.frames.is_empty() && !queue.is_closed;
        let waited = self.changed.wait_timeout_while(self.queue(), every, idle);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match queue.frames.pop_front() {
            Some(frame) => {
                queue.bytes -= frame.len();
                drop(queue);
                self.changed.notify_all();
                Some(frame)
            }
            None if queue.is_closed => None,
            None => encode_message(&FromAgent::Heartbeat).ok(),
        }
    }
}

#[cfg(test)]
mod tests;
