//! What is taken back when a part of a node is not healthy after its change: what that part has just been given.

use super::*;
use crate::resource::{Start, Unit};

const ETCD: (&str, Stage) = ("etcd.service", Stage::Etcd);
const SERVER: (&str, Stage) = ("kube-apiserver.service", Stage::ControlPlane);
const MANAGER: (&str, Stage) = ("kube-controller-manager.service", Stage::ControlPlane);
const KUBELET: (&str, Stage) = ("kubelet.service", Stage::Node);
const CONTAINERD: (&str, Stage) = ("containerd.service", Stage::Runtime);

fn states_with_units(cluster: &Cluster) -> BTreeMap<String, NodeState> {
    let mut states = states(cluster);
    for state in states.values_mut() {
        for (name, stage) in [ETCD, SERVER, MANAGER, KUBELET, CONTAINERD] {
            let unit = Resource::Unit(Unit {
                name: name.to_owned(),
                content: String::new(),
                start: Start::Ask,
                inputs: Vec::new(),
            });
            state.extend(stage, [unit]);
        }
    }
    states
}

fn restart(observed: &mut Observed, node: &str, unit: (&str, Stage)) {
    let change = Change::Unit {
        before: None,
        enable: false,
        action: UnitAction::Restart,
        found: vec![UnitFinding::File {
            problem: UnitFileProblem::Content,
        }],
    };
    let resource = ResourceId::new("unit", unit.0);
    let differences = &mut observed.nodes.get_mut(node).unwrap().differences;
    differences.push(Difference { resource, change });
}

fn plan(cluster: &Cluster, observed: &Observed) -> Plan {
    plan_apply(cluster, &states_with_units(cluster), &[], observed).unwrap()
}

/// What a step takes back.
fn takes_back(plan: &Plan, step: &str) -> Vec<String> {
    let id = step.parse().unwrap();
    let planned = plan.steps.iter().find(|planned| planned.id == id);
    let planned = planned.unwrap_or_else(|| panic!("{step} is not planned"));
    planned.takes_back.iter().map(ToString::to_string).collect()
}

/// A cluster in which every node is registered and Ready.
fn ready(cluster: &Cluster) -> Observed {
    let mut observed = converged(cluster);
    let names = cluster.nodes.iter().map(|node| node.name.to_string());
    let versions = names.map(|name| (name, format!("v{}", cluster.kubernetes)));
    observed.api.as_mut().unwrap().kubelet_versions = versions.collect();
    observed
}

#[test]
fn a_control_plane_takes_back_what_was_changed_last_first() {
    let cluster = cluster(&NODES);
    let mut observed = ready(&cluster);
    for unit in [ETCD, SERVER] {
        restart(&mut observed, "cp-1", unit);
    }
    restart(&mut observed, "cp-2", ETCD);
    let plan = plan(&cluster, &observed);
    for step in ["cp-1/etcd", "cp-1/etcd-ready"] {
        assert_eq!(takes_back(&plan, step), ["cp-1/etcd"]);
    }
    for step in ["cp-1/control-plane", "cp-1/api-ready"] {
        assert_eq!(takes_back(&plan, step), ["cp-1/control-plane", "cp-1/etcd"]);
    }
    // An API server that does not get along with the changed member.
    assert_eq!(takes_back(&plan, "cp-2/api-ready"), ["cp-2/etcd"]);
}

#[test]
fn whatever_is_restarted_and_tells_its_health_is_looked_at() {
    let cluster = cluster(&NODES);
    let mut observed = ready(&cluster);
    restart(&mut observed, "cp-1", MANAGER);
    let plan = plan(&cluster, &observed);
    let gate = plan
        .steps
        .iter()
        .find(|planned| planned.id.to_string() == "cp-1/api-ready");
    let title = gate.unwrap().step.title();
    assert!(
        title.contains(":6443/readyz") && title.contains(":10257/healthz"),
        "{title}"
    );
}

#[test]
fn a_node_takes_back_its_kubelet_before_what_that_runs_on() {
    let cluster = cluster(&NODES);
    let mut observed = ready(&cluster);
    restart(&mut observed, "w-1", CONTAINERD);
    restart(&mut observed, "w-1", KUBELET);
    let plan = plan(&cluster, &observed);
    assert_eq!(takes_back(&plan, "w-1/runtime"), ["w-1/runtime"]);
    for step in ["w-1/node", "w-1/kubelet-ready", "w-1/node-ready"] {
        assert_eq!(takes_back(&plan, step), ["w-1/node", "w-1/runtime"]);
    }
}

#[test]
fn what_was_not_healthy_before_is_not_put_back_there() {
    let cluster = cluster(&NODES);
    let mut observed = ready(&cluster);
    restart(&mut observed, "cp-1", SERVER);
    restart(&mut observed, "w-1", KUBELET);
    observed.nodes.get_mut("cp-1").unwrap().facts.api_server = Some(Health::Down);
    observed.api.as_mut().unwrap().nodes_not_ready = vec!["w-1".to_owned()];
    let plan = plan(&cluster, &observed);
    assert!(plan.steps.iter().all(|planned| planned.takes_back.is_empty()));
}

#[test]
fn nothing_of_a_bootstrap_is_taken_back() {
    let cluster = cluster(&NODES);
    let mut observed = ready(&cluster);
    for (name, seen) in &mut observed.nodes {
        seen.facts.is_bootstrapped = false;
        if name.starts_with("cp-") {
            seen.facts.founders = Some(crate::observed::Founders::of(&cluster));
        }
    }
    restart(&mut observed, "cp-1", SERVER);
    restart(&mut observed, "w-1", KUBELET);
    let plan = plan(&cluster, &observed);
    assert!(plan.steps.iter().all(|planned| planned.takes_back.is_empty()));
}
