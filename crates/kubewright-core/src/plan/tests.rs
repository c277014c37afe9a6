//! The planner's laws: what holds for every cluster and everything that can be observed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

mod founding;
mod identity;
mod joining;
mod only;
mod pod_ranges;
mod quorum;
mod rules;
mod saved;
mod told;
mod unreachable;
mod way_back;
mod windows;

use super::*;
use crate::observed::{
    AlarmKind, CertificatePart, CertificateProblem, Change, Difference, EtcdAlarm, EtcdMember, EtcdStatus,
    FixedSettings, Health, Marker, Observed, ObservedApi, ObservedEtcd, ObservedNode, UnitAction,
    UnitFileProblem, UnitFinding,
};
use crate::resource::{Access, File, NodeState, Resource, ResourceId, Stage};
use crate::spec::{Cluster, parse};

const NODES: [&str; 5] = ["cp-1", "cp-2", "cp-3", "w-1", "w-2"];

fn cluster(order: &[&str]) -> Cluster {
    let nodes = order.iter().fold(String::new(), |text, name| {
        let (address, role) = if let Some(number) = name.strip_prefix("cp-") {
            (format!("192.0.2.1{number}"), "control-plane")
        } else {
            (format!("198.51.100.{}", &name[2..]), "worker")
        };
        text + &format!("    - {{ name: {name}, address: {address}, roles: [{role}] }}\n")
    });
    let text = format!(
        "apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata:\n  name: test\nspec:\n  nodes:\n{nodes}"
    );
    parse(&text, "cluster.yaml").unwrap().spec
}

fn resource(stage: Stage) -> Resource {
    Resource::File(File {
        path: format!("/etc/{}", stage.title().replace(' ', "-")),
        access: Access::root(0o644),
        content: "new\n".to_owned(),
    })
}

fn states(cluster: &Cluster) -> BTreeMap<String, NodeState> {
    let state = |is_control_plane: bool| {
        let mut state = NodeState::default();
        for stage in Stage::ALL {
            if is_control_plane || !matches!(stage, Stage::Etcd | Stage::ControlPlane) {
                state.extend(stage, [resource(stage)]);
            }
        }
        state
    };
    cluster
        .nodes
        .iter()
        .map(|node| (node.name.to_string(), state(node.is_control_plane())))
        .collect()
}

/// Everything as it is to be, with the API up and the bootstrap bootstrapped.
fn converged(cluster: &Cluster) -> Observed {
    let mut observed = Observed {
        api: Some(ObservedApi::default()),
        ..Observed::default()
    };
    for node in &cluster.nodes {
        let mut seen = ObservedNode::default();
        seen.facts.machine_id = format!("machine-of-{}", node.name);
        seen.facts.is_bootstrapped = node.is_control_plane();
        seen.facts.has_etcd_data = node.is_control_plane();
        let health = node.is_control_plane().then_some(Health::Ready);
        (seen.facts.etcd, seen.facts.api_server) = (health, health);
        observed.nodes.insert(node.name.to_string(), seen);
    }
    observed
}

fn differs(observed: &mut Observed, node: &str, stage: Stage) {
    let change = Change::Content {
        before: Some("old\n".to_owned()),
    };
    let difference = Difference {
        resource: resource(stage).id(),
        change,
    };
    observed.nodes.get_mut(node).unwrap().differences.push(difference);
}

fn blank(cluster: &Cluster) -> Observed {
    let mut observed = converged(cluster);
    observed.api = None;
    for (name, state) in states(cluster) {
        let seen = observed.nodes.get_mut(&name).unwrap();
        seen.facts.is_bootstrapped = false;
        seen.facts.has_etcd_data = false;
        (seen.facts.etcd, seen.facts.api_server) = (Some(Health::Down), Some(Health::Down));
        seen.differences = state
            .resources
            .iter()
            .map(|staged| Difference {
                resource: staged.resource.id(),
                change: Change::Missing,
            })
            .collect();
    }
    observed
}

fn plan_of(cluster: &Cluster, observed: &Observed) -> Result<Plan, Refusal> {
    plan_apply(
        cluster,
        &states(cluster),
        &["Deployment kube-system/coredns".to_owned()],
        observed,
    )
}

/// Every step a step comes after, directly or through others.
fn ancestors(plan: &Plan) -> BTreeMap<StepId, BTreeSet<StepId>> {
    let mut all: BTreeMap<StepId, BTreeSet<StepId>> = BTreeMap::new();
    for planned in &plan.steps {
        let mut own = BTreeSet::new();
        for before in &planned.after {
            own.extend(
                all.get(before)
                    .expect("a step comes after steps that stand before it")
                    .iter()
                    .cloned(),
            );
            own.insert(before.clone());
        }
        all.insert(planned.id.clone(), own);
    }
    all
}

#[test]
fn plans_nothing_for_a_converged_cluster() {
    let cluster = cluster(&NODES);
    let plan = plan_of(&cluster, &converged(&cluster)).unwrap();
    assert_eq!(plan.steps, Vec::new());
    assert!(plan.is_empty());
}

#[test]
fn bootstraps_all_members_at_once() {
    let cluster = cluster(&NODES);
    let plan = plan_of(&cluster, &blank(&cluster)).unwrap();
    let ancestors = ancestors(&plan);
    for node in ["cp-1", "cp-2", "cp-3"] {
        let own = format!("{node}/etcd").parse().unwrap();
        // Of other nodes it waits for what founds nothing: all of them keep who they are first.
        let founds = |id: &&StepId| !matches!(id.kind, StepKind::Founders | StepKind::Converge(Stage::Host));
        let mut others = ancestors[&own].iter().filter(|id| id.place.as_str() != node);
        assert!(!others.any(|id| founds(&id)), "{own} waits for another member");
    }
}

#[test]
fn starts_kubelets_only_after_their_nodes_are_registered() {
    let cluster = cluster(&NODES);
    let plan = plan_of(&cluster, &blank(&cluster)).unwrap();
    let ancestors = ancestors(&plan);
    for node in NODES {
        assert!(
            ancestors[&format!("{node}/node").parse::<StepId>().unwrap()]
                .contains(&"cluster/nodes".parse::<StepId>().unwrap())
        );
    }
}

#[test]
fn marks_bootstrapped_only_when_every_member_and_api_server_is_up() {
    let cluster = cluster(&NODES);
    let plan = plan_of(&cluster, &blank(&cluster)).unwrap();
    let before = &ancestors(&plan)[&"cp-1/mark-bootstrapped".parse::<StepId>().unwrap()];
    for node in ["cp-1", "cp-2", "cp-3"] {
        assert!(before.contains(&format!("{node}/etcd-ready").parse::<StepId>().unwrap()));
        assert!(before.contains(&format!("{node}/api-ready").parse::<StepId>().unwrap()));
    }
}

#[test]
fn refuses_a_bootstrapped_cluster_with_a_member_that_lost_its_data() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    observed.nodes.get_mut("cp-2").unwrap().facts.has_etcd_data = false;
    for api in [observed.api.clone(), None] {
        observed.api = api;
        let refusal = plan_of(&cluster, &observed).unwrap_err();
        assert_eq!(
            refusal,
            Refusal::MemberWithoutData {
                node: "cp-2".to_owned()
            }
        );
    }
}

#[test]
fn refuses_nodes_of_another_cluster_and_nodes_that_are_somebody_else() {
    let cluster = cluster(&NODES);
    let marker = |cluster: &str, node: &str| {
        Some(Marker {
            cluster: cluster.into(),
            cluster_id: "x".into(),
            node: node.into(),
            pod_cidr: None,
            ..Marker::default()
        })
    };
    for (marker, rule) in [
        (marker("other", "w-1"), "other"),
        (marker("test", "w-2"), "set up as"),
    ] {
        let mut observed = converged(&cluster);
        observed.nodes.get_mut("w-1").unwrap().facts.marker = marker;
        let refusal = plan_of(&cluster, &observed).unwrap_err();
        assert_eq!(refusal.rule(), "node-identity");
        assert!(refusal.to_string().contains(rule), "{refusal}");
    }
}

#[test]
fn refuses_one_machine_under_two_names() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    observed.nodes.get_mut("w-1").unwrap().facts.machine_id = "same".into();
    observed.nodes.get_mut("cp-1").unwrap().facts.machine_id = "same".into();
    assert_eq!(plan_of(&cluster, &observed).unwrap_err().rule(), "node-identity");
}

#[test]
fn refuses_to_go_through_what_is_in_the_way() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    let change = Change::Blocked {
        reason: "a directory is where the file should be".to_owned(),
    };
    let difference = Difference {
        resource: ResourceId::new("file", "/etc/host"),
        change,
    };
    observed
        .nodes
        .get_mut("w-1")
        .unwrap()
        .differences
        .push(difference);
    assert_eq!(plan_of(&cluster, &observed).unwrap_err().rule(), "nothing-lost");
}

#[test]
fn names_the_units_a_step_restarts() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    let change = Change::Unit {
        before: None,
        enable: false,
        action: UnitAction::Restart,
        found: vec![UnitFinding::Inputs {}],
    };
    let difference = Difference {
        resource: ResourceId::new("unit", "kubelet.service"),
        change,
    };
    observed
        .nodes
        .get_mut("w-1")
        .unwrap()
        .differences
        .push(difference);
    let plan = plan_of(&cluster, &observed).unwrap();
    assert_eq!(
        plan.steps[0].disruption,
        Disruption::Restarts {
            units: vec!["kubelet.service".to_owned()],
            effects: vec!["pods keep running".to_owned()]
        }
    );
}

#[test]
fn shows_what_overrides_a_unit_and_how_its_process_differs() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    let change = Change::Unit {
        before: None,
        enable: false,
        action: UnitAction::Restart,
        found: vec![
            UnitFinding::Override {
                path: "/etc/systemd/system/kubelet.service.d/a.conf".to_owned(),
                content: Some("[Service]\nExecStart=\u{1b}[2J\n".to_owned()),
            },
            UnitFinding::Arguments {
                foreign: vec!["--v=9".to_owned()],
                lacking: vec!["--v=2".to_owned()],
            },
            UnitFinding::Executable {
                path: "/usr/local/bin/kubelet".to_owned(),
                running: "/usr/local/bin/kubelet (deleted)".to_owned(),
            },
        ],
    };
    let resource = ResourceId::new("unit", "kubelet.service");
    let differences = &mut observed.nodes.get_mut("w-1").unwrap().differences;
    differences.push(Difference { resource, change });
    let plan = plan_of(&cluster, &observed).unwrap();
    let text = text::render(&plan, &BTreeMap::new(), &BTreeMap::new());
    let (_, text) = text.split_once("  ~ unit:kubelet.service").unwrap();
    assert_eq!(
        text.split("\n\n").next().unwrap(),
        ", restarts (/etc/systemd/system/kubelet.service.d/a.conf overrides it; its process has other arguments; its process \
         is not what is at /usr/local/bin/kubelet now)
    - /etc/systemd/system/kubelet.service.d/a.conf (removed; the node's journal keeps it)
      -[Service]
      -ExecStart=\\u{1b}[2J
      its process was given --v=9
      its process lacks --v=2
      its process executes /usr/local/bin/kubelet (deleted), not what is at /usr/local/bin/kubelet now"
    );
}

#[test]
fn keeps_the_pod_ranges_nodes_have_and_gives_the_rest_by_name() {
    let cluster = cluster(&["w-2", "cp-1", "w-1", "cp-3", "cp-2"]);
    let mut observed = Observed {
        api: Some(ObservedApi::default()),
        ..Observed::default()
    };
    let has = |node: &str, range: &str| (node.to_owned(), range.to_owned());
    observed.api.as_mut().unwrap().pod_cidrs = [has("w-1", "10.244.0.0/24"), has("gone", "10.244.1.0/24")]
        .into_iter()
        .collect();
    let ranges = allocate_pod_ranges(&cluster, &observed).unwrap();
    let ranges: Vec<String> = ranges
        .iter()
        .map(|(node, range)| format!("{node} {range}"))
        .collect();
    assert_eq!(
        ranges,
        [
            "cp-1 10.244.2.0/24",
            "cp-2 10.244.3.0/24",
            "cp-3 10.244.4.0/24",
            "w-1 10.244.0.0/24",
            "w-2 10.244.5.0/24"
        ]
    );
}

/// An API that does not answer to us may answer to others.
#[test]
fn restarts_one_control_plane_at_a_time_when_the_api_of_a_bootstrapped_cluster_does_not_answer() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    observed.api = None;
    for node in ["cp-1", "cp-2", "cp-3"] {
        differs(&mut observed, node, Stage::ControlPlane);
    }
    let plan = plan_of(&cluster, &observed).unwrap();
    let ancestors = ancestors(&plan);
    for (one, next) in [("cp-1", "cp-2"), ("cp-2", "cp-3")] {
        let next = format!("{next}/control-plane").parse().unwrap();
        assert!(
            ancestors[&next].contains(&format!("{one}/api-ready").parse::<StepId>().unwrap()),
            "{next}"
        );
    }
}

/// Interrupted before a control plane keeps the authority, the next run makes another one: a worker that belongs to the
/// first would be refused for ever.
#[test]
fn workers_belong_to_a_new_cluster_when_its_control_planes_do() {
    let cluster = cluster(&NODES);
    let plan = plan_of(&cluster, &blank(&cluster)).unwrap();
    let ancestors = ancestors(&plan);
    let host = |node: &str| format!("{node}/host").parse().unwrap();
    for worker in ["w-1", "w-2"] {
        for control_plane in ["cp-1", "cp-2", "cp-3"] {
            assert!(ancestors[&host(worker)].contains(&host(control_plane)));
        }
    }
}

#[test]
fn does_not_take_down_a_machine_of_another_cluster() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    assert!(plan_reset(&cluster, &observed).is_ok());
    let facts = &mut observed.nodes.get_mut("w-1").unwrap().facts;
    facts.marker = Some(Marker {
        cluster: "somebody-elses".to_owned(),
        cluster_id: String::new(),
        node: "w-1".to_owned(),
        ..Marker::default()
    });
    let refusal = plan_reset(&cluster, &observed).unwrap_err();
    assert_eq!(refusal.rule(), "node-identity");
}

proptest! {
    /// On a cluster that serves, no two control planes are in transition at once.
    #[test]
    fn touches_control_planes_one_after_the_other(
        touched in proptest::collection::btree_set((0usize..3, prop_oneof![Just(Stage::Etcd), Just(Stage::ControlPlane)]), 1..6)
    ) {
        let cluster = cluster(&NODES);
        let mut observed = converged(&cluster);
        for (node, stage) in &touched {
            differs(&mut observed, NODES[*node], *stage);
        }
        let plan = plan_of(&cluster, &observed).unwrap();
        let ancestors = ancestors(&plan);
        let moving: Vec<&PlannedStep> = plan.steps.iter().filter(|planned| matches!(
            planned.step, Step::Converge { stage: Stage::Etcd | Stage::ControlPlane, .. }
        )).collect();
        for one in &moving {
            for other in &moving {
                if one.step.node() != other.step.node() {
                    let is_ordered = ancestors[&one.id].contains(&other.id) || ancestors[&other.id].contains(&one.id);
                    prop_assert!(is_ordered, "{} and {} may run at once", one.id, other.id);
                }
            }
        }
    }

    /// The order of nodes in the file changes nothing about what is done where.
    #[test]
    fn does_not_depend_on_the_order_of_nodes(order in Just(NODES.to_vec()).prop_shuffle(), is_blank in any::<bool>()) {
        let (one, other) = (cluster(&NODES), cluster(&order));
        let observed = if is_blank { blank(&one) } else {
            let mut observed = converged(&one);
            differs(&mut observed, "w-1", Stage::Node);
            differs(&mut observed, "cp-2", Stage::Host);
            observed
        };
        let steps = |cluster: &Cluster| -> BTreeSet<String> {
            plan_of(cluster, &observed).unwrap().steps.iter().map(|planned| planned.id.to_string()).collect()
        };
        prop_assert_eq!(steps(&one), steps(&other));
        prop_assert_eq!(
            allocate_pod_ranges(&one, &observed).unwrap(),
            allocate_pod_ranges(&other, &observed).unwrap()
        );
    }
}

/// What a hostile node would like to have on the operator's terminal.
const HOSTILE: &str = "\u{1b}[2J\r\n0 changes\u{202e}";

#[test]
fn nothing_a_node_says_becomes_a_line_or_a_command_of_its_own_in_the_plan() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    let said = HOSTILE.to_owned();
    let changes = [
        Change::Value {
            before: said.clone(),
            after: said.clone(),
        },
        Change::Certificate {
            problem: CertificateProblem::Differs {
                part: CertificatePart::Names,
                missing: vec![said.clone()],
                unwanted: vec![said.clone()],
            },
        },
        Change::Unit {
            before: None,
            enable: true,
            action: UnitAction::Restart,
            found: vec![UnitFinding::Override {
                path: said.clone(),
                content: Some(said.clone()),
            }],
        },
        Change::Orphaned,
    ];
    let differences = changes.map(|change| Difference {
        resource: ResourceId::new("unit", &said),
        change,
    });
    observed
        .nodes
        .get_mut("w-1")
        .unwrap()
        .differences
        .extend(differences);
    let api = observed.api.as_mut().unwrap();
    let object = format!("ConfigMap {HOSTILE}");
    api.objects.insert(object, Some(said));
    let plan = plan_of(&cluster, &observed).unwrap();
    let text = text::render(&plan, &states(&cluster), &observed.api.unwrap().objects);
    let harmful: Vec<char> = text
        .chars()
        .filter(|letter| *letter != '\n' && crate::shown::is_harmful(*letter))
        .collect();
    assert_eq!(harmful, [], "{text}");
    assert!(!text.lines().any(|line| line.trim() == "0 changes"), "{text}");
}

#[test]
fn nothing_a_node_says_becomes_a_line_of_its_own_in_a_refusal() {
    let node = "cp-1".to_owned();
    let said = HOSTILE.to_owned();
    let refusals = [
        Refusal::OtherCluster {
            node: node.clone(),
            cluster: said.clone(),
            id: said.clone(),
        },
        Refusal::OtherNode {
            node: node.clone(),
            other: said.clone(),
        },
        Refusal::SameMachine {
            first: node.clone(),
            second: node.clone(),
            machine_id: said.clone(),
        },
        Refusal::Blocked {
            node,
            resource: said.clone(),
            reason: said,
        },
    ];
    for refusal in refusals {
        let text = format!("{refusal}{}", refusal.hint());
        assert!(!text.contains(crate::shown::is_harmful), "{text:?}");
    }
}

#[test]
fn a_node_that_is_left_out_is_neither_changed_nor_waited_for_and_is_named() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    differs(&mut observed, "w-1", Stage::Node);
    observed.nodes.remove("w-2");
    observed.api.as_mut().unwrap().nodes_not_ready = vec!["w-2".to_owned()];
    observed
        .unreachable
        .insert("w-2".to_owned(), "connection refused".to_owned());
    let plan = plan_of(&cluster, &observed).unwrap();
    assert!(
        plan.steps
            .iter()
            .all(|planned| planned.step.node() != Some("w-2"))
    );
    for planned in &plan.steps {
        if let Step::Wait {
            condition: Condition::NodesReady { nodes },
            ..
        } = &planned.step
        {
            assert_eq!(nodes, &["w-1"]);
        }
    }
    let text = text::render(&plan, &states(&cluster), &BTreeMap::new());
    assert!(text.starts_with("w-2 is skipped: connection refused\n"), "{text}");
}
