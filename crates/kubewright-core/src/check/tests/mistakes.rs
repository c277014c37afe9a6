//! One mistake each, and what is said about it.

use std::collections::BTreeMap;

use super::super::{Clock, Kind, Silent, Unreachable};
use super::{GIB, Scene};
use crate::observed::{
    Change, Difference, Disk, LaterSetting, Leftover, Link, Listener, Marker, ModuleState, Obstacle,
    ObstacleKind, Setting,
};
use crate::resource::ResourceId;

type Mistake = (&'static str, fn(&mut Scene), &'static [&'static str]);

fn listen(scene: &mut Scene, node: &str, port: u16, process: &str, unit: &str) {
    let listener = Listener {
        port,
        process: process.to_owned(),
        unit: unit.to_owned(),
    };
    scene.facts(node).listening.push(listener);
}

fn clock(scene: &mut Scene, node: &str, offset_ms: i64) {
    scene.measured.clocks.insert(
        node.to_owned(),
        Clock {
            offset_ms,
            uncertainty_ms: 10,
        },
    );
}

fn disks(scene: &mut Scene, change: fn(&mut Disk)) {
    for disk in scene.facts("w-1").disks.values_mut() {
        change(disk);
    }
}

fn silent(scene: &mut Scene, node: &str, cause: &str, fix: &str) {
    scene.observed.nodes.remove(node);
    scene.measured.clocks.remove(node);
    let silent = Silent {
        cause: cause.to_owned(),
        fix: fix.to_owned(),
    };
    scene.measured.silent.insert(node.to_owned(), silent);
}

fn module(scene: &mut Scene, name: &str, state: ModuleState) {
    scene.facts("w-1").modules.insert(name.to_owned(), state);
}

fn setting<'s>(scene: &'s mut Scene, key: &str) -> &'s mut Setting {
    scene.facts("w-1").settings.get_mut(key).unwrap()
}

/// Another file sets one of w-1's kernel settings.
fn later(scene: &mut Scene, key: &str, value: &str) {
    setting(scene, key).later = Some(LaterSetting {
        path: "/etc/sysctl.d/99-sysctl.conf".to_owned(),
        value: value.to_owned(),
    });
}

fn obstacle(scene: &mut Scene, path: &str, what: ObstacleKind) {
    let path = path.to_owned();
    scene.facts("w-1").obstacles.push(Obstacle { path, what });
}

/// w-2's interface with the hardware address of another node's.
fn one_mac(scene: &mut Scene, other: &str, length: u8) -> BTreeMap<String, Link> {
    let mac = scene.facts(other).links["eth0"].mac.to_uppercase();
    let prefixes = [("192.0.2.22".parse().unwrap(), length)].into();
    [("eth0".to_owned(), Link { mac, prefixes })].into()
}

const MISTAKES: &[Mistake] = &[
    (
        "silent",
        |s| silent(s, "cp-1", "connection refused", "start sshd"),
        &["error node-unreachable cp-1"],
    ),
    (
        "marker of another cluster",
        |s| s.own("w-1").marker.as_mut().unwrap().cluster = "test".to_owned(),
        &["error other-cluster w-1"],
    ),
    (
        "marker of another node",
        |s| s.own("w-1").marker.as_mut().unwrap().node = "w-2".to_owned(),
        &["error other-node w-1"],
    ),
    (
        "clones",
        |s| s.facts("w-2").machine_id = s.facts("w-1").machine_id.clone(),
        &["error duplicate-machine-id w-1", "error duplicate-machine-id w-2"],
    ),
    (
        "same host names",
        |s| s.facts("w-2").hostname = s.facts("w-1").hostname.clone(),
        &["error duplicate-hostname w-1", "error duplicate-hostname w-2"],
    ),
    (
        "the address of another node",
        |s| {
            s.facts("w-2")
                .addresses
                .get_mut("eth0")
                .unwrap()
                .push("192.0.2.21".parse().unwrap());
        },
        &["error duplicate-address w-2"],
    ),
    (
        "cloned network cards",
        |s| s.facts("w-2").links = one_mac(s, "w-1", 24),
        &["error duplicate-mac w-1", "error duplicate-mac w-2"],
    ),
    (
        "cloned network cards on networks of their own",
        |s| {
            let links = one_mac(s, "w-1", 32);
            s.facts("w-2").links = links;
            s.facts("w-1")
                .links
                .get_mut("eth0")
                .unwrap()
                .prefixes
                .values_mut()
                .for_each(|length| *length = 32);
        },
        &[],
    ),
    (
        "cloned firmware",
        |s| s.facts("w-2").product_uuid = s.facts("w-1").product_uuid.to_uppercase(),
        &[
            "warning duplicate-product-uuid w-1",
            "warning duplicate-product-uuid w-2",
        ],
    ),
    (
        "firmware without a number",
        |s| {
            s.all()
                .for_each(|facts| facts.product_uuid = "03000200-0400-0500-0006-000700080009".to_owned());
        },
        &[],
    ),
    (
        "something in the way",
        |s| {
            s.observed
                .nodes
                .get_mut("w-1")
                .unwrap()
                .differences
                .push(Difference {
                    resource: ResourceId::new("file", "/etc/kubernetes/x"),
                    change: Change::Blocked {
                        reason: "a directory is where the file should be".to_owned(),
                    },
                });
        },
        &["error blocked w-1"],
    ),
    (
        "k3s was here",
        |s| {
            s.facts("w-1").leftovers.push(Leftover {
                what: "/var/lib/rancher/k3s".to_owned(),
                of: "k3s".to_owned(),
            });
        },
        &["error leftovers w-1"],
    ),
    (
        "an interrupted run",
        |s| s.facts("w-1").unfinished_run = Some("20260102-1".to_owned()),
        &["warning unfinished-run w-1"],
    ),
    (
        "another processor",
        |s| s.facts("w-1").architecture = "riscv64".to_owned(),
        &["error architecture w-1"],
    ),
    (
        "no systemd",
        |s| s.facts("w-1").systemd = 0,
        &["error systemd w-1"],
    ),
    (
        "old systemd",
        |s| s.facts("w-1").systemd = 239,
        &["error systemd w-1"],
    ),
    (
        "old kernel",
        |s| s.facts("w-1").kernel = "4.18.0-553.el8".to_owned(),
        &["error kernel w-1"],
    ),
    (
        "kernel without nftables",
        |s| s.facts("w-1").kernel = "5.10.0-28-amd64".to_owned(),
        &["error kernel w-1"],
    ),
    (
        "no module",
        |s| module(s, "vxlan", ModuleState::Absent {}),
        &["error kernel-module w-1"],
    ),
    (
        "a container without br_netfilter",
        |s| module(s, "br_netfilter", ModuleState::OnHost {}),
        &["error kernel-module w-1"],
    ),
    (
        "modules nobody can know about",
        |s| {
            s.all()
                .flat_map(|facts| facts.modules.values_mut())
                .for_each(|state| *state = ModuleState::Unknown {});
        },
        &[],
    ),
    (
        "read-only kernel settings",
        |s| setting(s, "vm.overcommit_memory").writable = false,
        &["error kernel-setting w-1"],
    ),
    (
        "read-only kernel settings that are right",
        |s| {
            *setting(s, "vm.overcommit_memory") = Setting {
                value: Some("1".to_owned()),
                ..Setting::default()
            }
        },
        &[],
    ),
    (
        "no such kernel setting",
        |s| setting(s, "kernel.panic").value = None,
        &["error kernel-setting w-1"],
    ),
    (
        "forwarding off after a boot",
        |s| later(s, "net.ipv4.ip_forward", "0"),
        &["error kernel-setting-undone w-1"],
    ),
    (
        "forwarding on twice",
        |s| later(s, "net.ipv4.ip_forward", "1"),
        &[],
    ),
    (
        "the other kind of forwarding off",
        |s| later(s, "net.ipv6.conf.all.forwarding", "0"),
        &[],
    ),
    (
        "old nft",
        |s| s.facts("w-1").nft_version = "0.9.8".to_owned(),
        &["error nft-version w-1"],
    ),
    (
        "cgroup v1",
        |s| s.facts("w-1").cgroup_version = 1,
        &["error cgroup-v1 w-1"],
    ),
    (
        "no memory controller",
        |s| s.facts("w-1").cgroup_controllers.retain(|name| name != "memory"),
        &["error cgroup-controllers w-1"],
    ),
    (
        "1 GiB control plane",
        |s| s.facts("cp-1").memory_bytes = GIB,
        &["error memory cp-1"],
    ),
    ("1 GiB worker", |s| s.facts("w-1").memory_bytes = GIB, &[]),
    (
        "512 MiB worker",
        |s| s.facts("w-1").memory_bytes = GIB / 2,
        &["error memory w-1"],
    ),
    (
        "one processor",
        |s| s.facts("cp-1").processors = 1,
        &["warning processors cp-1"],
    ),
    (
        "swap",
        |s| s.facts("w-1").swaps.push("/dev/sda2".to_owned()),
        &["warning swap-on w-1"],
    ),
    (
        "swap in a container",
        |s| {
            s.facts("w-1").swaps.push("/dev/sda2".to_owned());
            s.facts("w-1").container = Some("lxc".to_owned());
        },
        &["error swap-on w-1"],
    ),
    (
        "zram",
        |s| s.facts("w-1").swap_units.push("dev-zram0.swap".to_owned()),
        &["error swap-returns w-1"],
    ),
    (
        "immutable",
        |s| obstacle(s, "/etc/kubernetes", ObstacleKind::Immutable),
        &["error immutable w-1"],
    ),
    (
        "a link instead of a directory",
        |s| obstacle(s, "/var/lib/etcd", ObstacleKind::Link),
        &["error blocked w-1"],
    ),
    (
        "noexec",
        |s| disks(s, |disk| disk.no_exec = true),
        &["error no-exec w-1"],
    ),
    (
        "full disk",
        |s| disks(s, |disk| disk.free_bytes = 0),
        &["error disk-space w-1"],
    ),
    (
        "nearly full disk",
        |s| disks(s, |disk| (disk.free_bytes, disk.total_bytes) = (4 * GIB, 5 * GIB)),
        &["warning disk-space w-1"],
    ),
    (
        "a disk the kubelet finds too full",
        |s| disks(s, |disk| disk.free_bytes = 17 * GIB),
        &["error disk-space w-1"],
    ),
    (
        "no inodes",
        |s| disks(s, |disk| disk.free_inodes = Some(9)),
        &["error inodes w-1"],
    ),
    (
        "read-only",
        |s| disks(s, |disk| disk.read_only = true),
        &["error read-only w-1"],
    ),
    (
        "6443 taken",
        |s| listen(s, "cp-1", 6443, "nginx", "nginx.service"),
        &["error port-in-use cp-1"],
    ),
    (
        "6443 taken on a worker",
        |s| listen(s, "w-1", 6443, "nginx", "nginx.service"),
        &[],
    ),
    (
        "firewall",
        |s| {
            s.measured.unreachable.push(Unreachable {
                from: "cp-1".to_owned(),
                to: "w-1".to_owned(),
                port: 10250,
                cause: "connection timed out".to_owned(),
            });
        },
        &["error unreachable-port w-1"],
    ),
    (
        "firewall between workers",
        |s| {
            s.measured.unreachable.push(Unreachable {
                from: "w-2".to_owned(),
                to: "w-1".to_owned(),
                port: 10250,
                cause: "connection timed out".to_owned(),
            });
        },
        &["warning unreachable-port w-1"],
    ),
    (
        "behind address translation",
        |s| s.facts("w-1").addresses = [("eth0".to_owned(), vec!["10.0.0.5".parse().unwrap()])].into(),
        &["error address-not-on-node w-1"],
    ),
    (
        "VPN in the service range",
        |s| {
            drop(
                s.facts("w-1")
                    .addresses
                    .insert("wg0".to_owned(), vec!["10.96.4.4".parse().unwrap()]),
            );
        },
        &["error address-in-range w-1"],
    ),
    (
        "no default route",
        |s| s.facts("w-1").has_default_route = false,
        &["error no-default-route w-1"],
    ),
    (
        "worker two seconds ahead",
        |s| clock(s, "w-1", 2020),
        &["warning clock-offset w-1"],
    ),
    (
        "worker ten minutes behind",
        |s| clock(s, "w-1", -600_000),
        &["error clock-offset w-1"],
    ),
    (
        "control plane half a second ahead",
        |s| clock(s, "cp-2", 520),
        &["warning clock-offset cp-2"],
    ),
    (
        "control plane two seconds behind",
        |s| clock(s, "cp-2", -2000),
        &["error clock-offset cp-2"],
    ),
    (
        "control plane in 1970",
        |s| clock(s, "cp-2", -1_800_000_000_000),
        &["error clock-offset cp-2"],
    ),
    (
        "control planes on both sides",
        |s| {
            clock(s, "cp-1", -700);
            clock(s, "cp-3", 700);
        },
        &["error clock-offset cp-1", "error clock-offset cp-3"],
    ),
    (
        "this computer's clock",
        |s| {
            for node in ["cp-1", "cp-2", "cp-3", "w-1", "w-2"] {
                clock(s, node, 600_000);
            }
        },
        &["error clock-offset -"],
    ),
    (
        "a slow connection proves nothing",
        |s| {
            *s.measured.clocks.get_mut("cp-1").unwrap() = Clock {
                offset_ms: 900,
                uncertainty_ms: 900,
            };
        },
        &[],
    ),
    (
        "no time service",
        |s| s.facts("w-1").clock_synchronized = Some(false),
        &["warning time-not-synchronized w-1"],
    ),
    (
        "missing program",
        |s| s.facts("w-1").missing_commands.push("nft".to_owned()),
        &["error missing-command w-1"],
    ),
    (
        "program of the other proxy",
        |s| s.facts("w-1").missing_commands.push("iptables".to_owned()),
        &[],
    ),
    (
        "SELinux",
        |s| s.facts("w-1").selinux = Some("Enforcing".to_owned()),
        &["warning selinux w-1"],
    ),
];

#[test]
fn each_mistake_is_found_and_nothing_else_with_it() {
    for (name, make, expected) in MISTAKES {
        let mut scene = Scene::blank();
        make(&mut scene);
        assert_eq!(scene.ids(), *expected, "{name}");
    }
}

#[test]
fn every_kind_is_made_by_a_test() {
    // These two need a cluster that runs: see `converged`.
    let elsewhere = [Kind::AuthorityMismatch, Kind::MemberWithoutData];
    for kind in Kind::ALL.iter().filter(|kind| !elsewhere.contains(kind)) {
        let made = MISTAKES
            .iter()
            .any(|(_, _, ids)| ids.iter().any(|id| id.split(' ').nth(1) == Some(kind.id())));
        assert!(made, "{}", kind.id());
    }
}

#[test]
fn settings_of_the_kubelet_and_the_proxy_are_honoured() {
    let mut scene = Scene::with(
        "  network: { proxy: iptables }\n  components: { kubelet: { extraConfig: { failCgroupV1: false, evictionHard: \
         { nodefs.available: 1% } } } }",
    );
    let facts = scene.facts("w-1");
    facts.cgroup_version = 1;
    facts.kernel = "5.10.0".to_owned();
    facts.missing_commands = vec!["nft".to_owned(), "iptables".to_owned()];
    for disk in facts.disks.values_mut() {
        disk.free_bytes = 12 * GIB;
    }
    assert_eq!(
        scene.ids(),
        ["error missing-command w-1", "warning cgroup-v1 w-1"]
    );
}

#[test]
fn a_wrong_host_key_is_told_so_that_a_stranger_can_act() {
    let mut scene = Scene::blank();
    silent(
        &mut scene,
        "cp-1",
        "root@192.0.2.11 port 22: the host key is not the known one, so nothing was sent; the node shows SHA256:abc",
        "if the machine was reinstalled, remove the old key with ssh-keygen -R and log in once by hand (ssh \
         root@192.0.2.11); if not, somebody may be between you and it",
    );
    insta::assert_snapshot!(scene.text(), @"
    error: cp-1: root@192.0.2.11 port 22: the host key is not the known one, so nothing was sent; the node shows SHA256:abc [node-unreachable]
      fix: if the machine was reinstalled, remove the old key with ssh-keygen -R and log in once by hand (ssh root@192.0.2.11); if not, somebody may be between you and it

    1 error on 1 of 5 nodes
    ");
}

#[test]
fn missing_sudo_is_told_so_that_a_stranger_can_act() {
    let mut scene = Scene::blank();
    for node in ["w-1", "w-2"] {
        silent(
            &mut scene,
            node,
            "sudo asks for a password",
            "allow sudo without a password for this user: a line `USER ALL=(ALL) NOPASSWD: ALL` in \
             /etc/sudoers.d/kubewright",
        );
    }
    insta::assert_snapshot!(scene.text(), @"
    error: w-1, w-2: sudo asks for a password [node-unreachable]
      fix: allow sudo without a password for this user: a line `USER ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d/kubewright

    2 errors on 2 of 5 nodes
    ");
}

#[test]
fn a_taken_port_is_told_so_that_a_stranger_can_act() {
    let mut scene = Scene::blank();
    listen(&mut scene, "cp-1", 6443, "haproxy", "haproxy.service");
    listen(&mut scene, "cp-3", 6443, "haproxy", "haproxy.service");
    listen(&mut scene, "cp-2", 6443, "python3", "session-4.scope");
    insta::assert_snapshot!(scene.text(), @"
    error: cp-1, cp-3: port 6443 (the API server) is taken by haproxy (haproxy.service) [port-in-use]
      fix: systemctl disable --now haproxy.service, or move it to another port

    error: cp-2: port 6443 (the API server) is taken by python3 (session-4.scope) [port-in-use]
      fix: find it with: ss -ltnp 'sport = :6443', and stop it

    3 errors on 3 of 5 nodes
    ");
}

#[test]
fn a_clock_ten_minutes_off_is_told_so_that_a_stranger_can_act() {
    let mut scene = Scene::blank();
    clock(&mut scene, "cp-2", -600_000);
    scene.facts("cp-2").clock_synchronized = Some(false);
    insta::assert_snapshot!(scene.text(), @"
    error: cp-2: the clock is 10 min behind this computer's; certificates made here would not be accepted there [clock-offset]
      fix: no time service keeps it: install chrony or systemd-timesyncd, then: timedatectl set-ntp true

    1 error on 1 of 5 nodes
    ");
}

#[test]
fn a_full_disk_is_told_so_that_a_stranger_can_act() {
    let mut scene = Scene::blank();
    let disk = scene.facts("w-1").disks.get_mut("/var/lib/containerd").unwrap();
    disk.mount = "/var/lib/containerd".to_owned();
    disk.free_bytes = 120 << 20;
    disk.total_bytes = 20 * GIB;
    for disk in scene.facts("w-2").disks.values_mut() {
        disk.free_bytes = 16 * GIB;
    }
    insta::assert_snapshot!(scene.text(), @"
    error: w-1: /var/lib/containerd has 120 MiB free, 1 GiB are needed for /var/lib/containerd [disk-space]
      fix: free space on /var/lib/containerd, or mount a larger file system at one of these directories

    error: w-2: / will have 13.6 GiB free of 100 GiB; below 15 % (15 GiB) for /var/lib/containerd the kubelet evicts pods [disk-space]
      fix: free space on /, or mount a larger file system at /var/lib/containerd, or set evictionHard under components.kubelet.extraConfig in cluster.yaml

    2 errors on 2 of 5 nodes
    ");
}

#[test]
fn a_report_says_what_is_the_same_once_and_errors_first() {
    let mut scene = Scene::blank();
    for facts in scene.all() {
        facts.swaps.push("/swapfile".to_owned());
        facts.missing_commands = vec!["modprobe".to_owned(), "nft".to_owned()];
    }
    for from in ["cp-1", "cp-2", "w-1", "w-2"] {
        for port in [6443, 2379, 2380] {
            if from.starts_with("cp") || port == 6443 {
                scene.measured.unreachable.push(Unreachable {
                    from: from.to_owned(),
                    to: "cp-3".to_owned(),
                    port,
                    cause: "no route to host".to_owned(),
                });
            }
        }
    }
    scene.facts("w-1").marker = Some(Marker {
        cluster: "staging\u{1b}[2J".to_owned(),
        cluster_id: "00".to_owned(),
        node: "w-9".to_owned(),
        pod_cidr: None,
        ..Marker::default()
    });
    scene.facts("w-2").leftovers = ["/etc/kubernetes/manifests", "/var/lib/kubelet", "kubelet.service"]
        .map(|what| Leftover {
            what: what.to_owned(),
            of: "kubeadm".to_owned(),
        })
        .into();
    clock(&mut scene, "cp-1", 320);
    insta::assert_snapshot!(scene.text(), @r"
    error: w-1: the node belongs to cluster staging\u{1b}[2J, as its node w-9 [other-cluster]
      fix: correct the node's address in cluster.yaml; to take the machine over: kubewright reset with the cluster.yaml of the cluster it belongs to

    error: w-2: traces of kubeadm: /etc/kubernetes/manifests, /var/lib/kubelet, kubelet.service [leftovers]
      fix: kubeadm reset --force && rm -rf /etc/kubernetes /etc/cni/net.d, and remove its packages (kubeadm, kubelet)

    error: cp-3: TCP 2379 (etcd's clients), 2380 (etcd's peers) cannot be reached from cp-1, cp-2: no route to host [unreachable-port]
      fix: let 192.0.2.11, 192.0.2.12 connect to TCP 2379, 2380 of 192.0.2.13 in the firewalls of the nodes and between them

    error: cp-3: TCP 6443 (the API server) cannot be reached from cp-1, cp-2, w-1, w-2: no route to host [unreachable-port]
      fix: let 192.0.2.11, 192.0.2.12, 192.0.2.21, 192.0.2.22 connect to TCP 6443 of 192.0.2.13 in the firewalls of the nodes and between them

    error: cp-1, cp-2, cp-3, w-1, w-2: not installed: modprobe, nft [missing-command]
      fix: apt-get install kmod nftables

    warning: cp-1, cp-2, cp-3, w-1, w-2: swap is on (/swapfile); the kubelet does not start with it [swap-on]
      fix: none needed: apply turns it off and comments it out in /etc/fstab

    warning: cp-1: the clock is 0.30 s ahead of that of cp-3; etcd and leader leases want control planes within 0.20 s [clock-offset]
      fix: timedatectl set-ntp true (with chrony: chronyc makestep), then check again

    9 errors and 6 warnings on 5 of 5 nodes
    ");
    insta::assert_snapshot!(serde_json::to_string_pretty(&scene.findings()[0]).unwrap(), @r#"
    {
      "id": "other-cluster",
      "severity": "error",
      "node": "w-1",
      "message": "the node belongs to cluster staging\\u{1b}[2J, as its node w-9",
      "fix": "correct the node's address in cluster.yaml; to take the machine over: kubewright reset with the cluster.yaml of the cluster it belongs to"
    }
    "#);
}

#[test]
fn what_the_kernel_lacks_is_told_so_that_a_stranger_can_act() {
    let mut scene = Scene::blank();
    module(&mut scene, "vxlan", ModuleState::Absent {});
    module(&mut scene, "br_netfilter", ModuleState::Absent {});
    scene.facts("w-1").os_id = "ubuntu".to_owned();
    let by = "/etc/modprobe.d/cis.conf".to_owned();
    let modules = &mut scene.facts("w-2").modules;
    modules.insert("overlay".to_owned(), ModuleState::Blocked { by });
    modules.insert("vxlan".to_owned(), ModuleState::Locked {});
    let release = "6.1.0-20-amd64".to_owned();
    for state in scene.facts("cp-1").modules.values_mut() {
        *state = ModuleState::OtherKernel {
            release: release.clone(),
        };
    }
    module(&mut scene, "nf_tables", ModuleState::OnHost {});
    later(&mut scene, "net.ipv4.ip_forward", "0");
    later(&mut scene, "kernel.panic", "0");
    insta::assert_snapshot!(scene.text(), @"
    error: cp-1: br_netfilter, nf_conntrack, nf_tables, overlay, vxlan cannot be loaded: the modules of the running kernel 6.1.0-18-amd64 are gone, there are those of 6.1.0-20-amd64 [kernel-module]
      fix: the kernel was upgraded: reboot the node

    error: w-1: nf_tables (for kube-proxy with nftables) is not loaded, and a container cannot load it [kernel-module]
      fix: on the computer that runs the container: modprobe nf_tables

    error: w-1: the kernel 6.1.0-18-amd64 has no br_netfilter (for flannel, which does not start without it), vxlan (for flannel) [kernel-module]
      fix: apt-get install linux-modules-extra-6.1.0-18-amd64, or boot a kernel that has it

    error: w-2: overlay (for containerd, for the file systems of containers) cannot be loaded: /etc/modprobe.d/cis.conf says so [kernel-module]
      fix: remove the line that begins with `install overlay` from /etc/modprobe.d/cis.conf

    error: w-2: vxlan (for flannel) is not loaded, and kernel.modules_disabled = 1 forbids loading it until the next boot [kernel-module]
      fix: have it loaded before that is set: echo vxlan >> /etc/modules-load.d/kubernetes.conf, then reboot

    error: w-1: /etc/sysctl.d/99-sysctl.conf sets kernel.panic = 0 after kubewright's file: from the next boot on the kubelet does not start [kernel-setting-undone]
      fix: remove that line from /etc/sysctl.d/99-sysctl.conf, or set it to 10

    error: w-1: /etc/sysctl.d/99-sysctl.conf sets net.ipv4.ip_forward = 0 after kubewright's file: from the next boot on pods lose their connections [kernel-setting-undone]
      fix: remove that line from /etc/sysctl.d/99-sysctl.conf, or set it to 1

    7 errors on 3 of 5 nodes
    ");
}

#[test]
fn what_cannot_be_written_is_told_so_that_a_stranger_can_act() {
    let mut scene = Scene::blank();
    obstacle(&mut scene, "/var/lib/etcd", ObstacleKind::Link);
    obstacle(&mut scene, "/etc/kubernetes", ObstacleKind::NotADirectory);
    obstacle(&mut scene, "/etc/passwd", ObstacleKind::Immutable);
    obstacle(&mut scene, "/etc/shadow", ObstacleKind::Immutable);
    obstacle(&mut scene, "/var/log; reboot", ObstacleKind::AppendOnly);
    disks(&mut scene, |disk| disk.no_exec = true);
    scene.facts("w-1").swap_units = vec!["dev-zram0.swap".to_owned(), "zramswap.service".to_owned()];
    scene.facts("w-2").links = one_mac(&mut scene, "w-1", 24);
    insta::assert_snapshot!(scene.text(), @"
    error: w-1: eth0 has the hardware address 52:54:00:00:00:03 as w-2 on the same network: they receive each other's packets [duplicate-mac]
      fix: give the clone's network card another address (in the hypervisor's settings of the machine), and reboot it

    error: w-2: eth0 has the hardware address 52:54:00:00:00:03 as w-1 on the same network: they receive each other's packets [duplicate-mac]
      fix: give the clone's network card another address (in the hypervisor's settings of the machine), and reboot it

    error: w-1: /etc/kubernetes: something else is where a directory belongs [blocked]
      fix: move it away on the node, then run the same command again

    error: w-1: /var/lib/etcd: a symbolic link is where a directory belongs; links are not followed [blocked]
      fix: replace it by a directory; to keep the content elsewhere, mount that place there: mount --bind TARGET /var/lib/etcd, and a line in /etc/fstab

    error: w-1: swap is turned on at each boot by dev-zram0.swap, zramswap.service; the kubelet does not start then [swap-returns]
      fix: systemctl mask --now dev-zram0.swap zramswap.service

    error: w-1: / is mounted noexec; the programs in /usr/local/bin cannot be run there [no-exec]
      fix: mount -o remount,exec /, and take noexec out of its line in /etc/fstab

    error: w-1: append-only and cannot be changed: /var/log; reboot [immutable]
      fix: chattr -a PATH

    error: w-1: immutable and cannot be changed: /etc/passwd, /etc/shadow [immutable]
      fix: chattr -i /etc/passwd /etc/shadow

    8 errors on 2 of 5 nodes
    ");
}

#[test]
fn what_this_cluster_does_not_use_is_not_missed() {
    let mut scene = Scene::with("  network: { cni: bridge, proxy: iptables }");
    for name in ["vxlan", "nf_tables"] {
        module(&mut scene, name, ModuleState::Absent {});
    }
    scene.facts("w-1").nft_version = "0.9.3".to_owned();
    assert_eq!(scene.ids(), [""; 0]);
    let mut scene = Scene::with(
        "  components: { kubelet: { extraConfig: { failSwapOn: false, protectKernelDefaults: false } } }",
    );
    scene.facts("w-1").swap_units.push("dev-zram0.swap".to_owned());
    later(&mut scene, "kernel.panic", "0");
    assert_eq!(scene.ids(), [""; 0]);
}
