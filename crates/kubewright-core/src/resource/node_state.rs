//! Everything one node is to have, in the order it converges.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AuthorityCertificates, Digest, Resource, ResourceId};

/// A part of a node's state that becomes one step of a plan; in which order they converge is the carrier's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The operating system: users, directories, kernel settings, swap, journal.
    Host,
    /// The etcd member of a control plane.
    Etcd,
    /// API server, controller-manager, scheduler.
    ControlPlane,
    /// The node-local API proxy, the container runtime and everything the kubelet needs before it starts.
    Runtime,
    /// The kubelet, kube-proxy and the network's daemon, running.
    Node,
}

impl Stage {
    /// All stages.
    pub const ALL: [Self; 5] = [
        Self::Host,
        Self::Etcd,
        Self::ControlPlane,
        Self::Runtime,
        Self::Node,
    ];

    /// The stage as people name it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Etcd => "etcd",
            Self::ControlPlane => "control plane",
            Self::Runtime => "runtime",
            Self::Node => "kubelet and network",
        }
    }
}

/// A resource and the stage it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedResource {
    /// When it converges.
    pub stage: Stage,
    /// What it is.
    pub resource: Resource,
}

/// Everything one node is to have.
///
/// Resources are kept in order of convergence: stage by stage, and within a stage what others need comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// Certificates of the authorities, against which the node's certificates are checked.
    pub authorities: AuthorityCertificates,
    /// The resources, in order.
    pub resources: Vec<StagedResource>,
}

impl NodeState {
    /// Appends resources to a stage.
    pub fn extend(&mut self, stage: Stage, resources: impl IntoIterator<Item = Resource>) {
        self.resources.extend(
            resources
                .into_iter()
                .map(|resource| StagedResource { stage, resource }),
        );
    }

    /// Finds a resource by name.
    pub fn get(&self, id: &ResourceId) -> Option<&StagedResource> {
        self.resources.iter().find(|staged| staged.resource.id() == *id)
    }

    /// The stage of every resource.
    pub fn stages(&self) -> BTreeMap<ResourceId, Stage> {
        let staged = self.resources.iter();
        staged
            .map(|staged| (staged.resource.id(), staged.stage))
            .collect()
    }

    /// The digest of the whole state: what `apply --plan` compares.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}
