//! An apply that finds nothing to do, on clusters of a size nobody has at hand: how long it takes and what it needs.
//!
//! Controller and agents are one process here, so memory and descriptors are those of all of them together: an upper bound
//! of what the controller needs for itself. What the simulated machines remember between runs is not counted.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;

use super::fixture::Fixture;
use super::run::{Operation, run};
use super::world::World;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const CONTROL_PLANES: usize = 3;

/// Builds a cluster of so many nodes, applies it once more, and tells what that took; what went wrong with it.
pub(crate) fn measure(fixture: &Fixture, nodes: usize) -> Vec<String> {
    let cluster = fixture.cluster(CONTROL_PLANES, nodes.saturating_sub(CONTROL_PLANES), "");
    let world = World::new(cluster.clone());
    let built = run(fixture, &world, &cluster, Operation::Apply, Vec::new());
    if !built.is_complete() {
        return vec![format!(
            "{nodes} nodes:\n    building them failed: {:#?}",
            built.errors
        )];
    }
    let before = MEMORY.current_usage_as_mb();
    MEMORY.reset_peak_usage();
    let (again, seconds, descriptors) = watched(|| {
        let began = Instant::now();
        let again = run(fixture, &world, &cluster, Operation::Apply, Vec::new());
        (again, began.elapsed().as_secs_f64())
    });
    let effects: usize = again.effects.values().map(Vec::len).sum();
    println!(
        "no change: {nodes} nodes, {} changes, {effects} effects, {seconds:.2} s, {:.1} ms for each node, at most {:.0} MiB \
         and {descriptors} descriptors, agents included",
        again.planned.unwrap_or_default(),
        seconds * 1e3 / nodes as f64,
        MEMORY.peak_usage_as_mb() - before,
    );
    if again.is_complete() && again.planned == Some(0) && effects == 0 {
        Vec::new()
    } else {
        vec![format!(
            "{nodes} nodes:\n    there was to be nothing to do: {:#?}",
            again.errors
        )]
    }
}

/// Does something, and watches how many descriptors are open meanwhile.
fn watched<T>(work: impl FnOnce() -> (T, f64)) -> (T, f64, usize) {
    let (most, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
                most.fetch_max(open, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let (result, seconds) = work();
        is_done.store(true, Ordering::Relaxed);
        (result, seconds, most.load(Ordering::Relaxed))
    })
}
