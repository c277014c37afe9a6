//! Asks each backend's `/readyz`, again and again, over one kept-alive verified connection.
//!
//! A connection the server has closed meanwhile is no failure: the question is asked again on a fresh one within the
//! same bound. One that hangs is, and so is any other status than 200. A failed connection attempt of a client makes the
//! next check come at once, and on a fresh connection: the old one proves nothing about new ones.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::http::{HttpConnection, HttpError};
use super::pool::{Backend, Pool};
use super::timing::Timing;
use super::tls::{Tls, failure_of};
use super::verdict::Failure;

/// The largest answer to `/readyz` that is read, in bytes; a failing one lists every check.
const MAX_READYZ_BYTES: usize = 64 * 1024;

type Connection = HttpConnection<TlsStream<TcpStream>>;

/// One checking task per backend of the pool.
#[derive(Debug)]
pub(super) struct Checkers {
    pool: Arc<Pool>,
    tls: Arc<Tls>,
    tasks: BTreeMap<SocketAddr, JoinHandle<()>>,
}

impl Checkers {
    /// No checks yet.
    pub(super) const fn new(pool: Arc<Pool>, tls: Arc<Tls>) -> Self {
        Self {
            pool,
            tls,
            tasks: BTreeMap::new(),
        }
    }

    /// Starts and stops tasks so that they match the pool.
    pub(super) fn sync(&mut self) {
        let backends = self.pool.backends();
        self.tasks.retain(|address, task| {
            let stays = backends.iter().any(|backend| backend.address == *address);
            if !stays {
                task.abort();
            }
            stays
        });
        for backend in backends {
            self.tasks.entry(backend.address).or_insert_with(|| {
                tokio::spawn(check_forever(
                    Arc::clone(&self.pool),
                    backend,
                    Arc::clone(&self.tls),
                ))
            });
        }
    }
}

impl Drop for Checkers {
    fn drop(&mut self) {
        for task in self.tasks.values() {
            task.abort();
        }
    }
}

async fn check_forever(pool: Arc<Pool>, backend: Arc<Backend>, tls: Arc<Tls>) {
    let mut prober = Prober {
        connection: None,
        tls,
        address: backend.address,
    };
    loop {
        let started = Instant::now();
        let result = prober.check(&pool.timing).await;
        pool.record(&backend, result, started.elapsed());
        tokio::select! {
            () = tokio::time::sleep(backend.next_check(&pool.timing)) => {}
            () = backend.check_now.notified() => {
                prober.connection = None;
                tokio::time::sleep(pool.timing.check_gap.saturating_sub(started.elapsed())).await;
            }
        }
    }
}

/// Asks one backend.
struct Prober {
    connection: Option<(Connection, Instant)>,
    tls: Arc<Tls>,
    address: SocketAddr,
}

impl Prober {
    async fn check(&mut self, timing: &Timing) -> Result<(), Failure> {
        let kept = self
            .connection
            .take()
            .filter(|(_, made)| made.elapsed() < timing.check_connection_age);
        let (connection, made, status) = timeout(timing.check_timeout, self.ask(kept))
            .await
            .map_err(|_| Failure::TimedOut)??;
        if connection.is_reusable() {
            self.connection = Some((connection, made));
        }
        if status == 200 {
            Ok(())
        } else {
            Err(Failure::Status(status))
        }
    }

    async fn ask(&self, kept: Option<(Connection, Instant)>) -> Result<(Connection, Instant, u16), Failure> {
        if let Some((mut connection, made)) = kept
            && let Ok(response) = connection.get("/readyz", MAX_READYZ_BYTES).await
        {
            return Ok((connection, made, response.status));
        }
        let stream = self.tls.connect(self.address).await?;
        let mut connection = HttpConnection::new(stream, self.tls.host());
        let response = connection
            .get("/readyz", MAX_READYZ_BYTES)
            .await
            .map_err(|error| http_failure(&error))?;
        Ok((connection, Instant::now(), response.status))
    }
}

/// What a failed exchange says about the backend.
pub(super) fn http_failure(error: &HttpError) -> Failure {
    match error {
        HttpError::Io(error) => failure_of(error),
        HttpError::Answer(_) => Failure::Broken,
    }
}
