//! What a machine brings along: firmware, interfaces, kernel modules and settings, obstacles, swap at boot.

use kubewright_core::observed::{LaterSetting, ModuleState, PathObstacle, PathObstacleKind};
use rustix::fs::IFlags;

use super::*;

const RELEASE: &str = "6.1.0-18-amd64";

fn module(system: &Arc<TestSystem>, name: &str) -> ModuleState {
    facts(system).modules.remove(name).unwrap()
}

/// A machine with a kernel whose modules are on its disk.
fn with_modules() -> Arc<TestSystem> {
    let system = TestSystem::new();
    system.put("/proc/sys/kernel/osrelease", &format!("{RELEASE}\n"));
    system.put("/proc/filesystems", "nodev\tsysfs\n\text4\n");
    system.put(
        &format!("/lib/modules/{RELEASE}/modules.dep"),
        "kernel/fs/overlayfs/overlay.ko.xz:\n\
         kernel/net/bridge/br_netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz\n\
         kernel/drivers/net/vxlan/vxlan.ko.xz: kernel/net/ipv4/udp_tunnel.ko.xz\n",
    );
    system.put(
        &format!("/lib/modules/{RELEASE}/modules.builtin"),
        "kernel/net/netfilter/nf-conntrack.ko\n",
    );
    system
}

#[test]
fn tells_modules_that_are_there_loadable_and_absent() {
    let system = with_modules();
    assert_eq!(module(&system, "overlay"), ModuleState::Loadable {});
    assert_eq!(
        module(&system, "nf_conntrack"),
        ModuleState::Present {},
        "built in"
    );
    assert_eq!(module(&system, "nf_tables"), ModuleState::Absent {});
    system.put("/proc/modules", "nf_tables 303104 0 - Live 0x0000000000000000\n");
    assert_eq!(module(&system, "nf_tables"), ModuleState::Present {});
    system.put("/proc/filesystems", "nodev\toverlay\n");
    assert_eq!(module(&system, "overlay"), ModuleState::Present {});
    system.put("/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n");
    assert_eq!(module(&system, "br_netfilter"), ModuleState::Present {});
}

#[test]
fn tells_what_keeps_a_module_from_being_loaded() {
    let system = with_modules();
    system.put(
        "/usr/lib/modprobe.d/hardening.conf",
        "install overlay /bin/true\n",
    );
    // A file of the same name in /etc replaces it.
    system.put("/etc/modprobe.d/hardening.conf", "# nothing\n");
    assert_eq!(module(&system, "overlay"), ModuleState::Loadable {});
    system.put(
        "/etc/modprobe.d/cis.conf",
        "blacklist vxlan\ninstall  br-netfilter   /bin/false\ninstall vxlan /sbin/modprobe --ignore-install vxlan\n",
    );
    let by = "/etc/modprobe.d/cis.conf".to_owned();
    assert_eq!(module(&system, "br_netfilter"), ModuleState::Blocked { by });
    assert_eq!(module(&system, "vxlan"), ModuleState::Loadable {});
    system.put("/proc/sys/kernel/modules_disabled", "1\n");
    assert_eq!(module(&system, "vxlan"), ModuleState::Locked {});
}

#[test]
fn tells_that_the_modules_of_the_running_kernel_are_gone() {
    let system = with_modules();
    system.put("/proc/sys/kernel/osrelease", "6.1.0-17-amd64\n");
    let release = RELEASE.to_owned();
    assert_eq!(module(&system, "vxlan"), ModuleState::OtherKernel { release });
}

#[test]
fn takes_nothing_for_absent_that_would_show_nowhere() {
    let system = TestSystem::new();
    system.put("/proc/filesystems", "nodev\toverlay\n");
    assert_eq!(module(&system, "vxlan"), ModuleState::Unknown {});
    assert_eq!(module(&system, "nf_tables"), ModuleState::Unknown {});
    assert_eq!(module(&system, "br_netfilter"), ModuleState::Absent {});
    // A kernel without modules at all.
    std::fs::remove_file(system.path("/proc/modules")).unwrap();
    assert_eq!(module(&system, "vxlan"), ModuleState::Unknown {});
    assert_eq!(module(&system, "nf_conntrack"), ModuleState::Absent {});
}

#[test]
fn a_container_has_no_modules_of_its_own() {
    let system = TestSystem::new();
    system.put("/run/systemd/container", "systemd-nspawn\n");
    system.put(
        "/sys/class/dmi/id/product_uuid",
        "4c4c4544-0051-3610-8052-b4c04f4e4d32\n",
    );
    system.put("/proc/filesystems", "nodev\tsysfs\n");
    assert_eq!(module(&system, "overlay"), ModuleState::Unknown {});
    assert_eq!(module(&system, "br_netfilter"), ModuleState::OnHost {});
    system.put("/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n");
    assert_eq!(module(&system, "br_netfilter"), ModuleState::Present {});
    let facts = facts(&system);
    assert_eq!(facts.container.as_deref(), Some("systemd-nspawn"));
    assert_eq!(facts.product_uuid, "", "it is the computer's");
}

#[test]
fn reads_the_number_in_the_firmware() {
    let system = TestSystem::new();
    assert_eq!(facts(&system).product_uuid, "");
    system.put(
        "/sys/class/dmi/id/product_uuid",
        "4C4C4544-0051-3610-8052-B4C04F4E4D32\n",
    );
    assert_eq!(
        facts(&system).product_uuid,
        "4c4c4544-0051-3610-8052-b4c04f4e4d32"
    );
}

#[test]
fn reads_hardware_addresses_of_interfaces_with_addresses() {
    let json = serde_json::json!([
        {"ifname": "lo", "link_type": "loopback", "address": "00:00:00:00:00:00",
         "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
        {"ifname": "eth0", "link_type": "ether", "address": "52:54:00:00:00:01",
         "addr_info": [{"local": "192.0.2.1", "prefixlen": 24}]},
        {"ifname": "eth1", "link_type": "ether", "address": "52:54:00:00:00:02"},
    ]);
    let links = parse_links(json.as_array().unwrap());
    assert_eq!(links.keys().collect::<Vec<_>>(), ["eth0", "lo"]);
    assert_eq!(links["eth0"].mac, "52:54:00:00:00:01");
    assert_eq!(
        links["eth0"].prefixes[&"192.0.2.1".parse::<IpAddr>().unwrap()],
        24
    );
    assert_eq!(links["lo"].mac, "", "no network card");
}

#[test]
fn reads_kernel_settings_and_who_undoes_them() {
    let system = TestSystem::new();
    system.put("/etc/sysctl.d/10-early.conf", "net.ipv4.ip_forward = 0\n");
    system.put(
        "/etc/sysctl.conf",
        "net.ipv4.ip_forward=0\n# kernel.panic = 0\n-kernel/panic =  5\nnonsense\n",
    );
    std::os::unix::fs::symlink("../sysctl.conf", system.path("/etc/sysctl.d/99-sysctl.conf")).unwrap();
    system.put("/usr/lib/sysctl.d/99-vendor.conf", "vm.panic_on_oom = 1\n");
    std::os::unix::fs::symlink("/dev/null", system.path("/etc/sysctl.d/99-vendor.conf")).unwrap();
    let settings = facts(&system).settings;
    let later = |value: &str| {
        let path = "/etc/sysctl.d/99-sysctl.conf".to_owned();
        let value = value.to_owned();
        Some(LaterSetting { path, value })
    };
    let forward = &settings["net.ipv4.ip_forward"];
    assert_eq!((forward.value.as_deref(), forward.writable), (Some("0"), true));
    assert_eq!(forward.later, later("0"));
    assert_eq!(settings["kernel.panic"].later, later("5"));
    assert_eq!(settings["vm.panic_on_oom"].later, None, "masked");
    assert_eq!(settings["vm.panic_on_oom"].value, None, "this kernel has none");
}

#[test]
fn names_what_is_where_a_directory_belongs() {
    let system = TestSystem::new();
    system.put("/etc/kubernetes", "a file");
    system.put("/data/etcd/x", "");
    std::fs::create_dir_all(system.path("/var/lib/kubelet")).unwrap();
    std::os::unix::fs::symlink("/data/etcd", system.path("/var/lib/etcd")).unwrap();
    let obstacle = |path: &str, what| PathObstacle {
        path: path.to_owned(),
        what,
    };
    assert_eq!(
        facts(&system).obstacles,
        [
            obstacle("/etc/kubernetes", PathObstacleKind::NotADirectory),
            obstacle("/var/lib/etcd", PathObstacleKind::Link),
        ]
    );
}

/// Setting them takes root and a file system that has them; elsewhere this proves nothing.
#[test]
fn finds_attributes_that_even_root_obeys() {
    let system = TestSystem::new();
    system.put("/etc/kubernetes/x", "");
    let paths = ["/etc/kubernetes", "/etc/passwd", "/etc/fstab"];
    let open = |path: &str| std::fs::File::open(system.path(path)).unwrap();
    let set = |path: &str, flags| rustix::fs::ioctl_setflags(open(path), flags);
    if set("/etc/kubernetes", IFlags::IMMUTABLE).is_err() {
        return;
    }
    set("/etc/passwd", IFlags::APPEND).unwrap();
    set("/etc/fstab", IFlags::IMMUTABLE).unwrap();
    let found = facts(&system).obstacles;
    for path in paths {
        set(path, IFlags::empty()).unwrap();
    }
    let found: Vec<(String, PathObstacleKind)> = found.into_iter().map(|it| (it.path, it.what)).collect();
    assert_eq!(
        found,
        [
            ("/etc/fstab".to_owned(), PathObstacleKind::Immutable),
            ("/etc/kubernetes".to_owned(), PathObstacleKind::Immutable),
            ("/etc/passwd".to_owned(), PathObstacleKind::AppendOnly),
        ]
    );
    assert_eq!(facts(&system).obstacles, []);
}

#[test]
fn names_units_that_turn_swap_on_at_boot() {
    let system = TestSystem::new();
    let unit = |directory: &str, wants: &str, name: &str, content: &str| {
        system.put(&format!("{directory}/{name}"), content);
        system.put(&format!("{directory}/{wants}/{name}"), content);
    };
    let generator = "/run/systemd/generator";
    unit(
        generator,
        "swap.target.requires",
        "dev-zram0.swap",
        "[Swap]\nWhat=/dev/zram0\n",
    );
    unit(
        generator,
        "swap.target.wants",
        "dev-vdb.swap",
        "[Unit]\nSourcePath=/etc/fstab\n",
    );
    unit(
        "/etc/systemd/system",
        "multi-user.target.wants",
        "zramswap.service",
        "",
    );
    unit(
        "/etc/systemd/system",
        "multi-user.target.wants",
        "cron.service",
        "",
    );
    // Installed, and not enabled.
    system.put("/lib/systemd/system/dphys-swapfile.service", "");
    assert_eq!(facts(&system).swap_units, ["dev-zram0.swap", "zramswap.service"]);
    std::os::unix::fs::symlink("/dev/null", system.path("/etc/systemd/system/dev-zram0.swap")).unwrap();
    assert_eq!(facts(&system).swap_units, ["zramswap.service"]);
}

#[test]
fn asks_for_nfts_version_while_nothing_of_ours_is_there() {
    let system = TestSystem::new();
    let text = "nftables v1.0.6 (Lester Gooch #5)\n".to_owned();
    system.simulated().says.insert("nft".to_owned(), text);
    assert_eq!(facts(&system).nft_version, "1.0.6");
    system.put(
        crate::ledger::PATH,
        r#"{"schema": 1, "owned": {"unit:kubelet.service": {}}}"#,
    );
    assert_eq!(facts(&system).nft_version, "");
}

/// What `nft --json` says of one table, whatever it is asked.
const DROPS: &str = r#"{"nftables": [
    {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}},
    {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "hook": "input", "policy": "drop"}},
    {"set": {"family": "ip", "table": "filter", "name": "nodes", "elem": [{"prefix": {"addr": "192.0.2.0", "len": 24}}]}},
    {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "expr": [
        {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}},
            "right": {"prefix": {"addr": "10.244.0.0", "len": 16}}}}, {"counter": null}, {"accept": null}]}},
    {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "expr": [
        {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "docker0"}}, {"drop": null}]}}
]}"#;

#[test]
fn tells_chains_that_drop_what_is_forwarded_and_what_they_accept() {
    let system = with_modules();
    assert_eq!(facts(&system).forward_drops, []);
    system.put("/sys/module/nf_tables/.keep", "");
    system.simulated().says.insert("nft".to_owned(), DROPS.to_owned());
    let drops = facts(&system).forward_drops;
    assert_eq!(drops.len(), 1, "{drops:?}");
    assert_eq!(drops[0].chain, "ip filter FORWARD");
    assert_eq!(drops[0].accepts, ["10.244.0.0/16", "192.0.2.0/24"]);

    system.simulated().says.remove("nft");
    system.put("/proc/net/ip_tables_names", "nat\nfilter\n");
    let saved =
        "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -i cni0 -j ACCEPT\n-A FORWARD -s 10.0.0.0/8 -j DROP\n";
    let program = "iptables-legacy-save".to_owned();
    system.simulated().says.insert(program, saved.to_owned());
    let drops = facts(&system).forward_drops;
    assert_eq!(
        (drops.len(), drops[0].accepts.clone()),
        (1, vec!["cni0".to_owned()])
    );
}

#[test]
fn tells_routes_and_strict_checks_of_the_way_back() {
    let system = TestSystem::new();
    system.put(
        "/proc/net/route",
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
         eth1\t00000000\t010200C0\t0003\t0\t0\t200\t00000000\t0\t0\t0\n\
         eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
         wg0\t0000600A\t00000000\t0001\t0\t0\t0\t0000F0FF\t0\t0\t0\n",
    );
    for (name, value) in [
        ("all", "0"),
        ("default", "1"),
        ("lo", "1"),
        ("eth0", "1"),
        ("eth1", "2"),
        ("wg0", "0"),
    ] {
        system.put(&format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), value);
    }
    let facts = facts(&system);
    assert_eq!(facts.default_interface.as_deref(), Some("eth0"));
    let routes: Vec<(&str, &str)> = facts
        .routes
        .iter()
        .map(|route| (route.to.as_str(), route.interface.as_str()))
        .collect();
    assert_eq!(routes, [("10.96.0.0/12", "wg0")]);
    assert_eq!(facts.strict_interfaces, ["eth0"]);
}

#[test]
fn forwarding_that_is_turned_off_under_its_other_name_is_told() {
    let system = TestSystem::new();
    system.put("/etc/sysctl.d/99-zz.conf", "net/ipv4/conf/all/forwarding = 0\n");
    let settings = facts(&system).settings;
    let later = settings["net.ipv4.ip_forward"].later.as_ref().unwrap();
    assert_eq!(
        (later.value.as_str(), later.path.as_str()),
        ("0", "/etc/sysctl.d/99-zz.conf")
    );
}
