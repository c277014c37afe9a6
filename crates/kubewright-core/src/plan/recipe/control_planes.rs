//! The control planes' part: all at once while nobody is served, in turns from then on.
//!
//! A turn begins when everybody of the last one is ready again. Who is not well has its turn first; who is not well
//! and not touched is waited for, or nothing is done (see [`crate::plan::rules::quorum`]).

use super::Recipe;
use crate::carrier::{Disturbance, disturbance};
use crate::component::etcd;
use crate::observed::Founders;
use crate::plan::deferred::disturbing;
use crate::plan::rules::quorum::{ControlPlane, Turns, turns};
use crate::plan::{Deferred, Guard, Refusal, Step, StepId, StepKind};
use crate::resource::Stage;

/// What a turn depends on.
#[derive(Default)]
pub(super) struct Before {
    /// Of the last turn.
    pub(super) last: Vec<StepId>,
    /// Of everybody who was not well: they are needed, not only taken turns with.
    pub(super) repaired: Vec<StepId>,
    /// What has to hold for the others while the turn lasts.
    guard: Vec<Guard>,
}

impl Recipe<'_> {
    /// Starts all etcd members and API servers, together.
    pub(in crate::plan) fn found_control_planes(&mut self) {
        let names = self.control_planes();
        self.together(&names, &Before::default());
    }

    /// Sets aside what would disturb a control plane while another one cannot be reached.
    pub(in crate::plan) fn defer_disturbing(&mut self) {
        let away = self.observed.unreachable_control_planes(self.cluster);
        if away.is_empty() {
            return;
        }
        let names = self.taking_part();
        let seen = self.seen();
        for _ in &names {
            let all: Vec<ControlPlane> = names.iter().map(|name| self.control_plane(name)).collect();
            let Err(not_now) = turns(&all, seen.elsewhere()) else {
                return;
            };
            let in_the_way = not_now.unwell.iter().map(|index| names[*index]);
            let waits_for: Vec<String> = in_the_way
                .filter(|name| away.contains(name))
                .map(str::to_owned)
                .collect();
            if waits_for.is_empty() || !self.defer(names[not_now.control_plane], waits_for) {
                // Something else is in the way, which refuses the plan.
                return;
            }
        }
    }

    /// Sets aside what disturbs one control plane; false when nothing does.
    fn defer(&mut self, name: &str, waits_for: Vec<String>) -> bool {
        let (Some(state), Some(observed)) = (self.states.get(name), self.observed.nodes.get(name)) else {
            return false;
        };
        let disturbing = disturbing(state, &observed.differences);
        let is_new = !self.deferred.iter().any(|deferred| deferred.node == name);
        if disturbing.is_empty() || !is_new {
            return false;
        }
        let differences = observed.differences.iter();
        let waits = differences.filter(|difference| disturbing.contains(&difference.resource));
        self.deferred.push(Deferred {
            node: name.to_owned(),
            waits_for,
            joins: false,
            differences: waits.cloned().collect(),
        });
        true
    }

    /// Changes etcd members and API servers in turns.
    ///
    /// # Errors
    /// [`Refusal::Quorum`] when one of them cannot have its turn.
    pub(in crate::plan) fn change_control_planes(&mut self) -> Result<(), Refusal> {
        let names = self.taking_part();
        let all: Vec<ControlPlane> = names.iter().map(|name| self.control_plane(name)).collect();
        let seen = self.seen();
        let Turns { awaited, turns } =
            turns(&all, seen.elsewhere()).map_err(|not_now| seen.not_now(&names, &all, &not_now))?;
        let mut before = Before::default();
        for index in awaited {
            let ready = self.wait_until_ready(names[index], &[]);
            before.repaired.extend(ready);
        }
        let mut voters: Vec<&str> = (0..names.len())
            .filter(|index| !all[*index].joins)
            .map(|index| names[index])
            .collect();
        for turn in turns {
            let members: Vec<&str> = turn.iter().map(|index| names[*index]).collect();
            if let [index] = turn.as_slice()
                && all[*index].joins
            {
                before.last = self.join(names[*index], &voters, &before);
                voters.push(names[*index]);
                continue;
            }
            before.guard = match turn.as_slice() {
                [index] if all[*index].may_serve() => Guard::of(&names, &all, *index, seen.elsewhere()),
                // Nothing is taken away from anybody by starting what is down.
                _ => Vec::new(),
            };
            let was_well = turn.iter().all(|index| all[*index].is_well());
            let ready = self.together(&members, &before);
            if was_well {
                for name in &members {
                    self.take_back_control_plane(name);
                }
            }
            if turn.iter().any(|index| !all[*index].is_well()) {
                before.repaired.extend(ready.iter().cloned());
            }
            before.last = ready;
        }
        Ok(())
    }

    /// Until the bootstrap is finished, no member starts before every control plane keeps who they all are.
    pub(in crate::plan) fn record_founders(&mut self) {
        let observed = self.observed;
        if observed.is_bootstrapped() {
            return;
        }
        let founders = Founders::of(self.cluster);
        let keeps = |name: &str| {
            let seen = observed.nodes.get(name);
            seen.is_some_and(|seen| seen.facts.founders.is_some())
        };
        for name in founders.0.keys().filter(|name| !keeps(name)) {
            let step = Step::RecordFounders {
                node: name.clone(),
                founders: founders.clone(),
            };
            let why = "a later run with other control planes must never found a second cluster";
            let after = [StepId::converge(name, Stage::Host)];
            self.graph
                .add(StepId::on(name, StepKind::Founders), step, why, after);
        }
    }

    pub(super) fn control_plane(&self, name: &str) -> ControlPlane {
        let (member, server) = (
            self.differences(name, Stage::Etcd),
            self.differences(name, Stage::ControlPlane),
        );
        ControlPlane {
            is_touched: !member.is_empty() || !server.is_empty(),
            restarts_etcd: member
                .iter()
                .any(|difference| disturbance(difference).component() == Some(etcd::NAME)),
            restarts: member
                .iter()
                .chain(&server)
                .any(|difference| disturbance(difference) != Disturbance::None),
            joins: self.joining().contains(&name),
            ..self.seen().untouched(name)
        }
    }

    /// Converges some control planes at the same time; gives what whoever comes next has to come after.
    fn together(&mut self, names: &[&str], before: &Before) -> Vec<StepId> {
        for name in names {
            let mut after = vec![StepId::converge(name, Stage::Host)];
            let founders = self.control_planes().into_iter();
            after.extend(founders.map(|founder| StepId::on(founder, StepKind::Founders)));
            after.extend(before.repaired.iter().cloned());
            if self.converge(name, Stage::Etcd, after).is_some() {
                self.graph.take_turns(before.last.clone());
                self.guard(name, Stage::Etcd, before, true);
            }
        }
        let members: Vec<StepId> = names
            .iter()
            .map(|name| StepId::converge(name, Stage::Etcd))
            .collect();
        for name in names {
            if !self.differences(name, Stage::Etcd).is_empty() {
                self.wait_for_etcd(name, members.clone());
                self.guard(name, Stage::Etcd, before, false);
            }
        }
        let mut ready = Vec::new();
        for name in names {
            let mut after = vec![
                StepId::converge(name, Stage::Host),
                StepId::converge(name, Stage::Etcd),
                StepId::etcd_ready(name),
            ];
            after.extend(before.repaired.iter().cloned());
            if self.converge(name, Stage::ControlPlane, after).is_some() {
                self.graph.take_turns(before.last.clone());
                let is_first = !self.disturbs(name, Stage::Etcd);
                self.guard(name, Stage::ControlPlane, before, is_first);
            }
            if self.control_plane(name).is_touched {
                let after = vec![
                    StepId::converge(name, Stage::ControlPlane),
                    StepId::etcd_ready(name),
                ];
                let restarted = self.restarted(name, &[Stage::ControlPlane]);
                ready.push(self.wait_for_api_and(name, &restarted, after));
                self.guard(name, Stage::ControlPlane, before, false);
            }
        }
        ready
    }

    /// A change after which a healthy control plane is not healthy any more is taken back; what repairs one is not.
    ///
    /// What is waited for last was changed last, and is taken back first. Nothing of a bootstrap is: what members founded
    /// together no single one can leave.
    fn take_back_control_plane(&mut self, name: &str) {
        if !self.observed.is_bootstrapped() {
            return;
        }
        let stages = [Stage::ControlPlane, Stage::Etcd].into_iter();
        let disturbing = stages.filter(|stage| self.disturbs(name, *stage));
        let changes: Vec<StepId> = disturbing.map(|stage| StepId::converge(name, stage)).collect();
        let (etcd, server) = (
            StepId::converge(name, Stage::Etcd),
            StepId::converge(name, Stage::ControlPlane),
        );
        self.graph.take_back(&[server, StepId::api_ready(name)], &changes);
        let changes: Vec<StepId> = changes.into_iter().filter(|id| *id == etcd).collect();
        self.graph.take_back(&[etcd, StepId::etcd_ready(name)], &changes);
    }

    /// Guards the last step, which belongs to the turn of a stage, if converging that stage disturbs.
    fn guard(&mut self, name: &str, stage: Stage, before: &Before, begins_turn: bool) {
        if !self.disturbs(name, stage) {
            return;
        }
        let restarts_etcd = stage == Stage::Etcd;
        let applies = |guard: &&Guard| match guard {
            Guard::EtcdQuorum {} => restarts_etcd,
            Guard::ItselfHealthy {} => begins_turn,
            Guard::ControlPlanesHealthy { .. } => true,
        };
        let guards = before.guard.iter().filter(applies);
        self.graph.guard(guards.cloned().collect());
    }

    /// Whether converging a stage of a node restarts or stops anything.
    fn disturbs(&self, name: &str, stage: Stage) -> bool {
        let differences = self.differences(name, stage);
        differences
            .iter()
            .any(|difference| disturbance(difference) != Disturbance::None)
    }

    /// Once every member is healthy and the API is written to, no member may ever again start as a new cluster.
    pub(in crate::plan) fn mark_bootstrapped(&mut self) {
        let observed = self.observed;
        let is_bootstrapped = |name: &str| {
            let seen = observed.nodes.get(name);
            seen.is_some_and(|seen| seen.facts.is_bootstrapped)
        };
        // That one is marked says that all were healthy once: those that cannot be reached are not waited for.
        let mut names = self.control_planes();
        names.retain(|name| !observed.unreachable.contains_key(*name) && !self.held_back.contains(*name));
        if names.iter().all(|name| is_bootstrapped(name)) {
            return;
        }
        let mut after = Vec::new();
        for name in &names {
            if !self.control_plane(name).is_well() {
                self.wait_until_ready(name, &[StepId::converge(name, Stage::ControlPlane)]);
            }
            after.extend([StepId::etcd_ready(name), StepId::api_ready(name)]);
        }
        for name in names.into_iter().filter(|name| !is_bootstrapped(name)) {
            self.graph.add(
                StepId::on(name, StepKind::MarkBootstrapped),
                Step::MarkBootstrapped {
                    node: name.to_owned(),
                },
                "so that a member without data never bootstraps a new cluster",
                after.clone(),
            );
        }
    }
}
