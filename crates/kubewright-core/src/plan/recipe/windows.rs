//! Nodes on which something restarts: a few first, then so many at a time, each only when those before are Ready again.
//!
//! The first failure stops the rest: a window is begun only when every node of the one before has passed its gate. Nodes on
//! which nothing restarts are changed at once.

use super::Recipe;
use crate::carrier::{Disturbance, disturbance};
use crate::plan::{StepId, StepKind};
use crate::resource::Stage;

/// What runs on every node.
const STAGES: [Stage; 2] = [Stage::Runtime, Stage::Node];

impl<'a> Recipe<'a> {
    /// Changes runtimes, kubelets and what else runs on every node, in windows where that restarts something.
    pub(in crate::plan) fn change_nodes(&mut self) {
        let (disturbed, quiet): (Vec<&str>, Vec<&str>) = self
            .nodes_in_order()
            .into_iter()
            .partition(|name| self.restarts_on(name));
        for name in quiet {
            self.change_node(name);
        }
        let mut before: Vec<StepId> = Vec::new();
        for (number, window) in self.windows(&disturbed).into_iter().enumerate() {
            let mut gates = Vec::new();
            for name in window {
                let begun = self.graph.len();
                self.change_node(name);
                let changed = STAGES.map(|stage| StepId::converge(name, stage));
                gates.push(self.wait_for_node(name, changed.to_vec()));
                self.take_back_node(name);
                self.graph.join_window(begun, &before, number);
            }
            before = gates;
        }
    }

    /// A change after which a Ready node is not Ready any more is taken back, kubelets before what they run on.
    fn take_back_node(&mut self, name: &str) {
        let was_ready = self.observed.api.as_ref().is_some_and(|api| {
            let mut not_ready = api.nodes_not_ready.iter();
            let is_registered = api.pod_cidrs.contains_key(name) || api.kubelet_versions.contains_key(name);
            is_registered && !not_ready.any(|other| other == name)
        });
        if !was_ready || !self.observed.is_bootstrapped() {
            return;
        }
        let [runtime, node] = STAGES.map(|stage| StepId::converge(name, stage));
        let gates = [StepKind::KubeletReady, StepKind::NodeReady].map(|kind| StepId::on(name, kind));
        let [kubelet, ready] = gates;
        let judges = [node.clone(), kubelet, ready];
        self.graph.take_back(&judges, &[node, runtime.clone()]);
        self.graph
            .take_back(std::slice::from_ref(&runtime), std::slice::from_ref(&runtime));
    }

    fn change_node(&mut self, name: &str) {
        let servers = self.every_server();
        let stages = [Stage::Host, Stage::Etcd, Stage::ControlPlane];
        let mut after = stages.map(|stage| StepId::converge(name, stage)).to_vec();
        after.extend(servers.iter().cloned());
        self.converge(name, Stage::Runtime, after.clone());
        after.push(StepId::converge(name, Stage::Runtime));
        after.extend([StepId::NODES, StepId::OBJECTS]);
        self.converge(name, Stage::Node, after);
    }

    /// Workers first: what is wrong with a change is better seen on them.
    fn nodes_in_order(&self) -> Vec<&'a str> {
        let (control_planes, workers): (Vec<_>, Vec<_>) = self
            .cluster
            .nodes
            .iter()
            .partition(|node| node.is_control_plane());
        let nodes = workers.into_iter().chain(control_planes);
        nodes.map(|node| node.name.as_str()).collect()
    }

    fn restarts_on(&self, name: &str) -> bool {
        let mut differences = STAGES.iter().flat_map(|stage| self.differences(name, *stage));
        differences.any(|difference| disturbance(&difference) != Disturbance::None)
    }

    fn windows<'n>(&self, nodes: &[&'n str]) -> Vec<Vec<&'n str>> {
        let rollout = &self.cluster.rollout;
        let canary = (rollout.canary as usize).min(nodes.len());
        let (canary, rest) = nodes.split_at(canary);
        let size = rollout.max_unavailable.of(self.cluster.nodes.len());
        let canary = Some(canary.to_vec()).filter(|canary| !canary.is_empty());
        let rest = rest.chunks(size).map(<[&str]>::to_vec);
        canary.into_iter().chain(rest).collect()
    }
}
