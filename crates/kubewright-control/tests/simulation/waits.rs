//! Waits on a cluster that is not as usual: a node that does not become Ready, one that is busy for longer than an answer
//! may take.

use std::time::{Duration, Instant};

use super::fixture::Fixture;
use super::run::{Operation, run};
use super::world::World;

/// How long an answer may take in this world, instead of a minute.
const ANSWER: Duration = Duration::from_secs(1);
/// How long the busy node imports its first image.
const IMPORT: Duration = Duration::from_secs(4);

/// What is wrong with waits.
pub(crate) fn run_all(fixture: &Fixture) -> Vec<String> {
    let began = Instant::now();
    let wrong = [unready(fixture), busy(fixture)].concat();
    println!(
        "waits: a node that is not Ready, a busy node; {} failures, {:.1} s",
        wrong.len(),
        began.elapsed().as_secs_f64()
    );
    wrong
        .into_iter()
        .map(|wrong| format!("waits:\n    {wrong}"))
        .collect()
}

/// A worker's kubelet runs and does not report Ready: that is told with its last line, while it is waited for and at the
/// end, and the next run goes on.
fn unready(fixture: &Fixture) -> Vec<String> {
    let cluster = fixture.cluster(1, 1, "");
    let world = World::new(cluster.clone());
    let mut wrong = Vec::new();
    {
        let mut state = world.state();
        state.unready.insert("w-1".to_owned());
        state.expects_trouble = true;
    }
    let stopped = run(fixture, &world, &cluster, Operation::Apply, Vec::new());
    if stopped.is_complete() {
        wrong.push("it was to wait in vain".to_owned());
    }
    let kubelet = "w-1: kubelet.service is active (running); its last line: it says nothing";
    for (what, lines, expected) in [
        ("waiting", &stopped.waited, "w-1: KubeletNotReady"),
        ("waiting", &stopped.waited, kubelet),
        ("the error", &stopped.errors, kubelet),
    ] {
        if !lines.iter().any(|line| line.contains(expected)) {
            wrong.push(format!("{what} does not say {expected:?}: {lines:#?}"));
        }
    }
    if let Some(line) = stopped.waited.iter().find(|line| line.contains("cp-1")) {
        wrong.push(format!("a node that is Ready is not waited for: {line}"));
    }
    {
        let mut state = world.state();
        state.unready.clear();
        state.expects_trouble = false;
    }
    wrong.extend(goes_on(fixture, &world));
    wrong
}

/// A control plane that imports an image for longer than an answer may take is asked to mark etcd as bootstrapped
/// meanwhile: it sends heartbeats, so it is not given up.
fn busy(fixture: &Fixture) -> Vec<String> {
    let cluster = fixture.cluster(1, 0, "");
    let world = World::new(cluster.clone());
    {
        let mut state = world.state();
        state.answer_limit = Some(ANSWER);
        state.import_takes = Some(("cp-1".to_owned(), IMPORT));
    }
    let built = run(fixture, &world, &cluster, Operation::Apply, Vec::new());
    let mut wrong = Vec::new();
    if !built.is_complete() {
        wrong.push(format!("a busy node was given up: {:#?}", built.errors));
    }
    if world.state().import_takes.is_some() {
        wrong.push("nothing was imported".to_owned());
    }
    world.state().answer_limit = None;
    wrong.extend(goes_on(fixture, &world));
    wrong
}

/// Another run finishes, and one more finds nothing to do.
fn goes_on(fixture: &Fixture, world: &std::sync::Arc<World>) -> Vec<String> {
    let cluster = world.cluster.clone();
    let mut wrong = Vec::new();
    let next = run(fixture, world, &cluster, Operation::Apply, Vec::new());
    if !next.is_complete() {
        wrong.push(format!("the next run was to finish: {:#?}", next.errors));
    }
    let again = run(fixture, world, &cluster, Operation::Apply, Vec::new());
    if again.planned != Some(0) {
        wrong.push(format!("it was to find nothing more: {:#?}", again.steps));
    }
    wrong.extend(world.state().violations.iter().cloned());
    wrong
}
