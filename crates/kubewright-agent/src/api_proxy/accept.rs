//! Takes clients' connections and sees each of them through.
//!
//! The number of connections is bounded by [`MAX_CONNECTIONS`] and by the descriptors the system grants; one too many is
//! closed at once with a reset, and so is one for which no backend can be reached. No client waits in vain.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::dial::{Dialled, dial};
use super::log::{Level, event};
use super::pool::Pool;
use super::relay::{End, Ends, Scratch, relay};

/// The most connections of clients at a time.
const MAX_CONNECTIONS: usize = 4096;
/// Descriptors that are not for connections of clients: checks, admin, files, attempts beside each other.
const RESERVED_DESCRIPTORS: u64 = 256;

/// Raises the limit of descriptors as far as allowed and says how many connections that gives.
pub(super) fn connection_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        );
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = descriptors.saturating_sub(RESERVED_DESCRIPTORS) / 2;
    usize::try_from(connections)
        .unwrap_or(MAX_CONNECTIONS)
        .clamp(16, MAX_CONNECTIONS)
}

/// Serves clients until `shutdown` turns true, then until the last connection has ended.
pub(super) async fn serve(
    listener: TcpListener,
    pool: Arc<Pool>,
    limit: usize,
    mut shutdown: watch::Receiver<bool>,
) {
    let permits = Arc::new(Semaphore::new(limit));
    let scratch = Scratch::new();
    let mut clients = JoinSet::new();
    let stops = shutdown.clone();
    wait_for_first_checks(&pool).await;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shutdown.wait_for(|stops| *stops) => break,
            Some(_) = clients.join_next() => continue,
        };
        let client = match accepted {
            Ok((client, _)) => client,
            Err(error) => {
                event(Level::Warn, "connection not accepted", &[("reason", &error)]);
                // Out of descriptors or memory: only time, in which others end, helps.
                if !is_about_one_connection(&error) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                continue;
            }
        };
        pool.counters.accepted.fetch_add(1, Ordering::Relaxed);
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            let refused = pool.counters.refused_limit.fetch_add(1, Ordering::Relaxed);
            if refused.is_multiple_of(1000) {
                event(
                    Level::Warn,
                    "connection refused",
                    &[("reason", &"too many"), ("limit", &limit)],
                );
            }
            let _ = client.set_zero_linger();
            continue;
        };
        let (pool, scratch, shutdown) = (Arc::clone(&pool), scratch.clone(), stops.clone());
        clients.spawn(async move {
            see_through(client, &pool, &scratch, shutdown).await;
            drop(permit);
        });
    }
    drop(listener);
    while clients.join_next().await.is_some() {}
}

/// Waits, with a bound, until the order of backends means something; clients wait in the listen queue.
async fn wait_for_first_checks(pool: &Pool) {
    let first_checks = async {
        loop {
            let checked = pool.checked.notified();
            if pool.any_is_ready() || pool.all_are_known() {
                return;
            }
            checked.await;
        }
    };
    let _ = tokio::time::timeout(pool.timing.first_checks, first_checks).await;
}

fn is_about_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

async fn see_through(client: TcpStream, pool: &Pool, scratch: &Scratch, shutdown: watch::Receiver<bool>) {
    let _open = Gauge::new(&pool.counters.open);
    let _ = client.set_nodelay(true);
    let Some(Dialled { stream, backend, cut }) = dial(pool).await else {
        pool.counters.refused_no_backend.fetch_add(1, Ordering::Relaxed);
        pool.check_all_now();
        let _ = client.set_zero_linger();
        return;
    };
    backend.counters.connected.fetch_add(1, Ordering::Relaxed);
    let _through = Gauge::new(&backend.counters.active);
    let ends = Ends { cut, shutdown };
    if relay(client, stream, ends, scratch, &pool.counters, &pool.timing).await == End::Cut {
        backend.counters.cut.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts something for as long as it lives.
struct Gauge<'a>(&'a std::sync::atomic::AtomicUsize);

impl<'a> Gauge<'a> {
    fn new(count: &'a std::sync::atomic::AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
