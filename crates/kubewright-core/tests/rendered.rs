//! What holds for everything rendered, whatever the cluster: references resolve, order is right, secrets stay secret.

#![allow(clippy::disallowed_methods)] // goldens are files
#![allow(clippy::unwrap_used)] // what a test stands on may fail it

#[path = "golden/context.rs"]
mod context;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use context::{CASES, World, directory, world};
use kubewright_core::catalogue::Platform;
use kubewright_core::check::PLACES;
use kubewright_core::component::{AGENT_PATH, on_node};
use kubewright_core::observed::{Marker, Observed, ObservedNode};
use kubewright_core::render::{Artifacts, ImageArchive, RenderError, components, render};
use kubewright_core::resource::{Blob, Digest, NodeState, Resource, ResourceId, Routing, Stage};
use serde_json::{Value, json};

/// Every node of every case.
fn all_states() -> Vec<(String, NodeState)> {
    let mut all = Vec::new();
    for (case, _) in CASES {
        let world = world(case);
        for node in &world.cluster.nodes {
            let state = render(&world.context(), node.name.as_str()).unwrap();
            all.push((format!("{case}/{}", node.name), state));
        }
    }
    all
}

/// The paths a resource puts something at.
fn paths(resource: &Resource) -> Vec<&str> {
    match resource {
        Resource::Directory(it) => vec![&it.path],
        Resource::File(it) => vec![&it.path],
        Resource::Symlink(it) => vec![&it.path],
        Resource::SharedSecret(it) => vec![&it.path],
        Resource::Binary(it) => vec![&it.path],
        Resource::Certificate(it) => vec![&it.certificate_path, &it.key_path],
        _ => Vec::new(),
    }
}

fn content(resource: &Resource) -> Option<&str> {
    match resource {
        Resource::File(it) => Some(&it.content),
        Resource::Unit(it) => Some(&it.content),
        _ => None,
    }
}

/// Interrupted in between, a node would belong to an authority that exists nowhere, and every later run be refused.
#[test]
fn a_node_belongs_to_a_cluster_only_when_it_keeps_the_clusters_secrets() {
    for (place, state) in all_states() {
        let position = |wanted: &dyn Fn(&Resource) -> bool| {
            state
                .resources
                .iter()
                .rposition(|staged| wanted(&staged.resource))
        };
        let marker =
            position(&|resource| matches!(resource, Resource::File(file) if file.path == Marker::PATH));
        let secret = position(&|resource| matches!(resource, Resource::SharedSecret(_)));
        assert!(
            marker.is_some() && marker > secret,
            "{place}: {marker:?} {secret:?}"
        );
    }
}

#[test]
fn no_resource_is_there_twice() {
    for (place, state) in all_states() {
        let mut seen = BTreeSet::new();
        for staged in &state.resources {
            let id = staged.resource.id();
            assert!(seen.insert(id.clone()), "{place}: {id} twice");
        }
        let all: Vec<&str> = state
            .resources
            .iter()
            .flat_map(|staged| paths(&staged.resource))
            .collect();
        let distinct: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(all.len(), distinct.len(), "{place}: two resources write one path");
    }
}

#[test]
fn stages_ascend() {
    for (place, state) in all_states() {
        let stages: Vec<Stage> = state.resources.iter().map(|staged| staged.stage).collect();
        assert!(stages.is_sorted(), "{place}");
    }
}

#[test]
fn inputs_of_a_unit_are_in_place_before_it_starts() {
    for (place, state) in all_states() {
        let mut present = BTreeSet::new();
        for staged in &state.resources {
            if let Resource::Unit(unit) = &staged.resource {
                for input in &unit.inputs {
                    assert!(present.contains(input), "{place}: {} reads {input}", unit.name);
                }
            }
            present.insert(staged.resource.id());
        }
    }
}

#[test]
fn owners_and_parent_directories_come_first() {
    let given = [
        "/etc",
        "/run",
        "/opt",
        "/var/lib",
        "/var/log",
        "/usr/local/bin",
        "/usr/local/lib",
        "/etc/systemd",
    ];
    for (place, state) in all_states() {
        let mut directories: BTreeSet<String> = given.map(str::to_owned).into();
        let mut users = BTreeSet::from(["root".to_owned()]);
        for staged in &state.resources {
            for path in paths(&staged.resource) {
                let parent = path.rsplit_once('/').unwrap().0;
                assert!(
                    directories.contains(parent),
                    "{place}: {path} before its directory"
                );
            }
            let access = match &staged.resource {
                Resource::Directory(it) => Some(&it.access),
                Resource::File(it) => Some(&it.access),
                Resource::SharedSecret(it) => Some(&it.access),
                Resource::Certificate(it) => Some(&it.key_access),
                _ => None,
            };
            if let Some(access) = access {
                assert!(
                    users.contains(&access.user) && users.contains(&access.group),
                    "{place}: {} before its owner",
                    staged.resource.id()
                );
            }
            match &staged.resource {
                Resource::Directory(it) => {
                    directories.insert(it.path.clone());
                }
                Resource::User(it) => {
                    users.insert(it.name.clone());
                }
                _ => {}
            }
        }
    }
}

/// Absolute paths named in a text that are ours to provide.
fn references(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "=,\"'|;".contains(c))
        .map(|word| word.trim_start_matches(['-', '+']))
        // A list of directories, as in PATH, is the operating system's for the most part.
        .filter(|word| !word.contains(":/"))
        .filter(|word| {
            ["/etc/", "/usr/local/", "/opt/", "/var/"]
                .iter()
                .any(|root| word.starts_with(root))
        })
}

#[test]
fn every_path_named_in_a_unit_or_file_is_provided() {
    // Made by the programs themselves, or by the operating system.
    let made_elsewhere = [
        "/etc/resolv.conf",
        "/etc/fstab",
        "/var/lib/etcd/member",
        "/var/log/kubernetes/audit.log",
        "/var/lib/kubewright-proxy/members.json",
    ];
    for (place, state) in all_states() {
        let provided: BTreeSet<&str> = state
            .resources
            .iter()
            .flat_map(|staged| paths(&staged.resource))
            .collect();
        for staged in &state.resources {
            for path in content(&staged.resource).into_iter().flat_map(references) {
                assert!(
                    provided.contains(path) || made_elsewhere.contains(&path),
                    "{place}: {} names {path}, which nothing provides",
                    staged.resource.id()
                );
            }
        }
    }
}

#[test]
fn no_file_or_unit_holds_a_secret_and_no_key_is_readable_by_others() {
    for (place, state) in all_states() {
        for staged in &state.resources {
            let id = staged.resource.id();
            if let Some(text) = content(&staged.resource) {
                assert!(
                    !text.contains("PRIVATE KEY") && !text.contains("key-data"),
                    "{place}: {id}"
                );
            }
            let access = match &staged.resource {
                Resource::SharedSecret(it) => &it.access,
                Resource::Certificate(it) => &it.key_access,
                _ => continue,
            };
            // Its owner's alone; or root's, for one group to read that is not root's.
            let is_private = access.mode == 0o600
                || (access.mode, access.user.as_str()) == (0o640, "root") && access.group != "root";
            assert!(is_private, "{place}: {id} is {access:?}");
        }
    }
}

#[test]
fn workers_hold_no_shared_secret_and_no_key_of_an_authority() {
    let world = world("three-plus-two");
    let state = render(&world.context(), "w-1").unwrap();
    assert!(
        !state
            .resources
            .iter()
            .any(|staged| matches!(staged.resource, Resource::SharedSecret(_)))
    );
    assert_eq!(state.authorities.len(), 1);
}

#[test]
fn no_certificate_names_the_group_that_cannot_be_revoked() {
    for (place, state) in all_states() {
        for staged in &state.resources {
            if let Resource::Certificate(it) = &staged.resource {
                let groups = &it.organizations;
                assert!(
                    !groups.contains(&"system:masters".to_owned()),
                    "{place}: {}",
                    it.name
                );
            }
        }
    }
}

#[test]
fn only_a_bootstrapping_run_may_found_an_etcd_cluster_and_its_unit_is_the_same_afterwards() {
    let mut world = world("three-plus-two");
    let first = render(&world.context(), "cp-1").unwrap();
    world.etcd.clear();
    let second = render(&world.context(), "cp-1").unwrap();
    let gone: Vec<String> = first
        .resources
        .iter()
        .filter(|staged| !second.resources.contains(staged))
        .map(|staged| staged.resource.id().to_string())
        .collect();
    assert_eq!(gone, ["file:/run/kubewright-etcd-begin.env"]);
    assert!(second.resources.iter().all(|staged| {
        content(&staged.resource).is_none_or(|text| !text.contains("INITIAL_CLUSTER_STATE=new"))
    }));
}

fn blob() -> Blob {
    Blob {
        sha256: Digest::of(b"bytes"),
        size_bytes: 5,
    }
}

#[test]
fn known_artifacts_are_all_there_or_the_missing_one_is_named() {
    let mut world = world("one-node");
    let mut binaries = BTreeMap::new();
    world.artifacts = Artifacts::resolved(binaries.clone(), BTreeMap::new());
    let error = render(&world.context(), "one").unwrap_err();
    assert_eq!(error.to_string(), "render one: no binary etcd for amd64");

    for staged in &render_unresolved().resources {
        if let Resource::Binary(binary) = &staged.resource {
            binaries.insert((binary.name.clone(), Platform::Amd64), blob());
        }
    }
    let pause = "registry.k8s.io/pause:3.10.1".to_owned();
    let archive = ImageArchive {
        manifest: Digest::of(b"manifest"),
        blob: blob(),
    };
    let images = BTreeMap::from([((pause, Platform::Amd64), archive)]);
    world.artifacts = Artifacts::resolved(binaries, images);
    world.set_agent(blob());
    let state = render(&world.context(), "one").unwrap();
    let images: Vec<&Resource> = state
        .resources
        .iter()
        .map(|staged| &staged.resource)
        .filter(|resource| matches!(resource, Resource::Image(_)))
        .collect();
    assert_eq!(
        images.len(),
        1,
        "images that are not sent are pulled, so they are no resources"
    );
    assert_eq!(images[0].blob(), Some(blob()));
}

fn render_unresolved() -> NodeState {
    render(&world("one-node").context(), "one").unwrap()
}

#[test]
fn an_unknown_node_is_an_error() {
    let world = world("one-node");
    let error = render(&world.context(), "two").unwrap_err();
    assert_eq!(
        error,
        RenderError::UnknownNode {
            node: "two".to_owned()
        }
    );
}

#[test]
fn no_two_components_of_a_node_want_the_same_port() {
    for (case, _) in CASES {
        let world = world(case);
        for node in &world.cluster.nodes {
            let mut ports = BTreeSet::new();
            for component in on_node(&world.cluster, node) {
                for port in component.ports {
                    assert!(
                        ports.insert(port.number),
                        "{case}/{}: {} {}",
                        node.name,
                        component.name,
                        port.number
                    );
                }
            }
        }
    }
}

/// Downloads are computed from the descriptions; what nodes get is rendered.
#[test]
fn components_bring_the_programs_they_say() {
    for (case, _) in CASES {
        let world = world(case);
        for node in &world.cluster.nodes {
            for component in components(&world.context(), node.name.as_str()).unwrap() {
                let all = component.reads.iter().chain(&component.rereads);
                let rendered: BTreeSet<&str> = all
                    .filter_map(|resource| match resource {
                        Resource::Binary(binary) if binary.path != AGENT_PATH => Some(binary.name.as_str()),
                        _ => None,
                    })
                    .collect();
                let described: BTreeSet<&str> = component.description.binaries.iter().copied().collect();
                assert_eq!(
                    rendered, described,
                    "{case}/{}: {}",
                    node.name, component.description.name
                );
            }
        }
    }
}

/// The agent looks at a list of directories before anything is written; what nodes get is elsewhere.
#[test]
fn a_check_looks_at_every_directory_that_is_written_to() {
    for (place, state) in all_states() {
        let written = state.resources.iter().flat_map(|staged| paths(&staged.resource));
        // What is on tmpfs is made by units.
        for path in written.filter(|path| !path.starts_with("/run/")) {
            let (directory, _) = path.rsplit_once('/').unwrap();
            let is_known = PLACES.contains(&directory) || PLACES.contains(&path);
            assert!(is_known, "{place}: {path}");
        }
        for directory in state
            .resources
            .iter()
            .filter_map(|staged| match &staged.resource {
                Resource::Directory(directory) => Some(directory.path.as_str()),
                _ => None,
            })
        {
            assert!(
                PLACES.contains(&directory) || directory.starts_with("/run/"),
                "{place}: {directory}"
            );
        }
    }
}

/// With `bridge` a pod range is a route on all other nodes; what one of them claims must not become a default route.
#[test]
fn a_node_that_claims_the_whole_world_gets_no_route_for_it() {
    let text = fs::read_to_string(directory().join("bridge/cluster.yaml")).unwrap();
    let mut observed = Observed::default();
    let name = world("bridge").cluster.nodes.last().unwrap().name.to_string();
    let mut seen = ObservedNode::default();
    seen.facts.marker = Some(Marker {
        pod_cidr: Some("0.0.0.0/0".to_owned()),
        ..Marker::default()
    });
    observed.nodes.insert(name, seen);
    let world = World::seen(&text, &observed);
    let state = render(&world.context(), world.cluster.nodes[0].name.as_str()).unwrap();
    let id = ResourceId::new("routing", "pods");
    let Resource::Routing(routing) = &state.get(&id).unwrap().resource else {
        panic!("{id} is something else")
    };
    assert_eq!(routing.routes.len(), world.cluster.nodes.len() - 1);
    for range in routing.routes.keys() {
        assert!(range.ends_with("/24"), "{range}");
    }
    // The process that keeps them is told the same.
    let kept: Routing = serde_json::from_str(text_of(&state, "/etc/kubewright/bridge/routing.json")).unwrap();
    assert_eq!(kept, *routing);
}

/// The level the audit policy gives a request: that of the first rule that fits.
fn audited(policy: &Value, group: &str, verb: &str, resource: &str) -> String {
    let fits = |rule: &&Value| {
        let any = |key: &str, word: &str| {
            rule.get(key)
                .is_none_or(|words| words.as_array().unwrap().contains(&json!(word)))
        };
        let is_of_group = |entry: &Value| {
            entry["group"] == "" && entry["resources"].as_array().unwrap().contains(&json!(resource))
        };
        rule.get("nonResourceURLs").is_none()
            && rule.get("users").is_none()
            && any("userGroups", group)
            && any("verbs", verb)
            && rule
                .get("resources")
                .is_none_or(|resources| resources.as_array().unwrap().iter().any(is_of_group))
    };
    let rules = policy["rules"].as_array().unwrap();
    rules.iter().find(fits).unwrap()["level"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn what_nodes_read_of_secrets_is_audited_and_what_they_read_else_is_not() {
    let world = world("three-plus-two");
    let state = render(&world.context(), "cp-1").unwrap();
    let policy = ResourceId::new("file", "/etc/kubernetes/audit-policy.yaml");
    let policy = content(&state.get(&policy).unwrap().resource).unwrap();
    let policy: Value = serde_saphyr::from_str(policy).unwrap();
    for verb in ["get", "list", "watch"] {
        assert_eq!(audited(&policy, "system:nodes", verb, "secrets"), "Metadata");
        assert_eq!(audited(&policy, "system:nodes", verb, "pods"), "None");
    }
}

/// The text of a file or unit of a node.
fn text_of<'s>(state: &'s NodeState, path: &str) -> &'s str {
    let found = state.resources.iter().find_map(|staged| match &staged.resource {
        Resource::File(file) if file.path == path => Some(&file.content),
        Resource::Unit(unit) if unit.name == path => Some(&unit.content),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing at {path}"))
}

#[test]
fn what_lies_outside_is_told_to_those_who_go_there_and_to_nobody_else() {
    let world = World::from_yaml(
        "apiVersion: kubewright/v1alpha1
kind: Cluster
metadata: { name: a }
spec:
  network: { mtu: 1400 }
  proxy: { https: 'http://proxy.example:3128', noProxy: [.example] }
  registries:
    docker.io:
      mirrors: ['https://z.example/v2/docker', 'https://a.example/']
      ca: |
        -----BEGIN CERTIFICATE-----
        AAAA
        -----END CERTIFICATE-----
    quay.io: { skipVerify: true }
  dns:
    upstream: [192.0.2.53, 192.0.2.54]
    extraConfig: |
      example.net:53 {
          forward . 192.0.2.55
      }
  oidc: { issuer: 'https://login.example', clientId: kubernetes, groupsClaim: groups }
  nodes:
    - { name: one, address: 192.0.2.11, roles: [control-plane, worker] }
",
    );
    let state = render(&world.context(), "one").unwrap();
    let containerd = text_of(&state, "containerd.service");
    assert!(
        containerd.contains("\nEnvironment=HTTPS_PROXY=http://proxy.example:3128\n"),
        "{containerd}"
    );
    assert!(
        containerd.contains("10.244.0.0/16,10.96.0.0/16,192.0.2.0/24,.example\n"),
        "{containerd}"
    );
    for staged in &state.resources {
        if let Resource::Unit(unit) = &staged.resource {
            assert!(
                unit.name == "containerd.service" || !unit.content.contains("PROXY="),
                "{}",
                unit.name
            );
        }
    }
    assert_eq!(
        text_of(&state, "/etc/containerd/certs.d/docker.io/hosts.toml"),
        "ca = \"/etc/containerd/certs.d/docker.io/ca.crt\"

[host.\"https://z.example/v2/docker\"]
capabilities = [\"pull\", \"resolve\"]
override_path = true
ca = \"/etc/containerd/certs.d/docker.io/ca.crt\"

[host.\"https://a.example\"]
capabilities = [\"pull\", \"resolve\"]
ca = \"/etc/containerd/certs.d/docker.io/ca.crt\"
"
    );
    assert_eq!(
        text_of(&state, "/etc/containerd/certs.d/quay.io/hosts.toml"),
        "skip_verify = true\n"
    );
    let flannel = text_of(&state, "/etc/kubewright/flannel/net-conf.json");
    assert!(flannel.contains("\"MTU\": 1400"), "{flannel}");
    assert!(text_of(&state, "flanneld.service").contains("ip link set dev flannel.1 mtu 1350"));
    let authentication = text_of(&state, "/etc/kubernetes/authentication.yaml");
    assert!(
        authentication.contains("url: https://login.example"),
        "{authentication}"
    );
    let objects = serde_json::to_string(&kubewright_core::manifest::manifests(&world.context())).unwrap();
    assert!(objects.contains("forward . 192.0.2.53 192.0.2.54 {"));
    assert!(objects.contains("}\\nexample.net:53 {"));
}
