//! A control plane fails by itself while another is about to be changed: between the plan and its turn, and at every
//! effect of a turn.
//!
//! From then on no other control plane may be disturbed, and the one whose turn it is at most by what was asked of its
//! init system already. The run stops by the rule, and the next one goes on when the failure is repaired.

use std::fmt;
use std::sync::Mutex;
use std::time::Instant;

use super::crew;
use super::disk::Loss;
use super::etcd;
use super::fixture::Fixture;
use super::scenario::{Prepared, Scenario};
use super::systemd::{self, settle};
use super::world::{State, World};

/// How a control plane fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The machine has no power.
    Gone,
    /// Its etcd member is down.
    EtcdDown,
    /// Its API server is down.
    ApiDown,
    /// An alarm of etcd is raised about it.
    Alarm,
    /// The other members do not reach it, and it does not reach them.
    Partition,
}

impl Way {
    const ALL: [Self; 5] = [
        Self::Gone,
        Self::EtcdDown,
        Self::ApiDown,
        Self::Alarm,
        Self::Partition,
    ];
}

/// When a control plane fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// The plan is made, and nothing of it is done.
    Planned,
    /// At an effect of a node.
    Effect {
        /// The node.
        actor: String,
        /// Which of its effects, from 0.
        number: usize,
    },
}

/// A failure of a control plane that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) when: When,
    pub(crate) node: String,
    pub(crate) way: Way,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {:?} ", self.node, self.way)?;
        match &self.when {
            When::Planned => formatter.write_str("when the plan is made"),
            When::Effect { actor, number } => write!(formatter, "at effect {number} of {actor}"),
        }
    }
}

impl World {
    /// Lets a control plane fail.
    pub(crate) fn fail(&self, state: &mut State, failure: &Failure) {
        let node = &failure.node;
        self.expect_trouble();
        state.failed = Some(node.clone());
        match failure.way {
            Way::Gone => {
                state.off.insert(node.clone());
                for connection in state.connections.iter().filter(|found| found.node == *node) {
                    connection.kill();
                    connection.cut();
                }
                if let Some(machine) = state.machines.get_mut(node) {
                    machine.units.clear();
                }
            }
            Way::EtcdDown | Way::ApiDown => {
                let unit = if failure.way == Way::EtcdDown {
                    etcd::UNIT
                } else {
                    systemd::API
                };
                if let Some(machine) = state.machines.get_mut(node) {
                    systemd::stop(machine, unit);
                }
            }
            Way::Alarm => state.meddling.alarm = Some(node.clone()),
            Way::Partition => drop(state.meddling.cut_off.insert(node.clone())),
        }
        settle(state);
        self.changed.notify_all();
    }

    /// Repairs it, as somebody does who looks after the machine.
    fn repair(&self, failure: &Failure) {
        let mut state = self.state();
        let node = &failure.node;
        state.failed = None;
        state.failure = None;
        state.disturbed.clear();
        match failure.way {
            Way::Gone => {
                state.off.remove(node);
                self.reboot(&mut state, node, Loss::Nothing);
            }
            Way::EtcdDown | Way::ApiDown => {
                for unit in [etcd::UNIT, systemd::API] {
                    if let Some(machine) = state.machines.get_mut(node) {
                        let _ = machine.want(unit);
                    }
                }
            }
            Way::Alarm => state.meddling.alarm = None,
            Way::Partition => drop(state.meddling.cut_off.remove(node)),
        }
        settle(&mut state);
    }
}

/// Tries every so many-th of them; what was wrong with some.
pub(crate) fn run(fixture: &Fixture, every: usize) -> Vec<String> {
    let began = Instant::now();
    let prepared = Prepared::new(fixture, Scenario::ChangeOfBoth, 3, 1);
    let all = failures(&prepared);
    let tried: Vec<&Failure> = all.iter().step_by(every).collect();
    let wrong = Mutex::new(Vec::new());
    let stopped = Mutex::new(0);
    crew::each(tried.len(), |number| {
        let failure = tried[number];
        let (was_stopped, found) = attempt(fixture, &prepared, failure);
        *stopped.lock().unwrap() += usize::from(was_stopped);
        if !found.is_empty() {
            let text = format!("independent failure, {failure}:\n    {}", found.join("\n    "));
            wrong.lock().unwrap().push(text);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    println!(
        "independent failure: 3 control planes and 1 workers, {} points, {} tried, {} runs stopped by the rule, {} failures, \
         {:.1} s",
        all.len(),
        tried.len(),
        stopped.into_inner().unwrap(),
        wrong.len(),
        began.elapsed().as_secs_f64(),
    );
    wrong
}

fn failures(prepared: &Prepared) -> Vec<Failure> {
    let control_planes = ["cp-1", "cp-2", "cp-3"];
    let mut all = Vec::new();
    for node in control_planes {
        for way in Way::ALL {
            all.push(Failure {
                when: When::Planned,
                node: node.to_owned(),
                way,
            });
        }
    }
    for actor in control_planes {
        let effects = prepared.effects.get(actor).map_or(0, Vec::len);
        for number in 0..effects {
            for node in control_planes.into_iter().filter(|node| *node != actor) {
                for way in Way::ALL {
                    all.push(Failure {
                        when: When::Effect {
                            actor: actor.to_owned(),
                            number,
                        },
                        node: node.to_owned(),
                        way,
                    });
                }
            }
        }
    }
    all
}

/// Whether the run was stopped by the rule, and what was wrong.
fn attempt(fixture: &Fixture, prepared: &Prepared, failure: &Failure) -> (bool, Vec<String>) {
    let world = prepared.world();
    world.state().failure = Some(failure.clone());
    let ended = prepared.interrupt(fixture, &world, Vec::new());
    let mut wrong = Vec::new();
    {
        let state = world.state();
        // Whoever failed takes nothing away from anybody when its own turn comes.
        let others: Vec<_> = state
            .disturbed
            .iter()
            .filter(|(node, _)| *node != failure.node)
            .collect();
        let allowed = usize::from(failure.when != When::Planned);
        let is_in_turn = |node: &String| matches!(&failure.when, When::Effect { actor, .. } if actor == node);
        if others.len() > allowed || others.iter().any(|(node, _)| !is_in_turn(node)) {
            wrong.push(format!("disturbed after the failure: {others:?}"));
        }
        let is_refused = ended.refused_by.as_deref() == Some("quorum");
        if state.failed.is_some() && !ended.is_complete() && !is_refused {
            wrong.push(format!("it was to be stopped by the rule: {:#?}", ended.errors));
        }
        if failure.when == When::Planned && !is_refused {
            wrong.push(format!(
                "it was to be stopped before the first turn: {:#?}",
                ended.errors
            ));
        }
    }
    world.repair(failure);
    wrong.extend(prepared.finish(fixture, &world, 1, ended.is_complete()));
    (ended.refused_by.is_some(), wrong)
}
