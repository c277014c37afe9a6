//! A node with a cluster on it becomes a node without one; what is not the cluster's stays.

use std::sync::Arc;

use kubewright_core::observed::Founders;
use kubewright_core::resource::{
    Access, Binary, Directory, File, NodeState, Resource, SharedSecret, Stage, Start, Sysctl, Unit, User,
};

use super::*;
use crate::converge;
use crate::journal::Run;
use crate::system::System;
use crate::testing::{TestController, TestSystem};

const UNIT: &str = "# Written by kubewright; a change here is undone.\n[Service]\n[Install]\n";

fn state(controller: &mut TestController) -> NodeState {
    controller.secrets.insert("sa".to_owned(), b"secret".to_vec());
    let directory = |path: &str| {
        Resource::Directory(Directory {
            path: path.to_owned(),
            access: Access::root(0o700),
        })
    };
    let unit = |name: &str| {
        Resource::Unit(Unit {
            name: name.to_owned(),
            content: UNIT.to_owned(),
            start: Start::Wait,
            inputs: Vec::new(),
        })
    };
    let mut state = NodeState::default();
    state.extend(
        Stage::Host,
        [
            Resource::User(User {
                name: "etcd".to_owned(),
                home: "/var/lib/etcd".to_owned(),
            }),
            directory("/etc/kubernetes"),
            directory("/var/lib/etcd"),
            directory("/opt/cni/bin"),
            Resource::File(File {
                path: Marker::PATH.to_owned(),
                access: Access::root(0o644),
                content: "{}".to_owned(),
            }),
            Resource::SharedSecret(SharedSecret {
                path: "/etc/kubernetes/pki/sa.key".to_owned(),
                access: Access::root(0o600),
                name: "sa".to_owned(),
                sha256: None,
            }),
            Resource::Sysctl(Sysctl {
                key: "net.ipv4.ip_forward".to_owned(),
                value: "1".to_owned(),
                optional: false,
            }),
            Resource::Binary(Binary {
                path: "/opt/cni/bin/bridge".to_owned(),
                name: "bridge".to_owned(),
                version: "1".to_owned(),
                blob: Some(controller.offer(b"bridge")),
            }),
            unit("kubelet.service"),
            unit("containerd.service"),
        ],
    );
    state
}

fn journal() -> Journal {
    Journal::new(Run {
        id: "run".to_owned(),
        ..Run::default()
    })
}

fn node(system: &Arc<TestSystem>) -> Node {
    Node::open(Arc::clone(system) as Arc<dyn System>).unwrap()
}

fn build(system: &Arc<TestSystem>) {
    let mut controller = TestController::new();
    let state = state(&mut controller);
    let mut node = node(system);
    let all: Vec<_> = state
        .resources
        .iter()
        .map(|staged| staged.resource.id())
        .collect();
    converge::converge(&mut node, &mut journal(), &state, &mut controller, &all).unwrap();
    founding::record(&node.tree, &Founders::default()).unwrap();
    bootstrapped::mark(&mut node).unwrap();
}

/// A built node that ran pods, with a volume mounted in etcd's directory and things of others.
fn lived_in() -> Arc<TestSystem> {
    let system = TestSystem::new();
    build(&system);
    system.put("/var/lib/etcd/member/wal", "data");
    system.put("/var/lib/etcd/backup/precious", "theirs");
    system.put("/var/lib/kubelet/pods/1/volumes/data", "");
    system.put("/var/lib/containerd/blobs/1", "layer");
    system.put("/var/lib/kubewright/agent/abc", "the agent");
    system.put("/etc/systemd/system/theirs.service", "[Service]\n");
    system.put("/opt/cni/bin/theirs", "theirs");
    std::os::unix::fs::symlink("/etc", system.path("/var/lib/kubelet/escape")).unwrap();
    system.put(
        "/proc/100/cgroup",
        "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope\n",
    );
    system.put("/proc/101/cgroup", "0::/system.slice/containerd.service\n");
    system.put(
        "/proc/101/cmdline",
        "/usr/local/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0",
    );
    system.put("/proc/102/cgroup", "0::/system.slice/ssh.service\n");
    let mount = |point: &str| format!("1 1 0:1 / {point} rw - tmpfs tmpfs rw\n");
    let mounts = [
        mount("/"),
        mount("/var/lib/kubelet/pods/1/volumes"),
        mount("/run/containerd/busy/rootfs"),
        mount("/run/netns/cni-1"),
        mount("/run/netns/theirs"),
        mount("/var/lib/etcd/backup"),
    ];
    system.put("/proc/self/mountinfo", &mounts.concat());
    system
}

fn check(system: &TestSystem) {
    for path in [
        "/var/lib/etcd/member",
        "/var/lib/kubelet",
        "/var/lib/containerd",
        "/etc/kubernetes",
        "/etc/systemd/system/kubelet.service",
        "/etc/sysctl.d/99-kubewright.conf",
        "/opt/cni/bin/bridge",
        "/var/lib/kubewright/state.json",
        "/var/lib/kubewright/settled",
        "/var/lib/kubewright/journal",
        "/proc/100",
        "/proc/101",
    ] {
        assert!(!system.has(path), "{path} is still there");
    }
    for path in [
        "/var/lib/etcd/backup/precious",
        "/var/lib/kubewright/agent/abc",
        "/etc/systemd/system/theirs.service",
        "/opt/cni/bin/theirs",
        "/etc/passwd",
        "/proc/102",
    ] {
        assert!(system.has(path), "{path} is gone");
    }
    let mounts = system.get("/proc/self/mountinfo");
    assert!(mounts.contains("/run/netns/theirs") && mounts.contains("/var/lib/etcd/backup"));
    assert!(!mounts.contains("kubelet") && !mounts.contains("busy") && !mounts.contains("cni-1"));
}

#[test]
fn leaves_a_node_on_which_a_new_cluster_can_be_built() {
    let system = lived_in();
    let removed = reset(&mut node(&system), &mut journal(), &mut TestController::new()).unwrap();
    check(&system);
    assert!(removed.contains(&ResourceId::new("unit", "kubelet.service")));
    assert_eq!(system.simulated().units["kubelet.service"].active, "inactive");
    build(&system);
    assert!(system.has(Marker::PATH));
}

#[test]
fn a_second_reset_finds_nothing() {
    let system = lived_in();
    let mut node = node(&system);
    reset(&mut node, &mut journal(), &mut TestController::new()).unwrap();
    let before = system.snapshot();
    let removed = reset(&mut node, &mut journal(), &mut TestController::new()).unwrap();
    assert_eq!(removed, []);
    assert_eq!(system.snapshot(), before);
}

#[test]
fn a_node_that_is_not_ours_is_left_alone() {
    let system = TestSystem::new();
    system.put("/etc/kubernetes/admin.conf", "theirs");
    system.put("/var/lib/etcd/member/wal", "theirs");
    let before = system.snapshot();
    let removed = reset(&mut node(&system), &mut journal(), &mut TestController::new()).unwrap();
    assert_eq!(removed, []);
    assert_eq!(system.snapshot(), before);
}

/// A node of another cluster, on which a first apply was killed when it had noted that it begins.
fn noted_only() -> Arc<TestSystem> {
    let system = TestSystem::new();
    system.put("/etc/kubernetes/admin.conf", "theirs");
    system.put("/var/lib/etcd/member/wal", "theirs");
    system.put("/var/lib/kubewright/agent/abc", "the agent");
    let same: Arc<dyn System> = system.clone();
    crate::operations::record(&same, "20260102T030405Z-r1", true, "{}\n").unwrap();
    system
}

#[test]
fn what_a_run_noted_before_its_first_change_goes_and_nothing_else() {
    let system = noted_only();
    let mut node = node(&system);
    let removed = reset(&mut node, &mut journal(), &mut TestController::new()).unwrap();
    assert_eq!(
        removed,
        [ResourceId::new("directory", crate::operations::DIRECTORY)]
    );
    assert_eq!(node.changed, 1);
    assert!(!system.has(crate::operations::DIRECTORY) && !system.has(journal::DIRECTORY));
    for path in [
        "/etc/kubernetes/admin.conf",
        "/var/lib/etcd/member/wal",
        "/var/lib/kubewright/agent/abc",
    ] {
        assert!(system.has(path), "{path} is gone");
    }
    let before = system.snapshot();
    let removed = reset(
        &mut node,
        &mut Journal::new(Run::default()),
        &mut TestController::new(),
    )
    .unwrap();
    assert_eq!((removed, system.snapshot()), (Vec::new(), before));
}

#[test]
fn what_a_run_noted_is_no_trace_of_another_installer() {
    let system = TestSystem::new();
    let same: Arc<dyn System> = system.clone();
    crate::operations::record(&same, "20260102T030405Z-r1", true, "{}\n").unwrap();
    let facts = crate::facts::gather(&same).unwrap();
    assert_eq!((facts.leftovers, facts.unfinished_run), (Vec::new(), None));
}

#[test]
fn finds_our_units_when_the_ledger_was_lost() {
    let system = lived_in();
    std::fs::remove_file(system.path(ledger::PATH)).unwrap();
    reset(&mut node(&system), &mut journal(), &mut TestController::new()).unwrap();
    assert!(!system.has("/etc/systemd/system/kubelet.service"));
    assert_eq!(system.simulated().units["containerd.service"].active, "inactive");
    assert!(system.has("/etc/systemd/system/theirs.service"));
}

#[test]
fn a_reset_that_was_interrupted_anywhere_is_finished_by_the_next() {
    let effects = {
        let system = lived_in();
        system.simulated().effects = 0;
        reset(&mut node(&system), &mut journal(), &mut TestController::new()).unwrap();
        system.simulated().effects
    };
    for cut in 0..effects {
        let system = lived_in();
        system.simulated().effects = 0;
        system.simulated().power_cut_at = Some(cut);
        // Effects on the network may fail; a reset goes on without them.
        let _ = reset(&mut node(&system), &mut journal(), &mut TestController::new());
        system.power_returns();
        reset(&mut node(&system), &mut journal(), &mut TestController::new())
            .unwrap_or_else(|error| panic!("after effect {cut}: {error}"));
        check(&system);
    }
}

#[test]
fn the_walk_stops_where_something_is_mounted() {
    let system = TestSystem::new();
    system.put("/data/a/b/file", "");
    system.put("/data/mounted/file", "");
    system.put("/data/kept/file", "");
    let tree = node(&system).tree;
    let mounts = mounts::parse("1 1 0:1 / /data/mounted rw - ext4 /dev/x rw\n");
    let keep = BTreeSet::from(["kept".to_owned()]);
    let mut left = Vec::new();
    let removed = sweep::contents(&tree, &mounts, "/data", &keep, &mut left).unwrap();
    assert_eq!(removed, 3);
    assert_eq!(left, ["/data/mounted (something is mounted there)"]);
    assert!(system.has("/data/mounted/file") && system.has("/data/kept/file") && !system.has("/data/a"));
}

#[test]
fn the_walk_removes_a_link_and_not_what_it_leads_to() {
    let system = TestSystem::new();
    system.put("/elsewhere/file", "theirs");
    system.put("/data/file", "");
    std::os::unix::fs::symlink("../elsewhere", system.path("/data/link")).unwrap();
    let tree = node(&system).tree;
    let mut left = Vec::new();
    sweep::contents(&tree, &[], "/data", &BTreeSet::new(), &mut left).unwrap();
    assert!(system.has("/elsewhere/file") && !system.has("/data/link"));
    std::os::unix::fs::symlink("elsewhere", system.path("/linked")).unwrap();
    sweep::contents(&tree, &[], "/linked", &BTreeSet::new(), &mut left).unwrap();
    assert!(system.has("/elsewhere/file"));
}
