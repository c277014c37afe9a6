//! Control planes join an etcd that serves: one after the other, while all members are well.

use super::*;
use crate::observed::peer_url;

const FIVE: [&str; 6] = ["cp-1", "cp-2", "cp-3", "cp-4", "cp-5", "w-1"];

/// Three control planes serve; cp-4 and cp-5 are blank machines.
fn three_of_five() -> (Cluster, Observed) {
    let cluster = cluster(&FIVE);
    let mut observed = converged(&cluster);
    let members = cluster
        .control_planes()
        .take(3)
        .zip(1..)
        .map(|(node, id)| EtcdMember {
            id,
            name: node.name.to_string(),
            peer_urls: vec![peer_url(node.address)],
            is_learner: false,
        });
    observed.etcd = Some(ObservedEtcd {
        members: Some(members.collect()),
        ..ObservedEtcd::default()
    });
    for name in ["cp-4", "cp-5"] {
        for stage in Stage::ALL {
            differs(&mut observed, name, stage);
        }
        let facts = &mut observed.nodes.get_mut(name).unwrap().facts;
        (facts.etcd, facts.api_server) = (Some(Health::Down), Some(Health::Down));
        (facts.has_etcd_data, facts.is_bootstrapped) = (false, false);
    }
    (cluster, observed)
}

fn listed(observed: &mut Observed) -> &mut Vec<EtcdMember> {
    observed.etcd.as_mut().unwrap().members.as_mut().unwrap()
}

#[test]
fn one_votes_and_serves_before_the_next_is_taken_in() {
    let (cluster, observed) = three_of_five();
    let plan = plan_of(&cluster, &observed).unwrap();
    let before = ancestors(&plan);
    let order = [
        StepId::on("cp-4", StepKind::AddMember),
        StepId::converge("cp-4", Stage::Etcd),
        StepId::on("cp-4", StepKind::PromoteMember),
        StepId::converge("cp-4", Stage::ControlPlane),
        StepId::api_ready("cp-4"),
        StepId::on("cp-5", StepKind::AddMember),
        StepId::converge("cp-5", Stage::Etcd),
        StepId::on("cp-5", StepKind::PromoteMember),
        StepId::converge("cp-5", Stage::ControlPlane),
        StepId::api_ready("cp-5"),
    ];
    for pair in order.windows(2) {
        assert!(
            before[&pair[1]].contains(&pair[0]),
            "{} before {}",
            pair[0],
            pair[1]
        );
    }
    let marked = &before[&StepId::on("cp-5", StepKind::MarkBootstrapped)];
    assert!(marked.contains(&StepId::api_ready("cp-5")));
}

#[test]
fn it_is_taken_in_and_promoted_only_while_all_members_are_healthy() {
    let (cluster, observed) = three_of_five();
    let plan = plan_of(&cluster, &observed).unwrap();
    let guard_of = |node: &str, kind: StepKind| {
        let id = StepId::on(node, kind);
        let planned = plan.steps.iter().find(|planned| planned.id == id);
        planned.unwrap().guard.clone()
    };
    let healthy = |nodes: &[&str]| {
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        vec![Guard::ControlPlanesHealthy { nodes }]
    };
    for kind in [StepKind::AddMember, StepKind::PromoteMember] {
        assert_eq!(guard_of("cp-4", kind), healthy(&["cp-1", "cp-2", "cp-3"]));
        assert_eq!(guard_of("cp-5", kind), healthy(&["cp-1", "cp-2", "cp-3", "cp-4"]));
    }
}

#[test]
fn a_join_that_was_interrupted_goes_on_where_it_was() {
    let (cluster, mut observed) = three_of_five();
    let node = cluster.node("cp-4").unwrap();
    let learner = EtcdMember {
        id: 4,
        name: String::new(),
        peer_urls: vec![peer_url(node.address)],
        is_learner: true,
    };
    listed(&mut observed).push(learner);
    let has = |observed: &Observed, kind: StepKind| {
        let plan = plan_of(&cluster, observed).unwrap();
        plan.steps
            .iter()
            .any(|planned| planned.id == StepId::on("cp-4", kind))
    };
    assert!(!has(&observed, StepKind::AddMember) && has(&observed, StepKind::PromoteMember));
    listed(&mut observed)[3].name = "cp-4".to_owned();
    observed.nodes.get_mut("cp-4").unwrap().facts.has_etcd_data = true;
    assert!(!has(&observed, StepKind::AddMember) && has(&observed, StepKind::PromoteMember));
    listed(&mut observed)[3].is_learner = false;
    assert!(!has(&observed, StepKind::AddMember) && !has(&observed, StepKind::PromoteMember));
}

#[test]
fn it_waits_for_a_member_that_is_down_and_the_rest_is_done() {
    let (cluster, mut observed) = three_of_five();
    let facts = &mut observed.nodes.get_mut("cp-2").unwrap().facts;
    (facts.etcd, facts.api_server) = (Some(Health::Down), Some(Health::Down));
    differs(&mut observed, "w-1", Stage::Node);
    let plan = plan_of(&cluster, &observed).unwrap();
    let told = deferred_text(&plan.deferred);
    assert_eq!(
        told,
        "cp-4, cp-5: joining etcd, 5 changes each, waits for cp-2 to be healthy\n"
    );
    let touched = |name: &str| plan.steps.iter().any(|planned| planned.step.node() == Some(name));
    assert!(touched("w-1") && !touched("cp-4") && !touched("cp-5"));
}

#[test]
fn it_waits_for_one_that_this_plan_repairs() {
    let (cluster, mut observed) = three_of_five();
    let facts = &mut observed.nodes.get_mut("cp-2").unwrap().facts;
    (facts.etcd, facts.api_server) = (Some(Health::Down), Some(Health::Down));
    differs(&mut observed, "cp-2", Stage::Etcd);
    let plan = plan_of(&cluster, &observed).unwrap();
    let before = &ancestors(&plan)[&StepId::on("cp-4", StepKind::AddMember)];
    assert!(before.contains(&StepId::etcd_ready("cp-2")), "{before:?}");
}

#[test]
fn nobody_joins_while_a_member_that_nobody_knows_votes() {
    let (cluster, mut observed) = three_of_five();
    listed(&mut observed).push(EtcdMember {
        id: 9,
        name: "db-9".to_owned(),
        peer_urls: vec!["https://192.0.2.99:2380".to_owned()],
        is_learner: false,
    });
    let refusal = plan_of(&cluster, &observed).unwrap_err();
    assert_eq!(refusal.rule(), "quorum");
    assert!(refusal.to_string().contains("db-9"), "{refusal}");
}

#[test]
fn one_that_was_a_member_and_has_no_data_does_not_join() {
    let (cluster, mut observed) = three_of_five();
    let node = cluster.node("cp-4").unwrap();
    listed(&mut observed).push(EtcdMember {
        id: 4,
        name: "cp-4".to_owned(),
        peer_urls: vec![peer_url(node.address)],
        is_learner: false,
    });
    let refusal = plan_of(&cluster, &observed).unwrap_err();
    assert_eq!(refusal.rule(), "remove-before-add");
}
