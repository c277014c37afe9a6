//! Who founds a cluster's etcd, as every founder keeps it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shown::shown;
use crate::spec::Cluster;

/// Where members of etcd reach each other.
pub const PEER_PORT: u16 = 2380;

/// The control planes that found a cluster's etcd together: where each is reached by the others, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Founders(pub BTreeMap<String, String>);

impl Founders {
    /// All control planes of a cluster.
    pub fn of(cluster: &Cluster) -> Self {
        let founder = |node: &crate::spec::Node| (node.name.to_string(), peer_url(node.address));
        Self(cluster.control_planes().map(founder).collect())
    }
}

/// As in `cp-1 (https://192.0.2.11:2380), cp-2 (https://192.0.2.12:2380)`; it may come from a node.
impl fmt::Display for Founders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.0.iter();
        let each: Vec<String> = each
            .map(|(name, url)| format!("{} ({})", shown(name), shown(url)))
            .collect();
        formatter.write_str(&each.join(", "))
    }
}

/// Where other members reach the member of a node with this address.
pub fn peer_url(address: IpAddr) -> String {
    format!("https://{}", SocketAddr::new(address, PEER_PORT))
}
