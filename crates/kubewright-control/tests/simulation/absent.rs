//! A control plane without power while cluster.yaml changes: what needs no quorum is done, what disturbs another control
//! plane waits until it is back, and nobody founds a cluster without it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Instant;

use super::disk::Loss;
use super::etcd;
use super::fixture::Fixture;
use super::run::{Ended, Operation, run};
use super::systemd::{self, settle};
use super::world::World;

const GONE: &str = "cp-3";
/// Something for every part of the cluster.
const CHANGES: &str = "  components: { etcd: { extraArgs: { snapshot-count: \"5000\" } }, \
                       kube-apiserver: { extraArgs: { event-ttl: 2h } }, kubelet: { extraArgs: { event-burst: \"60\" } } }\n  \
                       dns: { upstream: [192.0.2.53] }\n";
/// A file of a control plane that is read by nothing that changes.
const QUIET: &str = "/etc/kubernetes/scheduler.conf";

/// What is wrong with that.
pub(crate) fn run_all(fixture: &Fixture) -> Vec<String> {
    let began = Instant::now();
    let plain = fixture.cluster(3, 1, "");
    let world = World::new(plain.clone());
    let built = run(fixture, &world, &plain, Operation::Apply, Vec::new());
    assert!(built.is_complete(), "{:#?}", built.errors);
    let mut wrong = without_one(fixture, &world.fork());
    wrong.extend(without_two(fixture, &world.fork()));
    wrong.extend(founded_without_one(fixture));
    println!(
        "absent: 3 control planes and 1 workers, 3 cases, {} failures, {:.1} s",
        wrong.len(),
        began.elapsed().as_secs_f64()
    );
    wrong
        .into_iter()
        .map(|wrong| format!("absent:\n    {wrong}"))
        .collect()
}

fn power_off(world: &World, node: &str) {
    let mut state = world.state();
    state.failed = Some(node.to_owned());
    state.off.insert(node.to_owned());
    if let Some(machine) = state.machines.get_mut(node) {
        machine.units.clear();
    }
    settle(&mut state);
}

fn power_on(world: &World, node: &str) {
    let mut state = world.state();
    state.failed = None;
    state.off.remove(node);
    world.reboot(&mut state, node, Loss::Nothing);
}

/// Whether the process of a unit was given an argument.
fn has_argument(world: &World, node: &str, unit: &str, name: &str) -> bool {
    let state = world.state();
    let unit = state.machines[node].units.get(unit);
    let process = unit.and_then(|unit| unit.process.as_ref());
    process.is_some_and(|process| process.file.argument(name).is_some())
}

/// What was changed on any machine or in the API.
fn effects(ended: &Ended) -> usize {
    ended.effects.values().map(Vec::len).sum()
}

fn without_one(fixture: &Fixture, world: &Arc<World>) -> Vec<String> {
    let mut wrong = Vec::new();
    let cluster = fixture.cluster(3, 1, CHANGES);
    let apply = || run(fixture, world, &cluster, Operation::Apply, Vec::new());
    power_off(world, GONE);
    let quiet = world.state().machines["cp-1"].path(QUIET);
    fs::set_permissions(&quiet, fs::Permissions::from_mode(0o666)).unwrap();
    let ended = apply();
    if !ended.is_complete() {
        wrong.push(format!("it was to go on without {GONE}: {:#?}", ended.errors));
    }
    for node in ["cp-1", "cp-2", "w-1"] {
        if !has_argument(world, node, systemd::KUBELET, "event-burst") {
            wrong.push(format!(
                "the kubelet of {node} was to be changed: {:#?}",
                ended.steps
            ));
        }
    }
    if fs::metadata(&quiet).unwrap().permissions().mode() & 0o777 == 0o666 {
        wrong.push(format!("{QUIET} of cp-1 was to be repaired: {:#?}", ended.steps));
    }
    let touched_api = ended.effects.get("api").is_some_and(|done| !done.is_empty());
    if !touched_api {
        wrong.push(format!("the Corefile was to be changed: {:?}", ended.effects));
    }
    let disturbed = world.state().disturbed.clone();
    if !disturbed.is_empty() || has_argument(world, "cp-1", systemd::API, "event-ttl") {
        wrong.push(format!("disturbed while {GONE} is away: {disturbed:?}"));
    }
    let again = apply();
    if again.planned != Some(0) || effects(&again) > 0 {
        wrong.push(format!(
            "nothing else was to be done: {:#?} {:#?}",
            again.steps, again.errors
        ));
    }
    power_on(world, GONE);
    let last = apply();
    if !last.is_complete() {
        wrong.push(format!(
            "with {GONE} back it was to be finished: {:#?}",
            last.errors
        ));
    }
    for node in ["cp-1", "cp-2", GONE] {
        let has_both = has_argument(world, node, systemd::API, "event-ttl")
            && has_argument(world, node, etcd::UNIT, "snapshot-count");
        if !has_both {
            wrong.push(format!("what waited was to be done on {node}: {:#?}", last.steps));
        }
    }
    let found = apply();
    if found.planned != Some(0) {
        wrong.push(format!("the last run was to find nothing: {:#?}", found.steps));
    }
    wrong.extend(world.state().violations.iter().cloned());
    wrong
}

/// Those that are left have no quorum: nothing is changed, by the name of a rule.
fn without_two(fixture: &Fixture, world: &Arc<World>) -> Vec<String> {
    let cluster = fixture.cluster(3, 1, CHANGES);
    power_off(world, "cp-2");
    power_off(world, GONE);
    let ended = run(fixture, world, &cluster, Operation::Apply, Vec::new());
    let is_refused = ended.errors.iter().any(|error| error.contains("have no quorum"));
    if ended.planned.is_some() || !is_refused || effects(&ended) > 0 {
        return vec![format!(
            "without a quorum it was to be refused: {:#?}",
            ended.errors
        )];
    }
    Vec::new()
}

fn founded_without_one(fixture: &Fixture) -> Vec<String> {
    let cluster = fixture.cluster(3, 1, "");
    let world = World::new(cluster.clone());
    power_off(&world, GONE);
    let ended = run(fixture, &world, &cluster, Operation::Apply, Vec::new());
    if ended.planned.is_some() || ended.errors.len() != 1 || effects(&ended) > 0 {
        return vec![format!(
            "nobody was to found a cluster without {GONE}: {:#?}",
            ended.errors
        )];
    }
    Vec::new()
}
