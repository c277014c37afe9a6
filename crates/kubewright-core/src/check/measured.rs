//! What was measured from outside the nodes: clocks, connections between nodes, and which nodes did not answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::observed::SyncSpeed;

/// What the controller measured while it asked the nodes for their facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Measured {
    /// The nodes' clocks, by node.
    pub clocks: BTreeMap<String, Clock>,
    /// Connections that could not be made.
    pub unreachable: Vec<Unreachable>,
    /// Datagrams between nodes that never came back.
    pub datagrams: Vec<LostDatagram>,
    /// How fast small writes become durable where etcd will keep its data, by node.
    pub syncs: BTreeMap<String, SyncSpeed>,
    /// Control planes on which that was not measured, because their etcd has a member.
    pub unmeasured: Vec<String>,
    /// Nodes with which no connection was possible.
    pub silent: BTreeMap<String, Silent>,
}

/// A node's clock against the controller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Clock {
    /// How far the node's clock is ahead, milliseconds; negative when it is behind.
    pub offset_ms: i64,
    /// The true offset is within this of [`Self::offset_ms`].
    pub uncertainty_ms: i64,
}

impl Clock {
    /// Concludes from one round trip, all in milliseconds since the epoch: the node read its clock (`node_ms`) at some
    /// time between sending and receiving by the controller's clock.
    pub fn from_round_trip(sent_ms: i64, node_ms: i64, received_ms: i64) -> Self {
        let round_trip = received_ms.saturating_sub(sent_ms).max(0);
        let middle = sent_ms.saturating_add(round_trip / 2);
        Self {
            offset_ms: node_ms.saturating_sub(middle),
            uncertainty_ms: round_trip / 2 + 1,
        }
    }
}

/// A connection that could not be made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unreachable {
    /// The node that tried.
    pub from: String,
    /// The node it tried to reach.
    pub to: String,
    /// The TCP port.
    pub port: u16,
    /// Why not, as in `connection timed out`.
    pub cause: String,
}

/// Datagrams that never came back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LostDatagram {
    /// The node that sent them.
    pub from: String,
    /// The node they were sent to.
    pub to: String,
    /// The UDP port.
    pub port: u16,
    /// The size of those that were lost, if smaller ones came back; bytes of an IP packet.
    pub bytes: Option<u16>,
    /// Why, as far as it is known.
    pub cause: String,
}

/// Why a node could not be talked to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silent {
    /// What went wrong, with the address tried.
    pub cause: String,
    /// What to do about it.
    pub fix: String,
}
