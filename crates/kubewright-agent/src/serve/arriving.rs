//! What the controller says, and the silence that means it is gone.
//!
//! A thread of its own reads, so that whoever waits for the next bytes can stop waiting: a link that died without a word
//! would otherwise keep the node's lock until somebody pulls the plug. Silence is measured only while somebody waits:
//! bytes that could not be taken yet are no silence.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use kubewright_core::wire::Pulse;

use crate::system::System;

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// Bytes from the controller, as they arrive.
pub(super) struct Arriving {
    chunks: Receiver<Vec<u8>>,
    pulse: Pulse,
}

/// What came of waiting for bytes.
pub(super) enum Heard {
    Bytes(Vec<u8>),
    /// The controller has hung up.
    End,
    /// Nothing arrived for this long, which is too long.
    Silence(Duration),
}

impl Arriving {
    /// Begins to read.
    pub(super) fn from(mut input: impl Read + Send + 'static, pulse: Pulse) -> io::Result<Self> {
        let (sender, chunks) = sync_channel(1);
        std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || {
                let mut buffer = vec![0; CHUNK];
                while let Ok(count @ 1..) = input.read(&mut buffer) {
                    if sender.send(buffer[..count].to_vec()).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self { chunks, pulse })
    }

    /// Waits for bytes, the end, or too long a silence by the node's clock, which also runs while it sleeps.
    pub(super) fn next(&self, system: &dyn System) -> Heard {
        let begun = system.boot_time();
        loop {
            match self.chunks.recv_timeout(self.pulse.every) {
                Ok(bytes) => return Heard::Bytes(bytes),
                Err(RecvTimeoutError::Disconnected) => return Heard::End,
                Err(RecvTimeoutError::Timeout) => {
                    let silent = system.boot_time().saturating_sub(begun);
                    if silent >= self.pulse.silence {
                        return Heard::Silence(silent);
                    }
                }
            }
        }
    }
}
