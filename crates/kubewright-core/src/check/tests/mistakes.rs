//! One mistake each, and what is found then.

use super::super::{Clock, Kind, Unreachable};
use super::wrong::*;
use super::{GIB, Scene};
use crate::observed::{Change, Difference, Leftover, ModuleState, PathObstacleKind, Setting};
use crate::resource::ResourceId;

type Mistake = (&'static str, fn(&mut Scene), &'static [&'static str]);

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
        "an authority in its last year",
        |s| {
            authority_ends(s, "cp-1", 364);
            authority_ends(s, "cp-2", 364);
        },
        &["warning authority-ends cp-1"],
    ),
    (
        "an authority with a year left",
        |s| authority_ends(s, "cp-1", 365),
        &[],
    ),
    (
        "a database that fills its quota",
        |s| s.own("cp-1").etcd_database_bytes = 7 << 30,
        &["warning etcd-database cp-1"],
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
        |s| obstacle(s, "/etc/kubernetes", PathObstacleKind::Immutable),
        &["error immutable w-1"],
    ),
    (
        "a link instead of a directory",
        |s| obstacle(s, "/var/lib/etcd", PathObstacleKind::Link),
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
        "a firewall that forwards nothing",
        |s| forward_drop(s, &["192.0.2.0/24", "docker0", "10.244.0.0/24"]),
        &["error forward-drop w-1"],
    ),
    (
        "a firewall that forwards packets of pods",
        |s| forward_drop(s, &["10.240.0.0/12"]),
        &[],
    ),
    (
        "a route into the services",
        |s| route(s, "10.96.0.0/16", "wg0"),
        &["error route-in-range w-1"],
    ),
    (
        "a route around the services",
        |s| route(s, "10.0.0.0/8", "wg0"),
        &[],
    ),
    (
        "a second network with strict checks of the way back",
        |s| {
            let facts = s.facts("w-1");
            facts.default_interface = Some("eth1".to_owned());
            facts.strict_interfaces = vec!["eth0".to_owned()];
        },
        &["warning reverse-path-filter w-1"],
    ),
    (
        "strict checks on the only network",
        |s| s.facts("w-1").strict_interfaces = vec!["eth0".to_owned()],
        &[],
    ),
    ("VXLAN closed", |s| lost(s, None), &["error unreachable-udp w-1"]),
    (
        "large packets lost",
        |s| lost(s, Some(1500)),
        &["error path-mtu w-1"],
    ),
    ("a quick disk", |s| sync(s, 9_900), &[]),
    ("a slow disk", |s| sync(s, 10_000), &["warning disk-sync cp-1"]),
    (
        "a disk too slow for etcd",
        |s| sync(s, 50_000),
        &["error disk-sync cp-1"],
    ),
    (
        "no name server",
        |s| name_servers(s, "# No DNS servers known.\n"),
        &["warning no-name-server w-1"],
    ),
    (
        "a name server on the loopback address",
        |s| name_servers(s, "nameserver 127.0.0.1\n"),
        &["warning no-name-server w-1"],
    ),
    (
        "no name server, and one for the cluster",
        |s| {
            s.cluster.dns.upstream = vec!["192.0.2.53".parse().unwrap()];
            s.facts("w-1").resolvers.clear();
        },
        &[],
    ),
    (
        "the cluster's own DNS as a name server",
        |s| name_servers(s, "nameserver 10.96.0.10\n"),
        &["error name-server-in-range w-1"],
    ),
    (
        "four name servers",
        |s| name_servers(s, &"nameserver 192.0.2.1\n".repeat(4)),
        &["warning resolver-limits w-1"],
    ),
    (
        "thirty search domains",
        |s| {
            let search = " a.example".repeat(30);
            name_servers(s, &format!("nameserver 192.0.2.1\nsearch{search}\n"));
        },
        &["warning resolver-limits w-1"],
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
