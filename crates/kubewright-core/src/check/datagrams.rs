//! UDP between nodes: whether the network between pods gets through, and how large its packets may be.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{list, names, shown};
use super::{Found, Kind, Look};

pub(super) fn judge(look: &Look, found: &mut Found) {
    lost(look, found);
    large(look, found);
}

/// Ports that datagrams do not reach are one finding of the node that is not reached.
fn lost(look: &Look, found: &mut Found) {
    let mut by_target: BTreeMap<(&str, u16, &str), BTreeSet<&str>> = BTreeMap::new();
    for lost in look.measured.datagrams.iter().filter(|lost| lost.bytes.is_none()) {
        by_target
            .entry((&lost.to, lost.port, &lost.cause))
            .or_default()
            .insert(&lost.from);
    }
    for ((to, port, cause), sources) in by_target {
        let Some(target) = look.cluster.node(to) else {
            continue;
        };
        let sources = look
            .cluster
            .nodes
            .iter()
            .filter(|node| sources.contains(node.name.as_str()));
        let sources: Vec<_> = sources.collect();
        let from: Vec<&str> = sources.iter().map(|node| node.name.as_str()).collect();
        let addresses = if sources.len() > 6 {
            "the nodes".to_owned()
        } else {
            list(sources.iter().map(|node| node.address))
        };
        found.error(
            Kind::UnreachableUdp,
            to,
            format!(
                "UDP {port} (the network between pods) cannot be reached from {}: {}",
                names(&from),
                shown(cause)
            ),
            format!(
                "allow UDP {port} from {addresses} to {} and back in the firewalls of the nodes and between them",
                target.address
            ),
        );
    }
}

fn large(look: &Look, found: &mut Found) {
    let mut by_size: BTreeMap<(&str, u16), Vec<&str>> = BTreeMap::new();
    for lost in &look.measured.datagrams {
        if let Some(bytes) = lost.bytes {
            by_size.entry((&lost.to, bytes)).or_default().push(&lost.from);
        }
    }
    for ((to, bytes), sources) in by_size {
        let key = "network.mtu";
        found.error(
            Kind::PathMtu,
            to,
            format!(
                "packets of {bytes} bytes do not arrive from {}, small ones do: the network between them takes less than \
                 the interfaces say",
                names(&sources)
            ),
            format!(
                "give the interfaces of all nodes the MTU that the network between them has; {key} in cluster.yaml makes \
                 only the packets of pods smaller"
            ),
        );
    }
}
