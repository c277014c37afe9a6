//! What a node sends back, through the planner, the check and everything that is shown of it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use kubewright_core::check::{Clock, Measured, Report, findings};
use kubewright_core::observed::{Observed, ObservedNode};
use kubewright_core::plan::{plan_apply, text};
use kubewright_core::resource::NodeState;
use kubewright_core::spec::{Cluster, parse};
use kubewright_core::wire::{NodeError, Reply};
use kubewright_core::{catalogue, offline};

use crate::shown::{assert_harmless, assert_one_harmless_line};

/// Bytes of text for people an answer of the fuzzer's size may become.
const TEXT_BYTES: usize = 4 << 20;
/// Bytes of text one error may be.
const ERROR_BYTES: usize = 64 << 10;

/// The input is lines of JSON: each everything observed, a reply, or an error.
pub(crate) fn run(input: &[u8]) {
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(observed) = serde_json::from_slice::<Observed>(line) {
            judge(&observed);
            plan(&observed);
        }
        if let Ok(reply) = serde_json::from_slice::<Result<Reply, NodeError>>(line) {
            match reply {
                Ok(Reply::Facts { facts }) => {
                    let observed = on_every_node(&ObservedNode {
                        facts: *facts,
                        ..ObservedNode::default()
                    });
                    judge(&observed);
                    plan(&observed);
                }
                Ok(Reply::Inspected { differences, .. }) => plan(&on_every_node(&ObservedNode {
                    differences,
                    ..ObservedNode::default()
                })),
                Ok(_) => {}
                Err(error) => assert_one_harmless_line(&error.to_string(), ERROR_BYTES),
            }
        }
    }
}

struct World {
    cluster: Cluster,
    states: BTreeMap<String, NodeState>,
    objects: Vec<String>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let file = include_str!("../../../examples/three-plus-two.yaml");
    let cluster = parse(file, "cluster.yaml").expect("the example is right").spec;
    let release = catalogue::release(&cluster.kubernetes).expect("the example's version is known");
    let blank = offline::blank(&cluster, &release, Vec::new()).expect("the example can be rendered");
    World {
        cluster,
        objects: blank.desired.object_names(),
        states: blank.desired.states,
    }
});

fn on_every_node(seen: &ObservedNode) -> Observed {
    let names = WORLD.cluster.nodes.iter().map(|node| node.name.to_string());
    Observed {
        nodes: names.map(|name| (name, seen.clone())).collect(),
        ..Observed::default()
    }
}

fn judge(observed: &Observed) {
    let mut measured = Measured::default();
    for (name, node) in &observed.nodes {
        let clock = Clock::from_round_trip(0, node.facts.clock_ms, 10);
        measured.clocks.insert(name.clone(), clock);
    }
    let found = findings(&WORLD.cluster, observed, &measured);
    for finding in &found {
        assert_one_harmless_line(&finding.message, ERROR_BYTES);
        assert_one_harmless_line(&finding.fix, ERROR_BYTES);
    }
    assert_harmless(
        &Report::new(&WORLD.cluster, 0, &measured, found).text(),
        TEXT_BYTES,
    );
}

fn plan(observed: &Observed) {
    match plan_apply(&WORLD.cluster, &WORLD.states, &WORLD.objects, observed) {
        Ok(plan) => {
            let objects = observed
                .api
                .as_ref()
                .map(|api| api.objects.clone())
                .unwrap_or_default();
            assert_harmless(&text::render(&plan, &WORLD.states, &objects), TEXT_BYTES);
        }
        Err(refusal) => {
            assert_one_harmless_line(&refusal.to_string(), ERROR_BYTES);
            assert_one_harmless_line(&refusal.hint(), ERROR_BYTES);
        }
    }
}
