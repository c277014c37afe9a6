//! The questions the rest of kubewright asks a cluster, so that each is answered in one place.

use super::{Addon, Cluster, ComponentName, ComponentOverrides, Node};
use crate::value::Cidr;
use std::net::IpAddr;

/// The prefix length of each node's pod subnet with IPv4.
pub const NODE_POD_PREFIX: u8 = 24;

impl Cluster {
    /// Returns the control-plane nodes in the order of the file.
    pub fn control_planes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_control_plane())
    }

    /// Returns the nodes that take ordinary pods, in the order of the file.
    pub fn workers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_worker())
    }

    /// Returns the node of that name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Returns the address of the `kubernetes` service: the first of the service range.
    pub fn api_service_ip(&self) -> IpAddr {
        self.service_ip(1)
    }

    /// Returns the address of the cluster's DNS service: the tenth of the service range.
    pub fn dns_service_ip(&self) -> IpAddr {
        self.service_ip(10)
    }

    /// Validation refuses ranges with fewer than 256 addresses, so the fallback is never the answer for a parsed file.
    fn service_ip(&self, index: u128) -> IpAddr {
        let range = self.network.service_cidr;
        range.nth(index).unwrap_or_else(|| range.address())
    }

    /// Returns the pod subnet of a node by its place in the file, for the `bridge` plug-in; `None` past the range.
    pub fn pod_subnet_of(&self, node_index: usize) -> Option<Cidr> {
        self.network.pod_cidr.subnet(NODE_POD_PREFIX, node_index as u128)
    }

    /// Returns what the user added to a component, if anything.
    pub fn overrides(&self, component: ComponentName) -> Option<&ComponentOverrides> {
        self.components.get(&component)
    }

    /// Returns the add-ons that are not built in: those with manifests of the user's own.
    pub fn user_addons(&self) -> impl Iterator<Item = &Addon> {
        self.addons
            .iter()
            .filter(|addon| matches!(addon, Addon::Manifests { .. }))
    }
}
