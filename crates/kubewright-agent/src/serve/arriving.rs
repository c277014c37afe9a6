//! What the controller says, and the silence that means it is gone.
//!
//! A thread of its own reads, so that the thread that waits for the next bytes can stop waiting: a link that died without a word
//! would otherwise keep the node's lock for ever. Silence is measured only while a thread waits:
//! bytes that could not be taken yet are no silence.

use std::cell::Cell;
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
    /// How long a thread has waited since anything arrived.
    silent: Cell<Duration>,
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
        Ok(Self {
            chunks,
            pulse,
            silent: Cell::default(),
        })
    }

    /// How often to look, and how long a silence is too long.
    pub(super) fn pulse(&self) -> Pulse {
        self.pulse
    }

    /// Waits for bytes, the end, or too long a silence by the node's clock, which also runs while it sleeps.
    pub(super) fn next(&self, system: &dyn System) -> Heard {
        loop {
            if let Some(heard) = self.within(self.pulse.every, system) {
                return heard;
            }
        }
    }

    /// The same, but only for `limit`; nothing when nothing has happened.
    pub(super) fn within(&self, limit: Duration, system: &dyn System) -> Option<Heard> {
        let begun = system.boot_time();
        match self.chunks.recv_timeout(limit) {
            Ok(bytes) => {
                self.silent.set(Duration::ZERO);
                Some(Heard::Bytes(bytes))
            }
            Err(RecvTimeoutError::Disconnected) => Some(Heard::End),
            Err(RecvTimeoutError::Timeout) => {
                let silent = self.silent.get() + system.boot_time().saturating_sub(begun);
                self.silent.set(silent);
                (silent >= self.pulse.silence).then_some(Heard::Silence(silent))
            }
        }
    }
}
