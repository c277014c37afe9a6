//! The control planes' part of an apply: all at once while nobody is served, in turns from then on.
//!
//! A turn begins when everybody of the last one is ready again. Who is not well has its turn first; who is not well
//! and not touched is waited for, or nothing is done (see [`super::quorum`]).

use super::apply::Recipe;
use super::graph::Graph;
use super::quorum::{ControlPlane, Turns, turns};
use super::{Condition, Refusal, Step, StepId, StepKind};
use crate::observed::{Change, Difference, UnitAction};
use crate::resource::{AuthorityName, Stage};
use crate::wire::NodeCondition;

/// Where etcd tells its health, without TLS and only on the node itself.
pub const ETCD_HEALTH: &str = "http://127.0.0.1:2381/health";
/// Where the node's own API server tells that it is ready.
pub const API_READY: &str = "https://127.0.0.1:6443/readyz";
/// etcd's unit.
const ETCD_UNIT: &str = "etcd.service";
/// etcd starts within seconds; a slow disk and a first election are covered by this.
const ETCD_TIMEOUT_SECONDS: u32 = 180;
/// An API server needs about three CPU-seconds; small machines and RBAC bootstrap are covered by this.
const API_TIMEOUT_SECONDS: u32 = 300;

/// Steps the next ones come after.
#[derive(Default)]
struct Before {
    /// Of the last turn.
    last: Vec<StepId>,
    /// Of everybody who was not well: they are needed, not only taken turns with.
    repaired: Vec<StepId>,
}

impl Recipe<'_> {
    /// Plans the etcd members and API servers.
    pub(super) fn converge_control_planes(&self, graph: &mut Graph) -> Result<(), Refusal> {
        let names: Vec<&str> = self
            .cluster
            .control_planes()
            .map(|node| node.name.as_str())
            .collect();
        if self.observed.api.is_none() && !self.observed.is_bootstrapped() {
            self.together(graph, &names, &Before::default());
            return Ok(());
        }
        let all: Vec<ControlPlane> = names.iter().map(|name| self.control_plane(name)).collect();
        let Turns { awaited, turns } =
            turns(&all, self.elsewhere()).map_err(|not_now| self.not_now(&names, &all, &not_now))?;
        let mut before = Before::default();
        for index in awaited {
            before
                .repaired
                .extend(self.wait_until_ready(graph, names[index], &[]));
        }
        for turn in turns {
            let members: Vec<&str> = turn.iter().map(|index| names[*index]).collect();
            let ready = self.together(graph, &members, &before);
            if turn.iter().any(|index| !all[*index].is_well()) {
                before.repaired.extend(ready.iter().cloned());
            }
            before.last = ready;
        }
        Ok(())
    }

    pub(super) fn control_plane(&self, name: &str) -> ControlPlane {
        let (etcd, server) = (
            self.differences(name, Stage::Etcd),
            self.differences(name, Stage::ControlPlane),
        );
        let seen = self.observed.nodes.get(name);
        ControlPlane {
            etcd: self.member(name),
            api_server: seen.and_then(|node| node.facts.api_server),
            is_touched: !etcd.is_empty() || !server.is_empty(),
            restarts_etcd: etcd
                .iter()
                .any(|difference| restarts(difference) && difference.resource.what() == ETCD_UNIT),
            restarts: etcd.iter().chain(&server).any(restarts),
        }
    }

    /// Converges some control planes at the same time; gives what whoever comes next has to come after.
    fn together(&self, graph: &mut Graph, names: &[&str], before: &Before) -> Vec<StepId> {
        for name in names {
            let mut after = vec![StepId::converge(name, Stage::Host)];
            after.extend(before.repaired.iter().cloned());
            if self.converge(graph, name, Stage::Etcd, after).is_some() {
                graph.take_turns(before.last.clone());
            }
        }
        let members: Vec<StepId> = names
            .iter()
            .map(|name| StepId::converge(name, Stage::Etcd))
            .collect();
        for name in names {
            if !self.differences(name, Stage::Etcd).is_empty() {
                wait_for_etcd(graph, name, members.clone());
            }
        }
        let mut ready = Vec::new();
        for name in names {
            let mut after = vec![
                StepId::converge(name, Stage::Host),
                StepId::converge(name, Stage::Etcd),
                etcd_ready_id(name),
            ];
            after.extend(before.repaired.iter().cloned());
            if self.converge(graph, name, Stage::ControlPlane, after).is_some() {
                graph.take_turns(before.last.clone());
            }
            if self.control_plane(name).is_touched {
                let after = vec![StepId::converge(name, Stage::ControlPlane), etcd_ready_id(name)];
                ready.push(self.wait_for_api(graph, name, after));
            }
        }
        ready
    }

    /// Once every member is healthy and the API is written to, no member may ever again start as a new cluster.
    pub(super) fn mark_bootstrapped(&self, graph: &mut Graph) {
        let is_bootstrapped = |name: &str| {
            let seen = self.observed.nodes.get(name);
            seen.is_some_and(|seen| seen.facts.is_bootstrapped)
        };
        let names = || self.cluster.control_planes().map(|node| node.name.as_str());
        if names().all(is_bootstrapped) {
            return;
        }
        let mut after = Vec::new();
        for name in names() {
            if !self.control_plane(name).is_well() {
                self.wait_until_ready(graph, name, &[StepId::converge(name, Stage::ControlPlane)]);
            }
            after.extend([etcd_ready_id(name), api_ready_id(name)]);
        }
        for name in names().filter(|name| !is_bootstrapped(name)) {
            graph.add(
                StepId::on(name, StepKind::MarkBootstrapped),
                Step::MarkBootstrapped {
                    node: name.to_owned(),
                },
                "a member that lost its data must never found a second cluster",
                after.clone(),
            );
        }
    }

    /// Waits for the member and the API server, unless the plan does already.
    fn wait_until_ready(&self, graph: &mut Graph, name: &str, after: &[StepId]) -> Vec<StepId> {
        let ready = [etcd_ready_id(name), api_ready_id(name)];
        if !graph.has(&ready[0]) {
            wait_for_etcd(graph, name, after.to_vec());
        }
        if !graph.has(&ready[1]) {
            let mut after = after.to_vec();
            after.push(ready[0].clone());
            self.wait_for_api(graph, name, after);
        }
        ready.to_vec()
    }

    fn wait_for_api(&self, graph: &mut Graph, node: &str, after: Vec<StepId>) -> StepId {
        let condition = NodeCondition::HttpOk {
            url: API_READY.to_owned(),
            ca_file: Some(AuthorityName::Kubernetes.certificate_path().to_owned()),
            unit: Some("kube-apiserver.service".to_owned()),
        };
        let why = if self.observed.api.is_some() {
            "the next control plane is touched only then"
        } else {
            "objects can be written"
        };
        let step = wait_on(node, condition, API_TIMEOUT_SECONDS);
        graph.add(api_ready_id(node), step, why, after)
    }
}

fn wait_for_etcd(graph: &mut Graph, node: &str, after: Vec<StepId>) -> StepId {
    let condition = NodeCondition::HttpOk {
        url: ETCD_HEALTH.to_owned(),
        ca_file: None,
        unit: Some("etcd.service".to_owned()),
    };
    let why = "a member serves only when it sees a leader";
    let step = wait_on(node, condition, ETCD_TIMEOUT_SECONDS);
    graph.add(etcd_ready_id(node), step, why, after)
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

/// Whether a process that runs is stopped or restarted by repairing a difference.
fn restarts(difference: &Difference) -> bool {
    match &difference.change {
        Change::Unit { action, .. } => *action == UnitAction::Restart,
        Change::Orphaned => difference.resource.kind() == "unit",
        _ => false,
    }
}

fn etcd_ready_id(node: &str) -> StepId {
    StepId::on(node, StepKind::EtcdReady)
}

/// The step that waits for a node's API server.
pub(super) fn api_ready_id(node: &str) -> StepId {
    StepId::on(node, StepKind::ApiReady)
}
