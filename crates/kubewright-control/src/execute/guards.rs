//! Asks guards again: right before a step that disturbs a control plane, and while its turn lasts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::observed::{Observed, ObservedEtcd, ObservedNode};
use kubewright_core::plan::{Guard, PlannedStep, Refusal};
use kubewright_core::spec::Cluster;
use tokio::time::{Instant, sleep};

use crate::error::Error;
use crate::etcd::{self, EtcdConnections};
use crate::node::Node;
use crate::pace::Pace;

/// How long a guard may fail before it counts, on usual nodes: a restarted leader leaves etcd without one for about a second, and its
/// API servers with it for a little longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked.
const PERIOD: Duration = Duration::from_secs(2);

/// What guards are asked about, and how.
#[derive(Clone)]
pub struct Guards {
    cluster: Cluster,
    nodes: BTreeMap<String, Node>,
    etcd: Arc<dyn EtcdConnections>,
    patience: Duration,
    period: Duration,
}

impl Guards {
    /// Guards of a cluster; they are asked through these connections.
    pub fn new(cluster: &Cluster, nodes: &BTreeMap<String, Node>, etcd: Arc<dyn EtcdConnections>) -> Self {
        let is_control_plane = |name: &str| cluster.control_planes().any(|node| node.name.as_str() == name);
        let nodes = nodes.iter().filter(|(name, _)| is_control_plane(name));
        Self {
            cluster: cluster.clone(),
            nodes: nodes.map(|(name, node)| (name.clone(), node.clone())).collect(),
            etcd,
            patience: PATIENCE,
            period: PERIOD,
        }
    }

    /// The same with times of one's own, for worlds in which nothing takes time.
    #[must_use]
    pub const fn with_times(mut self, patience: Duration, period: Duration) -> Self {
        (self.patience, self.period) = (patience, period);
        self
    }

    /// That of the slowest control plane.
    fn pace(&self) -> Pace {
        let paces = self.nodes.values().map(|node| node.pace().clone());
        paces.fold(Pace::default(), Pace::slower)
    }

    /// The connections to the members of etcd.
    pub(super) fn etcd(&self) -> &dyn EtcdConnections {
        self.etcd.as_ref()
    }

    /// How the control planes are now; one that does not answer is not in it.
    pub async fn look(&self) -> Observed {
        let facts = self.nodes.iter().map(|(name, node)| async move {
            let facts = node.facts().await;
            let facts = facts.inspect_err(|error| tracing::warn!(node = %name, %error, "asked for a guard"));
            Some((name.clone(), facts.ok()?))
        });
        let facts = futures::future::join_all(facts).await;
        let seen = facts.into_iter().flatten().map(|(name, facts)| {
            let seen = ObservedNode {
                facts,
                differences: Vec::new(),
            };
            (name, seen)
        });
        let mut observed = Observed {
            nodes: seen.collect(),
            ..Observed::default()
        };
        observed.etcd = etcd::look(Arc::clone(&self.etcd), &self.cluster, &observed).await;
        observed
    }

    /// Asks the members of etcd on all control planes of a cluster who they are.
    pub(super) async fn members(&self) -> (&Cluster, ObservedEtcd) {
        let etcd = etcd::look_again(Arc::clone(&self.etcd), &self.cluster, &self.nodes).await;
        (&self.cluster, etcd)
    }

    /// Waits until the step's guards hold, but not long; before anything is disturbed.
    pub(super) async fn hold_before(&self, planned: &PlannedStep) -> Result<(), Error> {
        self.hold_those(planned, |_| true).await
    }

    /// The same while its turn lasts: what was disturbed is not asked of.
    pub(super) async fn hold(&self, planned: &PlannedStep) -> Result<(), Error> {
        self.hold_those(planned, |guard| !guard.is_asked_once()).await
    }

    async fn hold_those(&self, planned: &PlannedStep, which: fn(&Guard) -> bool) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            match self.ask(planned, which).await {
                Ok(()) => return Ok(()),
                Err(refusal) if begun.elapsed() >= self.pace().bound(self.patience) => {
                    return Err(refusal.into());
                }
                Err(refusal) => tracing::warn!(step = %planned.id, %refusal, "a guard does not hold yet"),
            }
            sleep(self.period).await;
        }
    }

    /// Ends when one of the step's guards has not held for too long.
    pub(super) async fn fail(&self, planned: &PlannedStep) -> Error {
        loop {
            sleep(self.period).await;
            if let Err(error) = self.hold(planned).await {
                return error;
            }
        }
    }

    async fn ask(&self, planned: &PlannedStep, which: fn(&Guard) -> bool) -> Result<(), Refusal> {
        let guards: Vec<&Guard> = planned.guard.iter().filter(|guard| which(guard)).collect();
        let Some(node) = planned.step.node().filter(|_| !guards.is_empty()) else {
            return Ok(());
        };
        let observed = self.look().await;
        let mut guards = guards.into_iter();
        guards.try_for_each(|guard| guard.hold(node, &self.cluster, &observed))
    }
}
