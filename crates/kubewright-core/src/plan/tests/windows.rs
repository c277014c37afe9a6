//! Nodes on which something restarts are changed in windows, and what restarts nothing is not.

use super::*;

/// A cluster of three control planes and twenty workers, whose kubelets are to be restarted.
fn restarting(rollout: &str) -> (Cluster, BTreeMap<String, NodeState>, Observed) {
    let names: Vec<String> = (1..=3)
        .map(|number| format!("cp-{number}"))
        .chain((1..=20).map(|number| format!("w-{number}")))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut cluster = cluster(&names);
    if let Some((canary, most)) = rollout.split_once(' ') {
        cluster.rollout.canary = canary.parse().unwrap();
        cluster.rollout.max_unavailable = most.parse().unwrap();
    }
    let mut states = states(&cluster);
    let mut observed = converged(&cluster);
    for node in names {
        let unit = Resource::Unit(crate::resource::Unit {
            name: "kubelet.service".to_owned(),
            content: "[Service]\nRestart=always\n".to_owned(),
            start: crate::resource::Start::Wait,
            inputs: Vec::new(),
        });
        states.get_mut(node).unwrap().extend(Stage::Node, [unit]);
        observed
            .nodes
            .get_mut(node)
            .unwrap()
            .differences
            .push(Difference {
                resource: ResourceId::new("unit", "kubelet.service"),
                change: Change::Unit {
                    before: Some("[Service]\n".to_owned()),
                    enable: false,
                    action: UnitAction::Restart,
                    reason: "its file differs".to_owned(),
                    found: Vec::new(),
                },
            });
    }
    (cluster, states, observed)
}

/// How many kubelets are restarted in each window.
fn sizes(plan: &Plan) -> Vec<usize> {
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for planned in &plan.steps {
        if matches!(planned.step, Step::Converge { .. }) {
            *sizes.entry(planned.window.unwrap()).or_default() += 1;
        }
    }
    sizes.into_values().collect()
}

#[test]
fn one_node_goes_first_and_a_tenth_at_a_time_after_it() {
    let (cluster, states, observed) = restarting("");
    let plan = plan_apply(&cluster, &states, &[], &observed).unwrap();
    assert_eq!(sizes(&plan), [vec![1], vec![2; 11]].concat());
    let first = plan
        .steps
        .iter()
        .find(|planned| planned.window == Some(0))
        .unwrap();
    assert_eq!(first.step.node(), Some("w-1"), "workers come first");
    let text = text::render(&plan, &states, &BTreeMap::new());
    assert!(
        text.contains("  after: rolling, 1 node first, then 2 nodes at a time\n"),
        "{text}"
    );
}

#[test]
fn windows_are_as_wide_as_cluster_yaml_says() {
    let (cluster, states, observed) = restarting("0 50%");
    let plan = plan_apply(&cluster, &states, &[], &observed).unwrap();
    assert_eq!(sizes(&plan), [11, 11, 1]);
    let (cluster, states, observed) = restarting("3 7");
    let plan = plan_apply(&cluster, &states, &[], &observed).unwrap();
    assert_eq!(sizes(&plan), [3, 7, 7, 6]);
}

#[test]
fn a_window_begins_when_every_node_of_the_one_before_is_ready() {
    let (cluster, states, observed) = restarting("");
    let plan = plan_apply(&cluster, &states, &[], &observed).unwrap();
    let ancestors = ancestors(&plan);
    for planned in &plan.steps {
        let (Some(window), Step::Converge { .. }) = (planned.window, &planned.step) else {
            continue;
        };
        for gate in plan.steps.iter().filter(|gate| {
            gate.id.kind == StepKind::NodeReady && gate.window.is_some_and(|before| before < window)
        }) {
            assert!(
                ancestors[&planned.id].contains(&gate.id),
                "{} before {}",
                planned.id,
                gate.id
            );
        }
    }
    // Windows are turns: any node can be chosen alone.
    let part = restrict(&plan, &["w-7".to_owned()].into()).unwrap();
    assert_eq!(part.steps[0].id.to_string(), "w-7/node");
}

#[test]
fn a_change_that_restarts_nothing_and_a_bootstrap_are_made_everywhere_at_once() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    for node in NODES {
        differs(&mut observed, node, Stage::Node);
    }
    for observed in [observed, blank(&cluster)] {
        let plan = plan_of(&cluster, &observed).unwrap();
        assert!(plan.steps.iter().all(|planned| planned.window.is_none()));
    }
}
