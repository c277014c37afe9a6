//! Schedules made of a seed: several interrupted runs of one operation, each with several things going wrong.
//!
//! What goes wrong when is decided by the seed alone. How the machines' work interleaves is not, as in the real world: a
//! seed that failed can need more than one try to fail again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use super::crew;
use super::disk::Loss;
use super::fault::{Fault, Kind};
use super::fixture::Fixture;
use super::scenario::{Prepared, Scenario};

/// Control planes and workers of clusters, and how many of twenty schedules have that many: what small ones do costs a
/// tenth of what large ones do, and most of what can go wrong goes wrong in them.
const SIZES: [((usize, usize), usize); 5] =
    [((1, 0), 10), ((1, 1), 5), ((3, 0), 3), ((3, 1), 1), ((3, 2), 1)];
const SCENARIOS: [Scenario; 3] = [Scenario::Bootstrap, Scenario::Change, Scenario::Reset];

/// Everything schedules begin with, each made when the first schedule needs it.
pub(crate) struct Beginnings(Vec<OnceLock<Prepared>>);

impl Beginnings {
    fn new() -> Self {
        let all = SIZES.iter().flat_map(|_| SCENARIOS);
        Self(all.map(|_| OnceLock::new()).collect())
    }

    fn choose(&self, fixture: &Fixture, dice: &mut Dice) -> &Prepared {
        let mut share = dice.below(SIZES.iter().map(|(_, share)| share).sum());
        let mut size = 0;
        while share >= SIZES[size].1 {
            share -= SIZES[size].1;
            size += 1;
        }
        let scenario = dice.below(SCENARIOS.len());
        let ((control_planes, workers), _) = SIZES[size];
        self.0[size * SCENARIOS.len() + scenario]
            .get_or_init(|| Prepared::new(fixture, SCENARIOS[scenario], control_planes, workers))
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
    let prepared = beginnings.choose(fixture, &mut dice);
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
            let loss = [Loss::Nothing, Loss::Unsynced, Loss::Contents][dice.below(3)];
            world.reboot(&mut state, node, loss);
            story.push(format!("{node} rebooted, {loss:?} lost"));
            fired += 1;
        }
        world.state().api_silences = 0;
    }
    let mut wrong = prepared.finish(fixture, &world, 1, false);
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
    let beginnings = Beginnings::new();
    let met = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    crew::each(count, |number| {
        let seed = first + number as u64;
        let (fired, wrong) = schedule(fixture, &beginnings, seed);
        met.fetch_add(fired, Ordering::SeqCst);
        if !wrong.is_empty() {
            let text = format!("seed {seed}:\n    {}", wrong.join("\n    "));
            failures.lock().unwrap().push(text);
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
