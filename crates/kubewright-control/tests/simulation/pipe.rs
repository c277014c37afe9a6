//! A pipe of bytes inside this process, between a task of the controller's and a thread of an agent's.
//!
//! Either end is used in the way its side works: the controller awaits, the agent blocks. A pipe can be cut, which both
//! sides notice, or be heard by one side only: that is how a reply gets lost.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that may be on their way.
const CAPACITY: usize = 256 << 10;

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Nothing is written any more: what is there can still be read.
    ended: bool,
    /// Nobody reads any more.
    deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One direction of a connection.
#[derive(Clone, Default)]
pub(crate) struct Pipe(Arc<(Mutex<State>, Condvar)>);

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, state: &mut State) {
        self.0.1.notify_all();
        for waker in [state.reader.take(), state.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    /// The reader finds the end, whatever was on its way is gone, and the writer is refused.
    pub(crate) fn cut(&self) {
        let mut state = self.state();
        state.bytes.clear();
        state.ended = true;
        state.deaf = true;
        self.wake(&mut state);
    }

    /// The reader finds the end after what is on its way.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        self.wake(&mut state);
    }
}

/// The agent's end of a pipe it reads.
pub(crate) struct BlockingReader(pub(crate) Pipe);

impl Read for BlockingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pipe = &self.0;
        let mut state = pipe.state();
        while state.bytes.is_empty() && !state.ended {
            state = pipe.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let count = state.bytes.read(buffer)?;
        pipe.wake(&mut state);
        Ok(count)
    }
}

impl Drop for BlockingReader {
    fn drop(&mut self) {
        self.0.cut();
    }
}

/// The agent's end of a pipe it writes.
pub(crate) struct BlockingWriter(pub(crate) Pipe);

impl Write for BlockingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pipe = &self.0;
        let mut state = pipe.state();
        while state.bytes.len() >= CAPACITY && !state.deaf && !state.ended {
            state = pipe.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.deaf || state.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.bytes.extend(bytes);
        pipe.wake(&mut state);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The controller's end of a pipe it reads.
pub(crate) struct AwaitingReader(pub(crate) Pipe);

impl AsyncRead for AwaitingReader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        if state.bytes.is_empty() && !state.ended {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = state.bytes.len().min(buffer.remaining());
        let (first, second) = state.bytes.as_slices();
        let from_first = count.min(first.len());
        buffer.put_slice(&first[..from_first]);
        buffer.put_slice(&second[..count - from_first]);
        state.bytes.drain(..count);
        self.0.wake(&mut state);
        Poll::Ready(Ok(()))
    }
}

impl Drop for AwaitingReader {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.deaf = true;
        self.0.wake(&mut state);
    }
}

/// The controller's end of a pipe it writes.
pub(crate) struct AwaitingWriter(pub(crate) Pipe);

impl AsyncWrite for AwaitingWriter {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.state();
        if state.deaf || state.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.bytes.len() >= CAPACITY {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        state.bytes.extend(bytes);
        self.0.wake(&mut state);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for AwaitingWriter {
    fn drop(&mut self) {
        self.0.end();
    }
}
