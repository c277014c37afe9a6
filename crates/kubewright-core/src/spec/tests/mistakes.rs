//! Mistakes and their answers. Read them aloud: each says where, what is wrong, and what to do.

use super::{adding, said, with};
use insta::assert_snapshot;

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
fn overlapping_ranges_are_refused() {
    assert_snapshot!(said(&with("10.96.0.0/16", "10.244.128.0/17")), @r"
    error: cluster.yaml:9:18: service range 10.244.128.0/17 overlaps pod range 10.244.0.0/16 [range-overlap]
     9 |     serviceCidr: 10.244.128.0/17
       |                  ^^^^^^^^^^^^^^^
       = choose ranges that share no address, such as `10.244.0.0/16` and `10.96.0.0/16`

    1 error in cluster.yaml
    ");
}

#[test]
fn a_pod_range_too_small_for_the_nodes_says_how_large_it_must_be() {
    assert_snapshot!(said(&with("10.244.0.0/16", "10.244.0.0/23")), @r"
    error: cluster.yaml:8:14: pod range 10.244.0.0/23 has room for 2 nodes of a /24 each, the file has 4 [range-too-small]
     8 |     podCidr: 10.244.0.0/23
       |              ^^^^^^^^^^^^^
       = use at least a /22; a /16 leaves room to grow to 256 nodes

    1 error in cluster.yaml
    ");
}

#[test]
fn a_service_range_too_small_is_refused() {
    assert_snapshot!(said(&with("10.96.0.0/16", "10.96.0.0/28")), @r"
    error: cluster.yaml:9:18: service range 10.96.0.0/28 has 16 addresses, at least 256 are needed [range-too-small]
     9 |     serviceCidr: 10.96.0.0/28
       |                  ^^^^^^^^^^^^
       = use a /16, such as `10.96.0.0/16`

    1 error in cluster.yaml
    ");
}

#[test]
fn a_node_inside_a_range_is_refused() {
    assert_snapshot!(said(&with("192.0.2.21", "10.96.7.1")), @r"
    error: cluster.yaml:14:29: address 10.96.7.1 of node w-1 lies in the service range 10.96.0.0/16 [address-in-range]
     14 |     - { name: w-1, address: 10.96.7.1, roles: [worker] }
        |                             ^^^^^^^^^
        = choose a `spec.network.serviceCidr` that no node's address and no address it talks to lies in

    1 error in cluster.yaml
    ");
}

#[test]
fn two_nodes_with_one_name_or_address_are_refused() {
    let text = with("name: cp-3", "name: cp-2").replace("192.0.2.21", "192.0.2.11");
    assert_snapshot!(said(&text), @r"
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
    assert_snapshot!(said(&with("192.0.2.21, roles: [worker]", "192.0.2.21, roles: [worker, control-plane]")), @r"
    error: cluster.yaml:14:48: 4 control planes: an even number survives no more losses than one fewer [even-control-planes]
     14 |     - { name: w-1, address: 192.0.2.21, roles: [worker, control-plane] }
        |                                                ^
        = use 3 or 5; etcd needs more than half of them alive

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
    assert_snapshot!(said(&text), @r"
    error: cluster.yaml:10:3: no node has the role `control-plane` [no-control-plane]
     10 |   nodes:
        |   ^^^^^
        = give one node, or better three, `roles: [control-plane]`

    1 error in cluster.yaml
    ");
}

#[test]
fn a_version_outside_the_catalogue_names_those_inside() {
    assert_snapshot!(said(&with("1.36.3", "1.33.9")), @r"
    error: cluster.yaml:6:15: Kubernetes 1.33.9 is not in this kubewright's catalogue [unknown-version]
     6 |   kubernetes: 1.33.9
       |               ^^^^^^
       = the supported minors are 1.36 (newest 1.36.4), 1.35 (newest 1.35.8), 1.34 (newest 1.34.11)

    1 error in cluster.yaml
    ");
    assert_snapshot!(said(&with("1.36.3", "1.35.99")), @r"
    error: cluster.yaml:6:15: Kubernetes 1.35.99 is not in this kubewright's catalogue [unknown-version]
     6 |   kubernetes: 1.35.99
       |               ^^^^^^^
       = the newest patch of 1.35 here is 1.35.8, the newest version of all 1.36.4

    1 error in cluster.yaml
    ");
}

#[test]
fn owned_arguments_are_refused_by_name_and_reason() {
    let text = adding(
        "  components:
    kube-apiserver:
      extraArgs:
        --etcd-servers: https://elsewhere:2379
        service_cluster_ip_range: 10.0.0.0/16
        event_ttl: 2h
        enable-admission-plugins: AlwaysPullImages
    kubelet:
      extraArgs: { hostname-override: other }
      extraConfig: { clusterDNS: [10.0.0.10], authentication: { anonymous: { enabled: true } }, maxPods: 200 }
    etcd: { extraConfig: { a: 1 } }
    apiserver: {}",
    );
    assert_snapshot!(said(&text), @r"
    error: cluster.yaml:10:9: kube-apiserver argument `etcd-servers` belongs to kubewright: it follows from the list of control planes [owned-argument]
     10 |         --etcd-servers: https://elsewhere:2379
        |         ^^^^^^^^^^^^^^
        = remove it

    error: cluster.yaml:11:9: kube-apiserver argument `service-cluster-ip-range` belongs to kubewright: it follows from the cluster's ranges [owned-argument]
     11 |         service_cluster_ip_range: 10.0.0.0/16
        |         ^^^^^^^^^^^^^^^^^^^^^^^^
        = set `spec.network.serviceCidr` instead

    error: cluster.yaml:12:9: argument `event_ttl` has an underscore [invalid-value]
     12 |         event_ttl: 2h
        |         ^^^^^^^^^
        = write `event-ttl`

    error: cluster.yaml:13:35: the list has no `NodeRestriction`, which confines each kubelet to its own node [owned-argument]
     13 |         enable-admission-plugins: AlwaysPullImages
        |                                   ^^^^^^^^^^^^^^^^
        = add `NodeRestriction` to the list

    error: cluster.yaml:15:20: kubelet argument `hostname-override` belongs to kubewright: the node's certificate carries its name [owned-argument]
     15 |       extraArgs: { hostname-override: other }
        |                    ^^^^^^^^^^^^^^^^^
        = set `spec.nodes[].name` instead

    error: cluster.yaml:16:22: kubelet setting `clusterDNS` belongs to kubewright: it follows from the cluster's ranges [owned-argument]
     16 |       extraConfig: { clusterDNS: [10.0.0.10], authentication: { anonymous: { enabled: true } }, maxP…
        |                      ^^^^^^^^^^
        = set `spec.network.serviceCidr` instead

    error: cluster.yaml:16:65: kubelet setting `authentication.anonymous` belongs to kubewright: the cluster's access rules depend on it [owned-argument]
     16 | …fig: { clusterDNS: [10.0.0.10], authentication: { anonymous: { enabled: true } }, maxPods: 200 }
        |                                                    ^^^^^^^^^
        = remove it

    error: cluster.yaml:17:13: etcd has no configuration file to merge `extraConfig` into [no-effect]
     17 |     etcd: { extraConfig: { a: 1 } }
        |             ^^^^^^^^^^^
        = use `extraArgs`

    error: cluster.yaml:18:5: unknown component `apiserver` in `spec.components` [unknown-key]
     18 |     apiserver: {}
        |     ^^^^^^^^^
        = did you mean `kube-apiserver`?

    9 errors in cluster.yaml
    ");
}

#[test]
fn what_is_not_built_yet_is_refused_by_name() {
    let text = adding(
        "  controlPlane: { mode: static-pod }
  etcd: { snapshots: { every: 1h } }
  security: { profile: cis, encryption: aescbc }
  artifacts: { source: { bundle: ./kubewright.bundle } }
  addons: [dashboard]
  components: { kube-apiserver: { extraVolumes: [{ name: a, hostPath: /a, mountPath: /a }] } }",
    )
    .replace("    podCidr", "    cni: cilium\n    podCidr");
    assert_snapshot!(said(&text), @r"
    error: cluster.yaml:7:25: control-plane mode `static-pod` is not yet supported [not-yet]
     7 |   controlPlane: { mode: static-pod }
       |                         ^^^^^^^^^^
       = use `mode: systemd`, the default

    error: cluster.yaml:8:11: periodic etcd snapshots are not yet supported [not-yet]
     8 |   etcd: { snapshots: { every: 1h } }
       |           ^^^^^^^^^
       = remove the key; until then nothing takes snapshots by itself

    error: cluster.yaml:9:24: security profile `cis` is not yet supported [not-yet]
     9 |   security: { profile: cis, encryption: aescbc }
       |                        ^^^
       = use `profile: default`

    error: cluster.yaml:9:41: `aescbc` is not yet supported; upstream calls it weak [unknown-word]
     9 |   security: { profile: cis, encryption: aescbc }
       |                                         ^^^^^^
       = use `secretbox`, the default

    error: cluster.yaml:10:34: artifact source `bundle` is not yet supported [not-yet]
     10 |   artifacts: { source: { bundle: ./kubewright.bundle } }
        |                                  ^^^^^^^^^^^^^^^^^^^
        = use `source: { directory: PATH }` with the files a bundle would have

    error: cluster.yaml:11:12: add-on `dashboard` is not yet in the catalogue [not-yet]
     11 |   addons: [dashboard]
        |            ^^^^^^^^^
        = install it from its manifests: `{ name: NAME, manifests: [file, directory or URL] }`

    error: cluster.yaml:14:10: network plug-in `cilium` is not yet supported [not-yet]
     14 |     cni: cilium
        |          ^^^^^^
        = use `flannel` or `bridge`, or `none` and install it yourself through `addons`

    7 errors in cluster.yaml
    ");
}

#[test]
fn additions_that_cannot_have_an_effect_are_refused() {
    let text = adding(
        "  components:
    kube-apiserver: { extraVolumes: [{ name: a, hostPath: /a, mountPath: /a }] }
    kube-proxy: { extraConfig: { logging: { verbosity: yes } } }
    coredns: {}
    containerd: { extraArgs: { log-level: debug } }
  addons: [metrics-server, { name: x, manifests: [] }, { name: y, manifests: ['http://example.org/y.yaml'] }]",
    )
    .replace("    podCidr", "    proxy: none\n    podCidr");
    assert_snapshot!(said(&text), @r"
    error: cluster.yaml:8:23: kube-apiserver is a systemd unit, which needs no volumes: it sees the node's own files [no-effect]
     8 |     kube-apiserver: { extraVolumes: [{ name: a, hostPath: /a, mountPath: /a }] }
       |                       ^^^^^^^^^^^^
       = remove `extraVolumes`

    error: cluster.yaml:9:5: kube-proxy is adjusted but not installed [no-effect]
     9 |     kube-proxy: { extraConfig: { logging: { verbosity: yes } } }
       |     ^^^^^^^^^^
       = remove this, or choose another `spec.network.proxy`

    error: cluster.yaml:9:56: `yes` is text to some YAML readers and a boolean to others [invalid-value]
     9 |     kube-proxy: { extraConfig: { logging: { verbosity: yes } } }
       |                                                        ^^^
       = write `true` or `false`, or put it in quotes

    error: cluster.yaml:10:5: adjusting coredns is not yet supported [not-yet]
     10 |     coredns: {}
        |     ^^^^^^^
        = remove it

    error: cluster.yaml:11:19: containerd takes no arguments from the file [no-effect]
     11 |     containerd: { extraArgs: { log-level: debug } }
        |                   ^^^^^^^^^
        = write its settings under `extraConfig`

    warning: cluster.yaml:12:12: add-on `metrics-server` is in every cluster; the entry has no effect [no-effect]
     12 |   addons: [metrics-server, { name: x, manifests: [] }, { name: y, manifests: ['http://example.org/y.…
        |            ^^^^^^^^^^^^^^
        = remove it

    error: cluster.yaml:12:39: add-on `x` has no manifests [empty-value]
     12 |   addons: [metrics-server, { name: x, manifests: [] }, { name: y, manifests: ['http://example.org/y.…
        |                                       ^^^^^^^^^
        = list at least one file, directory or URL

    error: cluster.yaml:12:79: manifest `http://example.org/y.yaml` is read without TLS, and anybody on the way could change what runs in your cluster [invalid-value]
     12 | … name: x, manifests: [] }, { name: y, manifests: ['http://example.org/y.yaml'] }]
        |                                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        = write a path or an https URL

    warning: cluster.yaml:14:12: no service proxy: network plug-in `flannel` does not do its work [no-proxy]
     14 |     proxy: none
        |            ^^^^
        = services, and with them DNS, do not work until you install one; use `nftables`, the default

    7 errors in cluster.yaml
    ");
}

#[test]
fn two_control_planes_are_refused() {
    assert_snapshot!(said(&with("    - { name: cp-3, address: 192.0.2.13, roles: [control-plane] }\n", "")), @r"
    error: cluster.yaml:12:49: 2 control planes: an even number survives no more losses than one fewer [even-control-planes]
     12 |     - { name: cp-2, address: 192.0.2.12, roles: [control-plane] }
        |                                                 ^
        = use 1 or 3; etcd needs more than half of them alive

    1 error in cluster.yaml
    ");
}

#[test]
fn every_mode_that_is_not_built_yet_says_so() {
    for (key, word) in [
        ("controlPlane: { mode", "self-hosted"),
        ("network: { cni", "calico"),
    ] {
        let text = adding(&format!("  {key}: {word} }}")).replace(
            "  network:\n    podCidr: 10.244.0.0/16\n    serviceCidr: 10.96.0.0/16\n",
            "",
        );
        let said = said(&text);
        assert!(said.contains(&format!("`{word}` is not yet supported")), "{said}");
    }
}

#[test]
fn labels_taints_and_host_keys_are_checked_where_they_stand() {
    let text = with(
        "roles: [worker] }",
        "roles: [worker],\n        labels: { kubernetes.io/hostname: x, 'bad key': y, disk: 'a b' },\n        taints: [dedicated, a=b:Never],\n        hostKey: SHA256:abcdef, user: -oProxyCommand=x }",
    );
    assert_snapshot!(said(&text), @r"
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
fn an_artifact_source_that_is_no_source_is_told_the_ways_to_write_one() {
    assert_snapshot!(said(&adding("  artifacts: { directory: ./artifacts }")), @r"
    error: cluster.yaml:7:16: unknown key `directory` in `spec.artifacts` [unknown-key]
     7 |   artifacts: { directory: ./artifacts }
       |                ^^^^^^^^^
       = write it under `source`: `source: { directory: … }`

    1 error in cluster.yaml
    ");
    assert_snapshot!(said(&adding("  artifacts: { source: mirror }")), @r"
    error: cluster.yaml:7:24: `mirror` needs to say which one [wrong-type]
     7 |   artifacts: { source: mirror }
       |                        ^^^^^^
       = write `source: { mirror: … }`

    1 error in cluster.yaml
    ");
    assert_snapshot!(said(&adding("  artifacts: { source: { mirror: mirror.example.org } }")), @r"
    error: cluster.yaml:7:34: mirror `mirror.example.org` does not begin with `https://` [invalid-value]
     7 |   artifacts: { source: { mirror: mirror.example.org } }
       |                                  ^^^^^^^^^^^^^^^^^^
       = write a URL, such as `https://mirror.example.org/kubernetes`

    1 error in cluster.yaml
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
       = known keys here: kubernetes, controlPlane, etcd, network, security, artifacts, ssh, components, addons, nodes

    4 errors in cluster.yaml
    ");
}

#[test]
fn warnings_do_not_stop_a_file() {
    let text = "\
apiVersion: kubewright/v1alpha1
kind: Cluster
metadata: { name: small }
spec:
  network: { cni: none, proxy: none }
  nodes: [{ name: one, address: 192.0.2.1, roles: [control-plane] }]
";
    assert_snapshot!(said(text), @r"
    warning: cluster.yaml:5:19: no network plug-in is installed [no-network]
     5 |   network: { cni: none, proxy: none }
       |                   ^^^^
       = nodes stay NotReady and pods Pending until you install one, for example through `addons`

    warning: cluster.yaml:6:3: only one control plane [single-control-plane]
     6 |   nodes: [{ name: one, address: 192.0.2.1, roles: [control-plane] }]
       |   ^^^^^
       = if it is lost, so is the API until it is back; use three for high availability

    warning: cluster.yaml:6:3: no node has the role `worker` [no-workers]
     6 |   nodes: [{ name: one, address: 192.0.2.1, roles: [control-plane] }]
       |   ^^^^^
       = only system pods will run; add the role `worker` to a node

    no errors
    ");
}
