//! TCP ports: which ones components listen on, whether they are free, and whether nodes reach each other there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::text::{list, names, shown, word};
use super::{Found, Kind, Look, Severity, Subject, Unreachable};
use crate::carrier;
use crate::component::{self, Description, Port, Protocol, Reach};
use crate::observed::Listener;
use crate::spec::{Cluster, Node};

/// Metrics are read from every node by a pod on any; so many other nodes are tried from each worker, so that the
/// number of connections grows with the nodes and not with their square.
const METRICS_PEERS: usize = 16;

/// A TCP port a component of a node listens on.
#[derive(Clone, Copy, Debug)]
pub struct NeededPort {
    /// The component that listens.
    pub component: &'static Description,
    /// The port.
    pub port: &'static Port,
}

/// Returns the TCP ports of a node, ascending.
pub fn needed_ports(cluster: &Cluster, node: &Node) -> Vec<NeededPort> {
    let mut ports: Vec<NeededPort> = component::on_node(cluster, node)
        .flat_map(|component| {
            component
                .ports
                .iter()
                .map(move |port| NeededPort { component, port })
        })
        .filter(|needed| needed.port.protocol == Protocol::Tcp)
        .collect();
    ports.sort_by_key(|needed| needed.port.number);
    ports
}

/// A connection to try.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probe {
    /// The node that tries.
    pub from: String,
    /// The node to reach.
    pub to: String,
    /// Its address.
    pub address: IpAddr,
    /// The TCP port.
    pub port: u16,
}

/// Returns the connections between nodes that the cluster will need, by source.
pub fn probes(cluster: &Cluster) -> Vec<Probe> {
    let mut probes = Vec::new();
    let nodes = cluster.nodes.len();
    for (from_index, from) in cluster.nodes.iter().enumerate() {
        for (to_index, to) in cluster.nodes.iter().enumerate() {
            let distance = (to_index + nodes - from_index) % nodes;
            for NeededPort { port, .. } in needed_ports(cluster, to) {
                let is_needed = match port.reach {
                    Reach::Itself => false,
                    Reach::Everybody => true,
                    Reach::ControlPlanes => from.is_control_plane(),
                    Reach::ControlPlanesAndMetrics => from.is_control_plane() || distance <= METRICS_PEERS,
                };
                if distance > 0 && is_needed {
                    probes.push(Probe {
                        from: from.name.to_string(),
                        to: to.name.to_string(),
                        address: to.address,
                        port: port.number,
                    });
                }
            }
        }
    }
    probes
}

/// UDP ports of a node that all others must reach.
pub fn udp_ports(cluster: &Cluster, node: &Node) -> Vec<u16> {
    component::on_node(cluster, node)
        .flat_map(|component| component.ports)
        .filter(|port| port.protocol == Protocol::Udp && port.reach == Reach::Everybody)
        .map(|port| port.number)
        .collect()
}

/// Datagrams to try between two nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatagramProbe {
    /// The node that sends.
    pub from: String,
    /// The node that sends back.
    pub to: String,
    /// Its address and UDP port.
    pub target: SocketAddr,
}

/// Returns the datagrams to try to nodes that are not set up yet: on the others the kernel has the ports, and answers
/// nobody. From so many other nodes at most as metrics are read from.
pub fn datagram_probes(cluster: &Cluster, new: &BTreeSet<&str>) -> Vec<DatagramProbe> {
    let mut probes = Vec::new();
    let nodes = cluster.nodes.len();
    for (to_index, to) in cluster.nodes.iter().enumerate() {
        if !new.contains(to.name.as_str()) {
            continue;
        }
        for port in udp_ports(cluster, to) {
            for distance in 1..nodes.min(METRICS_PEERS + 1) {
                let from = &cluster.nodes[(to_index + nodes - distance) % nodes];
                probes.push(DatagramProbe {
                    from: from.name.to_string(),
                    to: to.name.to_string(),
                    target: SocketAddr::new(to.address, port),
                });
            }
        }
    }
    probes
}

pub(super) fn judge(look: &Look, found: &mut Found) {
    for subject in &look.subjects {
        taken(look.cluster, subject, found);
    }
    unreachable(look, found);
}

fn taken(cluster: &Cluster, subject: &Subject, found: &mut Found) {
    for NeededPort { component, port } in needed_ports(cluster, subject.node) {
        let stranger = subject
            .facts
            .listening
            .iter()
            .filter(|listener| listener.port == port.number)
            .find(|listener| !is_ours(subject, component, listener));
        let Some(stranger) = stranger else {
            continue;
        };
        found.error(
            Kind::PortInUse,
            subject.name(),
            format!(
                "port {} ({}) is in use by {}",
                port.number,
                port.what,
                owner(stranger)
            ),
            stop(stranger),
        );
    }
}

/// On a node of this cluster its component may listen, and nobody else.
fn is_ours(subject: &Subject, component: &Description, listener: &Listener) -> bool {
    let is_its_process = if listener.unit.is_empty() {
        is_process_of(component, &listener.process)
    } else {
        carrier::component_of(&listener.unit) == Some(component.name)
    };
    subject.is_own && is_its_process
}

/// Whether a process name, which the kernel cuts after 15 bytes, is a component's.
fn is_process_of(component: &Description, process: &str) -> bool {
    let name = component.program.process_name().unwrap_or_default();
    !process.is_empty() && name.get(..15).unwrap_or(&name) == process.get(..15).unwrap_or(process)
}

fn owner(listener: &Listener) -> String {
    match (listener.process.as_str(), listener.unit.as_str()) {
        ("", "") => "an unknown process".to_owned(),
        (process, "") => shown(process),
        ("", unit) => shown(unit),
        (process, unit) => format!("{} ({})", shown(process), shown(unit)),
    }
}

fn stop(listener: &Listener) -> String {
    let is_session = listener.unit.starts_with("session-") || listener.unit.starts_with("user@");
    match word(&listener.unit, "") {
        unit if carrier::component_of(unit).is_some() && !is_session => {
            format!("{}, or move it to another port", carrier::disable_command(unit))
        }
        _ => format!("find it with: ss -ltnp 'sport = :{}', and stop it", listener.port),
    }
}

/// Connections that fail for the same nodes and the same cause are one finding of the node that is not reached.
fn unreachable(look: &Look, found: &mut Found) {
    type Sources<'a> = BTreeSet<&'a str>;
    let mut by_port: BTreeMap<(&str, u16, &str, Severity), Sources> = BTreeMap::new();
    for failed in &look.measured.unreachable {
        let Unreachable {
            from,
            to,
            port,
            cause,
        } = failed;
        let severity = severity(look.cluster, from, to, *port);
        by_port
            .entry((to, *port, cause, severity))
            .or_default()
            .insert(from);
    }
    let mut by_sources: BTreeMap<(&str, Sources, &str, Severity), Vec<u16>> = BTreeMap::new();
    for ((to, port, cause, severity), sources) in by_port {
        by_sources
            .entry((to, sources, cause, severity))
            .or_default()
            .push(port);
    }
    for ((to, sources, cause, severity), ports) in by_sources {
        let Some(target) = look.cluster.node(to) else {
            continue;
        };
        let sources: Vec<&Node> = look
            .cluster
            .nodes
            .iter()
            .filter(|node| sources.contains(node.name.as_str()))
            .collect();
        let needed = needed_ports(look.cluster, target);
        let described = ports.iter().map(|port| {
            let what = needed
                .iter()
                .find(|needed| needed.port.number == *port)
                .map_or("", |needed| needed.port.what);
            format!("{port} ({what})")
        });
        let from: Vec<&str> = sources.iter().map(|node| node.name.as_str()).collect();
        let addresses = if sources.len() > 6 {
            "the nodes".to_owned()
        } else {
            list(sources.iter().map(|node| node.address))
        };
        found.add(
            Kind::UnreachablePort,
            severity,
            Some(to),
            format!(
                "TCP {} cannot be reached from {}: {}",
                list(described),
                names(&from),
                shown(cause)
            ),
            format!(
                "allow TCP {} from {addresses} to {} in the firewalls of the nodes and between them",
                list(&ports),
                target.address
            ),
        );
    }
}

/// What only metrics need does not keep a cluster from working.
fn severity(cluster: &Cluster, from: &str, to: &str, port: u16) -> Severity {
    let needed = cluster.node(to).map(|node| needed_ports(cluster, node));
    let is_metrics = needed
        .into_iter()
        .flatten()
        .any(|needed| needed.port.number == port && needed.port.reach == Reach::ControlPlanesAndMetrics);
    let is_worker = cluster.node(from).is_some_and(|node| !node.is_control_plane());
    if is_metrics && is_worker {
        Severity::Warning
    } else {
        Severity::Error
    }
}
