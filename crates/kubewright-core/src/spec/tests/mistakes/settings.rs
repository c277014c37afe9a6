//! Settings that cannot be, or not yet.

use insta::assert_snapshot;

use super::{adding, said, with};

#[test]
fn a_version_outside_the_catalogue_names_those_inside() {
    assert_snapshot!(said(&with("1.36.3", "1.33.9")), @r"
    error: cluster.yaml:6:15: Kubernetes 1.33.9 is not in this kubewright's catalogue [unknown-version]
     6 |   kubernetes: 1.33.9
       |               ^^^^^^
       = the supported minors are 1.37 (newest 1.37.2), 1.36 (newest 1.36.4), 1.35 (newest 1.35.8)

    1 error in cluster.yaml
    ");
    assert_snapshot!(said(&with("1.36.3", "1.35.99")), @r"
    error: cluster.yaml:6:15: Kubernetes 1.35.99 is not in this kubewright's catalogue [unknown-version]
     6 |   kubernetes: 1.35.99
       |               ^^^^^^^
       = the newest patch of 1.35 here is 1.35.8, the newest version of all 1.37.2

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
        = install it from its manifests: `{ name: NAME, manifests: [file or directory] }`

    error: cluster.yaml:14:10: network plug-in `cilium` is not yet supported [not-yet]
     14 |     cni: cilium
        |          ^^^^^^
        = use `flannel` or `bridge`, or `none` and install it yourself through `addons`

    7 errors in cluster.yaml
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
        = list at least one file or directory

    error: cluster.yaml:12:79: manifest `http://example.org/y.yaml` is read without TLS, so an attacker could change what runs in your cluster [invalid-value]
     12 | … name: x, manifests: [] }, { name: y, manifests: ['http://example.org/y.yaml'] }]
        |                                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        = write a path; download the file beside cluster.yaml

    warning: cluster.yaml:14:12: no service proxy: network plug-in `flannel` does not do its work [no-proxy]
     14 |     proxy: none
        |            ^^^^
        = services, and with them DNS, do not work until you install one; use `nftables`, the default

    7 errors in cluster.yaml
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
       = without it there is no API; use three for high availability

    warning: cluster.yaml:6:3: no node has the role `worker` [no-workers]
     6 |   nodes: [{ name: one, address: 192.0.2.1, roles: [control-plane] }]
       |   ^^^^^
       = only system pods will run; add the role `worker` to a node

    no errors
    ");
}

#[test]
fn an_etcd_that_does_not_write_through_is_refused() {
    let text = adding("  components: { etcd: { extraArgs: { unsafe-no-fsync: \"true\" } } }");
    let told = said(&text);
    assert!(
        told.contains("etcd argument `unsafe-no-fsync` belongs to kubewright: without it, a power failure loses acknowledged writes"),
        "{told}"
    );
}

#[test]
fn findings_are_accepted_by_id_with_a_reason() {
    let good = "  checks: { accept: [{ id: cgroup-controllers, reason: no cpuset on these boards }] }";
    let parsed = crate::spec::parse(&adding(good), "cluster.yaml").unwrap();
    let accepted = &parsed.spec.checks.accept;
    assert_eq!(accepted.len(), 1);
    assert_eq!(
        (accepted[0].id.id(), accepted[0].reason.as_str()),
        ("cgroup-controllers", "no cpuset on these boards")
    );

    let said = said(&adding(
        "  checks:
    accept:
      - { id: cgroup-controler, reason: x }
      - { id: weather, reason: x }
      - { id: other-cluster, reason: x }
      - { id: swap-on }
      - { id: memory, reason: '' }
      - { id: processors, reason: x }
      - { id: processors, reason: y }
    ignore: []",
    ));
    assert_snapshot!(said, @r"
    error: cluster.yaml:9:15: `cgroup-controler` is no finding of a check [unknown-word]
     9 |       - { id: cgroup-controler, reason: x }
       |               ^^^^^^^^^^^^^^^^
       = did you mean `cgroup-controllers`?

    error: cluster.yaml:10:15: `weather` is no finding of a check [unknown-word]
     10 |       - { id: weather, reason: x }
        |               ^^^^^^^
        = kubewright check shows the id of each finding in brackets; docs/reference/checks.md has all

    error: cluster.yaml:11:15: `other-cluster` cannot be accepted: it protects the machines of other nodes and clusters [never-accepted]
     11 |       - { id: other-cluster, reason: x }
        |               ^^^^^^^^^^^^^
        = remove the entry; docs/reference/checks.md says how `other-cluster` is fixed

    error: cluster.yaml:12:9: the reason is missing in `spec.checks.accept[3]` [missing-key]
     12 |       - { id: swap-on }
        |         ^
        = write `{ id: cgroup-controllers, reason: why that is right here }`

    error: cluster.yaml:13:31: `spec.checks.accept[4].reason` is empty [empty-value]
     13 |       - { id: memory, reason: '' }
        |                               ^^
        = write `{ id: cgroup-controllers, reason: why that is right here }`

    error: cluster.yaml:15:15: `processors` is accepted twice [duplicate-name]
     15 |       - { id: processors, reason: y }
        |               ^^^^^^^^^^
        = keep one of `spec.checks.accept[5]` and `spec.checks.accept[6]`

    error: cluster.yaml:16:5: unknown key `ignore` in `spec.checks` [unknown-key]
     16 |     ignore: []
        |     ^^^^^^
        = it is called `accept` here

    7 errors in cluster.yaml
    ");
}
