//! What somebody made of etcd's members is seen by the plan: what would lose the quorum is refused before anything is
//! changed, by the name of the member, and the same command goes on when that is repaired.

use std::sync::Arc;

use super::etcd::{self, Meddling};
use super::fixture::Fixture;
use super::machine::Machine;
use super::run::{Ended, Operation, run};
use super::systemd::{self, settle};
use super::world::World;

const ETCD_ARGUMENT: &str = "  components: { etcd: { extraArgs: { snapshot-count: \"5000\" } } }\n";
const API_ARGUMENT: &str = "  components: { kube-apiserver: { extraArgs: { event-ttl: 2h } } }\n";

struct Case {
    name: &'static str,
    /// What cluster.yaml is to change.
    change: &'static str,
    meddle: fn(&World),
    expected: Expected,
}

/// How a run is to end.
enum Expected {
    /// Everything is done.
    Done,
    /// It is refused before anything is changed, in these words.
    Refused(&'static str),
    /// It fails in these words, and does not wait until its time is over.
    Fails(&'static str),
}

const CASES: [Case; 9] = [
    Case {
        name: "a learner, which is promoted first, an argument of etcd changes",
        change: ETCD_ARGUMENT,
        meddle: |world| make(world, |meddling| meddling.learners.extend(["cp-3".to_owned()])),
        expected: Expected::Done,
    },
    Case {
        name: "an unknown member, an argument of etcd changes",
        change: ETCD_ARGUMENT,
        meddle: |world| {
            make(world, |meddling| {
                meddling.unknown_members.extend(["db-9".to_owned()]);
            });
        },
        expected: Expected::Refused(
            "unknown etcd member \"db-9\" (https://db-9.invalid:2380): it matches no control plane in cluster.yaml",
        ),
    },
    Case {
        name: "an unknown member, an argument of API servers changes",
        change: API_ARGUMENT,
        meddle: |world| {
            make(world, |meddling| {
                meddling.unknown_members.extend(["db-9".to_owned()]);
            });
        },
        expected: Expected::Done,
    },
    Case {
        name: "an alarm, an argument of etcd changes",
        change: ETCD_ARGUMENT,
        meddle: |world| make(world, |meddling| meddling.alarm = Some("cp-2".to_owned())),
        expected: Expected::Refused("etcd's alarm NOSPACE of cp-2 is raised"),
    },
    Case {
        name: "one member is down, an argument of etcd changes",
        change: ETCD_ARGUMENT,
        meddle: |world| take_down(world, "cp-3"),
        expected: Expected::Done,
    },
    Case {
        name: "all members crash for a reason the run repairs",
        change: "",
        meddle: |world| crash(world, &["cp-1", "cp-2", "cp-3"], swap_keys),
        expected: Expected::Done,
    },
    Case {
        name: "two of three members crash for a reason the run repairs",
        change: "",
        meddle: |world| crash(world, &["cp-2", "cp-3"], swap_keys),
        expected: Expected::Done,
    },
    Case {
        name: "one member crashes for a reason that no start repairs",
        change: "",
        meddle: |world| crash(world, &["cp-3"], |machine| machine.put(etcd::DAMAGE, "")),
        expected: Expected::Fails("etcd.service ends again and again, 9 times so far: it says nothing"),
    },
    Case {
        name: "one member is down and a learner, an argument of API servers changes",
        change: API_ARGUMENT,
        meddle: |world| {
            make(world, |meddling| meddling.learners.extend(["cp-3".to_owned()]));
            take_down(world, "cp-3");
        },
        expected: Expected::Done,
    },
];

/// Has members start again and again: each ends at once, because of what `spoil` did to its machine.
fn crash(world: &World, nodes: &[&str], spoil: impl Fn(&Machine)) {
    let mut state = world.state();
    // That several are down at once is nobody's fault here.
    state.is_serving = false;
    for node in nodes {
        if let Some(machine) = state.machines.get_mut(*node) {
            spoil(machine);
            systemd::stop(machine, etcd::UNIT);
            machine.want(etcd::UNIT).unwrap();
        }
    }
    settle(&mut state);
}

/// Gives a member a key that is not its certificate's, which a run repairs.
fn swap_keys(machine: &Machine) {
    let other = machine.get("/etc/kubernetes/pki/etcd/peer.key");
    machine.put("/etc/kubernetes/pki/etcd/server.key", &other);
}

/// Undoes whatever somebody made of the members.
fn repair(world: &World) {
    let mut state = world.state();
    state.meddling = Meddling::default();
    for machine in state.machines.values() {
        let _ = std::fs::remove_file(machine.path(etcd::DAMAGE));
    }
    settle(&mut state);
}

fn make(world: &World, meddle: impl Fn(&mut Meddling)) {
    let mut state = world.state();
    meddle(&mut state.meddling);
    settle(&mut state);
}

/// Stops a member, as somebody does who looks after the machine.
fn take_down(world: &World, node: &str) {
    let mut state = world.state();
    if let Some(machine) = state.machines.get_mut(node) {
        systemd::stop(machine, etcd::UNIT);
    }
    settle(&mut state);
}

/// Tries every case; what went wrong.
pub(crate) fn run_all(fixture: &Fixture) -> Vec<String> {
    let plain = fixture.cluster(3, 1, "");
    let origin = World::new(plain.clone());
    let built = run(fixture, &origin, &plain, Operation::Apply, Vec::new());
    assert!(built.is_complete(), "{:#?}", built.errors);
    let mut failures: Vec<String> = CASES
        .iter()
        .filter_map(|case| {
            let wrong = attempt(fixture, &origin.fork(), case);
            wrong.map(|wrong| format!("membership, {}:\n    {wrong}", case.name))
        })
        .collect();
    failures.extend(moves_the_leadership(fixture, &origin.fork()));
    println!(
        "membership: {} cases, {} failures",
        CASES.len() + 1,
        failures.len()
    );
    failures
}

/// Every member is restarted, and none of them while it leads.
fn moves_the_leadership(fixture: &Fixture, world: &Arc<World>) -> Option<String> {
    let cluster = fixture.cluster(3, 1, ETCD_ARGUMENT);
    let ended = run(fixture, world, &cluster, Operation::Apply, Vec::new());
    let leadership = world.state().leadership.clone();
    let is_right = ended.is_complete() && leadership.moves > 0 && leadership.elections == 0;
    (!is_right).then(|| format!("the leadership: {:#?} {leadership:?}", ended.errors))
}

fn attempt(fixture: &Fixture, world: &Arc<World>, case: &Case) -> Option<String> {
    let cluster = fixture.cluster(3, 1, case.change);
    let apply = || run(fixture, world, &cluster, Operation::Apply, Vec::new());
    (case.meddle)(world);
    let ended = apply();
    let says = |words: &str| ended.errors.iter().any(|error| error.contains(words));
    match case.expected {
        Expected::Done if ended.is_complete() => {}
        Expected::Done => return Some(format!("it was to be done: {:#?}", ended.errors)),
        Expected::Refused(words) => {
            if ended.planned.is_some() || !says(words) {
                return Some(format!(
                    "it was to be refused: {:#?} {:#?}",
                    ended.errors, ended.steps
                ));
            }
            if let Some(done) = did_anything(&ended) {
                return Some(done);
            }
        }
        Expected::Fails(words) => {
            if !says(words) || !world.uptime().is_zero() {
                return Some(format!("it was to fail at once: {:#?}", ended.errors));
            }
        }
    }
    if !matches!(case.expected, Expected::Done) {
        repair(world);
        let repaired = apply();
        if !repaired.is_complete() {
            return Some(format!("repaired, it was to go on: {:#?}", repaired.errors));
        }
    }
    let again = apply();
    if again.planned != Some(0) {
        return Some(format!(
            "it was to find nothing more: {:#?} {:#?}",
            again.errors, again.steps
        ));
    }
    let violations = world.state().violations.clone();
    (!violations.is_empty()).then(|| format!("{violations:#?}"))
}

/// What a run changed on any node or in the API.
fn did_anything(ended: &Ended) -> Option<String> {
    let done: Vec<_> = ended
        .effects
        .iter()
        .filter(|(_, done)| !done.is_empty())
        .collect();
    (!done.is_empty()).then(|| format!("it was refused and changed something: {done:?}"))
}
