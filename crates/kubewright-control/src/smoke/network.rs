//! Connections between pods, to a service's address and to a node's port.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use futures::{StreamExt as _, TryStreamExt as _};

use super::fleet::{Fleet, ProbePod};
use super::image::PORT;
use super::{Checked, Scene, count, eventually, http};

/// Commands under way at once.
const AT_ONCE: usize = 8;
/// Up to this many pods every one reaches every other; in larger clusters each reaches its next neighbours.
const ALL_PAIRS_UP_TO: usize = 8;
const NEIGHBOURS: usize = 3;

/// Chooses who reaches whom: positions in the fleet.
fn pairs(pods: usize) -> Vec<(usize, usize)> {
    let reach = if pods <= ALL_PAIRS_UP_TO {
        pods.saturating_sub(1)
    } else {
        NEIGHBOURS
    };
    (0..pods)
        .flat_map(|from| (1..=reach).map(move |step| (from, (from + step) % pods)))
        .collect()
}

pub(super) async fn all_pairs(scene: &Scene<'_>, fleet: &Fleet<'_>) -> Checked {
    let pairs = pairs(fleet.pods.len());
    if pairs.is_empty() {
        return Ok("skipped: a single node has no other pod to reach".to_owned());
    }
    let number = pairs.len();
    futures::stream::iter(pairs)
        .map(|(from, to)| reach(scene, fleet, &fleet.pods[from], &fleet.pods[to]))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(format!(
        "{} between {}",
        count(number, "connection"),
        count(fleet.pods.len(), "node")
    ))
}

async fn reach(scene: &Scene<'_>, fleet: &Fleet<'_>, from: &ProbePod, to: &ProbePod) -> Result<(), String> {
    let authority = SocketAddr::new(to.address, PORT).to_string();
    eventually(|| async {
        let name = fleet.name_at(scene, from, &authority).await?;
        if name == to.name {
            Ok(())
        } else {
            Err(format!(
                "{} to {authority}: `{name}` answered instead of {}",
                from.node, to.name
            ))
        }
    })
    .await
}

/// From every pod to the service's own address.
pub(super) async fn cluster_ip(scene: &Scene<'_>, fleet: &Fleet<'_>) -> Checked {
    let authority = match fleet.cluster_ip {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let authority = authority.as_str();
    let answers: BTreeSet<String> = futures::stream::iter(0..fleet.pods.len())
        .map(|index| {
            let from = &fleet.pods[index];
            eventually(move || async move {
                let name = fleet.name_at(scene, from, authority).await?;
                if fleet.has(&name) {
                    Ok(name)
                } else {
                    Err(format!(
                        "{} to {authority}: `{name}` answered, which is none of the pods",
                        from.node
                    ))
                }
            })
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(format!(
        "{authority} from {}, answered by {}",
        count(fleet.pods.len(), "node"),
        count(answers.len(), "pod")
    ))
}

/// To the service's port on a control plane and on a worker, each from another node.
pub(super) async fn node_port(scene: &Scene<'_>, fleet: &Fleet<'_>) -> Checked {
    let nodes = &scene.options.nodes;
    let mut seen = Vec::new();
    for target in scene.one_of_each() {
        let from = nodes
            .iter()
            .find(|node| node.name != target.name)
            .unwrap_or(target);
        let address = SocketAddr::new(target.address, fleet.node_port);
        eventually(|| async {
            let from_to = |error| format!("{} to {} ({address}): {error}", from.name, target.name);
            let stream = scene.access.connect(&from.name, address).await.map_err(from_to)?;
            let name = http::get(stream, &address.to_string(), fleet.image.name_path())
                .await
                .map_err(from_to)?;
            if fleet.has(&name) {
                Ok(())
            } else {
                Err(from_to(format!("`{name}` answered, which is none of the pods")))
            }
        })
        .await?;
        seen.push(format!("{} from {}", target.name, from.name));
    }
    Ok(format!("port {} on {}", fleet.node_port, seen.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_cluster_tries_every_pair() {
        assert_eq!(pairs(1), []);
        assert_eq!(pairs(2), [(0, 1), (1, 0)]);
        assert_eq!(pairs(5).len(), 20);
    }

    #[test]
    fn a_large_cluster_tries_neighbours_and_leaves_nobody_out() {
        let pairs = pairs(100);
        assert_eq!(pairs.len(), 300);
        for node in 0..100 {
            assert!(pairs.iter().any(|pair| pair.0 == node) && pairs.iter().any(|pair| pair.1 == node));
        }
        assert!(pairs.iter().all(|pair| pair.0 != pair.1));
    }
}
