//! The safety rules: what is never done, whatever cluster.yaml says and whoever asks.
//!
//! A rule has a name, which is the id of its error and is in every refusal; a sentence; a function that refuses; and a
//! test that it does. Most are asked before there is a plan; [`Guard`]s are asked again while it is carried out.

mod cluster;
pub(super) mod control_planes;
mod founding;
mod guard;
mod node;
pub(super) mod quorum;
mod reference;

use std::collections::BTreeMap;

pub(super) use self::cluster::changes_minor;
pub use self::guard::{Guard, may_disturb};
pub(super) use self::node::{refuse_different_clusters, refuse_other_identities};
pub use self::reference::safety_rules_page;
use super::Refusal;
use crate::errors::ErrorId;
use crate::observed::Observed;
use crate::resource::NodeState;
use crate::spec::Cluster;

/// A safety rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name; also the id of the error it becomes.
    pub id: ErrorId,
    /// What it forbids.
    pub sentence: &'static str,
    /// When it is asked.
    pub asked: &'static str,
}

/// When most rules are asked.
const PLANNING: &str = "before `plan` and `apply` make a plan";

/// Every rule there is, in the order they are asked.
pub const RULES: [Rule; 14] = [
    Rule {
        id: ErrorId::PodRanges,
        sentence: "Every node needs its own pod range; the cluster's range cannot be changed.",
        asked: PLANNING,
    },
    Rule {
        id: ErrorId::NodeIdentity,
        sentence: "A machine of another cluster, with another node name, or named twice is not changed.",
        asked: "before `plan`, `apply` and `reset` make a plan",
    },
    Rule {
        id: ErrorId::FixedSetting,
        sentence: "Settings that pods, certificates and objects of an existing cluster depend on are immutable.",
        asked: PLANNING,
    },
    Rule {
        id: ErrorId::VersionStep,
        sentence: "Kubernetes goes forward, one minor version at a time, and only while every control plane can be reached.",
        asked: PLANNING,
    },
    Rule {
        id: ErrorId::PodRangeClaim,
        sentence: "A node's marker is trusted about its pod range only if that is a free /24 of the cluster's range.",
        asked: PLANNING,
    },
    Rule {
        id: ErrorId::NodeRemoval,
        sentence: "A node or an etcd member of the cluster is not removed by deleting it from cluster.yaml.",
        asked: PLANNING,
    },
    Rule {
        id: ErrorId::TwoEtcdClusters,
        sentence: "The etcd members of the control planes belong to one etcd cluster.",
        asked: PLANNING,
    },
    Rule {
        id: ErrorId::Founders,
        sentence: "A bootstrap is done by all control planes, and an interrupted one is finished by those that began it, \
                   under the same names and addresses.",
        asked: PLANNING,
    },
    Rule {
        id: ErrorId::MemberAddress,
        sentence: "A control plane is where its etcd member is known to be.",
        asked: PLANNING,
    },
    Rule {
        id: ErrorId::RemoveBeforeAdd,
        sentence: "A control plane that is a member of etcd and has lost its data is not started: it would vote a second \
                   time. A new control plane joins as a learner, and votes when it has all data.",
        asked: PLANNING,
    },
    Rule {
        id: ErrorId::NothingLost,
        sentence: "kubewright does not remove what it did not create.",
        asked: PLANNING,
    },
    Rule {
        id: ErrorId::Quorum,
        sentence: "A control plane is disturbed only while all others are healthy, and etcd's member only while healthy \
                   voting members are a quorum without it; unknown and unreachable count as unhealthy.",
        asked: "when `apply` is planned; again right before each step that disturbs a control plane, and until the step's \
                control plane is ready again; before `undo` changes a control plane",
    },
    Rule {
        id: ErrorId::LeftOutStep,
        sentence: "A part of a plan is not applied without the steps on other nodes that it depends on.",
        asked: "when `--only` restricts a plan",
    },
    Rule {
        id: ErrorId::StalePlan,
        sentence: "A saved plan is applied only if nothing has changed since it was made.",
        asked: "when `apply --plan` reads one",
    },
];

/// What the rules are asked about before there is a plan.
pub(super) struct Situation<'a> {
    /// What cluster.yaml says.
    pub(super) cluster: &'a Cluster,
    /// What every node is to have.
    pub(super) states: &'a BTreeMap<String, NodeState>,
    /// What was seen.
    pub(super) observed: &'a Observed,
}

/// Asks the rules that come before a plan.
///
/// # Errors
/// The first that refuses.
pub(super) fn refuse_unsafe(situation: &Situation<'_>) -> Result<(), Refusal> {
    let Situation {
        cluster,
        states,
        observed,
    } = situation;
    refuse_other_identities(cluster, states, observed)?;
    cluster::refuse_other_settings(cluster, observed)?;
    cluster::refuse_version_jumps(cluster, observed)?;
    cluster::refuse_pod_range_claims(cluster, observed)?;
    cluster::refuse_forgotten_nodes(cluster, observed)?;
    founding::refuse_absent_founders(cluster, observed)?;
    founding::refuse_without_quorum(cluster, observed)?;
    cluster::refuse_version_without_all(cluster, observed)?;
    founding::refuse_two_clusters(observed)?;
    founding::refuse_other_founders(cluster, observed)?;
    founding::refuse_other_addresses(cluster, observed)?;
    node::refuse_lost_members(cluster, observed)?;
    node::refuse_blocked(observed)
}
