//! The name of a step within its plan: where it happens and what kind of step it is.
//!
//! Logs, JSON and documents have it as one word, as in `cp-1/etcd` or `cluster/nodes`; nothing takes that word apart
//! again but [`StepId::from_str`].

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::Stage;

/// How the cluster itself is called where a node's name could stand.
const CLUSTER: &str = "cluster";

/// Names a step within its plan, as in `cp-1/etcd`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct StepId {
    /// Where it happens.
    pub place: Place,
    /// What kind of step it is.
    pub kind: StepKind,
}

/// Where a step happens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// On this node.
    Node(String),
    /// In the cluster, by way of its API.
    Cluster,
}

/// The kinds of steps; a place has one of each at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKind {
    /// A stage of a node is converged.
    Converge(Stage),
    /// A node's kubelet is waited for.
    KubeletReady,
    /// A node's etcd member is waited for.
    EtcdReady,
    /// A node's API server is waited for.
    ApiReady,
    /// A node keeps who founds etcd.
    Founders,
    /// A node remembers that etcd is bootstrapped.
    MarkBootstrapped,
    /// A node is emptied.
    Reset,
    /// An unfinished run is taken back on a node.
    Undo,
    /// A control plane is taken into etcd, as a learner.
    AddMember,
    /// A control plane's etcd member becomes a voter.
    PromoteMember,
    /// Node objects are registered.
    Nodes,
    /// Objects are applied.
    Objects,
    /// One node is waited for.
    NodeReady,
    /// Nodes are waited for.
    NodesReady,
    /// The cluster's DNS is waited for.
    DnsReady,
    /// Objects are deleted.
    Prune,
    /// A kubeconfig is issued whose rights cannot be taken away.
    Kubeconfig,
}

impl StepKind {
    /// Every kind.
    const ALL: [Self; 21] = [
        Self::Converge(Stage::Host),
        Self::Converge(Stage::Etcd),
        Self::Converge(Stage::ControlPlane),
        Self::Converge(Stage::Runtime),
        Self::Converge(Stage::Node),
        Self::KubeletReady,
        Self::NodeReady,
        Self::EtcdReady,
        Self::ApiReady,
        Self::Founders,
        Self::AddMember,
        Self::PromoteMember,
        Self::MarkBootstrapped,
        Self::Reset,
        Self::Undo,
        Self::Nodes,
        Self::Objects,
        Self::NodesReady,
        Self::DnsReady,
        Self::Prune,
        Self::Kubeconfig,
    ];

    /// The kind's stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Converge(Stage::Host) => "host",
            Self::Converge(Stage::Etcd) => "etcd",
            Self::Converge(Stage::ControlPlane) => "control-plane",
            Self::Converge(Stage::Runtime) => "runtime",
            Self::Converge(Stage::Node) => "node",
            Self::KubeletReady => "kubelet-ready",
            Self::NodeReady => "node-ready",
            Self::EtcdReady => "etcd-ready",
            Self::ApiReady => "api-ready",
            Self::Founders => "founders",
            Self::AddMember => "add-member",
            Self::PromoteMember => "promote-member",
            Self::MarkBootstrapped => "mark-bootstrapped",
            Self::Reset => "reset",
            Self::Undo => "undo",
            Self::Nodes => "nodes",
            Self::Objects => "objects",
            Self::NodesReady => "nodes-ready",
            Self::DnsReady => "dns-ready",
            Self::Prune => "prune",
            Self::Kubeconfig => "kubeconfig",
        }
    }

    /// Whether steps of this kind are the cluster's, not a node's.
    const fn is_of_cluster(self) -> bool {
        matches!(
            self,
            Self::Nodes | Self::Objects | Self::NodesReady | Self::DnsReady | Self::Prune | Self::Kubeconfig
        )
    }
}

impl StepId {
    /// The step that registers Node objects.
    pub const NODES: Self = Self::of_cluster(StepKind::Nodes);
    /// The step that applies the cluster's objects.
    pub const OBJECTS: Self = Self::of_cluster(StepKind::Objects);
    /// The step that waits until nodes are Ready.
    pub const NODES_READY: Self = Self::of_cluster(StepKind::NodesReady);

    /// A step on a node.
    pub fn on(node: &str, kind: StepKind) -> Self {
        Self {
            place: Place::Node(node.to_owned()),
            kind,
        }
    }

    /// A step of the cluster.
    pub const fn of_cluster(kind: StepKind) -> Self {
        Self {
            place: Place::Cluster,
            kind,
        }
    }

    /// The step that converges a stage of a node.
    pub fn converge(node: &str, stage: Stage) -> Self {
        Self::on(node, StepKind::Converge(stage))
    }

    /// The step that waits for a node's etcd member.
    pub fn etcd_ready(node: &str) -> Self {
        Self::on(node, StepKind::EtcdReady)
    }

    /// The step that waits for a node's API server.
    pub fn api_ready(node: &str) -> Self {
        Self::on(node, StepKind::ApiReady)
    }
}

impl Place {
    /// The node's name, or `cluster`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Node(node) => node,
            Self::Cluster => CLUSTER,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.place, self.kind)
    }
}

/// A text names no step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no step: a step is named as in cp-1/etcd or cluster/nodes")]
pub struct UnknownStep(String);

impl FromStr for StepId {
    type Err = UnknownStep;

    fn from_str(text: &str) -> Result<Self, UnknownStep> {
        let unknown = || UnknownStep(text.chars().take(100).collect());
        let (place, kind) = text.split_once('/').ok_or_else(unknown)?;
        let kind = StepKind::ALL
            .into_iter()
            .find(|known| known.as_str() == kind)
            .ok_or_else(unknown)?;
        match (kind.is_of_cluster(), place) {
            (_, "") => Err(unknown()),
            (true, CLUSTER) => Ok(Self::of_cluster(kind)),
            (true, _) => Err(unknown()),
            // A node may have any name, that of the cluster's place included.
            (false, node) => Ok(Self::on(node, kind)),
        }
    }
}

impl From<StepId> for String {
    fn from(id: StepId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for StepId {
    type Error = UnknownStep;

    fn try_from(text: String) -> Result<Self, UnknownStep> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_read_back_from_its_name() {
        for kind in StepKind::ALL {
            let id = if kind.is_of_cluster() {
                StepId::of_cluster(kind)
            } else {
                StepId::on("cp-1", kind)
            };
            assert_eq!(id.to_string().parse(), Ok(id.clone()));
            assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
        }
    }

    #[test]
    fn a_node_may_be_called_cluster() {
        let id: StepId = "cluster/host".parse().unwrap();
        assert_eq!(id.place, Place::Node("cluster".to_owned()));
    }

    #[test]
    fn what_names_no_step_is_refused() {
        for text in [
            "",
            "cp-1",
            "/etcd",
            "cp-1/",
            "cp-1/nodes",
            "cluster/etc",
            "cp-1/etcd/x",
        ] {
            assert!(text.parse::<StepId>().is_err(), "{text}");
        }
    }
}
