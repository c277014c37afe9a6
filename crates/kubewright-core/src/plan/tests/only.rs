//! Part of a plan: what was not chosen is not done, what is needed is not left out in silence.

use super::*;

fn only(plan: &Plan, nodes: &[&str]) -> Result<Plan, Refusal> {
    restrict(plan, &nodes.iter().map(|node| (*node).to_owned()).collect())
}

fn ids(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|planned| planned.id.to_string()).collect()
}

#[test]
fn control_planes_that_only_take_turns_can_be_chosen_alone() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    for node in ["cp-1", "cp-2", "cp-3"] {
        differs(&mut observed, node, Stage::ControlPlane);
    }
    let plan = plan_of(&cluster, &observed).unwrap();
    let part = only(&plan, &["cp-2"]).unwrap();
    assert_eq!(ids(&part), ["cp-2/control-plane", "cp-2/api-ready"]);
    assert!(part.steps[0].after.is_empty() && part.steps[0].in_turn.is_empty());
    let both = only(&plan, &["cp-3", "cp-1"]).unwrap();
    assert_eq!(
        ancestors(&both)[&"cp-3/control-plane".parse::<StepId>().unwrap()].len(),
        2,
        "turns are kept across the one that is left out"
    );
}

#[test]
fn a_worker_of_a_cluster_that_does_not_exist_cannot_be_chosen_alone() {
    let cluster = cluster(&NODES);
    let plan = plan_of(&cluster, &blank(&cluster)).unwrap();
    let refusal = only(&plan, &["w-1"]).unwrap_err();
    assert_eq!(refusal.rule(), "left-out-step");
    assert_eq!(
        refusal.to_string(),
        "cluster/objects depends on cp-1/api-ready, which is not selected"
    );
    assert!(only(&plan, &["cp-1"]).is_err(), "etcd needs its members");
    only(&plan, &["cp-1", "cp-2", "cp-3", "w-2"]).unwrap();
}

#[test]
fn cluster_steps_come_along_for_the_chosen_nodes_only() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    differs(&mut observed, "w-1", Stage::Node);
    differs(&mut observed, "w-2", Stage::Node);
    let api = observed.api.as_mut().unwrap();
    api.nodes_to_register = vec!["w-1".to_owned(), "w-2".to_owned()];
    let plan = plan_of(&cluster, &observed).unwrap();
    let part = only(&plan, &["w-2"]).unwrap();
    assert_eq!(ids(&part), ["cluster/nodes", "w-2/node", "cluster/nodes-ready"]);
    let named = |planned: &PlannedStep| match &planned.step {
        Step::RegisterNodes { nodes, .. }
        | Step::Wait {
            condition: Condition::NodesReady { nodes },
            ..
        } => nodes.clone(),
        _ => Vec::new(),
    };
    assert_eq!(named(&part.steps[0]), ["w-2"]);
    assert_eq!(named(&part.steps[2]), ["w-2"]);
}

#[test]
fn objects_are_left_out_where_no_chosen_node_needs_them() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    differs(&mut observed, "w-1", Stage::Host);
    let api = observed.api.as_mut().unwrap();
    api.objects
        .insert("Deployment kube-system/coredns".to_owned(), None);
    let plan = plan_of(&cluster, &observed).unwrap();
    assert_eq!(ids(&only(&plan, &["w-1"]).unwrap()), ["w-1/host"]);
    assert_eq!(ids(&only(&plan, &["cp-1"]).unwrap()), Vec::<&str>::new());
}

proptest! {
    /// Whatever is chosen: nothing happens on other nodes, the order is that of the whole plan, and all nodes together
    /// are the whole plan.
    #[test]
    fn a_part_is_a_part(
        chosen in proptest::collection::btree_set(0usize..5, 0..5),
        touched in proptest::collection::btree_set((0usize..5, 0usize..5), 0..12),
        is_blank in any::<bool>(),
    ) {
        let cluster = cluster(&NODES);
        let observed = if is_blank { blank(&cluster) } else {
            let mut observed = converged(&cluster);
            for (node, stage) in touched {
                if node < 3 || !matches!(Stage::ALL[stage], Stage::Etcd | Stage::ControlPlane) {
                    differs(&mut observed, NODES[node], Stage::ALL[stage]);
                }
            }
            observed
        };
        let plan = plan_of(&cluster, &observed).unwrap();
        prop_assert_eq!(&only(&plan, &NODES).unwrap(), &plan);
        let names: Vec<&str> = chosen.iter().map(|index| NODES[*index]).collect();
        if let Ok(part) = only(&plan, &names) {
            for planned in &part.steps {
                prop_assert!(planned.step.node().is_none_or(|node| names.contains(&node)));
            }
            let whole = ancestors(&plan);
            let kept: BTreeSet<StepId> = part.steps.iter().map(|planned| planned.id.clone()).collect();
            for (id, own) in ancestors(&part) {
                prop_assert_eq!(own, whole[&id].intersection(&kept).cloned().collect::<BTreeSet<_>>());
            }
        }
    }
}
