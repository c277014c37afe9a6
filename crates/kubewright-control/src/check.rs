//! The preflight on real nodes: asks all of them for facts and clocks, lets them try to reach each other, and has the
//! core judge. Changes nothing.
//!
//! It always has connections of its own, without the nodes' locks: agents hold free ports open for each other's
//! probes until a connection ends, and nothing of a run that follows must find them taken. A node that cannot be
//! talked to is a finding, and the others go on without it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use kubewright_core::check::{
    Clock, Measured, Probe, Report, Silent, Unreachable, findings, needed_ports, probes,
};
use kubewright_core::component::Reach;
use kubewright_core::observed::{Facts, Observed, ObservedNode};
use kubewright_core::spec::Cluster;

use crate::node::{Introduction, Node, NodeCallError};
use crate::transport::Transport;

/// Nodes talked to at the same time: each is an `ssh` process on this computer.
const AT_ONCE: usize = 64;
/// How long a connection between nodes may take: time for a lost packet to be sent again, twice.
const PROBE: Duration = Duration::from_secs(4);
/// Targets of one request; the agent takes no more than 256.
const TARGETS_AT_ONCE: usize = 128;
/// A clock known less exactly than this is asked for once more: the first answer often waits for a service that starts.
const EXACT_MS: i64 = 60;

/// Is told which node is being talked to and what for.
pub type Watch<'a> = &'a (dyn Fn(&str, &str) + Sync);

/// Checks all nodes of a cluster; `connections` leads to each, by name.
pub async fn check(
    cluster: &Cluster,
    connections: &BTreeMap<String, Arc<dyn Transport>>,
    introduction: &Introduction,
    watch: Watch<'_>,
) -> Report {
    let introduction = Introduction {
        lock: false,
        ..introduction.clone()
    };
    let mut look = Look::default();
    let answers = every(connections, |name, way| {
        look_at(name, way.as_ref(), &introduction, watch)
    })
    .await;
    for (name, answer) in answers {
        match answer {
            Ok((node, facts, clock)) => {
                look.observed.nodes.insert(
                    name.clone(),
                    ObservedNode {
                        facts,
                        differences: Vec::new(),
                    },
                );
                look.measured.clocks.insert(name.clone(), clock);
                look.nodes.insert(name, node);
            }
            Err(error) => look.silence(name, &error),
        }
    }
    let connections = look.connect_nodes(cluster, watch).await;
    every(&look.nodes, |_, node| node.clone().goodbye()).await;
    Report::new(
        cluster,
        connections,
        findings(cluster, &look.observed, &look.measured),
    )
}

/// What is known so far, and the connections it is known from.
#[derive(Default)]
struct Look {
    nodes: BTreeMap<String, Node>,
    observed: Observed,
    measured: Measured,
}

impl Look {
    fn silence(&mut self, node: String, error: &NodeCallError) {
        let cause = match error {
            NodeCallError::Transport(error) => format!("{}: {}", error.destination, error.failure),
            NodeCallError::Node { error, .. } => error.to_string(),
            other => other.to_string(),
        };
        let fix = error
            .hint()
            .unwrap_or_else(|| "run the command again; the log file has the details".to_owned());
        self.measured.silent.insert(node, Silent { cause, fix });
    }

    /// Lets nodes try to reach each other; returns how many connections were tried.
    async fn connect_nodes(&mut self, cluster: &Cluster, watch: Watch<'_>) -> usize {
        let listening = every(&self.nodes, |name, node| listen(cluster, name, node, watch)).await;
        let mut targets = BTreeSet::new();
        for (name, answer) in listening {
            match answer {
                Ok(()) => {
                    targets.insert(name);
                }
                // Said already: an address the node does not have cannot be listened on.
                Err(NodeCallError::Node { .. }) if !self.has_its_address(cluster, &name) => {}
                Err(error) => self.silence(name, &error),
            }
        }
        let mut by_source: BTreeMap<String, Vec<Probe>> = BTreeMap::new();
        for probe in probes(cluster) {
            if self.nodes.contains_key(&probe.from) && targets.contains(&probe.to) {
                by_source.entry(probe.from.clone()).or_default().push(probe);
            }
        }
        let nodes = &self.nodes;
        let outcomes = every(&by_source, |name, probes| {
            try_all(nodes.get(name), name, probes, watch)
        })
        .await;
        for (name, (failed, error)) in outcomes {
            self.measured.unreachable.extend(failed);
            if let Some(error) = error {
                self.silence(name, &error);
            }
        }
        by_source.values().map(Vec::len).sum()
    }

    fn has_its_address(&self, cluster: &Cluster, name: &str) -> bool {
        let (Some(node), Some(seen)) = (cluster.node(name), self.observed.nodes.get(name)) else {
            return false;
        };
        seen.facts
            .addresses
            .values()
            .flatten()
            .any(|address| *address == node.address)
    }
}

/// Asks everybody the same at once; the answers by name.
async fn every<'a, V, T, F>(
    all: &'a BTreeMap<String, V>,
    ask: impl Fn(&'a str, &'a V) -> F,
) -> BTreeMap<String, T>
where
    F: Future<Output = T>,
{
    let asked = all.iter().map(|(name, value)| {
        let answer = ask(name, value);
        async move { (name.clone(), answer.await) }
    });
    futures::stream::iter(asked)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

/// Opens a connection, and asks for facts and the time.
async fn look_at(
    name: &str,
    way: &dyn Transport,
    introduction: &Introduction,
    watch: Watch<'_>,
) -> Result<(Node, Facts, Clock), NodeCallError> {
    watch(name, "connecting");
    let node = Node::connect(way, introduction).await?;
    watch(name, "reading");
    let (facts, mut clock) = timed_facts(&node).await?;
    if clock.uncertainty_ms > EXACT_MS {
        let (_, second) = timed_facts(&node).await?;
        if second.uncertainty_ms < clock.uncertainty_ms {
            clock = second;
        }
    }
    Ok((node, facts, clock))
}

async fn timed_facts(node: &Node) -> Result<(Facts, Clock), NodeCallError> {
    let sent_ms = now_ms();
    // This computer's clock may be set in between; the length of the round trip is not read from it.
    let begun = Instant::now();
    let facts = node.facts().await?;
    let received_ms = sent_ms.saturating_add(i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX));
    let clock = Clock::from_round_trip(sent_ms, facts.clock_ms, received_ms);
    Ok((facts, clock))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Holds the ports open that nothing listens on yet.
async fn listen(cluster: &Cluster, name: &str, node: &Node, watch: Watch<'_>) -> Result<(), NodeCallError> {
    let Some(spec) = cluster.node(name) else {
        return Ok(());
    };
    watch(name, "listening on the needed ports");
    let ports = needed_ports(cluster, spec)
        .into_iter()
        .filter(|needed| needed.port.reach != Reach::Itself)
        .map(|needed| needed.port.number)
        .collect();
    node.listen(spec.address, ports).await
}

/// Tries a node's connections to the others; what failed, and why it may be that not all were tried.
async fn try_all(
    node: Option<&Node>,
    name: &str,
    probes: &[Probe],
    watch: Watch<'_>,
) -> (Vec<Unreachable>, Option<NodeCallError>) {
    let mut failed = Vec::new();
    let Some(node) = node else {
        return (failed, None);
    };
    watch(name, "connecting to the other nodes");
    for some in probes.chunks(TARGETS_AT_ONCE) {
        let target = |probe: &Probe| SocketAddr::new(probe.address, probe.port).to_string();
        let mut outcomes = match node.probe(some.iter().map(target).collect(), PROBE).await {
            Ok(outcomes) => outcomes,
            Err(error) => return (failed, Some(error)),
        };
        for probe in some {
            let cause = match outcomes.remove(&target(probe)) {
                Some(None) => continue,
                Some(Some(cause)) => cause,
                None => "the node gave no result for this connection".to_owned(),
            };
            let Probe { from, to, port, .. } = probe.clone();
            failed.push(Unreachable {
                from,
                to,
                port,
                cause,
            });
        }
    }
    (failed, None)
}

#[cfg(test)]
mod tests;
