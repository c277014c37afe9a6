//! Ten mistakes in cluster.yaml, as the program answers them. Read them aloud: each says where, what, and what to do.

use super::{World, said};

const RIGHT: &str = "apiVersion: kubewright/v1alpha1
kind: Cluster
metadata: { name: prod }
spec:
  kubernetes: 1.36.3
  network: { podCidr: 10.244.0.0/16, serviceCidr: 10.96.0.0/16 }
  nodes:
    - { name: cp-1, address: 192.0.2.11, roles: [control-plane] }
    - { name: cp-2, address: 192.0.2.12, roles: [control-plane] }
    - { name: cp-3, address: 192.0.2.13, roles: [control-plane] }
    - { name: w-1, address: 192.0.2.21, roles: [worker] }
";

/// What `apply` says of the file with a mistake in it; it stops before it talks to anybody.
fn with(right: &str, mistake: &str) -> String {
    assert!(RIGHT.contains(right), "{right}");
    let world = World::new();
    world.write("cluster.yaml", &RIGHT.replace(right, mistake));
    let (code, out, error) = said(&world.run(&["apply", "--yes"]));
    assert_eq!(out, "");
    format!("{error}exit code {code}")
}

#[test]
fn the_file_without_a_mistake_plans() {
    let world = World::new();
    world.write("cluster.yaml", RIGHT);
    let (code, _, error) = said(&world.run(&["plan", "--offline"]));
    assert_eq!((code, error.as_str()), (0, ""));
}

#[test]
fn an_unknown_key() {
    insta::assert_snapshot!(with("kubernetes: 1.36.3", "kuberentes: 1.36.3"), @r"
    error: cluster.yaml:5:3: unknown key `kuberentes` in `spec` [unknown-key]
     5 |   kuberentes: 1.36.3
       |   ^^^^^^^^^^
       = did you mean `kubernetes`?
    error: cluster.yaml has 1 error [file-invalid]
      hint: fix what is shown above; kubewright schema prints every key and its allowed values
    exit code 1
    ");
}

#[test]
fn a_key_that_stands_twice() {
    insta::assert_snapshot!(with("podCidr: 10.244.0.0/16,", "podCidr: 10.244.0.0/16, podCidr: 10.245.0.0/16,"), @r"
    error: cluster.yaml:6:38: key `podCidr` stands here a second time [duplicate-key]
     6 |   network: { podCidr: 10.244.0.0/16, podCidr: 10.245.0.0/16, serviceCidr: 10.96.0.0/16 }
       |                                      ^^^^^^^
       = it is already on line 6; keep one of them
    error: cluster.yaml has 1 error [file-invalid]
      hint: fix what is shown above; kubewright schema prints every key and its allowed values
    exit code 1
    ");
}

#[test]
fn indentation_by_tabs() {
    insta::assert_snapshot!(with("  kubernetes", "\tkubernetes"), @r"
    error: cluster.yaml:5:2: a tab where YAML allows only spaces [invalid-yaml]
     5 |  kubernetes: 1.36.3
       |  ^
       = replace it with spaces
    error: cluster.yaml has 1 error [file-invalid]
      hint: fix what is shown above; kubewright schema prints every key and its allowed values
    exit code 1
    ");
}

#[test]
fn a_name_where_an_address_belongs() {
    insta::assert_snapshot!(with("192.0.2.21", "worker.example.org"), @r"
    error: cluster.yaml:11:29: node address `worker.example.org` is not an IP address [invalid-value]
     11 |     - { name: w-1, address: worker.example.org, roles: [worker] }
        |                             ^^^^^^^^^^^^^^^^^^
        = write the address itself: etcd, certificates and routes need it, and it must not change
    error: cluster.yaml has 1 error [file-invalid]
      hint: fix what is shown above; kubewright schema prints every key and its allowed values
    exit code 1
    ");
}

#[test]
fn an_even_number_of_control_planes() {
    let third = "    - { name: cp-3, address: 192.0.2.13, roles: [control-plane] }\n";
    insta::assert_snapshot!(with(third, ""), @r"
    error: cluster.yaml:9:49: 2 control planes tolerate no more failures than 1 [even-control-planes]
     9 |     - { name: cp-2, address: 192.0.2.12, roles: [control-plane] }
       |                                                 ^
       = use 1 or 3: etcd needs more than half of them
    error: cluster.yaml has 1 error [file-invalid]
      hint: fix what is shown above; kubewright schema prints every key and its allowed values
    exit code 1
    ");
}

#[test]
fn two_nodes_with_one_address() {
    insta::assert_snapshot!(with("192.0.2.12", "192.0.2.11"), @r"
    error: cluster.yaml:9:30: two nodes have the address 192.0.2.11 [duplicate-address]
     9 |     - { name: cp-2, address: 192.0.2.11, roles: [control-plane] }
       |                              ^^^^^^^^^^
       = cp-1 on line 8 has it already; every node needs its own
    error: cluster.yaml has 1 error [file-invalid]
      hint: fix what is shown above; kubewright schema prints every key and its allowed values
    exit code 1
    ");
}

#[test]
fn ranges_that_overlap() {
    insta::assert_snapshot!(with("10.96.0.0/16", "10.244.64.0/18"), @r"
    error: cluster.yaml:6:51: service range 10.244.64.0/18 overlaps pod range 10.244.0.0/16 [range-overlap]
     6 |   network: { podCidr: 10.244.0.0/16, serviceCidr: 10.244.64.0/18 }
       |                                                   ^^^^^^^^^^^^^^
       = choose ranges that share no address, such as `10.244.0.0/16` and `10.96.0.0/16`
    error: cluster.yaml has 1 error [file-invalid]
      hint: fix what is shown above; kubewright schema prints every key and its allowed values
    exit code 1
    ");
}

#[test]
fn a_version_nobody_offers() {
    insta::assert_snapshot!(with("1.36.3", "1.29.4"), @r"
    error: cluster.yaml:5:15: Kubernetes 1.29.4 is not in this kubewright's catalogue [unknown-version]
     5 |   kubernetes: 1.29.4
       |               ^^^^^^
       = the supported minors are 1.37 (newest 1.37.2), 1.36 (newest 1.36.4), 1.35 (newest 1.35.8)
    error: cluster.yaml has 1 error [file-invalid]
      hint: fix what is shown above; kubewright schema prints every key and its allowed values
    exit code 1
    ");
}

#[test]
fn a_network_plug_in_that_is_not_built_yet() {
    insta::assert_snapshot!(with("network: { ", "network: { cni: calico, "), @r"
    error: cluster.yaml:6:19: network plug-in `calico` is not yet supported [not-yet]
     6 |   network: { cni: calico, podCidr: 10.244.0.0/16, serviceCidr: 10.96.0.0/16 }
       |                   ^^^^^^
       = use `flannel` or `bridge`, or `none` and install it yourself through `addons`
    error: cluster.yaml has 1 error [file-invalid]
      hint: fix what is shown above; kubewright schema prints every key and its allowed values
    exit code 1
    ");
}

#[test]
fn an_argument_that_kubewright_owns() {
    let mistake = "components: { kube-apiserver: { extraArgs: { anonymous-auth: true } } }\n  nodes:";
    insta::assert_snapshot!(with("nodes:", mistake), @r"
    error: cluster.yaml:7:48: kube-apiserver argument `anonymous-auth` belongs to kubewright: the cluster's access rules depend on it [owned-argument]
     7 |   components: { kube-apiserver: { extraArgs: { anonymous-auth: true } } }
       |                                                ^^^^^^^^^^^^^^
       = remove it
    error: cluster.yaml has 1 error [file-invalid]
      hint: fix what is shown above; kubewright schema prints every key and its allowed values
    exit code 1
    ");
}

#[test]
fn programs_are_told_all_mistakes_in_one_document() {
    let world = World::new();
    let text = RIGHT
        .replace("kubernetes: 1.36.3", "kuberentes: 1.36.3")
        .replace("192.0.2.12", "192.0.2.11");
    world.write("cluster.yaml", &text);
    let (code, out, error) = said(&world.run(&["plan", "--offline", "-o", "json"]));
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(error.lines().count(), 1);
    let document: serde_json::Value = serde_json::from_str(&error).unwrap();
    assert_eq!(document["id"], "file-invalid");
    assert_eq!(document["exitCode"], 1);
    let findings = document["findings"].as_array().unwrap();
    let rules: Vec<&str> = findings
        .iter()
        .filter_map(|finding| finding["rule"].as_str())
        .collect();
    assert_eq!(rules, ["unknown-key", "duplicate-address"]);
    assert_eq!(findings[0]["place"]["line"], 5);
}
