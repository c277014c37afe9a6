//! What somebody made of etcd's members is seen by the plan: what would lose the quorum is refused before anything is
//! changed, by the name of the member, and the same command goes on when that is repaired.

use std::sync::Arc;

use super::etcd::{self, Meddling};
use super::fixture::Fixture;
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
    /// What the refusal has to say; nothing when the plan is to be made.
    refusal: Option<&'static str>,
}

const CASES: [Case; 6] = [
    Case {
        name: "a learner, an argument of etcd changes",
        change: ETCD_ARGUMENT,
        meddle: |world| make(world, |meddling| meddling.learners.extend(["cp-3".to_owned()])),
        refusal: Some("control plane cp-3 cannot be changed: its etcd member is a learner and does not vote"),
    },
    Case {
        name: "an unknown member, an argument of etcd changes",
        change: ETCD_ARGUMENT,
        meddle: |world| {
            make(world, |meddling| {
                meddling.unknown_members.extend(["db-9".to_owned()]);
            });
        },
        refusal: Some(
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
        refusal: None,
    },
    Case {
        name: "an alarm, an argument of etcd changes",
        change: ETCD_ARGUMENT,
        meddle: |world| make(world, |meddling| meddling.alarm = Some("cp-2".to_owned())),
        refusal: Some("etcd's alarm NOSPACE of cp-2 is raised"),
    },
    Case {
        name: "one member is down, an argument of etcd changes",
        change: ETCD_ARGUMENT,
        meddle: |world| take_down(world, "cp-3"),
        refusal: None,
    },
    Case {
        name: "one member is down and a learner, an argument of API servers changes",
        change: API_ARGUMENT,
        meddle: |world| {
            make(world, |meddling| meddling.learners.extend(["cp-3".to_owned()]));
            take_down(world, "cp-3");
        },
        refusal: Some("control plane cp-3 cannot be changed: its etcd member is a learner"),
    },
];

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
    let failures: Vec<String> = CASES
        .iter()
        .filter_map(|case| {
            let wrong = attempt(fixture, &origin.fork(), case);
            wrong.map(|wrong| format!("membership, {}:\n    {wrong}", case.name))
        })
        .collect();
    println!("membership: {} cases, {} failures", CASES.len(), failures.len());
    failures
}

fn attempt(fixture: &Fixture, world: &Arc<World>, case: &Case) -> Option<String> {
    let cluster = fixture.cluster(3, 1, case.change);
    let apply = || run(fixture, world, &cluster, Operation::Apply, Vec::new());
    (case.meddle)(world);
    let ended = apply();
    if let Some(refusal) = case.refusal {
        if ended.planned.is_some() || !ended.errors.iter().any(|error| error.contains(refusal)) {
            return Some(format!(
                "it was to be refused: {:#?} {:#?}",
                ended.errors, ended.steps
            ));
        }
        if let Some(done) = did_anything(&ended) {
            return Some(done);
        }
        make(world, |meddling| *meddling = Meddling::default());
        let repaired = apply();
        if !repaired.is_complete() {
            return Some(format!("repaired, it was to go on: {:#?}", repaired.errors));
        }
    } else if !ended.is_complete() {
        return Some(format!("it was to be done: {:#?}", ended.errors));
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
