//! What a node says of its pod range counts only when it can be true.

use super::*;

/// A living cluster without an API server that answers: only markers tell who has which range.
fn told_by_markers(cluster: &Cluster, claims: &[(&str, &str)]) -> Observed {
    let mut observed = converged(cluster);
    observed.api = None;
    for (name, node) in &mut observed.nodes {
        let claimed = claims.iter().find(|(node, _)| node == name);
        node.facts.marker = Some(Marker {
            cluster: cluster.name.to_string(),
            node: name.clone(),
            pod_cidr: claimed.map(|(_, range)| (*range).to_owned()),
            ..Marker::default()
        });
    }
    observed
}

fn ranges(cluster: &Cluster, observed: &Observed) -> Vec<String> {
    let ranges = allocate_pod_ranges(cluster, observed).unwrap();
    ranges
        .iter()
        .map(|(node, range)| format!("{node} {range}"))
        .collect()
}

fn refusal(cluster: &Cluster, observed: &Observed) -> String {
    let refusal = plan_of(cluster, observed).unwrap_err();
    assert_eq!(refusal.rule(), "pod-range-claim");
    refusal.to_string()
}

#[test]
fn a_free_part_of_the_pod_range_is_kept_although_no_api_server_answers() {
    let cluster = cluster(&["cp-1", "w-1"]);
    let observed = told_by_markers(&cluster, &[("w-1", "10.244.7.0/24")]);
    assert_eq!(
        ranges(&cluster, &observed),
        ["cp-1 10.244.0.0/24", "w-1 10.244.7.0/24"]
    );
    plan_of(&cluster, &observed).unwrap();
}

#[test]
fn what_is_no_part_of_the_pod_range_is_neither_given_nor_passed_over_in_silence() {
    let cluster = cluster(&["cp-1", "w-1"]);
    for claimed in [
        "0.0.0.0/0",
        "10.244.0.0/16",
        "10.244.7.0/25",
        "192.0.2.0/24",
        "::/0",
        "\u{1b}[2J",
    ] {
        let observed = told_by_markers(&cluster, &[("w-1", claimed)]);
        assert_eq!(
            ranges(&cluster, &observed),
            ["cp-1 10.244.0.0/24", "w-1 10.244.1.0/24"]
        );
        let text = refusal(&cluster, &observed);
        assert!(text.starts_with("node w-1 claims the pod range "), "{text}");
        assert!(text.ends_with(": it is not a /24 of 10.244.0.0/16"), "{text}");
    }
}

#[test]
fn the_range_of_another_node_is_not_given_twice() {
    let cluster = cluster(&["cp-1", "w-1", "w-2"]);
    let claims = [("w-1", "10.244.7.0/24"), ("w-2", "10.244.7.0/24")];
    let mut observed = told_by_markers(&cluster, &claims);
    assert_eq!(
        ranges(&cluster, &observed),
        ["cp-1 10.244.0.0/24", "w-1 10.244.7.0/24", "w-2 10.244.1.0/24"]
    );
    assert_eq!(
        refusal(&cluster, &observed),
        "node w-2 claims the pod range 10.244.7.0/24: node w-1 has it"
    );
    // What the API says counts before what any node says.
    let told = ObservedApi {
        pod_cidrs: [("w-2".to_owned(), "10.244.7.0/24".to_owned())].into(),
        ..ObservedApi::default()
    };
    observed.api = Some(told);
    assert_eq!(
        refusal(&cluster, &observed),
        "node w-1 claims the pod range 10.244.7.0/24: node w-2 has it"
    );
}

#[test]
fn what_an_interrupted_bootstrap_left_in_the_markers_binds_nobody() {
    let cluster = cluster(&["cp-1", "w-1"]);
    let mut observed = told_by_markers(&cluster, &[("w-1", "10.32.7.0/24")]);
    for node in observed.nodes.values_mut() {
        node.facts.is_bootstrapped = false;
        node.facts.has_etcd_data = false;
    }
    assert_eq!(
        ranges(&cluster, &observed),
        ["cp-1 10.244.0.0/24", "w-1 10.244.1.0/24"]
    );
    plan_of(&cluster, &observed).unwrap();
}
