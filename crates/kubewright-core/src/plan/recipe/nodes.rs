//! What every node has: a host that knows whom it belongs to, a runtime, a kubelet.

use super::Recipe;
use crate::plan::StepId;
use crate::plan::rules::changes_minor;
use crate::resource::Stage;

impl Recipe<'_> {
    /// A host learns whom it belongs to. While there is no cluster, workers learn it when the control planes keep the
    /// authority: interrupted before, the next run makes another one, and no worker may belong to the lost one.
    pub(in crate::plan) fn prepare_hosts(&mut self) {
        let (control_planes, workers): (Vec<_>, Vec<_>) = self
            .cluster
            .nodes
            .iter()
            .partition(|node| node.is_control_plane());
        let mut keepers = Vec::new();
        for node in control_planes {
            keepers.extend(self.converge(node.name.as_str(), Stage::Host, Vec::new()));
        }
        if self.observed.is_bootstrapped() {
            keepers.clear();
        }
        for node in workers {
            self.converge(node.name.as_str(), Stage::Host, keepers.clone());
        }
    }

    /// Runtimes, each as soon as its own node's control plane is in place.
    pub(in crate::plan) fn converge_runtimes(&mut self) {
        let servers = self.every_server();
        for node in &self.cluster.nodes {
            let name = node.name.as_str();
            let stages = [Stage::Host, Stage::Etcd, Stage::ControlPlane];
            let mut after = stages.map(|stage| StepId::converge(name, stage)).to_vec();
            after.extend(servers.iter().cloned());
            self.converge(name, Stage::Runtime, after);
        }
    }

    /// Kubelets and what else runs on every node.
    pub(in crate::plan) fn converge_nodes(&mut self) {
        let servers = self.every_server();
        for node in &self.cluster.nodes {
            let name = node.name.as_str();
            let mut after = Stage::ALL.map(|stage| StepId::converge(name, stage)).to_vec();
            after.extend([StepId::NODES, StepId::OBJECTS]);
            after.extend(servers.iter().cloned());
            self.converge(name, Stage::Node, after);
        }
    }

    /// What kubelets wait for when the minor version changes: none may be newer than any API server.
    pub(super) fn every_server(&self) -> Vec<StepId> {
        if !changes_minor(self.cluster, self.observed) {
            return Vec::new();
        }
        self.control_planes().into_iter().map(StepId::api_ready).collect()
    }
}
