//! The preflight on real nodes: asks all of them for facts and clocks, lets them try to reach each other, and has the
//! core judge. Changes nothing.
//!
//! It always has connections of its own, without the nodes' locks: agents hold free ports open for each other's
//! probes until a connection ends, and nothing of a run that follows must find them taken. A node that cannot be
//! talked to is a finding, and the others go on without it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use kubewright_core::check::{
    Clock, DatagramProbe, LostDatagram, Measured, Probe, Report, Silent, Unreachable, datagram_probes,
    findings, needed_ports, new_nodes, probes, udp_ports,
};
use kubewright_core::component::{Reach, etcd};
use kubewright_core::observed::{Facts, Observed, ObservedNode};
use kubewright_core::spec::Cluster;

use crate::node::{Introduction, Node, NodeCallError};
use crate::transport::Transport;

/// Nodes talked to at the same time: each is an `ssh` process on this computer.
const AT_ONCE: usize = 64;
/// How long a connection between nodes may take: time for a lost packet to be sent again, twice.
const PROBE: Duration = Duration::from_secs(4);
/// How long datagrams of one size are tried: several are sent meanwhile.
const DATAGRAMS: Duration = Duration::from_secs(3);
/// No network card takes larger packets.
const LARGEST_PACKET: u32 = 9216;
/// Targets of one request; the agent takes no more than 256.
const TARGETS_AT_ONCE: usize = 128;
/// A clock known less exactly than this is asked for once more: the first answer often waits for a service that starts.
const EXACT_MS: i64 = 60;

/// Is told which node is being talked to and what for.
pub type Watch<'a> = &'a (dyn Fn(&str, &str) + Sync);

/// Checks all nodes of a cluster; `connections` leads to each, by name. With `only`, all are looked at, because one may be
/// the clone of another, and what is tried and measured concerns these alone.
pub async fn check(
    cluster: &Cluster,
    connections: &BTreeMap<String, Arc<dyn Transport>>,
    introduction: &Introduction,
    only: Option<&BTreeSet<String>>,
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
    look.only = only.cloned();
    let connections = look.connect_nodes(cluster, watch).await;
    look.send_datagrams(cluster, watch).await;
    look.measure_disks(cluster, watch).await;
    every(&look.nodes, |_, node| node.clone().goodbye()).await;
    Report::new(
        cluster,
        connections,
        &look.measured,
        findings(cluster, &look.observed, &look.measured),
    )
}

/// What is known so far, and the connections it is known from.
#[derive(Default)]
struct Look {
    nodes: BTreeMap<String, Node>,
    observed: Observed,
    measured: Measured,
    /// The nodes that what is tried and measured has to concern; `None` for all.
    only: Option<BTreeSet<String>>,
}

impl Look {
    /// Whether one of these nodes is concerned.
    fn concerns(&self, nodes: &[&str]) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| nodes.iter().any(|node| only.contains(*node)))
    }

    /// Nodes that are not set up yet and answered.
    fn new_nodes(&self, cluster: &Cluster) -> BTreeSet<String> {
        let new = new_nodes(cluster, &self.observed).map(|node| node.name.to_string());
        new.filter(|name| self.nodes.contains_key(name) && self.concerns(&[name]))
            .collect()
    }

    /// Lets nodes send datagrams to those that are not set up yet.
    async fn send_datagrams(&mut self, cluster: &Cluster, watch: Watch<'_>) {
        let new = self.new_nodes(cluster);
        let mut echoing = BTreeMap::new();
        for node in cluster
            .nodes
            .iter()
            .filter(|node| new.contains(node.name.as_str()))
        {
            let ports = udp_ports(cluster, node);
            if let (Some(open), false) = (self.nodes.get(node.name.as_str()), ports.is_empty()) {
                echoing.insert(node.name.to_string(), (open.clone(), node.address, ports));
            }
        }
        let answers = every(&echoing, |_, (node, address, ports)| {
            node.echo(*address, ports.clone())
        })
        .await;
        let mut targets = BTreeSet::new();
        for (name, answer) in answers {
            match answer {
                Ok(()) => drop(targets.insert(name)),
                // Said already: an address the node does not have cannot be listened on.
                Err(NodeCallError::Node { .. }) if !self.has_its_address(cluster, &name) => {}
                Err(error) => self.silence(name, &error),
            }
        }
        let targets: BTreeSet<&str> = targets.iter().map(String::as_str).collect();
        let mut by_source: BTreeMap<String, Vec<DatagramProbe>> = BTreeMap::new();
        for probe in datagram_probes(cluster, &targets) {
            if self.nodes.contains_key(&probe.from) && self.has_its_address(cluster, &probe.from) {
                by_source.entry(probe.from.clone()).or_default().push(probe);
            }
        }
        let look = &*self;
        let outcomes = every(&by_source, |name, probes| look.send(cluster, name, probes, watch)).await;
        for (name, outcome) in outcomes {
            match outcome {
                Ok(lost) => self.measured.datagrams.extend(lost),
                Err(error) => self.silence(name, &error),
            }
        }
    }

    /// Sends a node's datagrams; which of them never came back.
    async fn send(
        &self,
        cluster: &Cluster,
        name: &str,
        probes: &[DatagramProbe],
        watch: Watch<'_>,
    ) -> Result<Vec<LostDatagram>, NodeCallError> {
        let (Some(node), Some(spec)) = (self.nodes.get(name), cluster.node(name)) else {
            return Ok(Vec::new());
        };
        watch(name, "sending datagrams to the other nodes");
        let bytes = self.mtu(name, spec.address);
        let targets = probes.iter().map(|probe| probe.target.to_string()).collect();
        let mut outcomes = node
            .probe_datagrams(spec.address, targets, bytes, DATAGRAMS)
            .await?;
        let lost = probes.iter().filter_map(|probe| {
            let outcome = outcomes.remove(&probe.target.to_string()).unwrap_or_default();
            let cause = outcome.error.unwrap_or_else(|| "nothing came back".to_owned());
            (!outcome.small || outcome.lost_bytes.is_some()).then(|| LostDatagram {
                from: probe.from.clone(),
                to: probe.to.clone(),
                port: probe.target.port(),
                bytes: outcome.lost_bytes.filter(|_| outcome.small),
                cause,
            })
        });
        Ok(lost.collect())
    }

    /// The largest packet that the interface with an address takes, up to the largest of Ethernet's jumbo frames.
    fn mtu(&self, name: &str, address: IpAddr) -> u16 {
        let seen = self.observed.nodes.get(name);
        let mut links = seen.into_iter().flat_map(|seen| seen.facts.links.values());
        let link = links.find(|link| link.prefixes.contains_key(&address));
        let mtu = link.and_then(|link| link.mtu).unwrap_or(0).min(LARGEST_PACKET);
        u16::try_from(mtu).unwrap_or_default()
    }

    /// Measures the disks of control planes that are to get a member of etcd.
    async fn measure_disks(&mut self, cluster: &Cluster, watch: Watch<'_>) {
        let new = self.new_nodes(cluster);
        let control_planes = cluster.control_planes().map(|node| node.name.to_string());
        let (mut measured, mut unmeasured) = (BTreeMap::new(), Vec::new());
        for name in control_planes.filter(|name| self.concerns(&[name])) {
            let (Some(node), Some(seen)) = (self.nodes.get(&name), self.observed.nodes.get(&name)) else {
                continue;
            };
            if seen.facts.has_etcd_data {
                unmeasured.push(name);
            } else if new.contains(&name) {
                measured.insert(name, node.clone());
            }
        }
        self.measured.unmeasured = unmeasured;
        let speeds = every(&measured, |name, node| {
            watch(name, "measuring the disk");
            node.measure_sync(etcd::DATA_DIRECTORY)
        })
        .await;
        for (name, speed) in speeds {
            match speed {
                Ok(speed) => drop(self.measured.syncs.insert(name, speed)),
                // A disk that cannot be written to is a finding of its own.
                Err(error @ NodeCallError::Node { .. }) => {
                    tracing::warn!(node = %name, %error, "the disk was not measured");
                }
                Err(error) => self.silence(name, &error),
            }
        }
    }

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
            let is_open = self.nodes.contains_key(&probe.from) && targets.contains(&probe.to);
            if is_open && self.concerns(&[&probe.from, &probe.to]) {
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
