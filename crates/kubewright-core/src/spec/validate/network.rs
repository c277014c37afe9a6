//! Address ranges against each other and against the nodes.

use super::super::cluster::{Cluster, Cni, NODE_POD_PREFIX, ProxyMode};
use super::super::report::{Report, Target, item};
use crate::value::{Cidr, SubjectAltName};

const POD: &str = "spec.network.podCidr";
const SERVICE: &str = "spec.network.serviceCidr";

pub(super) fn check(cluster: &Cluster, report: &mut Report) {
    let network = &cluster.network;
    let pods_usable = check_range(POD, "pod", &network.pod_cidr, report);
    let services_usable = check_range(SERVICE, "service", &network.service_cidr, report);
    if pods_usable {
        check_pod_size(cluster, report);
    }
    if services_usable && network.service_cidr.address_count() < 256 {
        let message = format!(
            "service range {} has {} addresses, at least 256 are needed",
            network.service_cidr,
            network.service_cidr.address_count()
        );
        report.error(
            "range-too-small",
            SERVICE,
            Target::Value,
            message,
            "use a /16, such as `10.96.0.0/16`",
        );
    }
    if pods_usable && services_usable && network.pod_cidr.overlaps(&network.service_cidr) {
        let (path, message) = (
            if report.is_written(SERVICE) { SERVICE } else { POD },
            format!(
                "service range {} overlaps pod range {}",
                network.service_cidr, network.pod_cidr
            ),
        );
        let hint = "choose ranges that share no address, such as `10.244.0.0/16` and `10.96.0.0/16`";
        report.error("range-overlap", path, Target::Value, message, hint);
    }
    check_addresses(cluster, pods_usable, services_usable, report);
    check_modes(cluster, report);
}

/// Checks a range by itself; returns whether further checks make sense.
fn check_range(path: &str, what: &str, range: &Cidr, report: &mut Report) -> bool {
    if !report.is_sound(path) {
        return false;
    }
    if !range.is_ipv4() {
        let message = format!("an IPv6 {what} range is not yet supported");
        report.error(
            "not-yet",
            path,
            Target::Value,
            message,
            "use an IPv4 range, such as `10.244.0.0/16`",
        );
        return false;
    }
    let reserved = [
        ("0.0.0.0/8", "is reserved for “this network”"),
        ("127.0.0.0/8", "is for loopback, which never leaves a node"),
        ("169.254.0.0/16", "is link-local, which no router forwards"),
        ("224.0.0.0/4", "is for multicast"),
        ("240.0.0.0/4", "is reserved"),
    ];
    for (text, why) in reserved {
        if text
            .parse::<Cidr>()
            .is_ok_and(|reserved| reserved.overlaps(range))
        {
            let message = format!("{what} range {range} has addresses of {text}, which {why}");
            let hint = "use a private range, such as one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16";
            report.error("range-reserved", path, Target::Value, message, hint);
            return false;
        }
    }
    true
}

fn check_pod_size(cluster: &Cluster, report: &mut Report) {
    let range = cluster.network.pod_cidr;
    let room = range.subnet_count(NODE_POD_PREFIX);
    let nodes = cluster.nodes.len() as u128;
    if room < nodes.max(1) {
        let needed = (8..=NODE_POD_PREFIX)
            .rev()
            .find(|prefix| 1_u128 << (NODE_POD_PREFIX - prefix) >= nodes);
        let message = format!(
            "pod range {range} has room for {room} node{} of a /{NODE_POD_PREFIX} each, the file has {nodes}",
            if room == 1 { "" } else { "s" }
        );
        let hint = match needed {
            Some(prefix) => format!("use at least a /{prefix}; a /16 leaves room to grow to 256 nodes"),
            None => "use fewer nodes".to_owned(),
        };
        report.error("range-too-small", POD, Target::Value, message, hint);
    } else if range.prefix() < 8 {
        // The controller manager keeps one bit per node subnet and takes at most 2^16 of them.
        let message = format!("pod range {range} is larger than Kubernetes can divide among nodes");
        report.error(
            "range-too-large",
            POD,
            Target::Value,
            message,
            "use a /8 or smaller, such as `10.244.0.0/16`",
        );
    }
}

fn check_addresses(cluster: &Cluster, pods_usable: bool, services_usable: bool, report: &mut Report) {
    let network = &cluster.network;
    let ranges = [
        ("pod", POD, &network.pod_cidr, pods_usable),
        ("service", SERVICE, &network.service_cidr, services_usable),
    ];
    let ranges: Vec<_> = ranges.into_iter().filter(|(.., usable)| *usable).collect();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let path = format!("{}.address", item("spec.nodes", index));
        if !report.is_sound(&path) {
            continue;
        }
        for (what, key, range, _) in &ranges {
            if range.contains(node.address) {
                let message = format!(
                    "address {} of node {} lies in the {what} range {range}",
                    node.address, node.name
                );
                let hint =
                    format!("choose a `{key}` that no node's address and no address it talks to lies in");
                report.error("address-in-range", &path, Target::Value, message, hint);
            }
        }
    }
    let endpoint = cluster
        .control_plane
        .endpoint
        .as_ref()
        .map(|endpoint| &endpoint.host);
    if let Some(SubjectAltName::Ip(address)) = endpoint {
        const PATH: &str = "spec.controlPlane.endpoint";
        for (what, _, range, _) in &ranges {
            if range.contains(*address) {
                let message = format!("endpoint address {address} lies in the {what} range {range}");
                let hint = "people outside cannot reach an address inside the cluster; use another one";
                report.error("address-in-range", PATH, Target::Value, message, hint);
            }
        }
        let owner = cluster.nodes.iter().find(|node| node.address == *address);
        let (message, hint) = match owner {
            Some(node) if !node.is_control_plane() => (
                format!(
                    "the endpoint is the address of node {}, which is no control plane and serves no API",
                    node.name
                ),
                "use the address of a control plane, a virtual address or a load balancer; if you run a load balancer on \
                 that node, ignore this",
            ),
            Some(node) if cluster.control_planes().count() > 1 => (
                format!("the endpoint is node {}'s own address", node.name),
                "while that node is down, people outside cannot reach the API; use a virtual address, a load balancer, or no endpoint",
            ),
            _ => return,
        };
        report.warning("endpoint-on-node", PATH, Target::Value, message, hint);
    }
}

fn check_modes(cluster: &Cluster, report: &mut Report) {
    if cluster.network.cni == Cni::None {
        let message = "no network plug-in is installed";
        let hint = "nodes stay NotReady and pods Pending until you install one, for example through `addons`";
        report.warning("no-network", "spec.network.cni", Target::Value, message, hint);
    }
    if cluster.network.proxy == ProxyMode::None && matches!(cluster.network.cni, Cni::Flannel | Cni::Bridge) {
        let message = format!(
            "no service proxy: network plug-in `{}` does not do its work",
            cluster.network.cni
        );
        let hint =
            "services, and with them DNS, do not work until you install one; use `nftables`, the default";
        report.warning("no-proxy", "spec.network.proxy", Target::Value, message, hint);
    }
}
