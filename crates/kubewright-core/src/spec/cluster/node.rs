//! One machine of the cluster.

use super::written_as_word;
use crate::value::{NodeName, Taint, TaintEffect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

written_as_word! {
    /// What a node does.
    Role {
        /// Runs etcd, the API server, the controller manager and the scheduler.
        ControlPlane = "control-plane",
        /// Runs pods.
        Worker = "worker",
    }
}

/// The taint of a control plane that is not a worker.
pub(crate) const CONTROL_PLANE_TAINT: &str = "node-role.kubernetes.io/control-plane";

/// One machine of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// The node's name in Kubernetes and in etcd.
    pub name: NodeName,
    /// The address other nodes reach it by. SSH uses it too.
    pub address: IpAddr,
    /// What the node does; both roles may be combined.
    #[schemars(length(min = 1))]
    pub roles: Vec<Role>,
    /// Labels of the node object.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, super::PlainText>")]
    pub labels: BTreeMap<String, String>,
    /// Taints of the node object, each `key=value:Effect`.
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// The SSH user, if not the one under `ssh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The SSH port, if not the one under `ssh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// The only SSH host key accepted from this node, such as `ssh-ed25519 AAAA…`; otherwise known_hosts decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
}

impl Node {
    /// Returns whether the node runs the control plane and etcd.
    pub fn is_control_plane(&self) -> bool {
        self.roles.contains(&Role::ControlPlane)
    }

    /// Returns whether the node takes ordinary pods.
    pub fn is_worker(&self) -> bool {
        self.roles.contains(&Role::Worker)
    }

    /// Returns the node's taints: its own, and the control plane's unless the node is a worker as well.
    pub fn effective_taints(&self) -> Vec<Taint> {
        let mut taints = self.taints.clone();
        let reserved = Taint {
            key: CONTROL_PLANE_TAINT.to_owned(),
            value: String::new(),
            effect: TaintEffect::NoSchedule,
        };
        if self.is_control_plane() && !self.is_worker() && !taints.contains(&reserved) {
            taints.push(reserved);
        }
        taints.sort();
        taints
    }
}
