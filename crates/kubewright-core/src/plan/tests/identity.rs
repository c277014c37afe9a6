//! A living cluster keeps what it was made with; versions follow one another; nodes are not forgotten.

use super::*;
use crate::observed::FixedSettings;

/// A converged cluster whose nodes remember what it was made with.
fn remembering(cluster: &Cluster) -> Observed {
    let mut observed = converged(cluster);
    for (name, node) in &mut observed.nodes {
        node.facts.marker = Some(Marker {
            cluster: cluster.name.to_string(),
            node: name.clone(),
            kubernetes: Some(cluster.kubernetes.to_string()),
            fixed: Some(FixedSettings::of(cluster)),
            ..Marker::default()
        });
    }
    observed
}

fn refusal(cluster: &Cluster, observed: &Observed) -> (&'static str, String) {
    let refusal = plan_of(cluster, observed).unwrap_err();
    (refusal.rule(), format!("{refusal}\n  hint: {}", refusal.hint()))
}

/// A setting by its path, and somebody who rewrites it.
type Rewrite = (&'static str, fn(&mut Cluster));

#[test]
fn what_a_living_cluster_was_made_with_is_refused_another_value_by_name() {
    let present = cluster(&NODES);
    let observed = remembering(&present);
    let changes: [Rewrite; 4] = [
        ("spec.network.domain", |cluster| {
            cluster.network.domain = "other.local".parse().unwrap();
        }),
        ("spec.network.podCidr", |cluster| {
            cluster.network.pod_cidr = "10.32.0.0/16".parse().unwrap();
        }),
        ("spec.network.serviceCidr", |cluster| {
            cluster.network.service_cidr = "10.97.0.0/16".parse().unwrap();
        }),
        ("spec.network.cni", |cluster| {
            cluster.network.cni = crate::spec::Cni::Bridge;
        }),
    ];
    for (setting, change) in changes {
        let mut wanted = present.clone();
        change(&mut wanted);
        let (rule, text) = refusal(&wanted, &observed);
        assert_eq!(rule, "fixed-setting");
        assert!(text.starts_with(setting), "{text}");
        let mut unborn = observed.clone();
        unborn.api = None;
        for node in unborn.nodes.values_mut() {
            node.facts.is_bootstrapped = false;
        }
        plan_of(&wanted, &unborn).unwrap();
    }
    insta::assert_snapshot!(
        {
            let mut wanted = present.clone();
            wanted.network.service_cidr = "10.97.0.0/16".parse().unwrap();
            refusal(&wanted, &observed).1
        },
        @r"
    spec.network.serviceCidr is immutable: existing value 10.96.0.0/16 (recorded on cp-1), cluster.yaml has 10.97.0.0/16; services keep their addresses, the API's and DNS' own among them
      hint: restore spec.network.serviceCidr: 10.96.0.0/16; another value needs a new cluster, with its own cluster.yaml
    "
    );
}

#[test]
fn a_cluster_that_was_renamed_is_told_from_a_foreign_one() {
    let present = cluster(&NODES);
    let mut states = states(&present);
    for (name, state) in &mut states {
        let marker = Marker {
            cluster: "new-name".to_owned(),
            cluster_id: "ours".to_owned(),
            node: name.clone(),
            ..Marker::default()
        };
        state.extend(
            Stage::Host,
            [Resource::File(File {
                path: Marker::PATH.to_owned(),
                access: Access::root(0o644),
                content: serde_json::to_string(&marker).unwrap(),
            })],
        );
    }
    let mut observed = remembering(&present);
    let mut wanted = present.clone();
    wanted.name = "new-name".parse().unwrap();
    for (id, rule) in [("ours", "fixed-setting"), ("theirs", "node-identity")] {
        for node in observed.nodes.values_mut() {
            node.facts.marker.as_mut().unwrap().cluster_id = id.to_owned();
        }
        let refusal = plan_apply(&wanted, &states, &[], &observed).unwrap_err();
        assert_eq!(refusal.rule(), rule, "{refusal}");
    }
}

#[test]
fn versions_go_forward_one_minor_at_a_time() {
    let mut wanted = cluster(&NODES);
    wanted.kubernetes = "1.36.3".parse().unwrap();
    let mut observed = remembering(&wanted);
    for (present, allowed) in [
        ("1.36.3", true),
        ("1.36.0", true),
        ("1.35.7", true),
        ("1.36.4", false),
        ("1.37.0", false),
        ("1.34.1", false),
    ] {
        let marker = observed
            .nodes
            .get_mut("w-2")
            .unwrap()
            .facts
            .marker
            .as_mut()
            .unwrap();
        marker.kubernetes = Some(present.to_owned());
        assert_eq!(plan_of(&wanted, &observed).is_ok(), allowed, "{present}");
    }
    let marker = observed
        .nodes
        .get_mut("w-2")
        .unwrap()
        .facts
        .marker
        .as_mut()
        .unwrap();
    marker.kubernetes = None;
    let versions = &mut observed.api.as_mut().unwrap().kubelet_versions;
    versions.insert("cp-1".to_owned(), String::new());
    plan_of(&wanted, &observed).unwrap();
    let versions = &mut observed.api.as_mut().unwrap().kubelet_versions;
    versions.insert("w-1".to_owned(), "v1.34.2".to_owned());
    insta::assert_snapshot!(refusal(&wanted, &observed).1, @r"
    kubernetes cannot go from 1.34.2 to 1.36.3 in one step; go to 1.35 first (node w-1 has it)
      hint: set spec.kubernetes to a version of 1.35 and apply, then go on from there; kubewright version lists the versions
    ");
}

#[test]
fn no_kubelet_becomes_newer_than_an_api_server() {
    let mut wanted = cluster(&NODES);
    let mut observed = remembering(&wanted);
    wanted.kubernetes = "1.36.0".parse().unwrap();
    for node in observed.nodes.values_mut() {
        node.facts.marker.as_mut().unwrap().kubernetes = Some("1.35.2".to_owned());
    }
    for node in NODES {
        differs(&mut observed, node, Stage::Runtime);
        differs(&mut observed, node, Stage::Node);
    }
    for node in ["cp-1", "cp-2", "cp-3"] {
        differs(&mut observed, node, Stage::ControlPlane);
    }
    let plan = plan_of(&wanted, &observed).unwrap();
    let ancestors = ancestors(&plan);
    for node in NODES {
        for stage in ["runtime", "node"] {
            for server in ["cp-1", "cp-2", "cp-3"] {
                let before = &ancestors[&format!("{node}/{stage}").parse::<StepId>().unwrap()];
                assert!(before.contains(&format!("{server}/api-ready").parse::<StepId>().unwrap()));
            }
        }
    }
    let nodes = std::iter::once("w-1".to_owned()).collect();
    assert_eq!(restrict(&plan, &nodes).unwrap_err().rule(), "left-out-step");
}

#[test]
fn nodes_are_not_forgotten() {
    let wanted = cluster(&NODES);
    let mut observed = remembering(&wanted);
    let unknown = &mut observed.api.as_mut().unwrap().unknown_nodes;
    unknown.push("w-3".to_owned());
    let (rule, text) = refusal(&wanted, &observed);
    assert_eq!(rule, "node-removal");
    assert!(
        text.contains("node w-3 is in the cluster") && text.contains("kubectl delete node w-3"),
        "{text}"
    );

    let mut observed = remembering(&wanted);
    let facts = &mut observed.nodes.get_mut("w-1").unwrap().facts;
    (facts.is_bootstrapped, facts.has_etcd_data) = (true, true);
    let (rule, text) = refusal(&wanted, &observed);
    assert_eq!(rule, "node-removal");
    assert!(text.starts_with("node w-1 still has an etcd member"), "{text}");
}
