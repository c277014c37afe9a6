//! What is waited for: members, API servers, nodes, the cluster's DNS.

use super::Recipe;
use crate::component::{Description, apiserver, etcd, kubelet};
use crate::plan::{Condition, Step, StepId, StepKind};
use crate::resource::Stage;
use crate::spec::{Cni, Node};
use crate::wire::NodeCondition;

/// A kubelet answers within seconds; one that waits for its runtime is covered by this.
const KUBELET_TIMEOUT_SECONDS: u32 = 180;
/// etcd starts within seconds; a slow disk and a first election are covered by this.
const ETCD_TIMEOUT_SECONDS: u32 = 180;
/// An API server needs about three CPU-seconds; small machines and RBAC bootstrap are covered by this.
const API_TIMEOUT_SECONDS: u32 = 300;
/// Images may have to be pulled before a node or a deployment is up.
const CLUSTER_TIMEOUT_SECONDS: u32 = 600;

impl Recipe<'_> {
    /// Waits for a node's member and API server, unless the plan does already.
    pub(super) fn wait_until_ready(&mut self, name: &str, after: &[StepId]) -> Vec<StepId> {
        let ready = [StepId::etcd_ready(name), StepId::api_ready(name)];
        if !self.graph.has(&ready[0]) {
            self.wait_for_etcd(name, after.to_vec());
        }
        if !self.graph.has(&ready[1]) {
            let mut after = after.to_vec();
            after.push(ready[0].clone());
            self.wait_for_api(name, after);
        }
        ready.to_vec()
    }

    pub(super) fn wait_for_etcd(&mut self, node: &str, after: Vec<StepId>) -> StepId {
        let condition = NodeCondition::serves(&etcd::DESCRIPTION);
        let why = "a member serves only when it sees a leader";
        let step = wait_on(node, condition, ETCD_TIMEOUT_SECONDS);
        self.graph.add(StepId::etcd_ready(node), step, why, after)
    }

    pub(super) fn wait_for_api(&mut self, node: &str, after: Vec<StepId>) -> StepId {
        self.wait_for_api_and(node, &[], after)
    }

    /// Waits for a node's API server and whatever else of its control plane was restarted.
    pub(super) fn wait_for_api_and(
        &mut self,
        node: &str,
        restarted: &[&'static Description],
        after: Vec<StepId>,
    ) -> StepId {
        let others = restarted.iter().copied();
        let others = others.filter(|component| component.name != apiserver::NAME);
        let condition = NodeCondition::all_serve(std::iter::once(&apiserver::DESCRIPTION).chain(others));
        let why = if self.observed.api.is_some() {
            "the next control plane is touched only then"
        } else {
            "objects can be written"
        };
        let step = wait_on(node, condition, API_TIMEOUT_SECONDS);
        self.graph.add(StepId::api_ready(node), step, why, after)
    }

    /// Waits until a node's kubelet answers and reports Ready: what it said before it was restarted does not count.
    pub(super) fn wait_for_node(&mut self, node: &str, after: Vec<StepId>) -> StepId {
        let restarted = self.restarted(node, &[Stage::Runtime, Stage::Node]);
        let others = restarted
            .into_iter()
            .filter(|component| component.name != kubelet::NAME);
        let condition = NodeCondition::all_serve(std::iter::once(&kubelet::DESCRIPTION).chain(others));
        let why = "the next nodes are changed only then";
        let step = wait_on(node, condition, KUBELET_TIMEOUT_SECONDS);
        let kubelet = self
            .graph
            .add(StepId::on(node, StepKind::KubeletReady), step, why, after);
        let step = wait(Condition::NodeReady {
            node: node.to_owned(),
        });
        let id = StepId::on(node, StepKind::NodeReady);
        self.graph.add(id, step, why, [kubelet])
    }

    /// Waits until the nodes that were touched, and those that are not ready now, report Ready.
    pub(in crate::plan) fn wait_for_nodes(&mut self) {
        let touched = |node: &&Node| {
            let stages = [Stage::Runtime, Stage::Node];
            let differs = |stage: &Stage| !self.differences(node.name.as_str(), *stage).is_empty();
            stages.iter().any(differs)
        };
        let touched = self.cluster.nodes.iter().filter(touched);
        let mut nodes: Vec<String> = touched.map(|node| node.name.to_string()).collect();
        if let Some(api) = &self.observed.api {
            nodes.extend(api.nodes_not_ready.iter().cloned());
        }
        nodes.sort();
        nodes.dedup();
        nodes.retain(|node| !self.observed.unreachable.contains_key(node));
        if !nodes.is_empty() {
            let step = wait(Condition::NodesReady { nodes });
            let after = self.all_in_place();
            self.graph
                .add(StepId::NODES_READY, step, "pods can be placed", after);
        }
    }

    /// Waits until the cluster's DNS is available, if it is new, changes or is not available now.
    pub(in crate::plan) fn wait_for_dns(&mut self) {
        // What ran on a node that is gone is moved by the cluster itself, some minutes later.
        let is_anyone_away = !self.observed.unreachable.is_empty();
        let is_awaited = self.observed.api.as_ref().is_none_or(|api| {
            let mut unavailable = api.deployments_unavailable.iter();
            api.objects.contains_key("Deployment kube-system/coredns")
                || (!is_anyone_away && unavailable.any(|name| name == "kube-system/coredns"))
        });
        if !is_awaited || self.cluster.network.cni == Cni::None {
            return;
        }
        let step = wait(Condition::DeploymentAvailable {
            namespace: "kube-system".to_owned(),
            name: "coredns".to_owned(),
        });
        let mut after = self.all_in_place();
        after.push(StepId::NODES_READY);
        let id = StepId::of_cluster(StepKind::DnsReady);
        self.graph.add(id, step, "names resolve in pods", after);
    }

    /// Every node and everything in the API is converged.
    fn all_in_place(&self) -> Vec<StepId> {
        let nodes = self.cluster.nodes.iter();
        let nodes = nodes.map(|node| StepId::converge(node.name.as_str(), Stage::Node));
        nodes.chain([StepId::NODES, StepId::OBJECTS]).collect()
    }
}

fn wait(condition: Condition) -> Step {
    Step::Wait {
        condition,
        timeout_seconds: CLUSTER_TIMEOUT_SECONDS,
    }
}

fn wait_on(node: &str, condition: NodeCondition, timeout_seconds: u32) -> Step {
    Step::Wait {
        condition: Condition::OnNode {
            node: node.to_owned(),
            condition,
        },
        timeout_seconds,
    }
}
