//! No plan disturbs a control plane while another one is not well, unless it repairs that one first.

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
        found: vec![UnitFinding::File {
            problem: UnitFileProblem::Content,
        }],
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
            "control plane cp-1 cannot be changed: cp-3 is unhealthy: its API server is not ready"
        );
    }
    is(&mut observed, "cp-3", None, None);
    let text = plan(&cluster, &observed).unwrap_err().to_string();
    assert!(
        text.contains("the status of its etcd member is unknown"),
        "{text}"
    );
}

#[test]
fn waits_for_one_that_is_just_starting_instead() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    restart(&mut observed, "cp-1", Stage::ControlPlane);
    is(&mut observed, "cp-2", Some(Health::Ready), Some(Health::Starting));
    let plan = plan(&cluster, &observed).unwrap();
    let before = &ancestors(&plan)[&"cp-1/control-plane".parse::<StepId>().unwrap()];
    assert!(before.contains(&"cp-2/api-ready".parse::<StepId>().unwrap()));
    let nodes = std::iter::once("cp-1".to_owned()).collect();
    let part = restrict(&plan, &nodes).unwrap();
    assert!(
        ancestors(&part)[&"cp-1/control-plane".parse::<StepId>().unwrap()]
            .contains(&"cp-2/api-ready".parse::<StepId>().unwrap())
    );
}

#[test]
fn repairs_the_one_that_is_down_first_and_does_not_let_it_be_left_out() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    for node in CONTROL_PLANES {
        restart(&mut observed, node, Stage::Etcd);
    }
    is(&mut observed, "cp-3", Some(Health::Down), Some(Health::Down));
    let plan = plan(&cluster, &observed).unwrap();
    let ancestors = ancestors(&plan);
    for later in ["cp-1/etcd", "cp-2/etcd"] {
        assert!(ancestors[&later.parse().unwrap()].contains(&"cp-3/api-ready".parse::<StepId>().unwrap()));
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
        assert!(ancestors[&format!("{node}/etcd").parse::<StepId>().unwrap()].is_empty());
    }
}

#[test]
fn marks_bootstrapped_only_when_untouched_control_planes_are_well_too() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    for node in CONTROL_PLANES {
        observed.nodes.get_mut(node).unwrap().facts.is_bootstrapped = false;
    }
    is(&mut observed, "cp-2", Some(Health::Down), Some(Health::Down));
    let plan = plan(&cluster, &observed).unwrap();
    let before = &ancestors(&plan)[&"cp-1/mark-bootstrapped".parse::<StepId>().unwrap()];
    assert!(before.contains(&"cp-2/etcd-ready".parse::<StepId>().unwrap()));
    assert!(before.contains(&"cp-2/api-ready".parse::<StepId>().unwrap()));
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
                let Some(before) = ancestors.get(&format!("{node}/{stage}").parse::<StepId>().unwrap())
                else {
                    continue;
                };
                for other in CONTROL_PLANES.iter().filter(|other| **other != node) {
                    let facts = &observed.nodes[*other].facts;
                    let is_well =
                        facts.etcd == Some(Health::Ready) && facts.api_server == Some(Health::Ready);
                    let is_awaited =
                        before.contains(&format!("{other}/api-ready").parse::<StepId>().unwrap());
                    assert!(
                        is_well || is_awaited,
                        "{node} is disturbed while {other} is unhealthy: {number}"
                    );
                }
            }
        }
    }
    assert!(made > 200, "only {made} plans were made");
}

/// etcd as its members tell it: one on each control plane, all of them well.
fn members() -> ObservedEtcd {
    let mut etcd = ObservedEtcd {
        members: Some(Vec::new()),
        ..ObservedEtcd::default()
    };
    for (id, name) in (1..).zip(CONTROL_PLANES) {
        etcd.members.as_mut().unwrap().push(member(id, name, id + 10));
        etcd.own.insert(name.to_owned(), Ok(says(id)));
    }
    etcd
}

fn member(id: u64, name: &str, host: u64) -> EtcdMember {
    EtcdMember {
        id,
        name: name.to_owned(),
        peer_urls: vec![format!("https://192.0.2.{host}:2380")],
        is_learner: false,
    }
}

fn says(member_id: u64) -> EtcdStatus {
    EtcdStatus {
        member_id,
        version: "3.6.16".to_owned(),
        has_leader: true,
        is_leader: member_id == 1,
        ..EtcdStatus::default()
    }
}

/// A cluster that is well, where etcd's members are `etcd` and a stage of cp-1 restarts.
fn restarting(etcd: ObservedEtcd, stage: Stage) -> (Cluster, Observed) {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    observed.etcd = Some(etcd);
    restart(&mut observed, "cp-1", stage);
    (cluster, observed)
}

fn refusal(etcd: ObservedEtcd, stage: Stage) -> Refusal {
    let (cluster, observed) = restarting(etcd, stage);
    let refusal = plan(&cluster, &observed).unwrap_err();
    assert_eq!(refusal.rule(), "quorum");
    refusal
}

#[test]
fn members_that_are_well_are_no_reason_to_refuse() {
    for stage in [Stage::Etcd, Stage::ControlPlane] {
        let (cluster, observed) = restarting(members(), stage);
        let plan = plan(&cluster, &observed).unwrap();
        assert!(plan.notes.is_empty(), "{:?}", plan.notes);
    }
}

#[test]
fn a_learner_does_not_vote_although_its_node_says_that_it_is_healthy() {
    let mut etcd = members();
    etcd.members.as_mut().unwrap()[2].is_learner = true;
    let guard = Guard::EtcdQuorum {};
    let (cluster, observed) = restarting(etcd, Stage::Etcd);
    let refused = guard.hold("cp-1", &cluster, &observed).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "control plane cp-1 cannot be changed: cp-3 is unhealthy: its etcd member is a learner and does not vote"
    );
    // It votes before the first of the others is disturbed.
    let plan = plan(&cluster, &observed).unwrap();
    let before = &ancestors(&plan)[&StepId::converge("cp-1", Stage::Etcd)];
    assert!(
        before.contains(&StepId::on("cp-3", StepKind::PromoteMember)),
        "{before:?}"
    );
}

#[test]
fn a_member_that_was_added_and_never_started_does_not_count_as_healthy() {
    let mut etcd = members();
    etcd.own.remove("cp-2");
    etcd.members.as_mut().unwrap()[1].name.clear();
    assert_eq!(
        refusal(etcd, Stage::Etcd).to_string(),
        "control plane cp-1 cannot be changed: cp-2 is unhealthy: its etcd member was never started"
    );
}

#[test]
fn a_control_plane_whose_member_was_removed_is_named() {
    let mut etcd = members();
    etcd.own
        .insert("cp-2".to_owned(), Err("connection refused".to_owned()));
    etcd.members.as_mut().unwrap().remove(1);
    assert_eq!(
        refusal(etcd, Stage::ControlPlane).to_string(),
        "control plane cp-1 cannot be changed: cp-2 is unhealthy: its etcd member is not in the member list"
    );
}

#[test]
fn a_member_of_another_etcd_under_the_same_name_is_none_of_this_one() {
    let mut etcd = members();
    etcd.own.insert("cp-3".to_owned(), Ok(says(99)));
    let text = refusal(etcd, Stage::Etcd).to_string();
    assert!(
        text.contains("cp-3 is unhealthy: its etcd member is not in the member list"),
        "{text}"
    );
}

#[test]
fn a_member_on_no_control_plane_counts_and_is_named() {
    let mut etcd = members();
    etcd.members.as_mut().unwrap().push(member(0xbeef, "db-9", 99));
    let refused = refusal(etcd.clone(), Stage::Etcd);
    assert_eq!(
        refused.to_string(),
        "control plane cp-1 cannot be changed: unknown etcd member \"db-9\" (https://192.0.2.99:2380): it \
         matches no control plane in cluster.yaml"
    );
    assert!(
        refused.hint().contains("etcdctl member remove beef"),
        "{}",
        refused.hint()
    );
    // An API server is restarted beside it, and the plan says that it is there.
    let (cluster, observed) = restarting(etcd.clone(), Stage::ControlPlane);
    let noted = plan(&cluster, &observed).unwrap();
    assert_eq!(noted.notes.len(), 1);
    let text = text::render(&noted, &states_with_units(&cluster), &BTreeMap::new());
    assert!(text.starts_with("note: unknown etcd member \"db-9\""), "{text}");
    // One that does not vote takes no part in the quorum.
    etcd.members.as_mut().unwrap()[3].is_learner = true;
    let (cluster, observed) = restarting(etcd, Stage::Etcd);
    assert_eq!(plan(&cluster, &observed).unwrap().notes.len(), 1);
}

#[test]
fn an_alarm_is_named_and_is_not_taken_for_members_that_are_down() {
    let mut etcd = members();
    let alarm = EtcdAlarm {
        member_id: 2,
        kind: AlarmKind::NoSpace,
    };
    for own in etcd.own.values_mut() {
        own.as_mut().unwrap().alarms.push(alarm.clone());
    }
    let (cluster, mut observed) = restarting(etcd, Stage::Etcd);
    // Health endpoints tell of the alarm.
    for node in CONTROL_PLANES {
        is(&mut observed, node, Some(Health::Down), Some(Health::Ready));
        restart(&mut observed, node, Stage::Etcd);
    }
    let refused = plan(&cluster, &observed).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "control plane cp-1 cannot be changed: etcd's alarm NOSPACE of cp-2 is raised"
    );
    assert!(
        refused.hint().contains("etcdctl alarm disarm"),
        "{}",
        refused.hint()
    );
}

#[test]
fn nobody_is_disturbed_while_no_member_tells_who_they_are() {
    let mut etcd = members();
    etcd.members = None;
    etcd.own
        .insert("cp-2".to_owned(), Err("no answer within 3 s".to_owned()));
    assert_eq!(
        refusal(etcd.clone(), Stage::Etcd).to_string(),
        "control plane cp-1 cannot be changed: the etcd member list cannot be read: cp-2: no answer \
         within 3 s"
    );
    // Without a quorum nobody can tell: those that are down are started all the same.
    let (cluster, mut observed) = restarting(etcd, Stage::Etcd);
    for node in CONTROL_PLANES {
        is(&mut observed, node, Some(Health::Down), Some(Health::Down));
    }
    plan(&cluster, &observed).unwrap();
}

#[test]
fn what_is_wrong_with_members_is_no_reason_against_changes_elsewhere() {
    let mut etcd = members();
    etcd.members.as_mut().unwrap()[2].is_learner = true;
    etcd.members.as_mut().unwrap().push(member(9, "db-9", 99));
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    observed.etcd = Some(etcd);
    let first = plan(&cluster, &observed).unwrap();
    assert_eq!((first.changes(), first.notes.len()), (0, 2), "{:?}", first.notes);
    differs(&mut observed, "w-1", Stage::Node);
    assert!(!plan(&cluster, &observed).unwrap().is_empty());
}

#[test]
fn nothing_a_member_says_moves_the_cursor_or_begins_a_line() {
    let mut etcd = members();
    let hostile = "db\u{1b}[2J\nerror: do as I say\u{202e}";
    let mut stranger = member(9, hostile, 99);
    stranger.peer_urls = vec![hostile.to_owned()];
    etcd.members.as_mut().unwrap().push(stranger);
    let alarm = EtcdAlarm {
        member_id: 9,
        kind: AlarmKind::Other(hostile.to_owned()),
    };
    etcd.own
        .get_mut("cp-2")
        .unwrap()
        .as_mut()
        .unwrap()
        .alarms
        .push(alarm);
    let refused = refusal(etcd.clone(), Stage::Etcd);
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    observed.etcd = Some(etcd.clone());
    let noted = plan(&cluster, &observed).unwrap();
    etcd.members = None;
    etcd.own.insert("cp-1".to_owned(), Err(hostile.to_owned()));
    let untold = refusal(etcd, Stage::Etcd);
    let texts = [
        refused.to_string(),
        refused.hint(),
        untold.to_string(),
        untold.hint(),
    ];
    assert_eq!(noted.notes.len(), 2);
    for text in texts.iter().chain(&noted.notes) {
        assert!(!text.chars().any(crate::shown::is_harmful), "{text:?}");
    }
}

#[test]
fn a_database_that_fills_up_is_a_note_and_in_the_way_of_nothing() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    observed.nodes.get_mut("cp-2").unwrap().facts.etcd_database_bytes = 7 << 30;
    restart(&mut observed, "cp-1", Stage::Etcd);
    let plan = plan(&cluster, &observed).unwrap();
    assert_eq!(plan.notes.len(), 1, "{:?}", plan.notes);
    let note = &plan.notes[0];
    assert!(
        note.starts_with("etcd's database on cp-2 fills 87 % of its quota (7.0 of 8.0 GiB)"),
        "{note}"
    );
    assert!(note.contains("etcdctl defrag"), "{note}");
}
