//! Where packets of a node's pods go: to pods on other nodes, and to the world outside.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Marks kubewright's routes as theirs (`proto` in `ip route`); a number without a meaning elsewhere.
pub const ROUTE_PROTOCOL: &str = "75";

/// Routes to the pods of other nodes, and what hides the node's own pods behind its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Routing {
    /// Pod ranges of the other nodes, such as `10.244.1.0/24`, and the nodes' addresses.
    pub routes: BTreeMap<String, IpAddr>,
    /// The node's own pod range.
    pub pods: String,
    /// Where its pods are known by their own addresses: ranges and addresses. Elsewhere they have the node's.
    pub inside: Vec<String>,
    /// What hides them.
    pub filter: PacketFilter,
}

/// A packet filter of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PacketFilter {
    /// nftables, set by `nft`.
    Nftables,
    /// iptables, set by `iptables` or `ip6tables`.
    Iptables,
}

impl Routing {
    /// Whether it is about IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.pods.contains(':')
    }
}
