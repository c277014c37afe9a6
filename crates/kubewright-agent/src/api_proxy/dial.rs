//! Connects a client's connection to a backend within the client's own attempt.
//!
//! The backends are tried in the pool's order: the next one at once when one refuses, and beside it when one is slow to
//! answer. The first connection made wins, the others are dropped. Nothing left to try: no connection, at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::pool::{Backend, Pool};

/// A connection to a backend, made for a client.
#[derive(Debug)]
pub(super) struct Dialled {
    /// The connection.
    pub(super) stream: TcpStream,
    /// Where it leads.
    pub(super) backend: Arc<Backend>,
    /// Says when it is to end.
    pub(super) cut: watch::Receiver<u64>,
}

/// Connects to the best backend that takes the connection.
pub(super) async fn dial(pool: &Pool) -> Option<Dialled> {
    let mut waiting = pool.order().into_iter().peekable();
    let mut trying = JoinSet::new();
    while let Some(backend) = waiting.next() {
        trying.spawn(attempt(Arc::clone(&backend), pool.timing.connect_timeout));
        if waiting.peek().is_none() {
            break;
        }
        match timeout(pool.timing.connect_stagger, trying.join_next()).await {
            Ok(Some(Ok(Ok(dialled)))) => return Some(dialled),
            Ok(_) => {}
            // Slow to connect is the first sign of a cut network; the checker finds out.
            Err(_) => backend.check_now.notify_one(),
        }
    }
    while let Some(finished) = trying.join_next().await {
        if let Ok(Ok(dialled)) = finished {
            return Some(dialled);
        }
    }
    None
}

async fn attempt(backend: Arc<Backend>, bound: Duration) -> Result<Dialled, ()> {
    let cut = backend.cut_signal();
    if let Ok(Ok(stream)) = timeout(bound, connect(backend.address)).await {
        return Ok(Dialled { stream, backend, cut });
    }
    backend.connect_failed();
    Err(())
}

async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    keep_alive(&stream);
    Ok(stream)
}

/// Lets the kernel notice a dead peer of a silent or stalled connection by itself, should the checks ever not.
fn keep_alive(stream: &TcpStream) {
    use rustix::net::sockopt;
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, Duration::from_secs(10));
    let _ = sockopt::set_tcp_keepintvl(stream, Duration::from_secs(5));
    let _ = sockopt::set_tcp_keepcnt(stream, 3);
    let _ = sockopt::set_tcp_user_timeout(stream, 15_000);
}
