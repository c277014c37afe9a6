//! The simulated cluster: whole operations of the real planner, executor, authority, connection and agent, on machines
//! that are directories, and a fault at every step of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod absent;
mod agent;
mod api;
mod crew;
mod disk;
mod edits;
mod end;
mod etcd;
mod exhaustive;
mod fault;
mod fixture;
mod fork;
mod independent;
mod machine;
mod members;
mod membership;
mod pipe;
mod programs;
mod random;
mod rollout;
mod run;
mod scenario;
mod size;
mod systemd;
mod unit_file;
mod waits;
mod way_back;
mod world;

use std::collections::BTreeMap;
use std::process::ExitCode;

use exhaustive::Extent;
use fixture::Fixture;
use scenario::Scenario;

/// How many schedules `all` and `full` run unless the environment says another number.
const SCHEDULES: usize = 10_000;
const SCHEDULES_VARIABLE: &str = "KUBEWRIGHT_SCHEDULES";

/// What `quick` tries: every so many-th point of operations on so many control planes and a worker. No divisor of the
/// number of faults, so that every fault has its turn.
const QUICK: [(Scenario, usize, usize); 5] = [
    (Scenario::Bootstrap, 1, 205),
    (Scenario::Nothing, 1, 1),
    (Scenario::Change, 3, 31),
    (Scenario::Join, 1, 997),
    (Scenario::Reset, 1, 89),
];

/// `quick` tries every so many-th independent failure; no divisor of the number of ways to fail.
const SOME_INDEPENDENT: usize = 83;
/// `quick` changes cluster.yaml at every so many-th point of a bootstrap.
const SOME_EDITS: usize = 211;

/// Which share of its points a scenario tries: every so many-th. No divisor of the number of ways to fail.
#[derive(Clone, Copy)]
struct Shares {
    bootstrap_of_three: usize,
    reset_of_three: usize,
    join: usize,
    independent: usize,
    edits: usize,
}

/// What `all` tries, so that it can be run before every push.
const SOME: Shares = Shares {
    bootstrap_of_three: 23,
    reset_of_three: 5,
    join: 61,
    independent: 19,
    edits: 53,
};

/// What `full` tries.
const EVERY: Shares = Shares {
    bootstrap_of_three: 1,
    reset_of_three: 1,
    join: 1,
    independent: 1,
    edits: 1,
};

const USAGE: &str = "\
usage: cargo test -p kubewright-control --test simulation -- [quick | all | full | points SCENARIO CONTROL_PLANES WORKERS EVERY
           | absent | membership | independent EVERY | rollout | waits | way-back | edits EVERY | seed NUMBER [COUNT]
           | size NODES...]
  quick   some fault points and schedules of everything (this is what plain `cargo test` does)
  all     every fault point, but only some of a bootstrap and a reset of three control planes, and as many schedules
          as KUBEWRIGHT_SCHEDULES says, or 10,000
  full    the same with every fault point
  points  every so many-th fault point of one operation: bootstrap, no-change, change, join or reset
  absent  cluster.yaml changes while a control plane has no power
  membership  what the plan makes of etcd's members
  independent  every so many-th failure of a control plane while another has its turn
  rollout  a mistake in an argument of 23 kubelets
  waits   a node that does not become Ready, a busy one
  way-back  a mistake in an argument of each component
  edits   cluster.yaml changes after every so many-th fault point of a bootstrap
  seed    the schedule of one seed, or of so many seeds from one on
  size    measures an apply without changes on so many nodes";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with('-'))
        .collect();
    if let [size::CONTROLLER, connections, nodes] = words.as_slice() {
        size::control(connections, nodes);
        return ExitCode::SUCCESS;
    }
    let fixture = Fixture::new();
    let failures = match words.as_slice() {
        [] | ["quick"] => quick(&fixture),
        ["all"] => all(&fixture, SOME),
        ["full"] => all(&fixture, EVERY),
        ["edits", every] => edits::run_all(&fixture, every.parse().expect(USAGE)),
        ["points", scenario, control_planes, workers, every] => {
            let scenario = Scenario::ALL.into_iter().find(|known| known.name() == *scenario);
            let extent = Extent {
                control_planes: control_planes.parse().expect(USAGE),
                workers: workers.parse().expect(USAGE),
                every: every.parse().expect(USAGE),
            };
            exhaustive::run(&fixture, scenario.expect(USAGE), &extent)
        }
        ["absent"] => absent::run_all(&fixture),
        ["membership"] => membership::run_all(&fixture),
        ["rollout"] => rollout::run_all(&fixture),
        ["waits"] => waits::run_all(&fixture),
        ["way-back"] => way_back::run_all(&fixture),
        ["independent", every] => independent::run(&fixture, every.parse().expect(USAGE)),
        ["seed", seed] => random::run(&fixture, seed.parse().expect(USAGE), 1),
        ["seed", first, count] => {
            let count = count.parse().expect(USAGE);
            random::run(&fixture, first.parse().expect(USAGE), count)
        }
        ["size", sizes @ ..] => sizes
            .iter()
            .flat_map(|nodes| size::measure(&fixture, nodes.parse().expect(USAGE)))
            .collect(),
        // A filter selects tests of another name.
        [_] => return ExitCode::SUCCESS,
        _ => panic!("{USAGE}"),
    };
    report(&failures);
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Ends with the first part that fails: in a broken product, waits that never come true make the others long.
fn quick(fixture: &Fixture) -> Vec<String> {
    for (scenario, control_planes, every) in QUICK {
        let extent = Extent {
            control_planes,
            workers: 1,
            every,
        };
        let failures = exhaustive::run(fixture, scenario, &extent);
        if !failures.is_empty() {
            return failures;
        }
    }
    let failures = absent::run_all(fixture);
    if !failures.is_empty() {
        return failures;
    }
    let failures = membership::run_all(fixture);
    if !failures.is_empty() {
        return failures;
    }
    let failures = independent::run(fixture, SOME_INDEPENDENT);
    if !failures.is_empty() {
        return failures;
    }
    let failures = rollout::run_all(fixture);
    if !failures.is_empty() {
        return failures;
    }
    let failures = waits::run_all(fixture);
    if !failures.is_empty() {
        return failures;
    }
    let failures = way_back::run_all(fixture);
    if !failures.is_empty() {
        return failures;
    }
    let failures = edits::run_all(fixture, SOME_EDITS);
    if !failures.is_empty() {
        return failures;
    }
    random::run(fixture, 1, 12)
}

/// Control planes do the same as each other, and workers as well: in a bootstrap of one of each every effect there is has
/// its turn. What members are to each other shows where there are three of them; of their bootstrap and reset every so
/// many-th point is enough for every day.
fn all(fixture: &Fixture, shares: Shares) -> Vec<String> {
    let mut failures = Vec::new();
    for (scenario, control_planes, every) in [
        (Scenario::Bootstrap, 1, 1),
        (Scenario::Bootstrap, 3, shares.bootstrap_of_three),
        (Scenario::Nothing, 3, 1),
        (Scenario::Change, 3, 1),
        (Scenario::Join, 1, shares.join),
        (Scenario::Reset, 1, 1),
        (Scenario::Reset, 3, shares.reset_of_three),
    ] {
        let extent = Extent {
            control_planes,
            workers: 1,
            every,
        };
        failures.extend(exhaustive::run(fixture, scenario, &extent));
    }
    failures.extend(absent::run_all(fixture));
    failures.extend(membership::run_all(fixture));
    failures.extend(independent::run(fixture, shares.independent));
    failures.extend(rollout::run_all(fixture));
    failures.extend(waits::run_all(fixture));
    failures.extend(way_back::run_all(fixture));
    failures.extend(edits::run_all(fixture, shares.edits));
    let count = std::env::var(SCHEDULES_VARIABLE)
        .ok()
        .and_then(|text| text.parse().ok());
    failures.extend(random::run(fixture, 1, count.unwrap_or(SCHEDULES)));
    failures
}

/// Tells of failures, one of each sort.
fn report(failures: &[String]) {
    let mut sorts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for failure in failures {
        let reason = failure.lines().nth(1).unwrap_or_default();
        let sort: String = reason
            .chars()
            .filter(|letter| !letter.is_ascii_digit())
            .take(120)
            .collect();
        sorts.entry(sort).or_default().push(failure);
    }
    for (sort, failures) in sorts {
        println!("\n{} times: {}", failures.len(), sort.trim());
        for line in failures[0].lines().take(60) {
            println!("{}", line.chars().take(400).collect::<String>());
        }
        for other in failures.iter().skip(1).take(12) {
            println!("also: {}", other.lines().next().unwrap_or_default());
        }
    }
}
