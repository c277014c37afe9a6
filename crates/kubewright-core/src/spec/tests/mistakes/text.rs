//! What is no YAML, or has keys and values where none belong.

use insta::assert_snapshot;

use super::{adding, said, with};

#[test]
fn several_mistakes_are_reported_at_once() {
    let text = "\
apiVersion: kubewright/v1alpha1
kind: Cluster
metadata: { name: Prod }
spec:
  kubernetes: 1.36
  contolPlane: {}
  network: { podCidr: 10.0.0.0/8, serviceCidr: 10.96.0.0/16, cni: calico, cni: flannel }
  ssh: { user: root, port: twenty-two }
  nodes:
    - { name: cp-1, address: 10.1.2.3, roles: [master] }
    - { name: cp-1, address: host.example.org, roles: [worker], label: {} }
    - just-a-name
";
    assert_snapshot!(said(text), @r"
    error: cluster.yaml:3:19: cluster name `Prod` has the capital letter `P` [invalid-value]
     3 | metadata: { name: Prod }
       |                   ^^^^
       = use lower-case letters, digits and dashes, at most 63, with a letter or digit at both ends

    error: cluster.yaml:5:15: version `1.36` has no patch number [invalid-value]
     5 |   kubernetes: 1.36
       |               ^^^^
       = write all three numbers, such as `1.36.3`

    error: cluster.yaml:6:3: unknown key `contolPlane` in `spec` [unknown-key]
     6 |   contolPlane: {}
       |   ^^^^^^^^^^^
       = did you mean `controlPlane`?

    error: cluster.yaml:7:48: service range 10.96.0.0/16 overlaps pod range 10.0.0.0/8 [range-overlap]
     7 |   network: { podCidr: 10.0.0.0/8, serviceCidr: 10.96.0.0/16, cni: calico, cni: flannel }
       |                                                ^^^^^^^^^^^^
       = choose ranges that share no address, such as `10.244.0.0/16` and `10.96.0.0/16`

    error: cluster.yaml:7:67: network plug-in `calico` is not yet supported [not-yet]
     7 |   network: { podCidr: 10.0.0.0/8, serviceCidr: 10.96.0.0/16, cni: calico, cni: flannel }
       |                                                                   ^^^^^^
       = use `flannel` or `bridge`, or `none` and install it yourself through `addons`

    error: cluster.yaml:7:75: key `cni` stands here a second time [duplicate-key]
     7 |   network: { podCidr: 10.0.0.0/8, serviceCidr: 10.96.0.0/16, cni: calico, cni: flannel }
       |                                                                           ^^^
       = it is already on line 7; keep one of them

    error: cluster.yaml:8:28: `spec.ssh.port` must be a whole number from 1 to 65535, not `twenty-two` [invalid-value]
     8 |   ssh: { user: root, port: twenty-two }
       |                            ^^^^^^^^^^
       = write a whole number from 1 to 65535

    error: cluster.yaml:10:30: address 10.1.2.3 of node cp-1 lies in the pod range 10.0.0.0/8 [address-in-range]
     10 |     - { name: cp-1, address: 10.1.2.3, roles: [master] }
        |                              ^^^^^^^^
        = choose a `spec.network.podCidr` that no node's address and no address it talks to lies in

    error: cluster.yaml:10:48: the role `master` is called `control-plane` [unknown-word]
     10 |     - { name: cp-1, address: 10.1.2.3, roles: [master] }
        |                                                ^^^^^^
        = write `control-plane`

    error: cluster.yaml:11:15: two nodes have the name cp-1 [duplicate-name]
     11 |     - { name: cp-1, address: host.example.org, roles: [worker], label: {} }
        |               ^^^^
        = the other is on line 10; rename this one, or remove one of the two

    error: cluster.yaml:11:30: node address `host.example.org` is not an IP address [invalid-value]
     11 |     - { name: cp-1, address: host.example.org, roles: [worker], label: {} }
        |                              ^^^^^^^^^^^^^^^^
        = write the address itself: etcd, certificates and routes need it, and it must not change

    error: cluster.yaml:11:65: unknown key `label` in `spec.nodes[1]` [unknown-key]
     11 |     - { name: cp-1, address: host.example.org, roles: [worker], label: {} }
        |                                                                 ^^^^^
        = did you mean `labels`?

    error: cluster.yaml:12:7: `spec.nodes[2]` must be a map, not text [wrong-type]
     12 |     - just-a-name
        |       ^^^^^^^^^^^
        = write `- { name: cp-1, address: 192.0.2.11, roles: [control-plane] }`

    13 errors in cluster.yaml
    ");
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    assert_snapshot!(said(&with("podCidr", "podCIDR")), @r"
    error: cluster.yaml:8:5: unknown key `podCIDR` in `spec.network` [unknown-key]
     8 |     podCIDR: 10.244.0.0/16
       |     ^^^^^^^
       = did you mean `podCidr`?

    1 error in cluster.yaml
    ");
}

#[test]
fn a_key_in_the_wrong_place_is_told_its_place() {
    assert_snapshot!(said(&adding("  podCidr: 10.0.0.0/16")), @r"
    error: cluster.yaml:7:3: unknown key `podCidr` in `spec` [unknown-key]
     7 |   podCidr: 10.0.0.0/16
       |   ^^^^^^^
       = `podCidr` belongs under `spec.network`

    1 error in cluster.yaml
    ");
}

#[test]
fn a_duplicate_key_names_the_first_line() {
    assert_snapshot!(said(&with("kind: Cluster\n", "kind: Cluster\nkind: Cluster\n")), @r"
    error: cluster.yaml:3:1: key `kind` stands here a second time [duplicate-key]
     3 | kind: Cluster
       | ^^^^
       = it is already on line 2; keep one of them

    1 error in cluster.yaml
    ");
}

#[test]
fn a_wrong_type_says_what_is_wanted() {
    assert_snapshot!(said(&with("roles: [worker]", "roles: worker")), @r"
    error: cluster.yaml:14:48: `spec.nodes[3].roles` must be a list, not text [wrong-type]
     14 |     - { name: w-1, address: 192.0.2.21, roles: worker }
        |                                                ^^^^^^
        = write `roles: [control-plane]`, `roles: [worker]`, or both in one list

    1 error in cluster.yaml
    ");
}

#[test]
fn a_missing_part_is_named_with_an_example() {
    assert_snapshot!(said("apiVersion: kubewright/v1\nspec: { nodes: [{ name: a }] }\n"), @r"
    error: cluster.yaml:1:13: `apiVersion: kubewright/v1` is not known to this kubewright [unknown-word]
     1 | apiVersion: kubewright/v1
       |             ^^^^^^^^^^^^^
       = write `apiVersion: kubewright/v1alpha1`

    error: cluster.yaml:2:17: the node's address is missing in `spec.nodes[0]` [missing-key]
     2 | spec: { nodes: [{ name: a }] }
       |                 ^
       = add an address, such as `address: 192.0.2.11`

    error: cluster.yaml:2:17: the node's list of roles is missing in `spec.nodes[0]` [missing-key]
     2 | spec: { nodes: [{ name: a }] }
       |                 ^
       = write `roles: [control-plane]`, `roles: [worker]`, or both in one list

    error: cluster.yaml: `kind` is missing [missing-key]
      = write `kind: Cluster`

    error: cluster.yaml: `metadata` with the cluster's name is missing [missing-key]
      = add `metadata: { name: prod }`

    5 errors in cluster.yaml
    ");
}

#[test]
fn text_that_is_not_yaml_is_answered_in_plain_words() {
    assert_snapshot!(said("spec:\n\tnodes: []\n"), @r"
    error: cluster.yaml:2:2: a tab where YAML allows only spaces [invalid-yaml]
     2 |  nodes: []
       |  ^
       = replace it with spaces

    1 error in cluster.yaml
    ");
    assert_snapshot!(said("spec: { nodes: [a, b\nmetadata: x\n"), @r"
    error: cluster.yaml:2:9: `[` on line 1 is not closed, or not rightly [invalid-yaml]
     2 | metadata: x
       |         ^
       = add the closing `]`, and commas between the entries

    1 error in cluster.yaml
    ");
    assert_snapshot!(said("spec:\n  artifacts:\n    source: mirror: http://x\n"), @r"
    error: cluster.yaml:3:19: a second `:` on this line [invalid-yaml]
     3 |     source: mirror: http://x
       |                   ^
       = put the value in quotes if it has `: ` in it, or write a nested map in `{ }` or on lines of its own

    1 error in cluster.yaml
    ");
    assert_snapshot!(said("spec:\n  nodes: []\n network: {}\n"), @r"
    error: cluster.yaml:3:2: this line does not fit the lines above it [invalid-yaml]
     3 |  network: {}
       |  ^
       = give it the same indentation as its neighbours; a key needs `: ` after it, a list item `- ` before it

    1 error in cluster.yaml
    ");
    assert_snapshot!(said("metadata:\n  name: 'prod\n"), @r"
    error: cluster.yaml:2:14: a quote that is never closed [invalid-yaml]
     2 |   name: 'prod
       |              ^
       = add the closing quote on the line it began; a quote inside single quotes is written twice

    1 error in cluster.yaml
    ");
}

#[test]
fn an_empty_or_foreign_file_is_told_what_belongs_there() {
    assert_snapshot!(said("# nothing\n"), @r"
    error: cluster.yaml: there is nothing in it [empty-file]
      = a cluster file begins with `apiVersion: kubewright/v1alpha1`; `kubewright init` writes one from addresses

    1 error in cluster.yaml
    ");
    assert_snapshot!(said("- a\n- b\n"), @r"
    error: cluster.yaml:1:1: the file must be a map, not a list [wrong-type]
     1 | - a
       | ^
       = write it as a map with the keys `apiVersion`, `kind`, `metadata` and `spec`

    1 error in cluster.yaml
    ");
    assert_snapshot!(said("apiVersion: v1\nkind: Pod\nmetadata: { name: x }\nspec: { containers: [] }\n"), @r"
    error: cluster.yaml:1:13: `apiVersion: v1` is not known to this kubewright [unknown-word]
     1 | apiVersion: v1
       |             ^^
       = write `apiVersion: kubewright/v1alpha1`

    error: cluster.yaml:2:7: `kind: Pod` is not known to this kubewright [unknown-word]
     2 | kind: Pod
       |       ^^^
       = write `kind: Cluster`

    error: cluster.yaml:4:1: `nodes`, the list of machines, is missing in `spec` [missing-key]
     4 | spec: { containers: [] }
       | ^^^^
       = write `- { name: cp-1, address: 192.0.2.11, roles: [control-plane] }`

    error: cluster.yaml:4:9: unknown key `containers` in `spec` [unknown-key]
     4 | spec: { containers: [] }
       |         ^^^^^^^^^^
       = known keys here: kubernetes, controlPlane, etcd, network, security, artifacts, proxy, registries, dns, oidc, ssh, rollout, checks, components, addons, nodes

    4 errors in cluster.yaml
    ");
}
