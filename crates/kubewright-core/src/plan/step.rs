//! One step of a plan: something the cluster does.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Guard, StepId, Totals};
use crate::carrier::{Disturbance, disturbance};
use crate::component::etcd;
use crate::observed::{Difference, Founders};
use crate::resource::{Digest, Stage};
use crate::shown::count;
use crate::wire::NodeCondition;

/// A step with its reason, its place in the graph and what it disturbs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// The step's name.
    pub id: StepId,
    /// What is done.
    pub step: Step,
    /// Why, for people.
    pub why: String,
    /// Steps that must have succeeded before.
    pub after: Vec<StepId>,
    /// Those of `after` that only take turns with this one: it does not need what they do, but must not run beside
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_turn: Vec<StepId>,
    /// What it disturbs.
    pub disruption: Disruption,
    /// The window it belongs to, if nodes are changed in windows; the first is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// What has to hold when it begins and while its turn lasts; otherwise the run stops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guard: Vec<Guard>,
    /// The steps whose changes are taken back, one step after the other until the node is healthy again, if this step
    /// shows that a part of the node is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takes_back: Vec<StepId>,
}

/// What the cluster does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Step {
    /// Makes a stage of a node what it is to be.
    Converge {
        /// The node's name.
        node: String,
        /// Which stage.
        stage: Stage,
        /// Digest of the state it is to be: an agent makes none so that it was not shown.
        state: Digest,
        /// What differs, in order.
        differences: Vec<Difference>,
    },
    /// Waits for a condition.
    Wait {
        /// What for.
        condition: Condition,
        /// How long at most, seconds.
        timeout_seconds: u32,
    },
    /// Keeps on a control plane who founds etcd.
    RecordFounders {
        /// The node's name.
        node: String,
        /// All founders.
        founders: Founders,
    },
    /// Has the members of etcd take in a control plane as a learner: it is sent all data and does not vote.
    AddMember {
        /// The node's name.
        node: String,
        /// Where the others will reach its member.
        peer_url: String,
        /// The control planes whose members may be asked to, in order.
        through: Vec<String>,
    },
    /// Makes a learner that has caught up a voter; takes it back if it does not catch up in time.
    PromoteMember {
        /// The node's name.
        node: String,
        /// Where the others reach its member.
        peer_url: String,
        /// The control planes whose members may be asked to, in order.
        through: Vec<String>,
        /// How long it may take to catch up, seconds.
        timeout_seconds: u32,
    },
    /// Remembers on a control plane that etcd's bootstrap is finished.
    MarkBootstrapped {
        /// The node's name.
        node: String,
    },
    /// Creates or completes the Node objects: labels, taints, pod ranges.
    RegisterNodes {
        /// Names of the nodes that differ.
        nodes: Vec<String>,
        /// Those of them that have a Node object.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        present: Vec<String>,
    },
    /// Applies objects by server-side apply, in one batch.
    ApplyManifests {
        /// `kind namespace/name` of the objects that differ.
        objects: Vec<String>,
        /// Those of them that are there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        present: Vec<String>,
    },
    /// Deletes objects kubewright applied and no longer wants.
    PruneObjects {
        /// `kind namespace/name` of the objects.
        objects: Vec<String>,
    },
    /// Stops and removes everything kubewright put on a node.
    ResetNode {
        /// The node's name.
        node: String,
    },
}

impl Step {
    /// What the step does, in a few words and without its node.
    pub fn title(&self) -> String {
        match self {
            Self::Converge { stage, .. } => format!("{} ({})", stage.title(), self.totals().told()),
            Self::Wait {
                condition: Condition::OnNode { condition, .. },
                ..
            } => format!("wait until {condition}"),
            Self::Wait { condition, .. } => format!("wait until {condition}"),
            Self::RecordFounders { founders, .. } => {
                format!("record the {} of etcd", count(founders.0.len(), "founder"))
            }
            Self::AddMember { .. } => "add an etcd member, as a learner".to_owned(),
            Self::PromoteMember { .. } => {
                "wait until its etcd member has caught up, and let it vote".to_owned()
            }
            Self::MarkBootstrapped { .. } => "mark etcd as bootstrapped".to_owned(),
            Self::RegisterNodes { nodes, .. } => format!("register {}", count(nodes.len(), "node")),
            Self::ApplyManifests { objects, .. } => format!("apply {}", count(objects.len(), "object")),
            Self::PruneObjects { objects } => format!("delete {}", count(objects.len(), "object")),
            Self::ResetNode { .. } => "remove everything kubewright put there, data included".to_owned(),
        }
    }

    /// How much the step adds, changes and removes; waiting is nothing.
    pub fn totals(&self) -> Totals {
        Totals::of(self)
    }

    /// The resources a step converges that disturb nothing, and from the first on that does; all in order.
    pub fn parts(&self) -> (&[Difference], &[Difference]) {
        match self {
            Self::Converge { differences, .. } => {
                let first = differences
                    .iter()
                    .position(|difference| disturbance(difference) != Disturbance::None);
                differences.split_at(first.unwrap_or(differences.len()))
            }
            _ => (&[], &[]),
        }
    }

    /// Whether it restarts a member of etcd that runs.
    pub fn restarts_etcd(&self) -> bool {
        let (_, disturbing) = self.parts();
        disturbing
            .iter()
            .any(|difference| disturbance(difference).component() == Some(etcd::NAME))
    }

    /// The node the step happens on, if it is one.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Converge { node, .. }
            | Self::ResetNode { node }
            | Self::RecordFounders { node, .. }
            | Self::AddMember { node, .. }
            | Self::PromoteMember { node, .. }
            | Self::MarkBootstrapped { node }
            | Self::Wait {
                condition: Condition::OnNode { node, .. } | Condition::NodeReady { node },
                ..
            } => Some(node),
            _ => None,
        }
    }
}

/// What a step waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Condition {
    /// Something its agent can see on a node.
    OnNode {
        /// The node's name.
        node: String,
        /// What.
        condition: NodeCondition,
    },
    /// A node's kubelet reports Ready.
    NodeReady {
        /// The node's name.
        node: String,
    },
    /// The nodes' kubelets report Ready.
    NodesReady {
        /// Which nodes.
        nodes: Vec<String>,
    },
    /// A deployment has all its replicas available.
    DeploymentAvailable {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnNode { node, condition } => write!(formatter, "{condition} on {node}"),
            Self::NodeReady { .. } => formatter.write_str("the node is Ready"),
            Self::NodesReady { nodes } if nodes.len() == 1 => write!(formatter, "node {} is Ready", nodes[0]),
            Self::NodesReady { nodes } => write!(formatter, "{} nodes are Ready", nodes.len()),
            Self::DeploymentAvailable { namespace, name } => {
                write!(formatter, "deployment {namespace}/{name} is available")
            }
        }
    }
}

/// What a step disturbs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Disruption {
    /// Nothing.
    None,
    /// Processes of one node restart.
    Restarts {
        /// The units.
        units: Vec<String>,
        /// What that means for others, one sentence each.
        #[serde(default)]
        effects: Vec<String>,
    },
    /// Data on one node is lost.
    Destroys,
}
