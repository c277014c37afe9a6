//! What the proxy tells about itself: metrics as Prometheus text, state as JSON.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use super::members::Standing;
use super::pool::{Backend, Pool};
use super::verdict::Health;

/// The state, as `/state` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct State {
    ready: bool,
    connections: usize,
    accepted: u64,
    refused: u64,
    membership: MembershipState,
    backends: Vec<BackendState>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MembershipState {
    learned: u64,
    failed: u64,
    last_learned_unix_seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BackendState {
    address: SocketAddr,
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    for_seconds: u64,
    local: bool,
    listed: bool,
    connections: usize,
    ejections: u64,
    last_check_milliseconds: u64,
}

/// The state as JSON.
pub(super) fn state(pool: &Pool) -> String {
    let counters = &pool.counters;
    let last = counters.membership_last.load(Relaxed);
    let state = State {
        ready: pool.any_is_ready(),
        connections: counters.open.load(Relaxed),
        accepted: counters.accepted.load(Relaxed),
        refused: counters.refused_limit.load(Relaxed) + counters.refused_no_backend.load(Relaxed),
        membership: MembershipState {
            learned: counters.membership_successes.load(Relaxed),
            failed: counters.membership_failures.load(Relaxed),
            last_learned_unix_seconds: (last > 0).then_some(last),
        },
        backends: pool
            .backends()
            .iter()
            .map(|backend| backend_state(backend))
            .collect(),
    };
    let mut text = serde_json::to_string_pretty(&state).unwrap_or_default();
    text.push('\n');
    text
}

fn backend_state(backend: &Backend) -> BackendState {
    let snapshot = backend.snapshot();
    let (health, reason) = match snapshot.health {
        Health::Unknown => ("unknown", None),
        Health::Ready => ("ready", None),
        Health::Down(failure) => ("down", Some(failure.to_string())),
    };
    BackendState {
        address: backend.address,
        health,
        reason,
        for_seconds: snapshot.for_time.as_secs(),
        local: backend.is_local,
        listed: snapshot.standing == Standing::Member,
        connections: backend.counters.active.load(Relaxed),
        ejections: backend.counters.ejections.load(Relaxed),
        last_check_milliseconds: snapshot.last_check.as_millis() as u64,
    }
}

/// All metrics in the Prometheus text format.
pub(super) fn metrics(pool: &Pool) -> String {
    let counters = &pool.counters;
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
        let _ = writeln!(
            text,
            "# HELP kubewright_proxy_{name} {help}\n# TYPE kubewright_proxy_{name} {kind}"
        );
        for (labels, value) in samples {
            let _ = writeln!(text, "kubewright_proxy_{name}{labels} {value}");
        }
    };
    let one = |value: u64| [(String::new(), value as f64)];
    let label = |key: &str, value: &str, number: u64| (format!("{{{key}=\"{value}\"}}"), number as f64);

    family(
        "connections",
        "gauge",
        "Open connections of clients.",
        &one(counters.open.load(Relaxed) as u64),
    );
    family(
        "accepted_total",
        "counter",
        "Accepted connections.",
        &one(counters.accepted.load(Relaxed)),
    );
    family(
        "refused_total",
        "counter",
        "Connections closed at once.",
        &[
            label("reason", "limit", counters.refused_limit.load(Relaxed)),
            label("reason", "no_backend", counters.refused_no_backend.load(Relaxed)),
        ],
    );
    family(
        "bytes_total",
        "counter",
        "Bytes carried, up from clients to API servers.",
        &[
            label("direction", "up", counters.bytes_up.load(Relaxed)),
            label("direction", "down", counters.bytes_down.load(Relaxed)),
        ],
    );
    family(
        "membership_total",
        "counter",
        "Lists of API servers asked for.",
        &[
            label("result", "learned", counters.membership_successes.load(Relaxed)),
            label("result", "failed", counters.membership_failures.load(Relaxed)),
        ],
    );
    let last = counters.membership_last.load(Relaxed);
    family(
        "membership_last_seconds",
        "gauge",
        "Unix time of the last list learned.",
        &one(last),
    );

    let backends = pool.backends();
    let each = |number: &dyn Fn(&Backend) -> f64| -> Vec<(String, f64)> {
        backends
            .iter()
            .map(|backend| (format!("{{backend=\"{}\"}}", backend.address), number(backend)))
            .collect()
    };
    let is_ready = |backend: &Backend| f64::from(u8::from(backend.snapshot().health == Health::Ready));
    let is_listed = |backend: &Backend| f64::from(u8::from(backend.snapshot().standing == Standing::Member));
    family(
        "backend_ready",
        "gauge",
        "1 while the API server is ready.",
        &each(&is_ready),
    );
    family(
        "backend_listed",
        "gauge",
        "1 while the API lists the server.",
        &each(&is_listed),
    );
    let took = |backend: &Backend| backend.snapshot().last_check.as_secs_f64();
    family(
        "backend_check_seconds",
        "gauge",
        "Duration of the last check.",
        &each(&took),
    );
    let active = |backend: &Backend| backend.counters.active.load(Relaxed) as f64;
    family(
        "backend_connections",
        "gauge",
        "Open connections to the server.",
        &each(&active),
    );
    let connected = |backend: &Backend| backend.counters.connected.load(Relaxed) as f64;
    family(
        "backend_connected_total",
        "counter",
        "Connections made for clients.",
        &each(&connected),
    );
    let failures = |backend: &Backend| backend.counters.connect_failures.load(Relaxed) as f64;
    family(
        "backend_connect_failures_total",
        "counter",
        "Failed attempts to connect.",
        &each(&failures),
    );
    let checks = |backend: &Backend| backend.counters.check_failures.load(Relaxed) as f64;
    family(
        "backend_check_failures_total",
        "counter",
        "Checks that found it not ready.",
        &each(&checks),
    );
    let ejections = |backend: &Backend| backend.counters.ejections.load(Relaxed) as f64;
    family(
        "backend_ejections_total",
        "counter",
        "Falls from ready to down.",
        &each(&ejections),
    );
    let cut = |backend: &Backend| backend.counters.cut.load(Relaxed) as f64;
    family(
        "backend_cut_total",
        "counter",
        "Connections closed because it was down.",
        &each(&cut),
    );
    text
}
