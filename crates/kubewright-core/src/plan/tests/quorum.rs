//! No plan disturbs a control plane while another one is not well, unless it mends that one first.

use super::*;

const CONTROL_PLANES: [&str; 3] = ["cp-1", "cp-2", "cp-3"];

fn restart(observed: &mut Observed, node: &str, stage: Stage) {
    let unit = if stage == Stage::Etcd {
        "etcd.service"
    } else {
        "kube-apiserver.service"
    };
    let change = Change::Unit {
        before: None,
        enable: false,
        action: UnitAction::Restart,
        reason: "its file differs".to_owned(),
        found: Vec::new(),
    };
    let difference = Difference {
        resource: ResourceId::new("unit", unit),
        change,
    };
    observed.nodes.get_mut(node).unwrap().differences.push(difference);
}

fn states_with_units(cluster: &Cluster) -> BTreeMap<String, NodeState> {
    let unit = |name: &str| {
        Resource::Unit(crate::resource::Unit {
            name: name.to_owned(),
            content: String::new(),
            start: crate::resource::Start::Wait,
            inputs: Vec::new(),
        })
    };
    let mut states = states(cluster);
    for name in CONTROL_PLANES {
        let state = states.get_mut(name).unwrap();
        state.extend(Stage::Etcd, [unit("etcd.service")]);
        state.extend(Stage::ControlPlane, [unit("kube-apiserver.service")]);
    }
    states
}

fn plan(cluster: &Cluster, observed: &Observed) -> Result<Plan, Refusal> {
    plan_apply(cluster, &states_with_units(cluster), &[], observed)
}

fn is(observed: &mut Observed, node: &str, etcd: Option<Health>, api_server: Option<Health>) {
    let facts = &mut observed.nodes.get_mut(node).unwrap().facts;
    (facts.etcd, facts.api_server) = (etcd, api_server);
}

#[test]
fn refuses_to_restart_one_while_another_is_down_and_says_which() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    restart(&mut observed, "cp-1", Stage::ControlPlane);
    is(&mut observed, "cp-3", Some(Health::Ready), Some(Health::Down));
    for api in [observed.api.clone(), None] {
        observed.api = api;
        let refusal = plan(&cluster, &observed).unwrap_err();
        assert_eq!(refusal.rule(), "quorum");
        assert_eq!(
            refusal.to_string(),
            "control plane cp-1 cannot be changed while cp-3 is not well: its API server is not ready"
        );
    }
    is(&mut observed, "cp-3", None, None);
    let text = plan(&cluster, &observed).unwrap_err().to_string();
    assert!(text.contains("nobody knows how its etcd member is"), "{text}");
}

#[test]
fn waits_for_one_that_is_just_starting_instead() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    restart(&mut observed, "cp-1", Stage::ControlPlane);
    is(&mut observed, "cp-2", Some(Health::Ready), Some(Health::Starting));
    let plan = plan(&cluster, &observed).unwrap();
    let before = &ancestors(&plan)[&StepId("cp-1/control-plane".to_owned())];
    assert!(before.contains(&StepId("cp-2/api-ready".to_owned())));
    let nodes = std::iter::once("cp-1".to_owned()).collect();
    let part = restrict(&plan, &nodes).unwrap();
    assert!(
        ancestors(&part)[&StepId("cp-1/control-plane".to_owned())]
            .contains(&StepId("cp-2/api-ready".to_owned()))
    );
}

#[test]
fn mends_the_one_that_is_down_first_and_does_not_let_it_be_left_out() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    for node in CONTROL_PLANES {
        restart(&mut observed, node, Stage::Etcd);
    }
    is(&mut observed, "cp-3", Some(Health::Down), Some(Health::Down));
    let plan = plan(&cluster, &observed).unwrap();
    let ancestors = ancestors(&plan);
    for later in ["cp-1/etcd", "cp-2/etcd"] {
        assert!(ancestors[&StepId(later.to_owned())].contains(&StepId("cp-3/api-ready".to_owned())));
    }
    let nodes = ["cp-1", "cp-2"].map(str::to_owned).into_iter().collect();
    assert_eq!(restrict(&plan, &nodes).unwrap_err().rule(), "left-out-step");
}

#[test]
fn members_that_lost_their_quorum_are_started_together() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    observed.api = None;
    for node in CONTROL_PLANES {
        restart(&mut observed, node, Stage::Etcd);
        is(&mut observed, node, Some(Health::Down), Some(Health::Down));
    }
    let plan = plan(&cluster, &observed).unwrap();
    let ancestors = ancestors(&plan);
    for node in CONTROL_PLANES {
        assert!(ancestors[&StepId(format!("{node}/etcd"))].is_empty());
    }
}

#[test]
fn settles_only_when_untouched_control_planes_are_well_too() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    for node in CONTROL_PLANES {
        observed.nodes.get_mut(node).unwrap().facts.is_settled = false;
    }
    is(&mut observed, "cp-2", Some(Health::Down), Some(Health::Down));
    let plan = plan(&cluster, &observed).unwrap();
    let before = &ancestors(&plan)[&StepId("cp-1/settle".to_owned())];
    assert!(before.contains(&StepId("cp-2/etcd-ready".to_owned())));
    assert!(before.contains(&StepId("cp-2/api-ready".to_owned())));
}

/// Everything three control planes can be, and every choice of what is restarted on them: of two that may serve, one
/// waits until the other is ready again; and whoever may serve is disturbed only after everybody else is known to.
#[test]
fn holds_in_every_plan_for_three_control_planes() {
    let (ready, down) = (Some(Health::Ready), Some(Health::Down));
    let healths = [(ready, ready), (ready, down), (down, down), (None, None)];
    let cluster = cluster(&NODES);
    let mut made = 0;
    for number in 0..4_usize.pow(3) * 3_usize.pow(3) {
        let mut observed = converged(&cluster);
        let mut left = number;
        let mut pick = |count: usize| {
            let picked = left % count;
            left /= count;
            picked
        };
        let mut disturbed = Vec::new();
        for node in CONTROL_PLANES {
            let (etcd, server) = healths[pick(4)];
            is(&mut observed, node, etcd, server);
            match pick(3) {
                0 => continue,
                1 => restart(&mut observed, node, Stage::Etcd),
                _ => restart(&mut observed, node, Stage::ControlPlane),
            }
            if etcd == Some(Health::Ready) && server == Some(Health::Ready) {
                disturbed.push(node);
            }
        }
        let Ok(plan) = plan(&cluster, &observed) else {
            continue;
        };
        made += 1;
        let ancestors = ancestors(&plan);
        for node in disturbed {
            for stage in ["etcd", "control-plane"] {
                let Some(before) = ancestors.get(&StepId(format!("{node}/{stage}"))) else {
                    continue;
                };
                for other in CONTROL_PLANES.iter().filter(|other| **other != node) {
                    let facts = &observed.nodes[*other].facts;
                    let is_well =
                        facts.etcd == Some(Health::Ready) && facts.api_server == Some(Health::Ready);
                    let is_awaited = before.contains(&StepId(format!("{other}/api-ready")));
                    assert!(
                        is_well || is_awaited,
                        "{node} is disturbed while {other} is not well: {number}"
                    );
                }
            }
        }
    }
    assert!(made > 200, "only {made} plans were made");
}
