//! The operations that are interrupted: where each begins, what is asked, and how a world is when it has succeeded.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubewright_core::spec::Cluster;

use super::end;
use super::fault::Fault;
use super::fixture::Fixture;
use super::run::{Ended, Operation, run};
use super::world::World;

/// An argument of the API servers, as a user adds it to cluster.yaml.
const CHANGED: &str = "  components: { kube-apiserver: { extraArgs: { event-ttl: 2h } } }\n";

/// The same, and one of etcd.
const CHANGED_BOTH: &str = "  components: { etcd: { extraArgs: { snapshot-count: \"5000\" } }, kube-apiserver: { extraArgs: { event-ttl: 2h } } }\n";

/// An operation, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// A cluster on blank machines.
    Bootstrap,
    /// A cluster that is as cluster.yaml says.
    Nothing,
    /// One argument of the API servers changed in cluster.yaml.
    Change,
    /// One argument of etcd and one of the API servers changed in cluster.yaml.
    ChangeOfBoth,
    /// Two more control planes and one more worker in cluster.yaml.
    Join,
    /// A cluster is taken down.
    Reset,
}

impl Scenario {
    /// Those that are interrupted at every effect.
    pub(crate) const ALL: [Self; 5] = [
        Self::Bootstrap,
        Self::Nothing,
        Self::Change,
        Self::Join,
        Self::Reset,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Nothing => "no-change",
            Self::Change => "change",
            Self::ChangeOfBoth => "change-of-both",
            Self::Join => "join",
            Self::Reset => "reset",
        }
    }

    fn operation(self) -> Operation {
        match self {
            Self::Reset => Operation::Reset,
            _ => Operation::Apply,
        }
    }
}

/// A scenario on a cluster of a size, with the world it leads to when nothing goes wrong.
pub(crate) struct Prepared {
    pub(crate) scenario: Scenario,
    cluster: Cluster,
    /// Where it begins.
    origin: Arc<World>,
    /// Where it ends.
    goal: BTreeMap<String, String>,
    /// The effects on the way, by actor.
    pub(crate) effects: BTreeMap<String, Vec<String>>,
}

impl Prepared {
    /// Goes there once without a fault.
    pub(crate) fn new(fixture: &Fixture, scenario: Scenario, control_planes: usize, workers: usize) -> Self {
        let plain = fixture.cluster(control_planes, workers, "");
        let larger = fixture.cluster(control_planes + 2, workers + 1, "");
        let origin = World::new(if scenario == Scenario::Join {
            larger.clone()
        } else {
            plain.clone()
        });
        if scenario != Scenario::Bootstrap {
            let built = run(fixture, &origin, &plain, Operation::Apply, Vec::new());
            assert!(built.is_complete(), "{:#?}", built.errors);
        }
        let cluster = match scenario {
            Scenario::ChangeOfBoth => fixture.cluster(control_planes, workers, CHANGED_BOTH),
            Scenario::Change => fixture.cluster(control_planes, workers, CHANGED),
            Scenario::Join => larger,
            _ => plain,
        };
        Self::from(fixture, scenario, cluster, origin)
    }

    /// The same in a world of one's own.
    pub(crate) fn from(fixture: &Fixture, scenario: Scenario, cluster: Cluster, origin: Arc<World>) -> Self {
        let world = origin.fork();
        let ended = run(fixture, &world, &cluster, scenario.operation(), Vec::new());
        assert!(ended.is_complete(), "{:#?}", ended.errors);
        let prepared = Self {
            scenario,
            cluster,
            origin,
            goal: end::look(&world.state()),
            effects: ended.effects,
        };
        let wrong = prepared.finish(fixture, &world, 0, false);
        assert!(wrong.is_empty(), "without a fault: {wrong:#?}");
        prepared
    }

    /// Goes there with faults, again without, and once more: what is wrong with that.
    pub(crate) fn attempt(&self, fixture: &Fixture, faults: Vec<Fault>) -> Attempt {
        let world = self.origin.fork();
        let interrupted = run(fixture, &world, &self.cluster, self.scenario.operation(), faults);
        let mut wrong = self.finish(fixture, &world, 1, interrupted.is_complete());
        if !wrong.is_empty() {
            wrong.push(format!("the interrupted run said {:#?}", interrupted.errors));
        }
        Attempt { interrupted, wrong }
    }

    /// How many nodes of which kind.
    pub(crate) fn size(&self) -> String {
        let control_planes = self.cluster.control_planes().count();
        let workers = self.cluster.nodes.len() - control_planes;
        format!("{control_planes} control planes and {workers} workers")
    }

    /// A blank or built world of its own, to interrupt it more than once.
    pub(crate) fn world(&self) -> Arc<World> {
        self.origin.fork()
    }

    /// One run with faults in a world.
    pub(crate) fn interrupt(&self, fixture: &Fixture, world: &Arc<World>, faults: Vec<Fault>) -> Ended {
        run(fixture, world, &self.cluster, self.scenario.operation(), faults)
    }

    /// Runs without faults until there is nothing to do; at most `runs` may have something to do, and none when the run
    /// before them said that it succeeded.
    pub(crate) fn finish(
        &self,
        fixture: &Fixture,
        world: &Arc<World>,
        runs: usize,
        is_done: bool,
    ) -> Vec<String> {
        let operation = self.scenario.operation();
        let mut wrong = Vec::new();
        for _ in 0..runs {
            let again = run(fixture, world, &self.cluster, operation, Vec::new());
            if is_done && operation == Operation::Apply && again.planned != Some(0) {
                wrong.push(format!(
                    "the interrupted run said that it succeeded, and left this to do: {:#?}",
                    again.steps
                ));
            }
            if !again.is_complete() {
                wrong.push(format!(
                    "the run after it did not succeed (killed {}): {:#?}",
                    again.was_killed, again.errors
                ));
            }
        }
        let last = run(fixture, world, &self.cluster, operation, Vec::new());
        if !last.is_complete() {
            wrong.push(format!("the last run did not succeed: {:#?}", last.errors));
        }
        if operation == Operation::Apply && last.planned != Some(0) {
            wrong.push(format!("the last run was to find nothing: {:#?}", last.steps));
        }
        let effects: Vec<_> = last.effects.iter().filter(|(_, done)| !done.is_empty()).collect();
        if !effects.is_empty() && runs > 0 {
            wrong.push(format!("the last run was to write nothing: {effects:?}"));
        }
        let state = world.state();
        wrong.extend(state.violations.iter().cloned());
        let found = end::look(&state);
        wrong.extend(end::judge(&state, &found));
        let mut differences = end::differences(&self.goal, &found);
        if operation == Operation::Reset {
            // Kernel settings are forgotten by a reboot, and left as it is without one.
            differences.retain(|line| !line.contains(" sysctl "));
        }
        wrong.extend(differences);
        wrong
    }
}

/// What came of an attempt.
pub(crate) struct Attempt {
    pub(crate) interrupted: Ended,
    pub(crate) wrong: Vec<String>,
}
