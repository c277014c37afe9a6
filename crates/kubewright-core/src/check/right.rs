//! A machine on which a check finds nothing: what tests of every crate start from.

use std::net::IpAddr;

use super::needs::{MODULES, setting_keys};
use crate::observed::{Disk, Facts, Link, ModuleState, ResolverFile, Route, Setting};

const GIB: u64 = 1 << 30;

/// Returns the facts of a blank machine that has everything a node needs; `index` tells it from others.
pub fn right_machine(index: u8, address: IpAddr) -> Facts {
    let disk = Disk {
        mount: "/".to_owned(),
        free_bytes: 80 * GIB,
        total_bytes: 100 * GIB,
        free_inodes: Some(6_000_000),
        ..Disk::default()
    };
    let directories = [
        "/etc",
        "/usr/local/bin",
        "/var/lib/containerd",
        "/var/lib/etcd",
        "/var/lib/kubelet",
    ];
    let setting = Setting {
        value: Some("0".to_owned()),
        writable: true,
        later: None,
    };
    let link = Link {
        mac: format!("52:54:00:00:00:{index:02x}"),
        mtu: Some(1500),
        prefixes: [(address, 24)].into(),
    };
    Facts {
        hostname: format!("machine-{index}"),
        machine_id: format!("{index:032x}"),
        boot_id: format!("{index:036x}"),
        product_uuid: format!("4c4c4544-0051-3610-8052-b4c04f4e4d{index:02x}"),
        os_id: "debian".to_owned(),
        os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        kernel: "6.1.0-18-amd64".to_owned(),
        architecture: "amd64".to_owned(),
        systemd: 252,
        processors: 4,
        memory_bytes: 8 * GIB,
        cgroup_version: 2,
        cgroup_controllers: ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"]
            .map(str::to_owned)
            .into(),
        disks: directories
            .map(|directory| (directory.to_owned(), disk.clone()))
            .into(),
        modules: MODULES
            .map(|module| (module.to_owned(), ModuleState::Loadable {}))
            .into(),
        settings: setting_keys()
            .map(|key| (key.to_owned(), setting.clone()))
            .collect(),
        clock_ms: 1_800_000_000_000,
        clock_synchronized: Some(true),
        addresses: [("eth0".to_owned(), vec![address])].into(),
        links: [("eth0".to_owned(), link)].into(),
        has_default_route: true,
        default_interface: Some("eth0".to_owned()),
        routes: vec![Route {
            to: "192.0.2.0/24".to_owned(),
            interface: "eth0".to_owned(),
        }],
        resolvers: vec![ResolverFile::parse(
            "/etc/resolv.conf",
            "nameserver 198.51.100.53\n",
        )],
        nft_version: "1.0.6".to_owned(),
        ..Facts::default()
    }
}
