//! What is written to the API: node objects, objects, and the end of those that are no longer wanted.

use super::Recipe;
use crate::plan::{Step, StepId, StepKind};
use crate::resource::Stage;

impl Recipe<'_> {
    /// Node objects, as soon as the API can take them.
    pub(in crate::plan) fn register_nodes(&mut self) {
        let every_node = || self.cluster.nodes.iter().map(|node| node.name.to_string());
        let (nodes, present): (Vec<String>, Vec<String>) = match &self.observed.api {
            Some(api) => {
                let is_present = |name: &&String| {
                    api.pod_cidrs.contains_key(*name) || api.kubelet_versions.contains_key(*name)
                };
                let mut nodes = api.nodes_to_register.clone();
                nodes.retain(|name| !self.held_back.contains(name));
                let present = nodes.iter().filter(is_present).cloned().collect();
                (nodes, present)
            }
            None => (every_node().collect(), Vec::new()),
        };
        if !nodes.is_empty() {
            let why = "kubelets find their node, its labels, taints and pod range";
            self.write(StepId::NODES, Step::RegisterNodes { nodes, present }, why);
        }
    }

    /// Objects, as soon as the API can take them.
    pub(in crate::plan) fn apply_objects(&mut self) {
        let (objects, present): (Vec<String>, Vec<String>) = match &self.observed.api {
            Some(api) => {
                let present = api.objects.iter().filter(|(_, difference)| difference.is_some());
                let present = present.map(|(name, _)| name.clone()).collect();
                (api.objects.keys().cloned().collect(), present)
            }
            None => (self.objects.to_vec(), Vec::new()),
        };
        if !objects.is_empty() {
            let why = "permissions, DNS and metrics, as cluster.yaml asks for";
            self.write(StepId::OBJECTS, Step::ApplyManifests { objects, present }, why);
        }
    }

    /// Adds a step that writes to the API.
    fn write(&mut self, id: StepId, step: Step, why: &str) {
        let servers = self.control_planes().into_iter();
        let servers: Vec<StepId> = servers.map(StepId::api_ready).collect();
        // Where an API answers already, its servers are only left in peace while they change.
        let needed = if self.observed.api.is_some() {
            Vec::new()
        } else {
            servers.clone()
        };
        self.graph.add(id, step, why, needed);
        self.graph.take_turns(servers);
    }

    /// What is no longer wanted goes last, when nothing on any node uses it any more.
    pub(in crate::plan) fn prune(&mut self) {
        let orphaned = self.observed.api.as_ref().map(|api| api.orphaned.clone());
        let Some(objects) = orphaned.filter(|objects| !objects.is_empty()) else {
            return;
        };
        let converged = self.cluster.nodes.iter().flat_map(|node| {
            let name = node.name.as_str();
            Stage::ALL.map(|stage| StepId::converge(name, stage))
        });
        let mut after: Vec<StepId> = converged.collect();
        after.extend([StepId::NODES, StepId::OBJECTS, StepId::NODES_READY]);
        let why = "cluster.yaml no longer asks for them";
        let id = StepId::of_cluster(StepKind::Prune);
        self.graph.add(id, Step::PruneObjects { objects }, why, after);
    }
}
