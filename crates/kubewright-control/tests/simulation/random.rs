//! Schedules made of a seed: several interrupted runs of one operation, each with several things going wrong.
//!
//! What goes wrong when is decided by the seed alone. How the machines' work interleaves is not, as in the real world: a
//! seed that failed can need more than one try to fail again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::fault::{Fault, Kind};
use super::fixture::Fixture;
use super::scenario::{Prepared, Scenario};

/// Sizes of clusters, and how often each is taken.
const SIZES: [(usize, usize); 4] = [(1, 1), (3, 0), (3, 1), (3, 2)];

/// Everything schedules begin with.
pub(crate) struct Beginnings(Vec<Prepared>);

impl Beginnings {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        let scenarios = [Scenario::Bootstrap, Scenario::Change, Scenario::Reset];
        let prepared = SIZES.into_iter().flat_map(|(control_planes, workers)| {
            scenarios.map(|scenario| Prepared::new(fixture, scenario, control_planes, workers))
        });
        Self(prepared.collect())
    }
}

/// Numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }
}

/// One schedule: how many faults happened, and what is wrong after it.
pub(crate) fn schedule(fixture: &Fixture, beginnings: &Beginnings, seed: u64) -> (usize, Vec<String>) {
    let mut dice = Dice(seed);
    let prepared = &beginnings.0[dice.below(beginnings.0.len())];
    let world = prepared.world();
    let mut fired = 0;
    let mut story = vec![format!("{} on {}", prepared.scenario.name(), prepared.size())];
    for _ in 0..=dice.below(3) {
        let faults: Vec<Fault> = (0..=dice.below(3)).map(|_| fault(prepared, &mut dice)).collect();
        let silences = if dice.below(4) == 0 { 1 + dice.below(6) } else { 0 };
        world.state().api_silences = silences;
        let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
        let ended = prepared.interrupt(fixture, &world, faults);
        fired += ended.fired + usize::from(silences > 0);
        story.push(format!(
            "run with {}, {silences} silences of the API: {:?}",
            told.join(", "),
            ended.errors
        ));
        if dice.below(4) == 0 {
            let mut state = world.state();
            let names: Vec<String> = state.machines.keys().cloned().collect();
            let node = &names[dice.below(names.len())];
            world.reboot(&mut state, node);
            story.push(format!("{node} rebooted"));
            fired += 1;
        }
        world.state().api_silences = 0;
    }
    let mut wrong = prepared.finish(fixture, &world, 1);
    if !wrong.is_empty() {
        wrong.extend(story);
    }
    (fired, wrong)
}

fn fault(prepared: &Prepared, dice: &mut Dice) -> Fault {
    let actors: Vec<&String> = prepared.effects.keys().collect();
    let actor = actors[dice.below(actors.len())].clone();
    let effect = dice.below(prepared.effects[&actor].len());
    let kind = Kind::ALL[dice.below(Kind::ALL.len())];
    Fault { actor, effect, kind }
}

/// Runs the schedules of so many seeds, tells how many, and what was wrong with some.
pub(crate) fn run(fixture: &Fixture, first: u64, count: usize) -> Vec<String> {
    let began = Instant::now();
    let beginnings = Beginnings::new(fixture);
    let next = AtomicUsize::new(0);
    let met = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        return;
                    }
                    let seed = first + number as u64;
                    let (fired, wrong) = schedule(fixture, &beginnings, seed);
                    met.fetch_add(fired, Ordering::SeqCst);
                    if !wrong.is_empty() {
                        let text = format!("seed {seed}:\n    {}", wrong.join("\n    "));
                        failures.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    println!(
        "random: {count} schedules from seed {first}, {} faults in them, {} did not converge, {:.1} s",
        met.into_inner(),
        failures.len(),
        began.elapsed().as_secs_f64()
    );
    failures
}
