//! Learns from the API who its servers are, and remembers it.
//!
//! Every 15 s, and when a backend rises or falls, it reads the EndpointSlices of service `kubernetes` through the best ready
//! backend with the proxy's own identity, which needs no right but to list those. What it learned goes to disk when it changed.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::health::Checkers;
use super::http::{HttpConnection, HttpError};
use super::log::{Level, chain, event};
use super::members::Members;
use super::members_file;
use super::pool::Pool;
use super::tls::Tls;
use super::verdict::{Failure, Health};

/// What is asked for.
const PATH: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices\
    ?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes";
/// The largest list that is read, in bytes.
const MAX_LIST_BYTES: usize = 1024 * 1024;
/// The most addresses taken from one list.
const MAX_ADDRESSES: usize = 64;

/// Why a look at the list brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum LearnError {
    /// No backend is ready to be asked.
    #[error("no api server is ready")]
    NoneReady,
    /// The connection could not be made.
    #[error("connect to {0}: {1}")]
    Connect(SocketAddr, Failure),
    /// The answer did not come whole.
    #[error("ask {0}: {1}")]
    Ask(SocketAddr, HttpError),
    /// The answer did not come in time.
    #[error("ask {0}: no answer in time")]
    TimedOut(SocketAddr),
    /// The API refused.
    #[error("{0} answered with status {1}")]
    Status(SocketAddr, u16),
    /// The answer is not a list of EndpointSlices.
    #[error("{0} answered with another thing than a list: {1}")]
    Parse(SocketAddr, serde_json::Error),
}

#[derive(Deserialize)]
struct SliceList {
    items: Vec<Slice>,
}

#[derive(Deserialize)]
struct Slice {
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
    #[serde(default)]
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
struct Endpoint {
    addresses: Vec<String>,
}

#[derive(Deserialize)]
struct Port {
    #[serde(default)]
    name: Option<String>,
    #[serde(default, rename = "port")]
    number: Option<u16>,
    #[serde(default)]
    protocol: Option<String>,
}

/// Reads the addresses of the API servers out of a list of EndpointSlices.
pub(super) fn parse_list(body: &[u8]) -> Result<BTreeSet<SocketAddr>, serde_json::Error> {
    let list: SliceList = serde_json::from_slice(body)?;
    let mut members = BTreeSet::new();
    for slice in list.items {
        let ports = slice.ports.unwrap_or_default();
        let tcp: Vec<_> = ports
            .iter()
            .filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"))
            .collect();
        let port = tcp
            .iter()
            .find(|port| port.name.as_deref() == Some("https"))
            .or(tcp.first());
        let Some(port) = port.and_then(|port| port.number).filter(|port| *port != 0) else {
            continue;
        };
        // Readiness in the list is left aside: the proxy's own checks know better and sooner.
        let addresses = slice
            .endpoints
            .unwrap_or_default()
            .into_iter()
            .flat_map(|endpoint| endpoint.addresses);
        for ip in addresses.filter_map(|address| address.parse::<IpAddr>().ok()) {
            if !ip.is_unspecified() && !ip.is_multicast() && members.len() < MAX_ADDRESSES {
                members.insert(SocketAddr::new(ip, port));
            }
        }
    }
    Ok(members)
}

/// Keeps the pool and the file in step with what the API says.
#[derive(Debug)]
pub(super) struct Learner {
    /// The table to keep in step.
    pub(super) pool: Arc<Pool>,
    /// The way to the API.
    pub(super) tls: Arc<Tls>,
    /// Who is known.
    pub(super) members: Members,
    /// The tasks that check the backends.
    pub(super) checkers: Checkers,
    /// Where members are remembered.
    pub(super) state_file: PathBuf,
    /// Whether there is an identity to ask with.
    pub(super) has_identity: bool,
}

impl Learner {
    /// Fills the pool and starts the checks; first of all, before anything is learned.
    pub(super) fn apply(&mut self) {
        self.pool.set(&self.members.standings());
        self.checkers.sync();
    }

    /// Learns until the task is ended.
    pub(super) async fn run(mut self) {
        if !self.has_identity {
            event(
                Level::Warn,
                "membership is not learned",
                &[("reason", &"no clientCertFile")],
            );
            return std::future::pending().await;
        }
        let pool = Arc::clone(&self.pool);
        let mut told = None;
        let mut is_stored = true;
        loop {
            let gap_ends = Instant::now() + pool.timing.membership_gap;
            match self.learn().await {
                Ok(list) => {
                    pool.counters.membership_successes.fetch_add(1, Ordering::Relaxed);
                    pool.counters
                        .membership_last
                        .store(now_seconds(), Ordering::Relaxed);
                    if told.take().is_some() {
                        event(Level::Info, "membership is learned again", &[]);
                    }
                    if self.members.learn(list, now_seconds()) || !is_stored {
                        is_stored = self.store().await;
                    }
                    self.apply();
                }
                // The checks have reported it; nothing to add.
                Err(LearnError::NoneReady) => {}
                Err(error) => {
                    pool.counters.membership_failures.fetch_add(1, Ordering::Relaxed);
                    let text = error.to_string();
                    if told.as_ref() != Some(&text) {
                        event(Level::Warn, "membership not learned", &[("reason", &text)]);
                        told = Some(text);
                    }
                }
            }
            sleep_until(gap_ends).await;
            tokio::select! {
                () = sleep(pool.timing.membership_interval) => {}
                () = pool.membership_wanted.notified() => {}
            }
        }
    }

    async fn learn(&self) -> Result<BTreeSet<SocketAddr>, LearnError> {
        let mut last = LearnError::NoneReady;
        for backend in self.pool.order() {
            if backend.snapshot().health != Health::Ready {
                continue;
            }
            let answer = timeout(self.pool.timing.membership_timeout, self.ask(backend.address)).await;
            match answer.unwrap_or(Err(LearnError::TimedOut(backend.address))) {
                Ok(list) => return Ok(list),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask(&self, address: SocketAddr) -> Result<BTreeSet<SocketAddr>, LearnError> {
        let stream = self
            .tls
            .connect(address)
            .await
            .map_err(|failure| LearnError::Connect(address, failure))?;
        let mut connection = HttpConnection::new(stream, self.tls.host());
        let response = connection
            .get(PATH, MAX_LIST_BYTES)
            .await
            .map_err(|error| LearnError::Ask(address, error))?;
        if response.status != 200 {
            return Err(LearnError::Status(address, response.status));
        }
        parse_list(&response.body).map_err(|error| LearnError::Parse(address, error))
    }

    async fn store(&self) -> bool {
        let (path, remembered) = (self.state_file.clone(), self.members.remembered().clone());
        let listed = remembered
            .listed
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",");
        // An fsync on a busy disk takes long; connections go on meanwhile.
        let result = tokio::task::spawn_blocking(move || members_file::store(&path, &remembered)).await;
        match result {
            Ok(Ok(())) => {
                event(Level::Info, "members remembered", &[("listed", &listed)]);
                true
            }
            Ok(Err(error)) => {
                event(
                    Level::Warn,
                    "members not remembered",
                    &[("reason", &chain(&error))],
                );
                false
            }
            Err(_) => false,
        }
    }
}

fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_of_both_families() {
        let body = br#"{"kind":"EndpointSliceList","items":[
            {"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.11"],"conditions":{"ready":true}},
              {"addresses":["10.0.0.12"]}],"ports":[{"name":"https","port":6443,"protocol":"TCP"}]},
            {"addressType":"IPv6","endpoints":[{"addresses":["fd00::1"]}],"ports":[{"port":7000}]}]}"#;
        let list: Vec<_> = parse_list(body)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(list, ["10.0.0.11:6443", "10.0.0.12:6443", "[fd00::1]:7000"]);
    }

    #[test]
    fn an_empty_or_half_made_slice_is_no_member() {
        for body in [
            r#"{"items":[]}"#,
            r#"{"items":[{"endpoints":null,"ports":null}]}"#,
            r#"{"items":[{"endpoints":[{"addresses":["10.0.0.1"]}],"ports":[]}]}"#,
            r#"{"items":[{"endpoints":[{"addresses":["0.0.0.0","api.example"]}],"ports":[{"port":6443}]}]}"#,
            r#"{"items":[{"endpoints":[{"addresses":["10.0.0.1"]}],"ports":[{"port":53,"protocol":"UDP"}]}]}"#,
        ] {
            assert!(parse_list(body.as_bytes()).unwrap().is_empty(), "{body}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_list() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"items":{}}"#,
            r#"{"items":[{"ports":[{"port":70000}]}]}"#,
        ] {
            assert!(parse_list(body.as_bytes()).is_err(), "{body}");
        }
    }
}
