//! Whole files: the contract's example, defaults, hostile input.

use super::{GOOD, adding, good, said};
use crate::spec::*;
use proptest::prelude::*;
use std::fmt::Write as _;

/// The example of the contract, every key written out.
const EVERYTHING: &str = "\
apiVersion: kubewright/v1alpha1
kind: Cluster
metadata:
  name: prod
spec:
  kubernetes: 1.36.3
  controlPlane:
    mode: systemd              # systemd | static-pod | self-hosted
    endpoint: api.prod.example:6443
    extraSans: [api.example.org, 198.51.100.7]
  etcd: { snapshots: { every: 6h, keep: 20 } }
  network:
    podCidr: 10.244.0.0/16
    serviceCidr: 10.96.0.0/16
    domain: cluster.local
    cni: flannel
    proxy: nftables
    mtu: 1400
  security: { encryption: secretbox, audit: metadata, podSecurity: baseline, profile: default }
  artifacts: { source: upstream }
  proxy: { http: 'http://proxy.example:3128', https: 'http://proxy.example:3128', noProxy: [.example] }
  registries: { docker.io: { mirrors: ['https://mirror.example'], skipVerify: false } }
  dns: { upstream: [192.0.2.53], extraConfig: 'example.net:53 { forward . 192.0.2.54 }' }
  oidc: { issuer: 'https://login.example', clientId: kubernetes, usernameClaim: email, groupsClaim: groups, prefix: 'sso:' }
  ssh: { user: root, port: 22, identityFile: ~/.ssh/id_ed25519, knownHosts: ./known_hosts, jump: me@gate:22, sudo: false }
  components:
    kube-apiserver: { extraArgs: { event-ttl: 2h, profiling: false, v: 2 } }
    kubelet: { extraConfig: { maxPods: 200, evictionHard: { memory.available: 100Mi }, failCgroupV1: false } }
  addons: [{ name: mine, manifests: [./manifests, https://example.org/a.yaml] }]
  nodes:
    - { name: cp-1, address: 192.0.2.11, roles: [control-plane] }
    - { name: cp-2, address: 192.0.2.12, roles: [control-plane] }
    - { name: cp-3, address: 192.0.2.13, roles: [control-plane, worker], port: 2222, user: admin }
    - { name: w-1, address: 192.0.2.21, roles: [worker], labels: { disk: ssd, gpu: 2 }, taints: ['a=b:NoExecute'] }
";

#[test]
fn every_key_of_the_contract_is_read() {
    let parsed = good(EVERYTHING);
    let cluster = &parsed.spec;
    assert_eq!(cluster.name, "prod");
    assert_eq!(cluster.kubernetes, Version::new(1, 36, 3));
    assert_eq!(
        cluster.control_plane.endpoint.as_ref().unwrap().to_string(),
        "api.prod.example:6443"
    );
    assert_eq!(cluster.control_plane.extra_sans.len(), 2);
    let apiserver = cluster.overrides(ComponentName::KubeApiserver).unwrap();
    assert_eq!(apiserver.extra_args["profiling"], "false");
    assert_eq!(apiserver.extra_args["v"], "2");
    let kubelet = cluster.overrides(ComponentName::Kubelet).unwrap();
    assert_eq!(
        serde_json::Value::Object(kubelet.extra_config.clone()),
        serde_json::json!({ "maxPods": 200, "evictionHard": { "memory.available": "100Mi" }, "failCgroupV1": false })
    );
    assert_eq!(cluster.network.mtu, Some(1400));
    assert_eq!(
        cluster.registries["docker.io"].mirrors,
        ["https://mirror.example"]
    );
    assert_eq!(cluster.dns.upstream.len(), 1);
    let oidc = cluster.oidc.as_ref().unwrap();
    assert_eq!(
        (oidc.username_claim.as_str(), oidc.prefix.as_str()),
        ("email", "sso:")
    );
    assert_eq!(cluster.nodes[3].labels["gpu"], "2");
    assert_eq!(cluster.ssh_of(&cluster.nodes[2]).port, Some(2222));
    assert_eq!(cluster.ssh_of(&cluster.nodes[2]).user, Some("admin"));
    assert_eq!(cluster.ssh_of(&cluster.nodes[0]).sudo, Some(false));
    let rules: Vec<_> = parsed.warnings.iter().map(|warning| warning.rule).collect();
    assert_eq!(rules, ["not-yet"], "only the snapshots, which nothing takes yet");
}

#[test]
fn what_is_absent_has_the_defaults_of_the_contract() {
    let cluster = good(
        "apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata: { name: a }\nspec:\n  nodes: [{ name: one, address: 192.0.2.1, roles: [control-plane, worker] }]\n",
    )
    .spec;
    assert_eq!(cluster.kubernetes, crate::catalogue::newest());
    assert_eq!(cluster.network.pod_cidr.to_string(), "10.244.0.0/16");
    assert_eq!(cluster.network.service_cidr.to_string(), "10.96.0.0/16");
    assert_eq!(cluster.network.domain.as_str(), "cluster.local");
    assert_eq!(
        (cluster.network.cni, cluster.network.proxy),
        (Cni::Flannel, ProxyMode::Nftables)
    );
    assert_eq!(cluster.security.pod_security, PodSecurity::Baseline);
    assert_eq!(cluster.artifacts.source, ArtifactSource::Upstream);
    assert_eq!(cluster.ssh_of(&cluster.nodes[0]).user, None);
    assert!(cluster.nodes[0].effective_taints().is_empty());
}

#[test]
fn a_node_more_in_a_private_network_changes_nothing_of_what_is_reached_without_the_proxy() {
    let cluster = |addresses: &[&str]| {
        let mut cluster = good(&adding(
            "  proxy: { https: 'http://proxy.example:3128', noProxy: [.example] }",
        ))
        .spec;
        let nodes = cluster.nodes.iter_mut().zip(addresses);
        nodes.for_each(|(node, address)| node.address = address.parse().unwrap());
        cluster.nodes.truncate(addresses.len());
        cluster.no_proxy().join(",")
    };
    let own = "localhost,127.0.0.0/8,.svc,.cluster.local,10.244.0.0/16,10.96.0.0/16";
    assert_eq!(cluster(&["10.1.0.1"]), format!("{own},10.0.0.0/8,.example"));
    assert_eq!(cluster(&["10.1.0.1", "10.2.0.1"]), cluster(&["10.1.0.1"]));
    assert_eq!(
        cluster(&["198.51.100.7"]),
        format!("{own},198.51.100.0/24,.example")
    );
}

#[test]
fn the_questions_about_a_cluster_have_their_answers() {
    let cluster = good(GOOD).spec;
    assert_eq!(cluster.control_planes().count(), 3);
    assert_eq!(
        cluster
            .workers()
            .map(|node| node.name.as_str())
            .collect::<Vec<_>>(),
        ["w-1"]
    );
    assert_eq!(cluster.node("cp-2").unwrap().address.to_string(), "192.0.2.12");
    assert_eq!(cluster.node("nobody"), None);
    assert_eq!(cluster.api_service_ip().to_string(), "10.96.0.1");
    assert_eq!(cluster.dns_service_ip().to_string(), "10.96.0.10");
    assert_eq!(cluster.pod_subnet_of(3).unwrap().to_string(), "10.244.3.0/24");
    assert_eq!(cluster.pod_subnet_of(256), None);
    let taints = cluster.nodes[0].effective_taints();
    assert_eq!(
        taints[0].to_string(),
        "node-role.kubernetes.io/control-plane:NoSchedule"
    );
}

#[test]
fn a_good_file_is_read_without_a_word() {
    assert_eq!(said(GOOD), "no errors");
}

#[test]
fn every_artifact_source_is_read() {
    let source = |text: &str| {
        good(&adding(&format!("  artifacts: {{ source: {text} }}")))
            .spec
            .artifacts
            .source
    };
    assert_eq!(source("upstream"), ArtifactSource::Upstream);
    assert_eq!(
        source("{ mirror: 'https://m.example/k' }"),
        ArtifactSource::Mirror("https://m.example/k".into())
    );
    assert_eq!(
        source("{ directory: ../files }"),
        ArtifactSource::Directory("../files".into())
    );
}

#[test]
fn a_cluster_survives_its_own_json() {
    let cluster = good(EVERYTHING).spec;
    let json = serde_json::to_string(&cluster).unwrap();
    assert_eq!(serde_json::from_str::<Cluster>(&json).unwrap(), cluster);
}

#[test]
fn aliases_work_where_people_use_them() {
    let text = GOOD
        .replace("roles: [worker]", "roles: [worker], labels: &l { disk: ssd }")
        .replacen(
            "roles: [control-plane] }",
            "roles: [control-plane] }\n    - { name: w-0, address: 192.0.2.20, roles: [worker], labels: *l }",
            1,
        );
    assert!(said(&text).contains("unknown anchor") || said(&text).contains("does not exist"));
    let text = GOOD.replace(
        "    - { name: w-1, address: 192.0.2.21, roles: [worker] }\n",
        "    - { name: w-1, address: 192.0.2.21, roles: &r [worker] }\n    - { name: w-2, address: 192.0.2.22, roles: *r }\n",
    );
    assert_eq!(good(&text).spec.workers().count(), 2);
}

#[test]
fn a_windows_file_with_a_byte_order_mark_is_read() {
    assert_eq!(
        said(&format!("\u{feff}{}", GOOD.replace('\n', "\r\n"))),
        "no errors"
    );
}

#[test]
fn a_line_of_megabytes_is_shown_cut() {
    let errors = said(&GOOD.replace(
        "podCidr: 10.244.0.0/16",
        &format!("podCidr: {}", "9".repeat(500_000)),
    ));
    assert!(errors.len() < 2000, "{}", errors.len());
    let errors = said(&GOOD.replace("podCidr: 10.244.0.0/16", &format!("{}: x", "p".repeat(900))));
    assert!(errors.contains("unknown key") && errors.len() < 2000, "{errors}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = said(&text);
    }

    #[test]
    fn no_damaged_file_makes_it_panic(at in 0..EVERYTHING.len(), cut in 0..40_usize, put in r"[ -~\n\t§]{0,12}") {
        let mut text = EVERYTHING.to_owned();
        let end = (at + cut).min(text.len());
        if text.is_char_boundary(at) && text.is_char_boundary(end) {
            text.replace_range(at..end, &put);
        }
        let _ = said(&text);
    }
}

#[test]
fn every_example_is_read() {
    let examples = [
        (
            include_str!("../../../../../examples/one-node.yaml"),
            vec!["single-control-plane"],
        ),
        (
            include_str!("../../../../../examples/three-plus-two.yaml"),
            vec![],
        ),
        (
            include_str!("../../../../../examples/external-endpoint.yaml"),
            vec![],
        ),
    ];
    for (text, expected) in examples {
        let parsed = good(text);
        let rules: Vec<_> = parsed.warnings.iter().map(|warning| warning.rule).collect();
        assert_eq!(rules, expected, "{}", parsed.spec.name);
    }
}

#[test]
fn hostile_files_are_answered_with_bounded_text() {
    let head = "apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata: { name: a }\nspec:\n";
    let many = |item: &str, count: usize| vec![item; count].join(",");
    let mut keys = String::new();
    for number in 0..5_000 {
        let _ = writeln!(keys, "  k{number}: 1");
    }
    let taints = many("a:NoExecute", 20_000);
    let files = [
        format!(
            "{head}  nodes: [{}]\n",
            many("{name: 1_, address: x, roles: [y]}", 8_000)
        ),
        format!("{head}  nodes: [{{name: a, address: 192.0.2.1, roles: [worker], taints: [{taints}]}}]\n"),
        format!("{head}  addons: [{}]\n", many("ab", 20_000)),
        format!("? {}\n: [{}]\n", "k".repeat(800_000), many("x", 40_000)),
        format!("{head}  nodes: []\n{keys}"),
    ];
    for file in files {
        let said = said(&file);
        assert!(
            said.len() < 40_000 && said.contains("error"),
            "{} bytes",
            said.len()
        );
    }
}
