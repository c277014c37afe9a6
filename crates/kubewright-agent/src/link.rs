//! The way to the controller: one writer, used by every thread, and whether anybody is at its other end.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use kubewright_core::wire::frame::{FrameError, encode_data, encode_message};
use kubewright_core::wire::{FromAgent, NodeError, Reply, RequestId, StreamId};

use crate::fault::{fault, hinted};

/// The way to the controller.
pub struct Link {
    output: Mutex<Box<dyn Write + Send>>,
    gone: AtomicBool,
}

impl Link {
    /// Writes frames to `output`.
    pub fn new(output: Box<dyn Write + Send>) -> Self {
        Self {
            output: Mutex::new(output),
            gone: AtomicBool::new(false),
        }
    }

    /// Whether the controller has gone, as far as is known.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// Notes that the controller has gone.
    pub fn close(&self) {
        self.gone.store(true, Ordering::SeqCst);
    }

    /// Sends a message; when the controller has gone, nothing happens.
    pub fn send(&self, message: &FromAgent) {
        if let Ok(frame) = encode_message(message) {
            self.write(&frame);
        }
    }

    /// Answers a request; an answer the controller would refuse becomes an error it understands.
    pub fn reply(&self, id: RequestId, reply: Result<Reply, NodeError>) {
        match encode_message(&FromAgent::Reply { id, reply }) {
            Ok(frame) => self.write(&frame),
            Err(error) => {
                let error = fault("answer", error.to_string());
                let error = hinted(error, "ask for less at once");
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
        let frame = encode_data(stream, bytes)?;
        self.write(&frame);
        Ok(())
    }

    fn write(&self, frame: &[u8]) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_gone() {
            return;
        }
        if output.write_all(frame).and_then(|()| output.flush()).is_err() {
            self.close();
        }
    }
}
