//! Packets of pods on their way through a node: what the node's own packet filter drops, routes that collide with the
//! cluster's ranges, and checks of the way back.

use std::net::IpAddr;

use super::network::is_pod_interface;
use super::text::{list, shown};
use super::{Found, Kind, Look, Subject};
use crate::observed::ForwardDrop;
use crate::spec::{Cidr, Cluster, Cni};

pub(super) fn judge(look: &Look, found: &mut Found) {
    for subject in &look.subjects {
        drops(look.cluster, subject, found);
        routes(look.cluster, subject, found);
        way_back(subject, found);
    }
}

fn drops(cluster: &Cluster, subject: &Subject, found: &mut Found) {
    let pods = cluster.network.pod_cidr;
    if cluster.network.cni == Cni::None {
        return;
    }
    let dropping = subject.facts.forward_drops.iter();
    let dropping: Vec<&str> = dropping
        .filter(|chain| !accepts_pods(chain, pods))
        .map(|chain| chain.chain.as_str())
        .collect();
    if dropping.is_empty() {
        return;
    }
    found.error(
        Kind::ForwardDrop,
        subject.name(),
        format!(
            "the packet filter drops what is forwarded and accepts nothing of the pods' {pods}: policy drop of {}",
            list(dropping.iter().map(|chain| shown(chain)))
        ),
        format!(
            "with ufw: ufw route allow from {pods} and ufw route allow to {pods}; otherwise accept packets from and to \
             {pods} in that chain, or remove what sets the policy (a container engine)"
        ),
    );
}

/// Whether a rule accepts everything, a range with all pods in it, or what comes from an interface of pods.
fn accepts_pods(chain: &ForwardDrop, pods: Cidr) -> bool {
    chain.accepts.iter().any(|accepted| {
        let holds_pods = |range: Cidr| range.contains(pods.address()) && range.prefix() <= pods.prefix();
        accepted == "*"
            || accepted.parse().is_ok_and(holds_pods)
            || (accepted != "lo" && is_pod_interface(accepted))
    })
}

fn routes(cluster: &Cluster, subject: &Subject, found: &mut Found) {
    // On a node of this cluster they are the pod network's.
    if subject.is_own {
        return;
    }
    let network = &cluster.network;
    for route in &subject.facts.routes {
        let Ok(to) = route.to.parse::<Cidr>() else {
            continue;
        };
        if is_pod_interface(&route.interface) {
            continue;
        }
        for (key, range) in [
            ("network.podCidr", network.pod_cidr),
            ("network.serviceCidr", network.service_cidr),
        ] {
            // What is said of an interface's own address need not be said of its network.
            let is_of_address = subject
                .facts
                .addresses
                .get(&route.interface)
                .into_iter()
                .flatten()
                .any(|address: &IpAddr| to.contains(*address) && range.contains(*address));
            if range.contains(to.address()) && to.prefix() >= range.prefix() && !is_of_address {
                found.error(
                    Kind::RouteInRange,
                    subject.name(),
                    format!(
                        "a route to {to} through {} is inside {key} {range}",
                        shown(&route.interface)
                    ),
                    format!("choose another {key} in cluster.yaml, or remove the route"),
                );
            }
        }
    }
}

fn way_back(subject: &Subject, found: &mut Found) {
    let address = subject.node.address;
    let own = subject
        .facts
        .addresses
        .iter()
        .find(|(_, addresses)| addresses.contains(&address));
    let (Some((own, _)), Some(default)) = (own, &subject.facts.default_interface) else {
        return;
    };
    if own == default || !subject.facts.strict_interfaces.contains(own) {
        return;
    }
    let (own, default) = (shown(own), shown(default));
    found.warning(
        Kind::ReversePath,
        subject.name(),
        format!(
            "{address} is on {own}, the default route leads through {default}, and rp_filter is strict on {own}: packets \
             from other networks to this node are dropped"
        ),
        format!(
            "if others than the nodes reach it at {address}: sysctl -w net.ipv4.conf.{own}.rp_filter=2, and the same in a \
             file of /etc/sysctl.d"
        ),
    );
}
