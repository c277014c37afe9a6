//! A mistake in the arguments of each component: one node is broken by it, its change is taken back by the node's journal, the
//! node is healthy again, and the run stops. The file as it was before finds nothing to do then.

use std::sync::Arc;
use std::time::Instant;

use super::fixture::Fixture;
use super::independent::{Failure, Way, When};
use super::run::{Ended, Operation, run};
use super::systemd;
use super::world::World;

const CONTROL_PLANES: usize = 3;
const WORKERS: usize = 2;

/// A component and an argument of it that names a file which is not there: its process ends at once.
const MISTAKES: [(&str, &str); 6] = [
    ("etcd", "distributed-tracing-instance-id"),
    ("kube-apiserver", "egress-selector-config-file"),
    ("kube-controller-manager", "flex-volume-plugin-dir"),
    ("kube-scheduler", "tls-sni-cert-key"),
    ("kubelet", "image-credential-provider-config"),
    ("kube-proxy", "boot-id-file"),
];

/// What is wrong with that.
pub(crate) fn run_all(fixture: &Fixture) -> Vec<String> {
    let began = Instant::now();
    let plain = fixture.cluster(CONTROL_PLANES, WORKERS, "");
    let world = World::new(plain.clone());
    let built = run(fixture, &world, &plain, Operation::Apply, Vec::new());
    assert!(built.is_complete(), "{:#?}", built.errors);
    let mut wrong = Vec::new();
    for (component, argument) in MISTAKES {
        let found = goes_back(fixture, &world.fork(), component, argument);
        wrong.extend(
            found
                .into_iter()
                .map(|wrong| format!("way back, {component}:\n    {wrong}")),
        );
    }
    let found = keeps_failed(fixture, &world.fork());
    wrong.extend(
        found
            .into_iter()
            .map(|wrong| format!("way back, kept:\n    {wrong}")),
    );
    let found = stays_while_another_is_unhealthy(fixture, &world.fork());
    wrong.extend(
        found
            .into_iter()
            .map(|wrong| format!("way back, guarded:\n    {wrong}")),
    );
    println!(
        "way back: {CONTROL_PLANES} control planes and {WORKERS} workers, {} cases, {} failures, {:.1} s",
        MISTAKES.len() + 2,
        wrong.len(),
        began.elapsed().as_secs_f64()
    );
    wrong
}

fn mistaken(component: &str, argument: &str) -> String {
    format!("  components: {{ {component}: {{ extraArgs: {{ {argument}: /etc/nowhere }} }} }}\n")
}

fn apply(fixture: &Fixture, world: &Arc<World>, more: &str) -> Ended {
    let cluster = fixture.cluster(CONTROL_PLANES, WORKERS, more);
    run(fixture, world, &cluster, Operation::Apply, Vec::new())
}

/// The nodes on which a unit of a component does not run, or runs with the mistake.
fn broken(world: &World, component: &str, argument: &str) -> Vec<String> {
    let state = world.state();
    let unit = format!("{component}.service");
    let is_broken = |machine: &&super::machine::Machine| {
        let Some(found) = machine.units.get(&unit) else {
            return false;
        };
        let has_mistake = found
            .process
            .as_ref()
            .is_some_and(|process| process.file.argument(argument).is_some());
        !found.is_active() || has_mistake
    };
    let machines = state.machines.values().filter(is_broken);
    machines.map(|machine| machine.name.clone()).collect()
}

/// How often units of a component were started, by node.
fn starts(world: &World, component: &str) -> Vec<(String, u32)> {
    let state = world.state();
    let unit = format!("{component}.service");
    let starts = state.machines.values();
    starts
        .filter_map(|machine| Some((machine.name.clone(), machine.units.get(&unit)?.starts)))
        .collect()
}

fn goes_back(fixture: &Fixture, world: &Arc<World>, component: &str, argument: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let before = starts(world, component);
    world.state().expects_trouble = true;
    let ended = apply(fixture, world, &mistaken(component, argument));
    world.state().expects_trouble = false;
    if ended.planned.is_none() || ended.errors.is_empty() || ended.taken_back.len() != 1 {
        wrong.push(format!(
            "it was to be stopped and taken back: {:#?} {:?}",
            ended.errors, ended.taken_back
        ));
    }
    if !ended.taken_back.iter().all(|(_, is_healthy)| *is_healthy) {
        wrong.push(format!("it was to be healthy again: {:?}", ended.taken_back));
    }
    let broken = broken(world, component, argument);
    if !broken.is_empty() {
        wrong.push(format!(
            "nothing was to be left broken, and are {broken:?}: {:#?}",
            ended.errors
        ));
    }
    let after = starts(world, component);
    let touched: Vec<_> = after.iter().filter(|one| !before.contains(one)).collect();
    if touched.len() != 1 {
        wrong.push(format!("one node was to be changed, and were {touched:?}"));
    }
    let again = apply(fixture, world, "");
    if again.planned != Some(0) {
        wrong.push(format!(
            "what was before was to be there again: {:#?}",
            again.steps
        ));
    }
    wrong.extend(world.state().violations.iter().cloned());
    wrong
}

/// A node is left as it failed for somebody who says so; the file as it was repairs it.
fn keeps_failed(fixture: &Fixture, world: &Arc<World>) -> Vec<String> {
    let (component, argument) = MISTAKES[1];
    let mut wrong = Vec::new();
    {
        let mut state = world.state();
        (state.expects_trouble, state.keeps_failed) = (true, true);
    }
    let ended = apply(fixture, world, &mistaken(component, argument));
    world.state().expects_trouble = false;
    let broken = broken(world, component, argument);
    if broken.len() != 1 || !ended.taken_back.is_empty() {
        wrong.push(format!(
            "one was to be left broken, and are {broken:?}: {:#?}",
            ended.errors
        ));
    }
    let repaired = apply(fixture, world, "");
    if !repaired.is_complete() {
        wrong.push(format!("it was to be repaired: {:#?}", repaired.errors));
    }
    wrong.extend(world.state().violations.iter().cloned());
    wrong
}

/// What may have failed because of another control plane is not taken back.
fn stays_while_another_is_unhealthy(fixture: &Fixture, world: &Arc<World>) -> Vec<String> {
    let (component, argument) = MISTAKES[1];
    let mistake = mistaken(component, argument);
    // Where the first control plane's change ends.
    let look = world.fork();
    {
        let mut state = look.state();
        (state.expects_trouble, state.keeps_failed) = (true, true);
    }
    let ended = apply(fixture, &look, &mistake);
    let number = ended.effects.get("cp-1").map_or(0, Vec::len).saturating_sub(1);
    {
        let mut state = world.state();
        state.expects_trouble = true;
        state.failure = Some(Failure {
            when: When::Effect {
                actor: "cp-1".to_owned(),
                number,
            },
            node: "cp-2".to_owned(),
            way: Way::ApiDown,
        });
    }
    let ended = apply(fixture, world, &mistake);
    if ended.refused_by.as_deref() != Some("quorum") || !ended.taken_back.is_empty() {
        return vec![format!(
            "it was to be stopped by the rule, with nothing taken back: {:#?} {:?}",
            ended.errors, ended.taken_back
        )];
    }
    let is_away = |name: &str| !world.state().machines[name].is_active(systemd::API);
    if !is_away("cp-2") {
        return vec!["cp-2 was to fail".to_owned()];
    }
    Vec::new()
}
