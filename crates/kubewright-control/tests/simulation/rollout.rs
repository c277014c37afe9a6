//! A mistake in an argument of kubelets: one node is broken by it, which is taken back, and the run stops.

use std::time::Instant;

use super::fixture::Fixture;
use super::run::{Operation, run};
use super::systemd;
use super::world::World;

const CONTROL_PLANES: usize = 3;
const WORKERS: usize = 20;
/// A file that is not there: a kubelet that is to read it does not start.
const MISTAKE: &str =
    "  components: { kubelet: { extraArgs: { image-credential-provider-config: /etc/nowhere } } }\n";

/// What is wrong with that.
pub(crate) fn run_all(fixture: &Fixture) -> Vec<String> {
    let began = Instant::now();
    let plain = fixture.cluster(CONTROL_PLANES, WORKERS, "");
    let world = World::new(plain.clone());
    let built = run(fixture, &world, &plain, Operation::Apply, Vec::new());
    assert!(built.is_complete(), "{:#?}", built.errors);
    let mut wrong = Vec::new();

    let mistaken = fixture.cluster(CONTROL_PLANES, WORKERS, MISTAKE);
    world.state().expects_trouble = true;
    let stopped = run(fixture, &world, &mistaken, Operation::Apply, Vec::new());
    world.state().expects_trouble = false;
    if stopped.is_complete() {
        wrong.push("it was to be stopped".to_owned());
    }
    let broken: Vec<String> = {
        let state = world.state();
        let machines = state.machines.values();
        let broken = machines.filter(|machine| !machine.is_active(systemd::KUBELET));
        broken.map(|machine| machine.name.clone()).collect()
    };
    let taken_back = &stopped.taken_back;
    if taken_back.len() != 1 || !broken.is_empty() {
        wrong.push(format!(
            "one node was to be broken and taken back, and were {taken_back:?}, broken are {broken:?}: {:#?}",
            stopped.errors
        ));
    }

    let again = run(fixture, &world, &plain, Operation::Apply, Vec::new());
    if again.planned != Some(0) {
        wrong.push(format!(
            "what was before was to be there again: {:#?}",
            again.steps
        ));
    }
    wrong.extend(world.state().violations.iter().cloned());
    println!(
        "rollout: {CONTROL_PLANES} control planes and {WORKERS} workers, taken back {taken_back:?}, {} failures, {:.1} s",
        wrong.len(),
        began.elapsed().as_secs_f64()
    );
    wrong
        .into_iter()
        .map(|wrong| format!("rollout:\n    {wrong}"))
        .collect()
}
