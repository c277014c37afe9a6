//! Each difference as the finding it is, and the whole as text and JSON.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::catalogue;
use crate::observed::{
    AlarmKind, Change, Difference, EtcdAlarm, EtcdMember, EtcdStatus, Facts, Marker, ObservedApi,
    ObservedEtcd, ObservedNode, UnitAction, UnitFileProblem, UnitFinding,
};
use crate::resource::{Access, File, Resource, ResourceId, Stage, Start, Unit};
use crate::spec::parse;

/// Set to write the page instead of comparing it.
const UPDATE: &str = "UPDATE_REFERENCE";
const FILE: &str = "\
apiVersion: kubewright/v1alpha1
kind: Cluster
metadata:
  name: test
spec:
  kubernetes: 1.36.3
  nodes:
    - { name: cp-1, address: 192.0.2.11, roles: [control-plane] }
    - { name: w-1, address: 192.0.2.21, roles: [worker] }
    - { name: w-2, address: 192.0.2.22, roles: [worker] }
";

/// A cluster where nothing differs, to be changed.
struct Look {
    cluster: Cluster,
    release: Release,
    states: BTreeMap<String, NodeState>,
    observed: Observed,
}

impl Look {
    fn new() -> Self {
        let cluster = parse(FILE, "cluster.yaml").unwrap().spec;
        let release = catalogue::release(&cluster.kubernetes).unwrap();
        let mut look = Self {
            states: BTreeMap::new(),
            observed: Observed {
                api: Some(ObservedApi::default()),
                etcd: Some(ObservedEtcd {
                    members: Some(vec![EtcdMember {
                        id: 1,
                        name: "cp-1".to_owned(),
                        ..EtcdMember::default()
                    }]),
                    ..ObservedEtcd::default()
                }),
                ..Observed::default()
            },
            release,
            cluster,
        };
        let own = EtcdStatus {
            member_id: 1,
            version: look.release.etcd.to_string(),
            has_leader: true,
            ..EtcdStatus::default()
        };
        look.etcd().own.insert("cp-1".to_owned(), Ok(own));
        for name in ["cp-1", "w-1", "w-2"] {
            let marker = Marker {
                cluster: "test".to_owned(),
                cluster_id: String::new(),
                node: name.to_owned(),
                pod_cidr: None,
                ..Marker::default()
            };
            let facts = Facts {
                marker: Some(marker),
                ..Facts::default()
            };
            let node = ObservedNode {
                facts,
                ..ObservedNode::default()
            };
            look.observed.nodes.insert(name.to_owned(), node);
            look.states.insert(name.to_owned(), state());
            look.api()
                .kubelet_versions
                .insert(name.to_owned(), "v1.36.3".to_owned());
        }
        look
    }

    fn api(&mut self) -> &mut ObservedApi {
        self.observed.api.as_mut().unwrap()
    }

    fn etcd(&mut self) -> &mut ObservedEtcd {
        self.observed.etcd.as_mut().unwrap()
    }

    fn differs(&mut self, node: &str, resource: &str, change: Change) {
        let (kind, what) = resource.split_once(':').unwrap();
        let resource = ResourceId::new(kind, what);
        let node = self.observed.nodes.get_mut(node).unwrap();
        node.differences.push(Difference { resource, change });
    }

    fn report(&self) -> Report {
        Report::new(&Seen {
            cluster: &self.cluster,
            release: &self.release,
            states: &self.states,
            observed: &self.observed,
        })
    }

    fn ids(&self) -> Vec<&'static str> {
        self.report()
            .findings
            .iter()
            .map(|finding| finding.kind.id())
            .collect()
    }
}

fn state() -> NodeState {
    let mut state = NodeState::default();
    let kubelet = Unit {
        name: "kubelet.service".to_owned(),
        content: "[Service]\nExecStart=/usr/local/bin/kubelet --v=2\n".to_owned(),
        start: Start::Wait,
        inputs: Vec::new(),
    };
    let config = File {
        path: "/etc/demo".to_owned(),
        access: Access::root(0o644),
        content: "a: 1\nb: 2\n".to_owned(),
    };
    state.extend(Stage::Node, [Resource::File(config), Resource::Unit(kubelet)]);
    state
}

fn unit(found: Vec<UnitFinding>) -> Change {
    Change::Unit {
        before: None,
        enable: false,
        action: UnitAction::Restart,
        found,
    }
}

#[test]
fn nothing_differs_on_a_converged_cluster() {
    let report = Look::new().report();
    assert!(report.is_empty());
    assert_eq!(report.text(), "0 differences\n");
}

#[test]
fn reads_like_a_list_by_node_and_kind() {
    let mut look = Look::new();
    let edited = Change::Unit {
        before: Some("[Service]\nExecStart=/usr/local/bin/kubelet --v=9\n".to_owned()),
        enable: true,
        action: UnitAction::Start,
        found: vec![
            UnitFinding::File {
                problem: UnitFileProblem::Content,
            },
            UnitFinding::NotRunning {
                active: "failed".to_owned(),
                sub: "failed".to_owned(),
            },
        ],
    };
    look.differs("cp-1", "unit:kubelet.service", edited);
    let before = Some("a: 1\nb: \u{1b}[2J\n".to_owned());
    look.differs("cp-1", "file:/etc/demo", Change::Content { before });
    for node in ["w-1", "w-2"] {
        let path = "/etc/systemd/system/kubelet.service.d/a.conf".to_owned();
        let content = Some("[Service]\nCPUQuota=1%\n".to_owned());
        let found = vec![
            UnitFinding::Override { path, content },
            UnitFinding::Arguments {
                foreign: vec!["--v=9".to_owned()],
                lacking: vec!["--v=2".to_owned()],
            },
        ];
        look.differs(node, "unit:kubelet.service", unit(found));
    }
    look.api().unknown_nodes.push("stranger".to_owned());
    look.api()
        .objects
        .insert("ClusterRoleBinding kubewright:admins".to_owned(), None);
    insta::assert_snapshot!(look.report().text(), @r"
    cp-1
      changed files [file-changed]
        /etc/demo: differs
          @@ -1,2 +1,2 @@
           a: 1
          -b: \u{1b}[2J
          +b: 2
      changed units [unit-changed]
        kubelet.service: its file differs
          @@ -1,2 +1,2 @@
           [Service]
          -ExecStart=/usr/local/bin/kubelet --v=9
          +ExecStart=/usr/local/bin/kubelet --v=2
      disabled units [unit-disabled]
        kubelet.service: is not enabled: it would not start after a reboot
      stopped units [unit-stopped]
        kubelet.service: is not running: failed (failed)

    w-1, w-2
      overridden units [unit-overridden]
        kubelet.service: by /etc/systemd/system/kubelet.service.d/a.conf
          @@ -1,2 +0,0 @@
          -[Service]
          -CPUQuota=1%
      processes with other arguments [process-arguments]
        kubelet.service: runs with 1 argument that its unit file does not have, and runs without 1 argument of its unit file
          - --v=9
          + --v=2

    cluster
      unknown nodes [node-unknown]
        Node stranger: is not in cluster.yaml
      missing objects [object-missing]
        ClusterRoleBinding kubewright:admins: is missing

    10 differences on 3 nodes and in the cluster
    ");
}

#[test]
fn a_unit_that_only_follows_its_files_is_no_finding() {
    let mut look = Look::new();
    look.differs("w-1", "file:/etc/demo", Change::Missing);
    let follows = UnitFinding::InputChanges {
        input: ResourceId::new("file", "/etc/demo"),
    };
    look.differs("w-1", "unit:kubelet.service", unit(vec![follows]));
    assert_eq!(look.ids(), ["file-missing"]);
}

#[test]
fn every_change_of_a_machine_has_its_kind() {
    let value = || Change::Value {
        before: "1".to_owned(),
        after: "2".to_owned(),
    };
    let cases = [
        ("file:/a", Change::Missing, "file-missing"),
        ("user:etcd", Change::Missing, "file-missing"),
        ("symlink:/a", value(), "file-changed"),
        ("secret:/a", Change::Content { before: None }, "secret-changed"),
        ("certificate:/a", Change::Missing, "certificate"),
        ("binary:/a", value(), "binary-changed"),
        ("image:a", Change::Missing, "image-missing"),
        ("sysctl:a", value(), "kernel-setting"),
        ("swap:off", value(), "kernel-setting"),
        ("routing:pods", value(), "routing"),
        ("file:/a", Change::Orphaned, "orphaned"),
        (
            "unit:kubelet.service",
            Change::Blocked {
                reason: "kubelet.service is masked".to_owned(),
            },
            "in-the-way",
        ),
        (
            "unit:kubelet.service",
            unit(vec![UnitFinding::Inputs {}]),
            "process-stale",
        ),
        (
            "unit:kubelet.service",
            unit(vec![UnitFinding::Executable {
                path: "/a".to_owned(),
                running: "/a (deleted)".to_owned(),
            }]),
            "process-executable",
        ),
    ];
    for (resource, change, id) in cases {
        let mut look = Look::new();
        look.differs("w-1", resource, change);
        assert_eq!(look.ids(), [id], "{resource}");
    }
}

#[test]
fn a_machine_nobody_set_up_is_one_finding() {
    let mut look = Look::new();
    let node = look.observed.nodes.get_mut("w-1").unwrap();
    node.facts.marker = None;
    look.differs("w-1", "file:/a", Change::Missing);
    look.differs("w-1", "file:/b", Change::Missing);
    look.api().nodes_to_register.push("w-1".to_owned());
    assert_eq!(look.ids(), ["not-built"]);
}

#[test]
fn of_a_machine_that_cannot_be_reached_the_rest_is_told() {
    let mut look = Look::new();
    look.observed.nodes.remove("cp-1");
    look.observed
        .unreachable
        .insert("cp-1".to_owned(), "no route to host".to_owned());
    look.etcd()
        .own
        .insert("cp-1".to_owned(), Err("no connection".to_owned()));
    look.api().nodes_not_ready.push("cp-1".to_owned());
    assert_eq!(look.ids(), ["node-unreachable", "node-not-ready"]);
}

#[test]
fn nodes_and_objects_of_the_api_are_compared() {
    let mut look = Look::new();
    let api = look.api();
    api.kubelet_versions
        .insert("w-1".to_owned(), "v1.35.0".to_owned());
    api.kubelet_versions.remove("w-2");
    api.nodes_to_register = vec!["cp-1".to_owned(), "w-2".to_owned()];
    api.nodes_not_ready.push("w-1".to_owned());
    api.objects
        .insert("ConfigMap a/b".to_owned(), Some("-x\n+y\n".to_owned()));
    api.orphaned.push("ConfigMap a/c".to_owned());
    api.kept
        .insert("Namespace a".to_owned(), "Secret a/theirs".to_owned());
    api.deployments_unavailable.push("kube-system/coredns".to_owned());
    assert_eq!(
        look.ids(),
        [
            "node-changed",
            "running-version",
            "node-not-ready",
            "node-missing",
            "object-changed",
            "orphaned-object",
            "orphaned-object",
            "deployment-unavailable"
        ]
    );
    look.observed.api = None;
    assert_eq!(look.ids(), ["api-unreachable"]);
}

#[test]
fn etcd_members_are_compared() {
    let member = |id, name: &str, address: &str, is_learner| EtcdMember {
        id,
        name: name.to_owned(),
        peer_urls: vec![format!("https://{address}:2380")],
        is_learner,
    };
    let messages = |look: &Look| -> Vec<String> {
        let findings = look.report().findings.into_iter();
        findings
            .map(|finding| format!("{} {}", finding.kind.id(), finding.message))
            .collect()
    };
    let mut look = Look::new();
    look.etcd().members = Some(vec![
        member(1, "cp-1", "192.0.2.11", true),
        member(2, "old", "192.0.2.99", false),
    ]);
    assert_eq!(
        messages(&look),
        [
            "etcd-member is a learner: it does not vote",
            "etcd-member-unknown matches no control plane in cluster.yaml (https://192.0.2.99:2380)"
        ]
    );
    look.etcd().members = Some(vec![member(1, "", "192.0.2.11", false)]);
    assert_eq!(messages(&look), ["etcd-member was added and never started"]);
    look.etcd().members = Some(Vec::new());
    let silent = Err("connection refused".to_owned());
    look.etcd().own.insert("cp-1".to_owned(), silent);
    assert_eq!(
        messages(&look),
        [
            "etcd-member is not in the member list",
            "etcd-member does not answer: connection refused"
        ]
    );
    look.etcd().members = None;
    let alarm = |member_id| EtcdAlarm {
        member_id,
        kind: AlarmKind::NoSpace,
    };
    let status = EtcdStatus {
        member_id: 1,
        version: "3.5.0".to_owned(),
        alarms: vec![alarm(1), alarm(2)],
        complaints: vec!["etcdserver: no leader".to_owned()],
        ..EtcdStatus::default()
    };
    look.etcd().own.insert("cp-1".to_owned(), Ok(status));
    assert_eq!(
        messages(&look),
        [
            "etcd-member sees no leader".to_owned(),
            "etcd-member is unhealthy: alarm NOSPACE, etcdserver: no leader".to_owned(),
            format!("running-version runs as 3.5.0, should be {}", look.release.etcd),
            "etcd-unreachable member list unavailable".to_owned()
        ]
    );
}

#[test]
fn a_database_that_fills_up_is_found_before_its_alarm() {
    let mut look = Look::new();
    let bytes = |percent: u64| (8_u64 << 30) / 100 * percent + 1000;
    let facts = &mut look.observed.nodes.get_mut("cp-1").unwrap().facts;
    facts.etcd_database_bytes = bytes(59);
    assert!(!look.ids().contains(&"etcd-database"));
    let facts = &mut look.observed.nodes.get_mut("cp-1").unwrap().facts;
    facts.etcd_database_bytes = bytes(81);
    assert!(look.ids().contains(&"etcd-database"));
}

#[test]
fn the_value_for_programs_names_its_schema() {
    let mut look = Look::new();
    look.differs("w-1", "file:/etc/demo", Change::Missing);
    let value = serde_json::to_value(look.report()).unwrap();
    let expected = serde_json::json!({
        "apiVersion": "kubewright/v1alpha1", "kind": "DriftReport", "schema": 1, "cluster": "test", "differences": 1,
        "findings": [{"id": "file-missing", "node": "w-1", "subject": "/etc/demo", "message": "is missing"}],
    });
    assert_eq!(value, expected);
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/drift.md");
    let page = reference();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        present == page,
        "docs/reference/drift.md is stale: {UPDATE}=1 cargo test -p kubewright-core drift"
    );
}

#[test]
fn ids_are_unique_and_stand_in_json_as_they_are_printed() {
    let ids: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.id()).collect();
    assert_eq!(ids.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.id());
    }
}
