//! What has to hold for the other control planes while one is disturbed.
//!
//! A plan shows guards with its steps. Whoever carries it out asks them anew right before such a step begins, and again
//! while its turn lasts: between the plan and the turn a machine may have died.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control_planes::ControlPlanes;
use super::quorum::{ControlPlane, Elsewhere, MemberHealth, turns};
use crate::observed::{Health, Observed};
use crate::plan::{Obstacle, Refusal};
use crate::spec::Cluster;

/// A condition under which a step may disturb a control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Guard {
    /// These control planes are healthy: their etcd members vote and answer, their API servers are ready, and no alarm
    /// of etcd is raised.
    ControlPlanesHealthy {
        /// Which.
        nodes: Vec<String>,
    },
    /// Without the member of the step's node, healthy voting members of etcd are a quorum.
    EtcdQuorum {},
    /// The step's own control plane is healthy when its turn begins, as it was when its turn was planned. One that has failed
    /// by itself since is repaired by another plan, before all others.
    ItselfHealthy {},
}

impl Guard {
    /// The guards of a step that disturbs one of `all` control planes.
    pub(in crate::plan) fn of(
        names: &[&str],
        all: &[ControlPlane],
        index: usize,
        elsewhere: Elsewhere,
    ) -> Vec<Self> {
        let one = &all[index];
        let others = (0..all.len()).filter(|other| *other != index);
        let nodes: Vec<String> = others.map(|other| names[other].to_owned()).collect();
        // A server that is known not to answer takes nothing away by being repaired.
        let serves = one.etcd != MemberHealth::Healthy || one.api_server != Some(Health::Down);
        let mut guards = Vec::new();
        if one.restarts && serves && !nodes.is_empty() {
            guards.push(Self::ControlPlanesHealthy { nodes });
        }
        if one.restarts_etcd && all.len() + elsewhere.voters > 1 {
            guards.push(Self::EtcdQuorum {});
        }
        if one.restarts && one.is_well() && all.len() > 1 {
            guards.push(Self::ItselfHealthy {});
        }
        guards
    }

    /// Whether it is about the moment before anything is disturbed, and not about the time of the turn.
    pub const fn is_asked_once(&self) -> bool {
        matches!(self, Self::ItselfHealthy {})
    }

    /// Lets through what disturbs `node` only while the guard holds by what is observed now.
    ///
    /// # Errors
    /// [`Refusal::Quorum`], which says what is in the way.
    pub fn hold(&self, node: &str, cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
        let seen = ControlPlanes::of(cluster, observed);
        let obstacles = match self {
            Self::ControlPlanesHealthy { nodes } => {
                let unhealthy = nodes.iter().filter_map(|node| unhealthy(seen, node));
                let mut obstacles: Vec<Obstacle> = unhealthy.collect();
                obstacles.extend(seen.alarms());
                obstacles.extend(seen.untold());
                obstacles
            }
            Self::EtcdQuorum {} => missing_for_quorum(seen, node),
            Self::ItselfHealthy {} => unhealthy(seen, node).into_iter().collect(),
        };
        if obstacles.is_empty() {
            return Ok(());
        }
        Err(Refusal::Quorum {
            node: node.to_owned(),
            obstacles,
        })
    }
}

/// Lets through what may restart any part of a control plane, only while the cluster can do without it.
///
/// # Errors
/// [`Refusal::Quorum`], which says what is in the way.
pub fn may_disturb(node: &str, cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    let seen = ControlPlanes::of(cluster, observed);
    let names = seen.members();
    let Some(index) = names.iter().position(|name| *name == node) else {
        return Ok(());
    };
    let mut all: Vec<ControlPlane> = names.iter().map(|name| seen.untouched(name)).collect();
    if !observed.is_bootstrapped() && all.iter().all(|one| one.api_server != Some(Health::Ready)) {
        // Nobody is served yet.
        return Ok(());
    }
    let disturbed = &mut all[index];
    (disturbed.is_touched, disturbed.restarts, disturbed.restarts_etcd) = (true, true, true);
    let turns = turns(&all, seen.elsewhere()).map_err(|not_now| seen.not_now(&names, &all, &not_now))?;
    let obstacles: Vec<Obstacle> = turns
        .awaited
        .iter()
        .filter_map(|index| unhealthy(seen, names[*index]))
        .collect();
    if obstacles.is_empty() {
        return Ok(());
    }
    Err(Refusal::Quorum {
        node: node.to_owned(),
        obstacles,
    })
}

fn unhealthy(seen: ControlPlanes<'_>, node: &str) -> Option<Obstacle> {
    let one = seen.untouched(node);
    (!one.is_well()).then(|| Obstacle::ControlPlane {
        node: node.to_owned(),
        etcd: one.etcd,
        api_server: one.api_server,
    })
}

/// What is in the way of a quorum without one member; nothing when there is one, or nobody votes but that member.
fn missing_for_quorum(seen: ControlPlanes<'_>, node: &str) -> Vec<Obstacle> {
    let elsewhere = seen.elsewhere();
    let names = seen.names();
    let all: Vec<(&str, ControlPlane)> = names.iter().map(|name| (*name, seen.untouched(name))).collect();
    let voters = all.iter().filter(|(_, one)| one.votes()).count() + elsewhere.voters;
    let is_healthy = |one: &ControlPlane| one.votes() && one.etcd == MemberHealth::Healthy;
    let others = || all.iter().filter(|(name, _)| *name != node);
    let healthy = others().filter(|(_, one)| is_healthy(one)).count();
    if voters <= 1 || healthy > voters / 2 {
        return Vec::new();
    }
    let unhealthy = others().filter(|(_, one)| !is_healthy(one));
    let mut obstacles: Vec<Obstacle> = unhealthy
        .map(|(name, one)| Obstacle::ControlPlane {
            node: (*name).to_owned(),
            etcd: one.etcd,
            api_server: one.api_server,
        })
        .collect();
    obstacles.extend(seen.unknown_voters());
    if obstacles.is_empty() {
        obstacles.push(Obstacle::TwoMembers);
    }
    obstacles
}
