//! What a plan says, and that it says it once.

use super::*;

/// Three control planes and ninety-seven workers.
fn hundred() -> Vec<String> {
    let control_planes = (1..=3).map(|number| format!("cp-{number}"));
    control_planes
        .chain((1..=97).map(|number| format!("w-{number}")))
        .collect()
}

fn unit_restart(unit: &str) -> Difference {
    Difference {
        resource: ResourceId::new("unit", unit),
        change: Change::Unit {
            before: Some("[Service]\nExecStart=/x --one\n".to_owned()),
            enable: false,
            action: UnitAction::Restart,
            found: vec![UnitFinding::File {
                problem: UnitFileProblem::Content,
            }],
        },
    }
}

fn with_unit(states: &mut BTreeMap<String, NodeState>, node: &str, stage: Stage, unit: &str) {
    let unit = Resource::Unit(crate::resource::Unit {
        name: unit.to_owned(),
        content: "[Service]\nExecStart=/x --two\n".to_owned(),
        start: crate::resource::Start::Wait,
        inputs: Vec::new(),
    });
    states.get_mut(node).unwrap().extend(stage, [unit]);
}

#[test]
fn the_same_change_on_a_hundred_nodes_is_one_paragraph() {
    let names = hundred();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let cluster = cluster(&names);
    let mut observed = converged(&cluster);
    let mut states = states(&cluster);
    for name in &names {
        with_unit(&mut states, name, Stage::Node, "kubelet.service");
        let seen = observed.nodes.get_mut(*name).unwrap();
        seen.differences.push(unit_restart("kubelet.service"));
    }
    for name in &names[..3] {
        with_unit(&mut states, name, Stage::ControlPlane, "kube-apiserver.service");
        let seen = observed.nodes.get_mut(*name).unwrap();
        seen.differences.push(unit_restart("kube-apiserver.service"));
    }
    let plan = plan_apply(&cluster, &states, &[], &observed).unwrap();
    insta::assert_snapshot!(text::render(&plan, &states, &BTreeMap::new()), @r"
    cp-1, cp-2, cp-3: control plane (1 to change per node)
      disturbs: restarts kube-apiserver.service; its API server is away for a few seconds, the other 2 answer
      only while: the other control planes are healthy (etcd member and API server); it is healthy itself when it begins
      after: rolling, one node at a time
      ~ unit kube-apiserver.service, restarts (its file differs)
          @@ -1,2 +1,2 @@
           [Service]
          -ExecStart=/x --one
          +ExecStart=/x --two

    cp-1, cp-2, cp-3: wait until https://127.0.0.1:6443/readyz answers 200 (the next control plane is touched only then)
      after: its control-plane

    97 nodes: kubelet and network (1 to change per node)
      disturbs: restarts kubelet.service; pods keep running
      after: rolling, 1 node first, then 10 nodes at a time
      ~ unit kubelet.service, restarts (its file differs)
          @@ -1,2 +1,2 @@
           [Service]
          -ExecStart=/x --one
          +ExecStart=/x --two

    100 nodes: wait until http://127.0.0.1:10248/healthz answers 200 (the next nodes are changed only then)
      after: its node; rolling, 1 node first, then 10 nodes at a time

    100 nodes: wait until the node is Ready (the next nodes are changed only then)
      after: its kubelet-ready; rolling, 1 node first, then 10 nodes at a time

    cp-1, cp-2, cp-3: kubelet and network (1 to change per node)
      disturbs: restarts kubelet.service; pods keep running
      after: its control-plane; rolling, 3 nodes at a time
      ~ unit kubelet.service, restarts (its file differs)
          @@ -1,2 +1,2 @@
           [Service]
          -ExecStart=/x --one
          +ExecStart=/x --two

    cluster: wait until 100 nodes are Ready (pods can be placed)
      after: node of 100 nodes

    Plan: 0 to add, 103 to change, 0 to remove on 100 nodes
    ");
    insta::assert_snapshot!(explain(&plan), @r"
    cp-1, cp-2, cp-3: control plane (1 to change)
        why: differs from cluster.yaml
        disturbs: restarts kube-apiserver.service; its API server is away for a few seconds, the other 2 answer
        only while: the other control planes are healthy (etcd member and API server); it is healthy itself when it begins
        if the node is not healthy: its control-plane is taken back
        waits for: rolling, one node at a time
    cp-1, cp-2, cp-3: wait until https://127.0.0.1:6443/readyz answers 200
        why: the next control plane is touched only then
        disturbs: nothing
        only while: the other control planes are healthy (etcd member and API server)
        if the node is not healthy: its control-plane is taken back
        waits for: its control-plane
    100 nodes: kubelet and network (1 to change)
        why: differs from cluster.yaml
        disturbs: restarts kubelet.service; pods keep running
        waits for: its control-plane; rolling, 1 node first, then 10 nodes at a time
    100 nodes: wait until http://127.0.0.1:10248/healthz answers 200
        why: the next nodes are changed only then
        disturbs: nothing
        waits for: its node; rolling, 1 node first, then 10 nodes at a time
    100 nodes: wait until the node is Ready
        why: the next nodes are changed only then
        disturbs: nothing
        waits for: its kubelet-ready; rolling, 1 node first, then 10 nodes at a time
    cluster: wait until 100 nodes are Ready
        why: pods can be placed
        disturbs: nothing
        waits for: node of 100 nodes
    ");

    for name in &names[..3] {
        observed.nodes.get_mut(*name).unwrap().differences.pop();
    }
    let plan = plan_apply(&cluster, &states, &[], &observed).unwrap();
    let text = text::render(&plan, &states, &BTreeMap::new());
    assert!(
        text.starts_with("100 nodes: kubelet and network (1 to change per node)\n"),
        "{text}"
    );
    assert_eq!(text.matches("kubelet.service, restarts").count(), 1);
}

#[test]
fn a_plan_without_changes_says_so() {
    let cluster = cluster(&NODES);
    let plan = plan_of(&cluster, &converged(&cluster)).unwrap();
    assert_eq!(
        text::render(&plan, &states(&cluster), &BTreeMap::new()),
        "0 changes\n"
    );
    let document = serde_json::to_value(PlanDocument::new(&plan, "test", &[])).unwrap();
    assert_eq!(document["changes"], 0);
}

#[test]
fn the_schema_of_plans_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/plan.schema.json");
    let mut page = serde_json::to_string_pretty(&schema()).unwrap();
    page.push('\n');
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == page,
        "docs/reference/plan.schema.json is stale: UPDATE_REFERENCE=1 cargo test -p kubewright-core plan"
    );
}

/// What applying a plan leaves behind, as the next look would find it.
fn applied(plan: &Plan, observed: &Observed) -> Observed {
    let mut after = observed.clone();
    let api = after.api.get_or_insert_default();
    for planned in &plan.steps {
        match &planned.step {
            Step::Converge {
                node, differences, ..
            } => {
                let seen = after.nodes.get_mut(node).unwrap();
                seen.differences
                    .retain(|difference| !differences.contains(difference));
            }
            Step::Wait {
                condition: Condition::OnNode { node, condition },
                ..
            } => {
                let facts = &mut after.nodes.get_mut(node).unwrap().facts;
                if condition.to_string().contains("6443") {
                    facts.api_server = Some(Health::Ready);
                } else {
                    (facts.etcd, facts.has_etcd_data) = (Some(Health::Ready), true);
                }
            }
            Step::Wait {
                condition: Condition::NodeReady { node: ready },
                ..
            } => api.nodes_not_ready.retain(|node| node != ready),
            Step::Wait {
                condition: Condition::NodesReady { nodes },
                ..
            } => api.nodes_not_ready.retain(|node| !nodes.contains(node)),
            Step::Wait {
                condition: Condition::DeploymentAvailable { namespace, name },
                ..
            } => {
                let own = format!("{namespace}/{name}");
                api.deployments_unavailable
                    .retain(|deployment| *deployment != own);
            }
            Step::RecordFounders { node, founders } => {
                after.nodes.get_mut(node).unwrap().facts.founders = Some(founders.clone());
            }
            Step::AddMember { node, peer_url, .. } => {
                let members = after.etcd.get_or_insert_default().members.get_or_insert_default();
                members.push(EtcdMember {
                    id: 900 + members.len() as u64,
                    name: node.clone(),
                    peer_urls: vec![peer_url.clone()],
                    is_learner: true,
                });
            }
            Step::PromoteMember { peer_url, .. } => {
                let members = after.etcd.iter_mut().flat_map(|etcd| &mut etcd.members).flatten();
                for member in members.filter(|member| member.peer_urls.contains(peer_url)) {
                    member.is_learner = false;
                }
            }
            Step::MarkBootstrapped { node } => {
                after.nodes.get_mut(node).unwrap().facts.is_bootstrapped = true;
            }
            Step::RegisterNodes { nodes, .. } => api.nodes_to_register.retain(|node| !nodes.contains(node)),
            Step::ApplyManifests { objects, .. } => api.objects.retain(|name, _| !objects.contains(name)),
            Step::PruneObjects { objects } => api.orphaned.retain(|name| !objects.contains(name)),
            Step::ResetNode { .. } => {}
        }
    }
    after
}

proptest! {
    /// Whatever differs, a plan leaves nothing to plan.
    #[test]
    fn planning_after_applying_is_empty(
        touched in proptest::collection::btree_set((0usize..5, 0usize..5), 0..12),
        not_ready in proptest::collection::btree_set(0usize..5, 0..3),
        unregistered in proptest::collection::btree_set(0usize..5, 0..3),
        unbootstrapped in any::<bool>(),
        has_dns in any::<bool>(),
        has_orphaned in any::<bool>(),
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
            if unbootstrapped {
                observed.nodes.values_mut().for_each(|node| node.facts.is_bootstrapped = false);
            }
            let api = observed.api.as_mut().unwrap();
            api.nodes_not_ready = not_ready.iter().map(|index| NODES[*index].to_owned()).collect();
            api.nodes_to_register = unregistered.iter().map(|index| NODES[*index].to_owned()).collect();
            if !has_dns {
                api.objects.insert("Deployment kube-system/coredns".to_owned(), None);
                api.deployments_unavailable.push("kube-system/coredns".to_owned());
            }
            if has_orphaned {
                api.orphaned.push("ConfigMap kube-system/old".to_owned());
            }
            observed
        };
        let plan = plan_of(&cluster, &observed).unwrap();
        let after = applied(&plan, &observed);
        let again = plan_of(&cluster, &after).unwrap();
        prop_assert_eq!(again.steps, Vec::new());
    }
}

#[test]
fn what_the_file_accepts_of_a_check_is_told_by_every_plan() {
    let mut cluster = cluster(&["cp-1", "w-1"]);
    cluster.checks.accept.push(crate::spec::Acceptance {
        id: crate::check::Kind::CgroupControllers,
        reason: "these boards have no cpuset".to_owned(),
    });
    let plan = plan_of(&cluster, &converged(&cluster)).unwrap();
    let told = text::render(&plan, &states(&cluster), &BTreeMap::new());
    assert!(
        told.starts_with(
            "note: cgroup-controllers is accepted (checks.accept): these boards have no cpuset\n"
        ),
        "{told}"
    );
}
