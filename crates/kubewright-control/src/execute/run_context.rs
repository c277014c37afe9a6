//! What a run works with: the open connections with the nodes and the cluster's API, and how each kind of step is
//! done with them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::desired::Desired;
use kubewright_core::observed::{Counters, Difference};
use kubewright_core::plan::{PlannedStep, Step};
use kubewright_core::resource::{Digest, ResourceId};

use super::joining::{self, Joining};
use super::{Guards, WaitReports, leadership};
use crate::cluster_api::ClusterApi;
use crate::error::Error;
use crate::node::{Node, Progress, Services};
use crate::report::{Event, Reporter};

/// Everything a run works with.
pub struct RunContext {
    /// What the cluster is to have: the states and objects that the plan's steps name.
    pub desired: Arc<Desired>,
    /// Open connections, by node.
    pub nodes: BTreeMap<String, Node>,
    /// Who answers what nodes ask for while they converge.
    pub services: Services,
    /// The cluster's API; connected to when the first step needs it.
    pub api: Arc<dyn ClusterApi>,
    /// What is asked before a control plane is disturbed.
    pub guards: Guards,
    /// When a wait says why it lasts.
    pub wait_reports: WaitReports,
    /// Leaves a node that is not healthy after its change as it is.
    pub keep_failed: bool,
}

impl RunContext {
    /// The work of all nodes' agents in this run.
    pub fn counters(&self) -> Counters {
        self.nodes.values().map(Node::counters).sum()
    }

    /// Does one step, as long as its guards hold, and says how many things it changed.
    pub(super) async fn perform(
        &self,
        planned: &PlannedStep,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<usize, Error> {
        let step = &planned.step;
        if planned.guard.is_empty() {
            return self.act(planned, reporter).await;
        }
        self.guards.hold_before(planned).await?;
        let result = if let Step::Converge { node, state, .. } = step {
            // What disturbs nothing may take its time; the guards are asked again right before what does.
            let (quiet, disturbing) = step.parts();
            let mut changed = 0;
            if !quiet.is_empty() {
                changed += self.converge(node, *state, quiet, reporter).await?;
                self.guards.hold_before(planned).await?;
            }
            if step.restarts_etcd() {
                leadership::move_off(self.guards.etcd(), node).await;
            }
            let disturbed = self.converge(node, *state, disturbing, reporter).await;
            disturbed.map(|disturbed| changed + disturbed)
        } else {
            // A turn lasts until what was disturbed is ready again.
            tokio::select! {
                result = self.act(planned, reporter) => result,
                failed = self.guards.fail(planned) => return Err(failed),
            }
        };
        match result {
            Ok(changed) => Ok(changed),
            // It may have failed because another control plane did.
            Err(error) => match self.guards.hold(planned).await {
                Ok(()) => Err(error),
                Err(refused) => Err(refused.because(error.to_string())),
            },
        }
    }

    async fn converge(
        &self,
        node: &str,
        state: Digest,
        differences: &[Difference],
        reporter: &Arc<dyn Reporter>,
    ) -> Result<usize, Error> {
        let state = self
            .desired
            .state(node, state)
            .ok_or_else(|| Error::bug(format!("node {node} is to have no state {}", state.short())))?;
        let resources: Vec<ResourceId> = differences
            .iter()
            .map(|difference| difference.resource.clone())
            .collect();
        let work = self
            .node(node)?
            .converge(state, resources, &self.services, tell(node, reporter))
            .await?;
        Ok(work.changed.len())
    }

    pub(super) async fn act(
        &self,
        planned: &PlannedStep,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<usize, Error> {
        match &planned.step {
            Step::Converge {
                node,
                state,
                differences,
                ..
            } => self.converge(node, *state, differences, reporter).await,
            Step::Wait {
                condition,
                timeout_seconds,
            } => {
                let limit = Duration::from_secs(u64::from(*timeout_seconds));
                self.wait(planned, condition, limit, reporter).await?;
                Ok(0)
            }
            Step::RecordFounders { node, founders } => {
                self.node(node)?.record_founders(founders.clone()).await?;
                Ok(1)
            }
            Step::AddMember {
                node,
                peer_url,
                through,
            } => {
                let joining = Joining {
                    node,
                    peer_url,
                    through,
                    period: joining::PERIOD,
                };
                joining::add(self.guards.etcd(), joining).await
            }
            Step::PromoteMember {
                node,
                peer_url,
                through,
                timeout_seconds,
            } => {
                let joining = Joining {
                    node,
                    peer_url,
                    through,
                    period: joining::PERIOD,
                };
                let within = Duration::from_secs(u64::from(*timeout_seconds));
                joining::promote(self.guards.etcd(), joining, within).await
            }
            Step::MarkBootstrapped { node } => {
                self.node(node)?.mark_bootstrapped().await?;
                Ok(1)
            }
            Step::RegisterNodes { nodes, .. } => {
                let nodes = self.desired.nodes_named(nodes);
                self.api.register_nodes(&nodes).await
            }
            Step::ApplyManifests { objects, .. } => {
                let objects = self.desired.objects_named(objects);
                self.api.apply_objects(&objects).await
            }
            Step::PruneObjects { objects } => self.api.delete_objects(objects, &self.desired).await,
            Step::ResetNode { node } => {
                let work = self.node(node)?.reset(tell(node, reporter)).await?;
                Ok(work.changed.len())
            }
        }
    }

    /// Ends the connections after a run that is complete: the nodes note that it ended, and free their locks.
    pub async fn goodbye(&self) {
        let leaving = self.nodes.values().map(|node| node.clone().goodbye());
        futures::future::join_all(leaving).await;
    }

    pub(super) fn node(&self, name: &str) -> Result<&Node, Error> {
        self.nodes
            .get(name)
            .ok_or_else(|| Error::bug(format!("no connection with node {name}")))
    }
}

/// Passes on what a node says it is at.
fn tell(node: &str, reporter: &Arc<dyn Reporter>) -> Progress {
    let (node, reporter) = (node.to_owned(), Arc::clone(reporter));
    Arc::new(move |resource, done| {
        if done {
            tracing::debug!(%node, %resource, "resource changed");
        }
        reporter.event(&Event::Resource {
            node: node.clone(),
            resource: resource.clone(),
            done,
        });
    })
}
