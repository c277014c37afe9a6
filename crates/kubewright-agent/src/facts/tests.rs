//! Facts of a node made of files.

mod machine;

use super::*;
use crate::testing::{SimulatedUnit, TestSystem};

fn facts(system: &Arc<TestSystem>) -> Facts {
    gather(&(Arc::clone(system) as Arc<dyn System>)).unwrap()
}

fn leftovers(system: &Arc<TestSystem>) -> Vec<(String, String)> {
    let leftovers = facts(system).leftovers.into_iter();
    leftovers.map(|leftover| (leftover.what, leftover.of)).collect()
}

#[test]
fn reads_what_the_kernel_and_the_system_tell() {
    let system = TestSystem::new();
    system.put("/proc/sys/kernel/hostname", "n1\n");
    system.put("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
    system.put("/etc/machine-id", "abc\n");
    system.put(
        "/etc/os-release",
        "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n",
    );
    system.put("/proc/cpuinfo", "processor\t: 0\nmodel\t: x\nprocessor\t: 1\n");
    system.put("/proc/meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\n");
    system.put("/sys/fs/cgroup/cgroup.controllers", "pids cpu memory\n");
    system.put(
        "/proc/net/route",
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
         eth0 00000000 0102A8C0 0003 0 0 0 00000000 0 0 0\n",
    );
    system.put("/usr/bin/nft", "");
    let facts = facts(&system);
    assert_eq!(
        (facts.hostname.as_str(), facts.machine_id.as_str()),
        ("n1", "abc")
    );
    assert_eq!(
        (facts.os_id.as_str(), facts.os_name.as_str()),
        ("debian", "Debian GNU/Linux 12")
    );
    assert_eq!(
        (facts.processors, facts.memory_bytes, facts.kernel.as_str()),
        (2, 2 << 20, "6.1.0-18-amd64")
    );
    assert_eq!(
        (facts.cgroup_version, facts.cgroup_controllers),
        (2, ["cpu", "memory", "pids"].map(str::to_owned).to_vec())
    );
    assert_eq!(facts.swaps, ["/dev/vdb"]);
    assert!(facts.has_default_route);
    assert!(
        facts.missing_commands.contains(&"ip".to_owned())
            && !facts.missing_commands.contains(&"nft".to_owned())
    );
    assert_eq!(facts.clock_synchronized, None);
    assert!(facts.disks["/var/lib/etcd"].total_bytes > 0);
}

#[test]
fn a_machine_that_tells_nothing_is_no_error() {
    let system = TestSystem::new();
    let facts = facts(&system);
    assert_eq!(
        (facts.systemd, facts.processors, facts.has_default_route),
        (0, 0, false)
    );
    assert_eq!(
        (facts.leftovers, facts.marker, facts.unfinished_run),
        (Vec::new(), None, None)
    );
}

#[test]
fn reads_addresses_without_loopback() {
    let json = r#"[{"ifname": "lo", "addr_info": [{"local": "127.0.0.1"}, {"local": "::1"}]},
        {"ifname": "eth0", "addr_info": [{"local": "192.0.2.1"}, {"local": "2001:db8::1"}]}, {"ifname": "eth1"}]"#;
    let json: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
    let addresses = parse_addresses(&json);
    let expected = ["192.0.2.1", "2001:db8::1"].map(|address| address.parse().unwrap());
    assert_eq!(
        addresses,
        BTreeMap::from([("eth0".to_owned(), expected.to_vec())])
    );
    assert_eq!(parse_addresses(&[]), BTreeMap::new());
}

#[test]
fn names_what_other_installers_left() {
    let system = TestSystem::new();
    system.put("/etc/kubernetes/manifests/etcd.yaml", "");
    system.put("/etc/systemd/system/k3s.service", "");
    system.put("/etc/cni/net.d/10-calico.conflist", "");
    system.put("/var/lib/etcd/member/wal", "");
    "active".clone_into(
        &mut system
            .simulated()
            .units
            .entry("docker.service".to_owned())
            .or_default()
            .active,
    );
    let of = |what: &str, of: &str| (what.to_owned(), of.to_owned());
    assert_eq!(
        leftovers(&system),
        [
            of("/etc/systemd/system/k3s.service", "k3s"),
            of("/etc/kubernetes/manifests/etcd.yaml", "kubeadm"),
            of("/etc/cni/net.d/10-calico.conflist", "another network plug-in"),
            of("/var/lib/etcd", "another etcd"),
            of("docker.service", "docker"),
        ]
    );
}

#[test]
fn names_what_another_cluster_left_in_the_kernel() {
    let system = TestSystem::new();
    system.put("/var/lib/kubelet/pki/kubelet.crt", "");
    for link in ["eth0", "cni0", "cali1234", "docker0"] {
        system.put(&format!("/sys/class/net/{link}/mtu"), "1500\n");
    }
    let chain = |table: &str, name: &str| serde_json::json!({"chain": {"family": "ip", "table": table, "name": name}});
    let listing = serde_json::json!({"nftables": [
        {"metainfo": {"version": "1.0.6"}}, chain("nat", "POSTROUTING"), chain("kube-proxy", "services"),
        chain("filter", "cali-INPUT"), chain("filter", "KUBE-KUBELET-CANARY"),
    ]});
    let rules =
        "*nat\n:POSTROUTING ACCEPT [0:0]\n:KUBE-ROUTER-SNAT - [0:0]\n-A POSTROUTING -j KUBE-ROUTER-SNAT\n";
    let says = |program: &str, text: String| drop(system.simulated().says.insert(program.to_owned(), text));
    says("nft", listing.to_string());
    says("iptables-legacy-save", rules.to_owned());
    let of = |what: &str, of: &str| (what.to_owned(), of.to_owned());
    let mut expected = vec![
        of("/var/lib/kubelet/pki", "another kubelet"),
        of("cali1234", "another pod network"),
        of("cni0", "another pod network"),
    ];
    assert_eq!(
        leftovers(&system),
        expected,
        "no tables are in use, and none are asked for"
    );
    system.put("/sys/module/nf_tables/refcnt", "1\n");
    system.put("/proc/net/ip_tables_names", "filter\nnat\n");
    for chain in ["KUBE-ROUTER-SNAT", "KUBE-SERVICES", "cali-INPUT"] {
        expected.push(of(chain, "another cluster's packet filter"));
    }
    assert_eq!(leftovers(&system), expected);
}

#[test]
fn what_kubewright_put_there_is_no_leftover() {
    let system = TestSystem::new();
    system.put("/etc/systemd/system/kubelet.service", "");
    system.put("/etc/kubernetes/pki/ca.crt", "PEM");
    system.put("/var/lib/etcd/member/wal", "");
    system.put("/var/lib/etcd/member/snap/db", "12345");
    system.put(
        Marker::PATH,
        r#"{"cluster": "prod", "clusterId": "x", "node": "n1"}"#,
    );
    system.put(
        crate::ledger::PATH,
        r#"{"schema": 1, "owned": {"unit:kubelet.service": {}, "file:/etc/kubernetes/pki/ca.crt": {}}}"#,
    );
    assert_eq!(leftovers(&system), []);
    let facts = facts(&system);
    assert_eq!(facts.marker.unwrap().cluster, "prod");
    assert_eq!(
        facts.authority_certificates,
        BTreeMap::from([("/etc/kubernetes/pki/ca.crt".to_owned(), "PEM".to_owned())])
    );
    assert!(facts.has_etcd_data);
    assert_eq!(facts.etcd_database_bytes, 5);
}

#[test]
fn a_marker_that_cannot_be_understood_is_none() {
    let system = TestSystem::new();
    system.put(Marker::PATH, "garbage");
    assert_eq!(facts(&system).marker, None);
}

#[test]
fn etcd_and_the_api_server_say_themselves_how_they_are() {
    use kubewright_core::component::{Probe, apiserver, etcd};
    use kubewright_core::observed::Health;

    let system = TestSystem::new();
    let health = || {
        let facts = facts(&system);
        (facts.etcd.unwrap(), facts.api_server.unwrap())
    };
    let unit = |active: &str, since| {
        let mut simulated = system.simulated();
        for name in ["etcd.service", "kube-apiserver.service"] {
            let unit = simulated.units.entry(name.to_owned()).or_default();
            (unit.active, unit.since) = (active.to_owned(), since);
        }
    };
    let answer = |probe: Probe, status| system.simulated().answers.insert(probe.url(), status);

    answer(etcd::PROBE, 200);
    answer(apiserver::PROBE, 200);
    assert_eq!(health(), (Health::Down, Health::Down), "somebody else's servers");
    system.put("/etc/systemd/system/etcd.service", "[Service]\n");
    system.put("/etc/systemd/system/kube-apiserver.service", "[Service]\n");
    unit("active", None);
    assert_eq!(health(), (Health::Ready, Health::Ready));
    answer(apiserver::PROBE, 500);
    assert_eq!(health(), (Health::Ready, Health::Down), "it has run for long");
    unit("active", Some(system.uptime()));
    assert_eq!(health(), (Health::Ready, Health::Starting));
    system.simulated().answers.clear();
    unit("activating", None);
    assert_eq!(health(), (Health::Starting, Health::Starting));
    unit("failed", None);
    assert_eq!(health(), (Health::Down, Health::Down));
}

#[test]
fn a_server_in_a_crash_loop_is_down_at_every_moment_of_it() {
    use kubewright_core::observed::Health;

    let system = TestSystem::new();
    system.put("/etc/systemd/system/etcd.service", "[Service]\n");
    let after = |restarts, active: &str, sub: &str| {
        let since = Some(system.uptime());
        let unit = SimulatedUnit {
            active: active.to_owned(),
            sub: sub.to_owned(),
            since,
            restarts,
            ..SimulatedUnit::default()
        };
        system.simulated().units.insert("etcd.service".to_owned(), unit);
        facts(&system).etcd.unwrap()
    };
    assert_eq!(
        after(0, "activating", "auto-restart"),
        Health::Starting,
        "it ended once"
    );
    assert_eq!(after(1, "activating", "start"), Health::Starting);
    assert_eq!(after(1, "activating", "auto-restart"), Health::Down, "and again");
    assert_eq!(after(2, "activating", "start"), Health::Down);
    assert_eq!(after(46, "active", "running"), Health::Down, "until its next end");
}
