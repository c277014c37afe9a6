//! What a user may add to a component: arguments, configuration, volumes.

use super::written_as_word;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

written_as_word! {
    /// A component that can be adjusted, by upstream's name.
    ComponentName {
        /// etcd.
        Etcd = "etcd",
        /// The API server.
        KubeApiserver = "kube-apiserver",
        /// The controller manager.
        KubeControllerManager = "kube-controller-manager",
        /// The scheduler.
        KubeScheduler = "kube-scheduler",
        /// The kubelet.
        Kubelet = "kubelet",
        /// The service proxy.
        KubeProxy = "kube-proxy",
        /// The container runtime.
        Containerd = "containerd",
    }
}

impl ComponentName {
    /// Returns whether the component reads a configuration file that `extraConfig` can be merged into.
    pub const fn has_config_file(self) -> bool {
        matches!(
            self,
            Self::Kubelet | Self::KubeProxy | Self::KubeScheduler | Self::Containerd
        )
    }
}

/// What a user adds to one component.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentOverrides {
    /// Command-line arguments without the leading dashes. Arguments that kubewright owns are refused by name.
    #[schemars(with = "BTreeMap<String, super::PlainText>")]
    pub extra_args: BTreeMap<String, String>,
    /// Values merged into the component's own configuration file: maps key by key, anything else replaced.
    /// Only for kubelet, kube-proxy, kube-scheduler and containerd.
    pub extra_config: serde_json::Map<String, serde_json::Value>,
    /// Host paths mounted into the component's pod. Only where the component is a pod, so not in mode `systemd`.
    pub extra_volumes: Vec<ExtraVolume>,
}

/// A host path mounted into a component's pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtraVolume {
    /// The volume's name.
    pub name: String,
    /// The path on the node.
    pub host_path: String,
    /// The path in the pod.
    pub mount_path: String,
    /// Whether the pod may only read.
    #[serde(default)]
    pub read_only: bool,
}
