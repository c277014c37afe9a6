//! Every fault at every effect of an operation, one at a time.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::crew;
use super::fault::{Fault, Kind};
use super::fixture::Fixture;
use super::scenario::{Prepared, Scenario};

/// What to try.
pub(crate) struct Extent {
    pub(crate) control_planes: usize,
    pub(crate) workers: usize,
    /// Only every so many-th fault, for a quick look; 1 is all.
    pub(crate) every: usize,
}

/// Tries them all, tells how many there were, and what was wrong with some.
pub(crate) fn run(fixture: &Fixture, scenario: Scenario, extent: &Extent) -> Vec<String> {
    let began = Instant::now();
    let prepared = Prepared::new(fixture, scenario, extent.control_planes, extent.workers);
    let faults = faults(&prepared.effects, extent.every);
    let failures = Mutex::new(Vec::new());
    let fired = AtomicUsize::new(0);
    crew::each(faults.len(), |number| {
        let fault = &faults[number];
        let attempt = prepared.attempt(fixture, vec![fault.clone()]);
        fired.fetch_add(attempt.interrupted.fired, Ordering::SeqCst);
        if !attempt.wrong.is_empty() {
            let done = prepared.effects[&fault.actor]
                .get(fault.effect)
                .cloned()
                .unwrap_or_default();
            let wrong = attempt.wrong.join("\n    ");
            let text = format!("{}: {fault} ({done}):\n    {wrong}", scenario.name());
            failures.lock().unwrap().push(text);
        }
    });
    let failures = failures.into_inner().unwrap();
    let effects: usize = prepared.effects.values().map(Vec::len).sum();
    println!(
        "{}: {} control planes and {} workers, {effects} effects, {} fault points tried, {} of them met, {} did not \
         converge, {:.1} s",
        scenario.name(),
        extent.control_planes,
        extent.workers,
        faults.len(),
        fired.into_inner(),
        failures.len(),
        began.elapsed().as_secs_f64(),
    );
    failures
}

/// Every fault at every effect. Control planes do the same things: their effects are shared out between them.
fn faults(effects: &BTreeMap<String, Vec<String>>, every: usize) -> Vec<Fault> {
    let mut all = Vec::new();
    for (actor, done) in effects {
        for effect in 0..done.len() {
            for kind in Kind::ALL {
                all.push(Fault {
                    actor: actor.clone(),
                    effect,
                    kind,
                });
            }
        }
    }
    all.into_iter().step_by(every).collect()
}
