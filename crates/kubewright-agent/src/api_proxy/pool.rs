//! The table of backends that checks, membership and connections share.
//!
//! One short lock, never held across an await. Decisions are made by the pure modules; this one keeps what they decide
//! upon and tells those concerned: the checker to look again, connections to end, membership to ask again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::log::{Level, event};
use super::members::Standing;
use super::selection::{Candidate, order};
use super::timing::Timing;
use super::verdict::{Change, Failure, Health, Tracker, should_cut};

/// One API server, as seen from this node.
#[derive(Debug)]
pub(super) struct Backend {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Runs on this node.
    pub(super) is_local: bool,
    /// Wakes the checker before its time.
    pub(super) check_now: Notify,
    /// What is counted about it.
    pub(super) counters: BackendCounters,
    cut: watch::Sender<u64>,
    belief: Mutex<Belief>,
}

/// Numbers about one backend; all but `active` only grow.
#[derive(Debug, Default)]
pub(super) struct BackendCounters {
    /// Connections through it now.
    pub(super) active: AtomicUsize,
    /// Connections made to it for clients.
    pub(super) connected: AtomicU64,
    /// Attempts for clients that did not succeed.
    pub(super) connect_failures: AtomicU64,
    /// Checks that did not find it ready.
    pub(super) check_failures: AtomicU64,
    /// Times it fell from ready to down.
    pub(super) ejections: AtomicU64,
    /// Connections closed because it was down.
    pub(super) cut: AtomicU64,
}

#[derive(Debug)]
struct Belief {
    tracker: Tracker,
    standing: Standing,
    since: Instant,
    has_been_cut: bool,
    last_check: Duration,
}

/// One backend's state at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Snapshot {
    /// What checks say.
    pub(super) health: Health,
    /// How it came to be known.
    pub(super) standing: Standing,
    /// How long its health has been so.
    pub(super) for_time: Duration,
    /// How long the last check took.
    pub(super) last_check: Duration,
}

/// Numbers about the proxy as a whole.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Connections accepted from clients.
    pub(super) accepted: AtomicU64,
    /// Connections closed at once because there were too many.
    pub(super) refused_limit: AtomicU64,
    /// Connections closed at once because no backend could be reached.
    pub(super) refused_no_backend: AtomicU64,
    /// Connections of clients open now.
    pub(super) open: AtomicUsize,
    /// Bytes from clients to backends.
    pub(super) bytes_up: AtomicU64,
    /// Bytes from backends to clients.
    pub(super) bytes_down: AtomicU64,
    /// Lists of members learned from the API.
    pub(super) membership_successes: AtomicU64,
    /// Attempts to learn that did not succeed.
    pub(super) membership_failures: AtomicU64,
    /// When a list was last learned, in seconds since 1970; 0 for never.
    pub(super) membership_last: AtomicU64,
}

/// All backends.
#[derive(Debug)]
pub(super) struct Pool {
    /// The proxy's durations.
    pub(super) timing: Timing,
    /// Numbers about the proxy as a whole.
    pub(super) counters: Counters,
    /// Tells of every finished check.
    pub(super) checked: Notify,
    /// Wakes the learner of members.
    pub(super) membership_wanted: Notify,
    local: Option<SocketAddr>,
    seed: u64,
    backends: Mutex<BTreeMap<SocketAddr, Arc<Backend>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Backend {
    fn new(address: SocketAddr, is_local: bool, standing: Standing) -> Self {
        let belief = Belief {
            tracker: Tracker::new(),
            standing,
            since: Instant::now(),
            has_been_cut: false,
            last_check: Duration::ZERO,
        };
        Self {
            address,
            is_local,
            check_now: Notify::new(),
            counters: BackendCounters::default(),
            cut: watch::Sender::new(0),
            belief: Mutex::new(belief),
        }
    }

    /// What is known about it now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let belief = lock(&self.belief);
        Snapshot {
            health: belief.tracker.health(),
            standing: belief.standing,
            for_time: belief.since.elapsed(),
            last_check: belief.last_check,
        }
    }

    /// Hears when connections through this backend are to end; taken before connecting, so that nothing is missed.
    pub(super) fn cut_signal(&self) -> watch::Receiver<u64> {
        self.cut.subscribe()
    }

    /// Notes that a client could not be connected, and has the checker look at once.
    pub(super) fn connect_failed(&self) {
        self.counters.connect_failures.fetch_add(1, Ordering::Relaxed);
        self.check_now.notify_one();
    }

    /// How long to wait for the next check.
    pub(super) fn next_check(&self, timing: &Timing) -> Duration {
        let belief = lock(&self.belief);
        let is_demoted = belief.standing == Standing::Demoted;
        belief
            .tracker
            .next_check(timing, belief.last_check, belief.since.elapsed(), is_demoted)
    }
}

impl Pool {
    /// An empty table; `seed` makes this node's order its own.
    pub(super) fn new(local: Option<SocketAddr>, seed: u64, timing: Timing) -> Self {
        Self {
            timing,
            counters: Counters::default(),
            checked: Notify::new(),
            membership_wanted: Notify::new(),
            local,
            seed,
            backends: Mutex::new(BTreeMap::new()),
        }
    }

    /// All backends, by address.
    pub(super) fn backends(&self) -> Vec<Arc<Backend>> {
        lock(&self.backends).values().map(Arc::clone).collect()
    }

    /// Makes the table hold exactly these; what is known about those that stay is kept.
    pub(super) fn set(&self, standings: &BTreeMap<SocketAddr, Standing>) {
        let mut backends = lock(&self.backends);
        backends.retain(|address, _| {
            let stays = standings.contains_key(address);
            if !stays {
                event(Level::Info, "backend forgotten", &[("backend", address)]);
            }
            stays
        });
        for (address, standing) in standings {
            if let Some(backend) = backends.get(address) {
                let earlier = std::mem::replace(&mut lock(&backend.belief).standing, *standing);
                if earlier != *standing {
                    let is_listed = *standing == Standing::Member;
                    event(
                        Level::Info,
                        "backend standing",
                        &[("backend", address), ("listed", &is_listed)],
                    );
                }
            } else {
                let backend = Backend::new(*address, self.local == Some(*address), *standing);
                event(
                    Level::Info,
                    "backend added",
                    &[("backend", address), ("local", &backend.is_local)],
                );
                backends.insert(*address, Arc::new(backend));
            }
        }
    }

    /// The backends in the order in which to try them for a new connection.
    pub(super) fn order(&self) -> Vec<Arc<Backend>> {
        let backends = lock(&self.backends);
        let candidates: Vec<_> = backends
            .values()
            .map(|backend| {
                let snapshot = backend.snapshot();
                Candidate {
                    address: backend.address,
                    health: snapshot.health,
                    is_local: backend.is_local,
                    is_demoted: snapshot.standing == Standing::Demoted,
                    connections: backend.counters.active.load(Ordering::Relaxed),
                }
            })
            .collect();
        order(&candidates, self.seed)
            .iter()
            .filter_map(|address| backends.get(address).cloned())
            .collect()
    }

    /// Takes in one check's result and draws the consequences.
    pub(super) fn record(&self, backend: &Backend, result: Result<(), Failure>, took: Duration) {
        let change = {
            let mut belief = lock(&backend.belief);
            belief.last_check = took;
            let was_ready = belief.tracker.health() == Health::Ready;
            let change = belief.tracker.record(result);
            if change.is_some() {
                belief.since = Instant::now();
                belief.has_been_cut = false;
            }
            if was_ready && change.is_some() {
                backend.counters.ejections.fetch_add(1, Ordering::Relaxed);
            }
            change
        };
        if result.is_err() {
            backend.counters.check_failures.fetch_add(1, Ordering::Relaxed);
        }
        match change {
            Some(Change::Risen) => event(Level::Info, "backend ready", &[("backend", &backend.address)]),
            Some(Change::Fallen(failure)) => {
                event(
                    Level::Warn,
                    "backend down",
                    &[("backend", &backend.address), ("reason", &failure)],
                );
            }
            None => {}
        }
        if change.is_some() {
            self.membership_wanted.notify_one();
        }
        self.cut_what_is_due();
        self.checked.notify_waiters();
    }

    /// Says whether any backend is ready.
    pub(super) fn any_is_ready(&self) -> bool {
        lock(&self.backends)
            .values()
            .any(|backend| backend.snapshot().health == Health::Ready)
    }

    /// Says whether every backend has been checked.
    pub(super) fn all_are_known(&self) -> bool {
        lock(&self.backends)
            .values()
            .all(|backend| backend.snapshot().health != Health::Unknown)
    }

    /// Has every backend that is not ready checked at once.
    pub(super) fn check_all_now(&self) {
        for backend in self.backends() {
            if backend.snapshot().health != Health::Ready {
                backend.check_now.notify_one();
            }
        }
    }

    /// Ends connections through backends that are down, where [`should_cut`] says so.
    fn cut_what_is_due(&self) {
        let any_is_ready = self.any_is_ready();
        for backend in self.backends() {
            let mut belief = lock(&backend.belief);
            let Health::Down(failure) = belief.tracker.health() else {
                continue;
            };
            let is_due = should_cut(failure, belief.since.elapsed(), self.timing.drain, any_is_ready);
            let active = backend.counters.active.load(Ordering::Relaxed);
            // A connection made as a last resort after the first cut must go as well.
            if is_due && (active > 0 || !belief.has_been_cut) {
                belief.has_been_cut = true;
                backend.cut.send_modify(|generation| *generation += 1);
                if active > 0 {
                    event(
                        Level::Warn,
                        "connections cut",
                        &[
                            ("backend", &backend.address),
                            ("reason", &failure),
                            ("connections", &active),
                        ],
                    );
                }
            }
        }
    }
}
