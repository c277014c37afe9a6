//! Everything about the node in one go: what preflight checks and plans are made from.
//!
//! It only reads, mostly the kernel's own files. What cannot be found out is left at its empty value: judging is the
//! controller's.

mod certificates;
mod forwarding;
mod fragments;
mod health;
mod leftovers;
mod listening;
mod modules;
mod obstacles;
mod settings;
mod swap_units;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kubewright_core::component::etcd;
use kubewright_core::journal::Event;
use kubewright_core::observed::{Disk, Facts, Link, Marker};
use kubewright_core::resource::AuthorityName;
use kubewright_core::wire::NodeError;
use kubewright_core::{carrier, component};
use rustix::fs::StatVfsMountFlags;

use crate::bootstrapped;
use crate::founding;
use crate::journal;
use crate::ledger::Ledger;
use crate::mounts::{self, Mount};
use crate::resolvers;
use crate::resource::swap;
use crate::system::{Command, System, ask};
use crate::tree::{Look, Tree};

/// Directories whose free space matters.
const DISKS: [&str; 12] = [
    "/",
    "/etc",
    "/etc/kubernetes",
    "/etc/systemd/system",
    "/opt/cni/bin",
    "/var/lib",
    "/var/lib/etcd",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/usr/local/bin",
    "/usr/local/lib",
    "/tmp",
];
const LIMIT: u64 = 256 << 10;
/// How long a program may take to tell something that is only nice to know.
const PATIENCE: Duration = Duration::from_secs(5);

/// Gathers the facts.
///
/// # Errors
/// When the node's root or the ledger cannot be read.
pub fn gather(system: &Arc<dyn System>) -> Result<Facts, NodeError> {
    let tree = Tree::open(Arc::clone(system))?;
    let ledger = Ledger::load(&tree)?;
    let system = system.as_ref();
    let line = |path: &str| system.text(path).unwrap_or_default().trim().to_owned();
    let release = system
        .text("/etc/os-release")
        .or_else(|| system.text("/usr/lib/os-release"));
    let release = pairs(&release.unwrap_or_default());
    let mounts = mounts::read(system);
    let (cgroup_version, cgroup_controllers) = cgroups(system);
    let marker = read(&tree, Marker::PATH).and_then(|text| serde_json::from_str(&text).ok());
    let has_etcd_data = has_etcd_data(&tree);
    let container = container(system);
    let interfaces = interfaces(system);
    let is_blank = ledger.owned.is_empty();
    let (routes, default_interface) = forwarding::routes(system);
    Ok(Facts {
        hostname: line("/proc/sys/kernel/hostname"),
        machine_id: line("/etc/machine-id"),
        boot_id: line("/proc/sys/kernel/random/boot_id"),
        product_uuid: match container {
            None => line("/sys/class/dmi/id/product_uuid").to_ascii_lowercase(),
            Some(_) => String::new(),
        },
        os_id: release.get("ID").cloned().unwrap_or_default(),
        os_name: release.get("PRETTY_NAME").cloned().unwrap_or_default(),
        kernel: line("/proc/sys/kernel/osrelease"),
        architecture: architecture(),
        systemd: systemd(system),
        processors: processors(system),
        memory_bytes: memory(system),
        swaps: swap::areas(&system.text("/proc/swaps").unwrap_or_default()),
        swap_units: swap_units::find(system),
        modules: modules::find(system, container.is_some()),
        settings: settings::find(system),
        container,
        cgroup_version,
        cgroup_controllers,
        disks: disks(system, &mounts),
        clock_ms: clock_ms(),
        clock_synchronized: clock_synchronized(system),
        addresses: parse_addresses(&interfaces),
        links: parse_links(&interfaces),
        has_default_route: has_default_route(system),
        routes,
        default_interface,
        strict_interfaces: forwarding::strict(system),
        forward_drops: if is_blank {
            forwarding::drops(system)
        } else {
            Vec::new()
        },
        resolvers: resolvers::read(system),
        listening: listening::listening(system),
        selinux: selinux(system),
        missing_commands: missing_commands(system),
        nft_version: if is_blank {
            nft_version(system)
        } else {
            String::new()
        },
        obstacles: obstacles::find(system, &tree, &ledger),
        leftovers: leftovers::find(system, &tree, &ledger, has_etcd_data, marker.is_some()),
        marker,
        authority_certificates: authority_certificates(&tree),
        certificates: certificates::find(&tree, &ledger),
        has_etcd_data,
        etcd_database_bytes: etcd_database_bytes(&tree),
        is_bootstrapped: bootstrapped::is_bootstrapped(&tree)?,
        founders: founding::founders(&tree)?,
        etcd: Some(health::etcd(system, &tree)),
        api_server: Some(health::api_server(system, &tree)),
        unfinished_run: unfinished_run(&tree)?,
    })
}

fn read(tree: &Tree, path: &str) -> Option<String> {
    String::from_utf8(tree.read(path, LIMIT).ok()??).ok()
}

/// `KEY="value"` lines, as in os-release(5).
fn pairs(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
        .collect()
}

fn architecture() -> String {
    match rustix::system::uname().machine().to_string_lossy().as_ref() {
        "x86_64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    }
}

/// What contains the node: systemd writes it down as the first process.
fn container(system: &dyn System) -> Option<String> {
    let name = system.text("/run/systemd/container")?;
    Some(name.trim().to_owned())
}

fn systemd(system: &dyn System) -> u32 {
    // sd_booted(3): this directory tells that systemd runs as the first process.
    if !system.path("/run/systemd/system").exists() {
        return 0;
    }
    let command = Command::new("systemctl", &["--version"]).within(PATIENCE);
    let output = ask(system, &command).unwrap_or_default().stdout;
    let version = output.split_whitespace().nth(1).unwrap_or_default();
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

fn processors(system: &dyn System) -> u32 {
    let text = system.text("/proc/cpuinfo").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("processor")).count() as u32
}

fn memory(system: &dyn System) -> u64 {
    let text = system.text("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

fn cgroups(system: &dyn System) -> (u32, Vec<String>) {
    if let Some(controllers) = system.text("/sys/fs/cgroup/cgroup.controllers") {
        let mut controllers: Vec<_> = controllers.split_whitespace().map(str::to_owned).collect();
        controllers.sort();
        return (2, controllers);
    }
    // Name, hierarchy, number of cgroups, enabled.
    let text = system.text("/proc/cgroups").unwrap_or_default();
    let mut controllers: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            (fields.get(3) == Some(&"1")).then(|| fields[0].to_owned())
        })
        .filter(|name| system.path(&format!("/sys/fs/cgroup/{name}")).exists())
        .collect();
    controllers.sort();
    (1, controllers)
}

/// Space where a directory is or will be: that of the nearest ancestor that exists.
fn disks(system: &dyn System, mounts: &[Mount]) -> BTreeMap<String, Disk> {
    let mut disks = BTreeMap::new();
    for path in DISKS {
        let mut present = path;
        while !system.path(present).exists() && present != "/" {
            present = present.rsplit_once('/').map_or("/", |(parent, _)| parent);
            present = if present.is_empty() { "/" } else { present };
        }
        let Ok(stat) = rustix::fs::statvfs(system.path(present)) else {
            continue;
        };
        let disk = Disk {
            mount: mounts::mount_of(mounts, present).to_owned(),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            // btrfs and some others count no inodes and say 0 of 0.
            free_inodes: (stat.f_files > 0).then_some(stat.f_favail),
            read_only: stat.f_flag.contains(StatVfsMountFlags::RDONLY),
            no_exec: stat.f_flag.contains(StatVfsMountFlags::NOEXEC),
        };
        disks.insert(path.to_owned(), disk);
    }
    disks
}

fn clock_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as i64)
}

fn clock_synchronized(system: &dyn System) -> Option<bool> {
    let arguments = ["show", "--property=NTPSynchronized", "--value"];
    let output = ask(system, &Command::new("timedatectl", &arguments).within(PATIENCE)).ok()?;
    match output.stdout.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// What `ip` tells about every interface.
fn interfaces(system: &dyn System) -> Vec<serde_json::Value> {
    let command = Command::new("ip", &["-json", "address", "show"]).within(PATIENCE);
    let output = ask(system, &command).unwrap_or_default();
    serde_json::from_str(&output.stdout).unwrap_or_default()
}

/// Interfaces that have an address.
fn parse_links(interfaces: &[serde_json::Value]) -> BTreeMap<String, Link> {
    let link = |interface: &serde_json::Value| {
        let name = interface["ifname"].as_str()?;
        let infos = interface["addr_info"].as_array().into_iter().flatten();
        let prefixes: BTreeMap<IpAddr, u8> = infos
            .filter_map(|info| {
                let length = info["prefixlen"].as_u64()?;
                Some((info["local"].as_str()?.parse().ok()?, u8::try_from(length).ok()?))
            })
            .collect();
        let is_ethernet = interface["link_type"] == "ether";
        let mac = interface["address"].as_str().filter(|_| is_ethernet);
        (!prefixes.is_empty()).then(|| {
            let link = Link {
                mac: mac.unwrap_or_default().to_owned(),
                mtu: interface["mtu"].as_u64().and_then(|mtu| u32::try_from(mtu).ok()),
                prefixes,
            };
            (name.to_owned(), link)
        })
    };
    interfaces.iter().filter_map(link).collect()
}

fn parse_addresses(links: &[serde_json::Value]) -> BTreeMap<String, Vec<IpAddr>> {
    let mut addresses: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for link in links {
        let Some(name) = link["ifname"].as_str() else {
            continue;
        };
        let locals = link["addr_info"].as_array().into_iter().flatten();
        for local in locals.filter_map(|info| info["local"].as_str()?.parse::<IpAddr>().ok()) {
            if !local.is_loopback() {
                addresses.entry(name.to_owned()).or_default().push(local);
            }
        }
    }
    addresses
}

fn has_default_route(system: &dyn System) -> bool {
    // Interface, destination, gateway, flags (bit 0: up).
    let four = system.text("/proc/net/route").unwrap_or_default();
    let has_four = four.lines().skip(1).any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_up = fields
            .get(3)
            .and_then(|flags| u32::from_str_radix(flags, 16).ok())
            .is_some_and(|flags| flags & 1 == 1);
        fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000") && is_up
    });
    // Destination, its prefix length, …, the device last; the kernel's own reject route is on lo.
    let six = system.text("/proc/net/ipv6_route").unwrap_or_default();
    let none = "0".repeat(32);
    has_four
        || six.lines().any(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields.first() == Some(&none.as_str())
                && fields.get(1) == Some(&"00")
                && fields.last() != Some(&"lo")
        })
}

fn selinux(system: &dyn System) -> Option<String> {
    let mode = match system.text("/sys/fs/selinux/enforce")?.trim() {
        "1" => "enforcing",
        _ => "permissive",
    };
    Some(mode.to_owned())
}

/// As `nft` says it: `nftables v1.0.6 (Lester Gooch #5)`.
fn nft_version(system: &dyn System) -> String {
    let output = ask(system, &Command::new("nft", &["--version"]).within(PATIENCE)).unwrap_or_default();
    let version = output.stdout.split_whitespace().nth(1).unwrap_or_default();
    version.trim_start_matches('v').to_owned()
}

fn missing_commands(system: &dyn System) -> Vec<String> {
    let directories = [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ];
    component::programs()
        .into_iter()
        .chain(carrier::PROGRAMS)
        .filter(|name| {
            !directories
                .iter()
                .any(|directory| system.path(&format!("{directory}/{name}")).exists())
        })
        .map(str::to_owned)
        .collect()
}

fn authority_certificates(tree: &Tree) -> BTreeMap<String, String> {
    let paths = AuthorityName::ALL.map(AuthorityName::certificate_path);
    paths
        .into_iter()
        .filter_map(|path| Some((path.to_owned(), read(tree, path)?)))
        .collect()
}

/// etcd's data is in `member` below its data directory, which some installers nest once.
fn has_etcd_data(tree: &Tree) -> bool {
    let root = "/var/lib/etcd";
    let names = tree.list(root).unwrap_or_default();
    names.iter().any(|name| {
        name == "member"
            || tree
                .list(&format!("{root}/{name}"))
                .unwrap_or_default()
                .contains(&"member".to_owned())
    })
}

/// The size of the etcd member's database; etcd compares that of the file with its quota.
fn etcd_database_bytes(tree: &Tree) -> u64 {
    match tree.look(etcd::DATABASE) {
        Ok(Look::There(seen)) => seen.stamp.size,
        Ok(Look::Missing | Look::Blocked(_)) | Err(_) => 0,
    }
}

/// The newest run, if it has no end.
fn unfinished_run(tree: &Tree) -> Result<Option<String>, NodeError> {
    let newest = journal::runs(tree)?.pop();
    Ok(newest.and_then(|(run, entries)| {
        let ended = matches!(
            entries.last().map(|entry| &entry.event),
            Some(Event::RunFinished { .. })
        );
        (!ended).then_some(run)
    }))
}

#[cfg(test)]
mod tests;
