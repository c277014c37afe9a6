//! A bounded pipe of bytes between two threads: the reader of frames fills it, a worker or a tunnel empties it.
//!
//! When it is full the filler waits, which slows the sender down through SSH's own flow control; memory stays bounded
//! whatever the other side sends.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most bytes a pipe holds before its filler waits.
const CAPACITY: usize = 2 << 20;

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    bytes: usize,
    taken: u64,
    ended: bool,
    broken: bool,
    abandoned: bool,
}

/// The filler's end; clones fill the same pipe.
#[derive(Clone, Debug, Default)]
pub struct Pipe(Arc<(Mutex<State>, Condvar)>);

/// The reader's end; dropped, it tells the filler that nothing is read any more.
#[derive(Debug)]
pub struct PipeReader {
    pipe: Pipe,
    chunk: Vec<u8>,
    at: usize,
}

/// There was no room in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck;

impl Pipe {
    /// A pipe and its reader.
    pub fn new() -> (Self, PipeReader) {
        let pipe = Self::default();
        let reader = PipeReader {
            pipe: pipe.clone(),
            chunk: Vec::new(),
            at: 0,
        };
        (pipe, reader)
    }

    /// Adds bytes; waits for room, for `timeout` at most when given. Bytes that will not be read are dropped.
    ///
    /// # Errors
    /// [`Stuck`] when there was no room in time.
    pub fn push(&self, bytes: Vec<u8>, limit: Option<Duration>) -> Result<(), Stuck> {
        let full = |state: &mut State| state.bytes >= CAPACITY && !state.abandoned;
        let mut state = match limit {
            None => self
                .changed()
                .wait_while(self.state(), full)
                .unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                let waited = self.changed().wait_timeout_while(self.state(), limit, full);
                let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                if timeout.timed_out() {
                    return Err(Stuck);
                }
                state
            }
        };
        if !state.abandoned {
            state.bytes += bytes.len();
            state.chunks.push_back(bytes);
            self.changed().notify_all();
        }
        Ok(())
    }

    /// No bytes follow.
    pub fn end(&self) {
        self.state().ended = true;
        self.changed().notify_all();
    }

    /// No bytes follow although the end was not reached: reading on is an error.
    pub fn break_off(&self) {
        self.state().broken = true;
        self.changed().notify_all();
    }

    /// Bytes read from it so far.
    pub fn taken(&self) -> u64 {
        self.state().taken
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) -> &Condvar {
        &self.0.1
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            let idle = |state: &mut State| state.chunks.is_empty() && !state.ended && !state.broken;
            let state = self.pipe.changed().wait_while(self.pipe.state(), idle);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            let Some(chunk) = state.chunks.pop_front() else {
                return if state.ended {
                    Ok(0)
                } else {
                    Err(io::Error::other("the controller has disconnected"))
                };
            };
            state.bytes -= chunk.len();
            state.taken += chunk.len() as u64;
            self.pipe.changed().notify_all();
            drop(state);
            self.chunk = chunk;
            self.at = 0;
        }
        let count = buffer.len().min(self.chunk.len() - self.at);
        buffer[..count].copy_from_slice(&self.chunk[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut state = self.pipe.state();
        state.abandoned = true;
        state.chunks.clear();
        state.bytes = 0;
        drop(state);
        self.pipe.changed().notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_bytes_in_order_to_the_end() {
        let (pipe, mut reader) = Pipe::new();
        pipe.push(b"ab".to_vec(), None).unwrap();
        pipe.push(b"c".to_vec(), None).unwrap();
        pipe.end();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), pipe.taken()), ("abc", 3));
    }

    #[test]
    fn a_full_pipe_holds_its_filler_back() {
        let (pipe, reader) = Pipe::new();
        pipe.push(vec![0; CAPACITY], None).unwrap();
        assert_eq!(pipe.push(vec![0], Some(Duration::from_millis(1))), Err(Stuck));
        drop(reader);
        assert_eq!(pipe.push(vec![0], None), Ok(()));
    }

    #[test]
    fn a_broken_pipe_is_no_end() {
        let (pipe, mut reader) = Pipe::new();
        pipe.push(b"ab".to_vec(), None).unwrap();
        pipe.break_off();
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
    }
}
