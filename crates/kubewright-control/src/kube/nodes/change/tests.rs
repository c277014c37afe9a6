use super::*;

fn wanted(labels: &[(&str, &str)], taints: &[&str]) -> NodeObject {
    NodeObject {
        name: "w-1".to_owned(),
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        taints: taints.iter().map(|text| text.parse().unwrap()).collect(),
        pod_cidr: Some("10.244.3.0/24".parse().unwrap()),
    }
}

/// The object as it is after `wanted` was created, with additions.
fn live(wanted: &NodeObject, change: impl FnOnce(&mut Node)) -> Node {
    let mut node = new_node(wanted);
    node.metadata.resource_version = Some("7".to_owned());
    change(&mut node);
    node
}

fn changed(wanted: &NodeObject, live: &Node) -> (Vec<String>, Value) {
    match between(wanted, Some(live)).unwrap() {
        Some(NodeChange::Changed { lines, patch }) => (lines, patch),
        other => panic!("{other:?}"),
    }
}

fn taint(text: &str) -> LiveTaint {
    live_taint(&text.parse().unwrap())
}

#[test]
fn a_created_node_needs_no_change() {
    let wanted = wanted(
        &[("disk", "ssd"), ("node-role.kubernetes.io/worker", "")],
        &["a=b:NoSchedule"],
    );
    assert_eq!(between(&wanted, None).unwrap(), Some(NodeChange::Missing));
    assert_eq!(between(&wanted, Some(&live(&wanted, |_| {}))).unwrap(), None);
}

#[test]
fn labels_and_taints_of_others_are_left_alone() {
    let wanted = wanted(&[("disk", "ssd")], &["a:NoSchedule"]);
    let live = live(&wanted, |node| {
        node.labels_mut()
            .insert("kubernetes.io/hostname".to_owned(), "w-1".to_owned());
        let spec = node.spec.as_mut().unwrap();
        spec.taints
            .as_mut()
            .unwrap()
            .push(taint("node.kubernetes.io/not-ready:NoSchedule"));
    });
    assert_eq!(between(&wanted, Some(&live)).unwrap(), None);
}

#[test]
fn a_missing_and_a_changed_label_are_set() {
    let before = wanted(&[("disk", "ssd")], &[]);
    let after = wanted(&[("disk", "nvme"), ("role", "")], &[]);
    let (lines, patch) = changed(&after, &live(&before, |_| {}));
    assert_eq!(lines, ["~ label disk=ssd becomes nvme", "+ label role"]);
    assert_eq!(patch["metadata"]["labels"], json!({"disk": "nvme", "role": ""}));
    assert_eq!(
        patch["metadata"]["annotations"],
        json!({MANAGED_LABELS: "disk,role"})
    );
    assert_eq!(patch["metadata"]["resourceVersion"], json!("7"));
    assert_eq!(patch.get("spec"), None);
}

#[test]
fn what_was_once_set_and_is_no_longer_wanted_is_removed() {
    let before = wanted(
        &[("disk", "ssd"), ("zone", "a")],
        &["a:NoSchedule", "b:NoExecute"],
    );
    let after = wanted(&[("zone", "a")], &["b:NoExecute"]);
    let live = live(&before, |node| {
        node.labels_mut().insert("theirs".to_owned(), "x".to_owned());
    });
    let (lines, patch) = changed(&after, &live);
    assert_eq!(lines, ["- label disk=ssd", "- taint a:NoSchedule"]);
    assert_eq!(patch["metadata"]["labels"], json!({ "disk": null }));
    assert_eq!(
        patch["spec"]["taints"],
        json!([{"key": "b", "effect": "NoExecute"}])
    );
}

#[test]
fn a_taint_is_added_beside_those_of_others() {
    let before = wanted(&[], &[]);
    let after = wanted(&[], &["dedicated=gpu:NoSchedule"]);
    let live = live(&before, |node| {
        node.spec.as_mut().unwrap().taints = Some(vec![taint("theirs:NoExecute")]);
    });
    let (lines, patch) = changed(&after, &live);
    assert_eq!(lines, ["+ taint dedicated=gpu:NoSchedule"]);
    assert_eq!(
        patch["spec"]["taints"],
        json!([
            {"key": "theirs", "effect": "NoExecute"},
            {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"},
        ])
    );
}

#[test]
fn a_taint_of_another_value_is_replaced_in_its_place() {
    let before = wanted(&[], &["dedicated=gpu:NoSchedule"]);
    let after = wanted(&[], &["dedicated=cpu:NoSchedule"]);
    let (lines, patch) = changed(&after, &live(&before, |_| {}));
    assert_eq!(
        lines,
        ["~ taint dedicated=gpu:NoSchedule becomes dedicated=cpu:NoSchedule"]
    );
    assert_eq!(patch["spec"]["taints"].as_array().unwrap().len(), 1);
}

#[test]
fn a_node_its_kubelet_registered_is_completed_and_remembered() {
    let wanted = wanted(&[("disk", "ssd")], &[]);
    let live = Node {
        metadata: ObjectMeta {
            name: Some("w-1".to_owned()),
            resource_version: Some("1".to_owned()),
            ..ObjectMeta::default()
        },
        ..Node::default()
    };
    let (lines, patch) = changed(&wanted, &live);
    assert_eq!(lines, ["+ label disk=ssd", "+ pod range 10.244.3.0/24"]);
    assert_eq!(
        patch["spec"],
        json!({"podCIDR": "10.244.3.0/24", "podCIDRs": ["10.244.3.0/24"]})
    );
    assert_eq!(patch["metadata"]["annotations"][MANAGED_LABELS], json!("disk"));
}

#[test]
fn another_pod_range_is_refused() {
    let before = wanted(&[], &[]);
    let mut after = before.clone();
    after.pod_cidr = Some("10.244.9.0/24".parse().unwrap());
    let error = between(&after, Some(&live(&before, |_| {}))).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("10.244.3.0/24 and cannot become 10.244.9.0/24")
    );
    after.pod_cidr = None;
    assert_eq!(between(&after, Some(&live(&before, |_| {}))).unwrap(), None);
}
