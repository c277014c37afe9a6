//! How a node forwards and filters packets: routes, chains that drop, checks of the way back.

use serde::{Deserialize, Serialize};

/// A chain that all forwarded packets pass and that drops what no rule accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ForwardDrop {
    /// The chain, as in `ip filter FORWARD` or `iptables FORWARD`.
    pub chain: String,
    /// What rules of its table accept: ranges (`10.244.0.0/16`), interfaces, `*` for everything.
    pub accepts: Vec<String>,
}

/// A route of the node, other than the default one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where it leads, as in `10.96.0.0/12`.
    pub to: String,
    /// Through which interface.
    pub interface: String,
}

/// How fast a directory's file system makes small writes durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncSpeed {
    /// How many writes were made.
    pub writes: u32,
    /// The 99th percentile of them, microseconds.
    pub p99_us: u64,
}

/// What became of datagrams to another node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Datagrams {
    /// One of the smallest came back.
    pub small: bool,
    /// As many bytes of IP packets as were tried and never came back; `None` when one did, or none was tried.
    pub lost_bytes: Option<u16>,
    /// Why nothing could be sent.
    pub error: Option<String>,
}
