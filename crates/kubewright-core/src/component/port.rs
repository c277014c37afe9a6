//! Ports of components, and who has to reach them.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// A port a component listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The number.
    pub number: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// What it is for, as in `etcd's peers`.
    pub what: &'static str,
    /// Who connects to it from other nodes.
    pub reach: Reach,
}

impl Port {
    /// A TCP port.
    pub(super) const fn tcp(number: u16, what: &'static str, reach: Reach) -> Self {
        Self {
            number,
            protocol: Protocol::Tcp,
            what,
            reach,
        }
    }

    /// A TCP port that is nobody's but the node's own.
    pub(super) const fn local(number: u16, what: &'static str) -> Self {
        Self::tcp(number, what, Reach::Itself)
    }
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP: whether it is open cannot be tried.
    Udp,
}

/// Returns a port on the loopback address.
pub(super) const fn local(port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// Who connects to a port from other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nobody: it is on the loopback address, or only asked about by the node itself.
    Itself,
    /// The control planes.
    ControlPlanes,
    /// Every node.
    Everybody,
    /// The control planes, and every node for metrics.
    ControlPlanesAndMetrics,
}
