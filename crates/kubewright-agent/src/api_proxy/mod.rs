//! The node-local proxy for the API server: every node's way to the API, on 127.0.0.1:7443.
//!
//! It carries TCP and looks at nothing inside. It asks each API server's `/readyz` over verified TLS, prefers the one on its
//! own node, connects to the next within the client's attempt when one refuses, leaves a hung one within 3 s and closes the
//! connections through it, learns who the API servers are from the API itself, and remembers it on disk.
//! It runs as its own systemd unit and user (`Type=notify`), needs no privilege, and never restarts anything.
//!
//! Pure: `verdict` (checks → health), `selection` (health → order), `members` (lists → who counts).
//! Tasks: `health` (one per backend), `membership`, `accept` → `dial` → `relay` (one per connection), `admin`.

mod accept;
mod admin;
mod config;
mod dial;
mod health;
mod http;
mod log;
mod members;
mod members_file;
mod membership;
mod pool;
mod relay;
mod report;
mod selection;
mod timing;
mod tls;
mod verdict;

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, Hasher as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

pub use self::config::{ConfigError, ProxyConfig};
pub use self::tls::TlsError;

use self::health::Checkers;
use self::log::{Level, chain, event};
use self::members::{Members, Remembered};
use self::membership::Learner;
use self::pool::Pool;
use self::timing::Timing;
use self::tls::Tls;
use crate::notify::{Notifier, watchdog_interval};

/// Why the proxy does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The configuration file is missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The CA or the identity cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address is taken or not this node's.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The runtime or its signal handling cannot be set up.
    #[error("start the runtime")]
    Runtime(#[source] std::io::Error),
}

/// Runs the proxy that the file describes until SIGTERM or SIGINT.
pub fn run(config_file: &Path) -> Result<(), ProxyError> {
    let config = ProxyConfig::load(config_file)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(ProxyError::Runtime)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(ProxyError::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ProxyError::Runtime)?;
        let notifier = Notifier::from_environment();
        let proxy = Proxy::bind(&config, Timing::default()).await?;
        notifier.send("READY=1");
        event(
            Level::Info,
            "proxy ready",
            &[("listen", &config.listen), ("admin", &config.admin)],
        );
        let (stop, stopped) = watch::channel(false);
        let mut serving = tokio::spawn(proxy.serve(stopped));
        loop {
            tokio::select! {
                _ = &mut serving => break,
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = watchdog_pause() => { notifier.send("WATCHDOG=1"); continue }
            }
            if stop.send_replace(true) {
                // Asked twice: do not wait for connections.
                break;
            }
            notifier.send("STOPPING=1");
            event(Level::Info, "proxy stopping", &[]);
        }
        Ok(())
    })
}

/// Passes when the watchdog wants a sign of life; never without one.
async fn watchdog_pause() {
    match watchdog_interval() {
        Some(interval) => tokio::time::sleep(interval).await,
        None => std::future::pending().await,
    }
}

/// A proxy that holds its addresses and knows its first backends.
#[derive(Debug)]
struct Proxy {
    listener: TcpListener,
    admin: TcpListener,
    pool: Arc<Pool>,
    learner: Learner,
}

impl Proxy {
    /// Takes the addresses and reads what an earlier run remembered; checks begin at once.
    async fn bind(config: &ProxyConfig, timing: Timing) -> Result<Self, ProxyError> {
        let tls = Arc::new(Tls::new(config)?);
        let listener = listen(config.listen).await?;
        let admin = listen(config.admin).await?;
        let remembered = members_file::load(&config.state_file).unwrap_or_else(|error| {
            event(
                Level::Warn,
                "remembered members are ignored",
                &[("reason", &chain(&error))],
            );
            Remembered::default()
        });
        let itself = listener.local_addr().unwrap_or(config.listen);
        let configured = config.backends.iter().chain(&config.local).copied();
        let members = Members::new(configured, config.local, itself, remembered);
        let pool = Arc::new(Pool::new(config.local, random_seed(), timing));
        let mut learner = Learner {
            pool: Arc::clone(&pool),
            tls: Arc::clone(&tls),
            members,
            checkers: Checkers::new(Arc::clone(&pool), tls),
            state_file: config.state_file.clone(),
            has_identity: config.client_cert_file.is_some(),
        };
        learner.apply();
        Ok(Self {
            listener,
            admin,
            pool,
            learner,
        })
    }

    /// Serves until `stopped` turns true and the last connection has ended.
    async fn serve(self, stopped: watch::Receiver<bool>) {
        let learning = tokio::spawn(self.learner.run());
        let admin = tokio::spawn(admin::serve(self.admin, Arc::clone(&self.pool)));
        accept::serve(self.listener, self.pool, accept::connection_limit(), stopped).await;
        learning.abort();
        admin.abort();
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ProxyError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ProxyError::Listen { address, source })
}

/// A number of this process, so that each node starts at another API server.
fn random_seed() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}
