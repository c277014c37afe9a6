//! A control plane that cannot be reached keeps nobody from what disturbs no other one.

use super::*;
use crate::resource::{Start, Unit};

const SERVER: &str = "kube-apiserver.service";

fn unit_id() -> ResourceId {
    ResourceId::new("unit", SERVER)
}

/// The API server's unit reads the file of its stage.
fn states_with_server(cluster: &Cluster) -> BTreeMap<String, NodeState> {
    let mut states = states(cluster);
    for node in cluster.control_planes() {
        let unit = Resource::Unit(Unit {
            name: SERVER.to_owned(),
            content: String::new(),
            start: Start::Wait,
            inputs: vec![resource(Stage::ControlPlane).id()],
        });
        let quiet = Resource::File(File {
            path: "/etc/quiet".to_owned(),
            access: Access::root(0o600),
            content: String::new(),
        });
        let state = states.get_mut(node.name.as_str()).unwrap();
        state.extend(Stage::ControlPlane, [unit, quiet]);
    }
    states
}

/// Everything is as it is to be, and one node cannot be reached.
fn without(cluster: &Cluster, nodes: &[&str]) -> Observed {
    let mut observed = converged(cluster);
    for node in nodes {
        observed.nodes.remove(*node);
        observed
            .unreachable
            .insert((*node).to_owned(), "no answer".to_owned());
    }
    observed
}

fn differ(observed: &mut Observed, node: &str, resource: ResourceId, change: Change) {
    let differences = &mut observed.nodes.get_mut(node).unwrap().differences;
    differences.push(Difference { resource, change });
}

/// The API server restarts because a file it reads changes; another file is only given its mode back.
fn change_servers(observed: &mut Observed, nodes: &[&str]) {
    for node in nodes {
        differs(observed, node, Stage::ControlPlane);
        let input = resource(Stage::ControlPlane).id();
        let restart = Change::Unit {
            before: None,
            enable: false,
            action: UnitAction::Restart,
            found: vec![UnitFinding::InputChanges { input }],
        };
        differ(observed, node, unit_id(), restart);
        let access = Change::Access {
            before: "root:root 0644".to_owned(),
            after: "root:root 0600".to_owned(),
        };
        differ(observed, node, ResourceId::new("file", "/etc/quiet"), access);
    }
}

fn plan(cluster: &Cluster, observed: &Observed) -> Result<Plan, Refusal> {
    plan_apply(cluster, &states_with_server(cluster), &[], observed)
}

fn converged_resources<'p>(plan: &'p Plan, node: &str) -> Vec<&'p ResourceId> {
    let steps = plan.steps.iter().filter_map(|planned| match &planned.step {
        Step::Converge {
            node: of,
            differences,
            ..
        } if of == node => Some(differences),
        _ => None,
    });
    steps.flatten().map(|difference| &difference.resource).collect()
}

#[test]
fn workers_objects_and_quiet_files_are_changed_and_restarts_wait() {
    let cluster = cluster(&NODES);
    let mut observed = without(&cluster, &["cp-3"]);
    change_servers(&mut observed, &["cp-1", "cp-2"]);
    differs(&mut observed, "w-1", Stage::Node);
    let api = observed.api.as_mut().unwrap();
    api.objects.insert("ConfigMap default/a".to_owned(), None);
    let plan = plan(&cluster, &observed).unwrap();
    for node in ["cp-1", "cp-2"] {
        assert_eq!(
            converged_resources(&plan, node),
            [&ResourceId::new("file", "/etc/quiet")]
        );
    }
    assert_eq!(converged_resources(&plan, "w-1"), [&resource(Stage::Node).id()]);
    assert!(
        plan.steps
            .iter()
            .any(|planned| matches!(planned.step, Step::ApplyManifests { .. }))
    );
    assert!(
        plan.steps
            .iter()
            .all(|planned| planned.disruption == Disruption::None)
    );
    let waiting: Vec<_> = plan
        .deferred
        .iter()
        .map(|one| (one.node.as_str(), one.waits_for.concat(), one.differences.len()))
        .collect();
    assert_eq!(
        waiting,
        [("cp-1", "cp-3".to_owned(), 2), ("cp-2", "cp-3".to_owned(), 2)]
    );
    let text = text::render(&plan, &states_with_server(&cluster), &BTreeMap::new());
    assert!(text.contains("cp-3 is skipped: no answer\n"), "{text}");
    let waits = "cp-1, cp-2: 2 changes each that restart a part of the control plane wait for cp-3\n";
    assert!(text.contains(waits), "{text}");
}

#[test]
fn one_that_is_known_to_be_down_is_repaired_all_the_same() {
    let cluster = cluster(&NODES);
    let mut observed = without(&cluster, &["cp-3"]);
    change_servers(&mut observed, &["cp-1", "cp-2"]);
    let facts = &mut observed.nodes.get_mut("cp-2").unwrap().facts;
    facts.api_server = Some(Health::Down);
    let plan = plan(&cluster, &observed).unwrap();
    assert!(converged_resources(&plan, "cp-2").contains(&&unit_id()));
    let waiting: Vec<_> = plan.deferred.iter().map(|one| one.node.as_str()).collect();
    assert_eq!(waiting, ["cp-1"]);
}

#[test]
fn nothing_waits_while_everybody_is_there() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    change_servers(&mut observed, &["cp-1", "cp-2", "cp-3"]);
    let plan = plan(&cluster, &observed).unwrap();
    assert_eq!(plan.deferred, []);
    assert_eq!(converged_resources(&plan, "cp-1").len(), 3);
}

#[test]
fn what_else_is_in_the_way_still_refuses() {
    let cluster = cluster(&NODES);
    let mut observed = without(&cluster, &["w-2"]);
    change_servers(&mut observed, &["cp-1"]);
    observed.nodes.get_mut("cp-2").unwrap().facts.api_server = Some(Health::Down);
    assert_eq!(plan(&cluster, &observed).unwrap_err().rule(), "quorum");
}

#[test]
fn nobody_founds_a_cluster_for_a_control_plane_that_is_away() {
    let cluster = cluster(&NODES);
    let mut observed = blank(&cluster);
    observed.nodes.remove("cp-3");
    observed
        .unreachable
        .insert("cp-3".to_owned(), "no answer".to_owned());
    let refusal = plan(&cluster, &observed).unwrap_err();
    assert_eq!(refusal.rule(), "founders");
    assert!(
        refusal
            .to_string()
            .starts_with("control plane cp-3 cannot be reached"),
        "{refusal}"
    );
}

#[test]
fn without_a_quorum_nothing_is_changed_unless_an_api_server_answers() {
    let cluster = cluster(&NODES);
    let mut observed = without(&cluster, &["cp-2", "cp-3"]);
    differs(&mut observed, "w-1", Stage::Node);
    assert!(plan(&cluster, &observed).is_ok());
    observed.api = None;
    let refusal = plan(&cluster, &observed).unwrap_err();
    assert_eq!(refusal.rule(), "quorum");
    assert!(
        refusal
            .to_string()
            .starts_with("2 of 3 control planes cannot be reached (cp-2, cp-3)")
    );
}

#[test]
fn another_minor_version_needs_every_control_plane() {
    let cluster = cluster(&NODES);
    let mut observed = without(&cluster, &["cp-3"]);
    differs(&mut observed, "w-1", Stage::Node);
    let before = format!("v1.{}.0", cluster.kubernetes.minor - 1);
    let versions = &mut observed.api.as_mut().unwrap().kubelet_versions;
    versions.insert("w-1".to_owned(), before);
    let refusal = plan(&cluster, &observed).unwrap_err();
    assert_eq!(refusal.rule(), "version-step");
    assert!(
        refusal.hint().starts_with("bring back cp-3 first"),
        "{}",
        refusal.hint()
    );
}

#[test]
fn a_part_of_a_plan_tells_only_of_its_own_nodes() {
    let cluster = cluster(&NODES);
    let mut observed = without(&cluster, &["cp-3"]);
    change_servers(&mut observed, &["cp-1", "cp-2"]);
    differs(&mut observed, "w-1", Stage::Node);
    let plan = plan(&cluster, &observed).unwrap();
    let part = restrict(&plan, &BTreeSet::from(["w-1".to_owned()])).unwrap();
    assert!(part.left_out.is_empty() && part.deferred.is_empty());
    assert!(!part.is_empty());
}
