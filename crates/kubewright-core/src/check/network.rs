//! The node's place in the network: its address, its routes, and addresses that collide with the cluster's ranges.

use std::net::IpAddr;

use super::text::{list, shown, word};
use super::{Found, Kind, Look, Subject};
use crate::spec::Cluster;

/// Beginnings of interface names that pod networks make, kubewright's own or one from before a reset.
const POD_INTERFACES: [&str; 7] = ["cni", "flannel", "veth", "kube-", "cali", "cilium", "lo"];

pub(super) fn judge(look: &Look, found: &mut Found) {
    for subject in &look.subjects {
        address(subject, found);
        ranges(look.cluster, subject, found);
        default_route(subject, found);
    }
}

fn address(subject: &Subject, found: &mut Found) {
    let address = subject.node.address;
    let present: Vec<IpAddr> = subject.facts.addresses.values().flatten().copied().collect();
    if present.is_empty() || present.contains(&address) {
        return;
    }
    let own = subject
        .facts
        .addresses
        .iter()
        .filter(|(interface, _)| !is_pod_interface(interface))
        .flat_map(|(interface, addresses)| {
            addresses
                .iter()
                .map(move |address| format!("{address} ({})", shown(interface)))
        })
        .take(4);
    found.error(
        Kind::AddressNotOnNode,
        subject.name(),
        format!("no interface has {address}; the node has {}", list(own)),
        format!(
            "set the node's address in cluster.yaml to one of its own that the other nodes reach; if ssh needs another \
             one, add `Host ADDRESS` with `HostName {address}` to ssh_config"
        ),
    );
}

pub(super) fn is_pod_interface(name: &str) -> bool {
    POD_INTERFACES.iter().any(|beginning| name.starts_with(beginning))
}

fn ranges(cluster: &Cluster, subject: &Subject, found: &mut Found) {
    let network = &cluster.network;
    for (interface, addresses) in &subject.facts.addresses {
        if is_pod_interface(interface) {
            continue;
        }
        for address in addresses {
            for (key, range) in [
                ("network.podCidr", network.pod_cidr),
                ("network.serviceCidr", network.service_cidr),
            ] {
                // The node's own address in a range is a mistake of the file, and said there.
                if !range.contains(*address) || *address == subject.node.address {
                    continue;
                }
                found.error(
                    Kind::AddressInRange,
                    subject.name(),
                    format!(
                        "{} has {address}, which is inside {key} {range}",
                        shown(interface)
                    ),
                    format!("choose another {key} in cluster.yaml, or another address for the interface"),
                );
            }
        }
    }
}

fn default_route(subject: &Subject, found: &mut Found) {
    // Facts without any address say nothing about routes either.
    if subject.facts.has_default_route || subject.facts.addresses.is_empty() {
        return;
    }
    let interface = subject
        .facts
        .addresses
        .iter()
        .find(|(_, addresses)| addresses.contains(&subject.node.address))
        .map_or("INTERFACE", |(interface, _)| word(interface, "INTERFACE"));
    found.error(
        Kind::NoDefaultRoute,
        subject.name(),
        "no default route: connections from the node to service addresses fail at once",
        format!(
            "configure a gateway; on an isolated network it need not lead anywhere: ip route add default dev \
             {interface} metric 9999"
        ),
    );
}
