//! Carries bytes between a client and its backend.
//!
//! Bytes are read into one 64 KiB buffer that all connections share and written on at once; only what the other side does not
//! take is copied and kept. An idle connection, and most are idle watches, costs no buffer. A half-closed connection stays
//! open the other way. A connection that ends by force ends with a reset, so that its client knows at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::pool::Counters;
use super::timing::Timing;

/// How much is read at once, in bytes; 64 KiB is as fast as more and twice as fast as 8 KiB.
const BUFFER_BYTES: usize = 64 * 1024;

/// The buffer all connections read into; a lock never waits, there is one thread.
#[derive(Debug, Clone)]
pub(super) struct Scratch(Arc<Mutex<Box<[u8]>>>);

impl Scratch {
    /// Allocates the buffer.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(vec![0; BUFFER_BYTES].into_boxed_slice())))
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By its two sides, or with the proxy.
    InOrder,
    /// One side broke.
    Broken,
    /// Its backend is down.
    Cut,
}

/// When a connection is to end before its two sides say so.
#[derive(Debug)]
pub(super) struct Ends {
    /// Its backend is down.
    pub(super) cut: watch::Receiver<u64>,
    /// The proxy stops.
    pub(super) shutdown: watch::Receiver<bool>,
}

/// Carries bytes until both sides have ended, one has broken, or it is told to end.
pub(super) async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    mut ends: Ends,
    scratch: &Scratch,
    counters: &Counters,
    timing: &Timing,
) -> End {
    let end = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let moved = AtomicU64::new(0);
        let up = pump(client_read, server_write, scratch, &counters.bytes_up, &moved);
        let down = pump(server_read, client_write, scratch, &counters.bytes_down, &moved);
        let both = async {
            if tokio::try_join!(up, down).is_ok() {
                End::InOrder
            } else {
                End::Broken
            }
        };
        tokio::pin!(both);
        tokio::select! {
            end = &mut both => end,
            _ = ends.cut.changed() => End::Cut,
            () = stopped(&mut ends.shutdown) => {
                drain(both, &moved, timing.shutdown, timing.shutdown_quiet).await
            }
        }
    };
    if end != End::InOrder {
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
    end
}

async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stops| *stops).await;
}

/// Goes on until nothing has moved for `quiet`, so that answers under way arrive; at most for `bound`.
async fn drain(both: impl Future<Output = End>, moved: &AtomicU64, bound: Duration, quiet: Duration) -> End {
    tokio::pin!(both);
    let deadline = Instant::now() + bound;
    loop {
        let before = moved.load(Ordering::Relaxed);
        if let Ok(end) = timeout(quiet, &mut both).await {
            return end;
        }
        // A close without reset: the client has everything that was sent.
        if moved.load(Ordering::Relaxed) == before || Instant::now() >= deadline {
            return End::InOrder;
        }
    }
}

/// Carries one direction until its end, then passes the end on.
async fn pump(
    from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    scratch: &Scratch,
    bytes: &AtomicU64,
    moved: &AtomicU64,
) -> std::io::Result<()> {
    loop {
        from.readable().await?;
        // A stream that never pauses must not keep the others waiting.
        tokio::task::coop::consume_budget().await;
        match forward(&from, &to, scratch)? {
            Forwarded::Nothing => {}
            Forwarded::End => return to.shutdown().await,
            Forwarded::All(count) => count_bytes(count, bytes, moved),
            Forwarded::Part(count, rest) => {
                to.write_all(&rest).await?;
                count_bytes(count, bytes, moved);
            }
        }
    }
}

fn count_bytes(count: usize, bytes: &AtomicU64, moved: &AtomicU64) {
    bytes.fetch_add(count as u64, Ordering::Relaxed);
    moved.fetch_add(count as u64, Ordering::Relaxed);
}

/// What became of one read.
enum Forwarded {
    Nothing,
    End,
    All(usize),
    /// This many bytes were read, and these of them still have to be written.
    Part(usize, Vec<u8>),
}

/// Reads what is there and writes what the other side takes, without waiting.
fn forward(from: &ReadHalf<'_>, to: &WriteHalf<'_>, scratch: &Scratch) -> std::io::Result<Forwarded> {
    use std::io::ErrorKind::WouldBlock;
    let mut buffer = scratch.0.lock().unwrap_or_else(PoisonError::into_inner);
    let read = match from.try_read(&mut buffer) {
        Ok(0) => return Ok(Forwarded::End),
        Ok(read) => read,
        Err(error) if error.kind() == WouldBlock => return Ok(Forwarded::Nothing),
        Err(error) => return Err(error),
    };
    let written = match to.try_write(&buffer[..read]) {
        Ok(written) => written,
        Err(error) if error.kind() == WouldBlock => 0,
        Err(error) => return Err(error),
    };
    if written == read {
        Ok(Forwarded::All(read))
    } else {
        Ok(Forwarded::Part(read, buffer[written..read].to_vec()))
    }
}

#[cfg(test)]
#[path = "tests/relay.rs"]
mod tests;
