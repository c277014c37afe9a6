//! Nodes that make no cluster.

use insta::assert_snapshot;

use super::{adding, said, with};

#[test]
fn two_nodes_with_one_name_or_address_are_refused() {
    let text = with("name: cp-3", "name: cp-2").replace("192.0.2.21", "192.0.2.11");
    assert_snapshot!(said(&text), @"
    error: cluster.yaml:13:15: two nodes have the name cp-2 [duplicate-name]
     13 |     - { name: cp-2, address: 192.0.2.13, roles: [control-plane] }
        |               ^^^^
        = the other is on line 12; rename this one, or remove one of the two

    error: cluster.yaml:14:29: two nodes have the address 192.0.2.11 [duplicate-address]
     14 |     - { name: w-1, address: 192.0.2.11, roles: [worker] }
        |                             ^^^^^^^^^^
        = cp-1 on line 11 has it already; every node needs its own

    2 errors in cluster.yaml
    ");
}

#[test]
fn an_even_number_of_control_planes_is_refused() {
    assert_snapshot!(said(&with("192.0.2.21, roles: [worker]", "192.0.2.21, roles: [worker, control-plane]")), @"
    error: cluster.yaml:14:48: 4 control planes tolerate no more failures than 3 [even-control-planes]
     14 |     - { name: w-1, address: 192.0.2.21, roles: [worker, control-plane] }
        |                                                ^
        = use 3 or 5: etcd needs more than half of them

    1 error in cluster.yaml
    ");
}

#[test]
fn two_control_planes_are_refused() {
    assert_snapshot!(said(&with("    - { name: cp-3, address: 192.0.2.13, roles: [control-plane] }\n", "")), @"
    error: cluster.yaml:12:49: 2 control planes tolerate no more failures than 1 [even-control-planes]
     12 |     - { name: cp-2, address: 192.0.2.12, roles: [control-plane] }
        |                                                 ^
        = use 1 or 3: etcd needs more than half of them

    1 error in cluster.yaml
    ");
}

#[test]
fn a_cluster_without_a_control_plane_is_refused() {
    let text = with(
        "- { name: cp-1, address: 192.0.2.11, roles: [control-plane] }\n",
        "",
    )
    .replace(
        "    - { name: cp-2, address: 192.0.2.12, roles: [control-plane] }\n",
        "",
    )
    .replace(
        "    - { name: cp-3, address: 192.0.2.13, roles: [control-plane] }\n",
        "",
    );
    assert_snapshot!(said(&text), @"
    error: cluster.yaml:10:3: no node has the role `control-plane` [no-control-plane]
     10 |   nodes:
        |   ^^^^^
        = give one node, or better three, `roles: [control-plane]`

    1 error in cluster.yaml
    ");
}

#[test]
fn labels_taints_and_host_keys_are_checked_where_they_stand() {
    let text = with(
        "roles: [worker] }",
        "roles: [worker],\n        labels: { kubernetes.io/hostname: x, 'bad key': y, disk: 'a b' },\n        taints: [dedicated, a=b:Never],\n        hostKey: SHA256:abcdef, user: -oProxyCommand=x }",
    );
    assert_snapshot!(said(&text), @"
    error: cluster.yaml:15:19: label `kubernetes.io/hostname` is not for the file: the kubelet sets it to the node's name [owned-label]
     15 |         labels: { kubernetes.io/hostname: x, 'bad key': y, disk: 'a b' },
        |                   ^^^^^^^^^^^^^^^^^^^^^^
        = remove it

    error: cluster.yaml:15:46: label key `bad key` has a space [invalid-value]
     15 |         labels: { kubernetes.io/hostname: x, 'bad key': y, disk: 'a b' },
        |                                              ^^^^^^^^^
        = write `name` or `domain/name`; a name has letters, digits, `-`, `_` and `.`, at most 63

    error: cluster.yaml:15:66: label value `a b` has a space [invalid-value]
     15 |         labels: { kubernetes.io/hostname: x, 'bad key': y, disk: 'a b' },
        |                                                                  ^^^^^
        = use letters, digits, `-`, `_` and `.`, at most 63, with a letter or digit at both ends

    error: cluster.yaml:16:18: taint `dedicated` has no effect [invalid-value]
     16 |         taints: [dedicated, a=b:Never],
        |                  ^^^^^^^^^
        = write `key=value:Effect` or `key:Effect`, such as `dedicated=gpu:NoSchedule`

    error: cluster.yaml:16:29: taint `a=b:Never` has an unknown effect [invalid-value]
     16 |         taints: [dedicated, a=b:Never],
        |                             ^^^^^^^^^
        = the effects are NoSchedule, PreferNoSchedule and NoExecute

    error: cluster.yaml:17:18: host key `SHA256:abcdef` is a fingerprint, not a key [invalid-value]
     17 |         hostKey: SHA256:abcdef, user: -oProxyCommand=x }
        |                  ^^^^^^^^^^^^^
        = write what `ssh-keyscan -t ed25519 ADDRESS` prints after the address, once you have compared it

    error: cluster.yaml:17:39: `user` is not a user name for ssh: `-oProxyCommand=x` [invalid-value]
     17 |         hostKey: SHA256:abcdef, user: -oProxyCommand=x }
        |                                       ^^^^^^^^^^^^^^^^
        = write a user name, such as `root`

    7 errors in cluster.yaml
    ");
}

/// A kubelet's certificate has its node's name, and is of the same authority as those of API servers.
#[test]
fn a_node_called_like_an_api_server_is_refused() {
    for name in ["localhost", "kubernetes"] {
        let told = said(&with("name: w-1", &format!("name: {name}")));
        let expected =
            format!("`{name}` is a name of the API servers, so no node can have it [reserved-name]");
        assert!(told.contains(&expected), "{told}");
    }
    let endpoint = |name: &str| {
        adding("  controlPlane: { endpoint: api, extraSans: [other] }")
            .replace("name: w-1", &format!("name: {name}"))
    };
    for name in ["api", "other"] {
        let told = said(&endpoint(name));
        assert!(told.contains("[reserved-name]"), "{told}");
    }
}
