//! Names inside the cluster: the API's, a service's by its short name, and one that stands for its pods.

use std::collections::BTreeSet;
use std::net::IpAddr;

use futures::{StreamExt as _, TryStreamExt as _};

use super::fleet::{Fleet, ProbePod, api_address, run_in};
use super::image::ProbeImage;
use super::{Checked, Scene, count, eventually, objects};

/// Commands under way at once.
const AT_ONCE: usize = 8;

/// Looks up, on every node, names that only the search path completes, and one that is complete.
pub(super) async fn through_search_path(scene: &Scene<'_>, fleet: &Fleet<'_>) -> Checked {
    let api = BTreeSet::from([api_address(scene).await?]);
    let service = BTreeSet::from([fleet.cluster_ip]);
    let full = format!(
        "{}.{}.svc.{}",
        objects::SERVICE,
        scene.namespace,
        scene.options.domain
    );
    let expected = [
        ("kubernetes.default", &api),
        (objects::SERVICE, &service),
        (full.as_str(), &service),
    ];
    futures::stream::iter(0..fleet.pods.len())
        .map(|index| async move {
            let pod = &fleet.pods[index];
            for (name, addresses) in expected {
                resolves(scene, fleet, pod, name, addresses).await?;
            }
            Ok::<_, String>(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(format!(
        "kubernetes.default, {} and {full} on {}",
        objects::SERVICE,
        count(fleet.pods.len(), "node")
    ))
}

/// Looks up the service without an address: all pods' addresses, and nothing else.
pub(super) async fn headless(scene: &Scene<'_>, fleet: &Fleet<'_>) -> Checked {
    let addresses: BTreeSet<IpAddr> = fleet.pods.iter().map(|pod| pod.address).collect();
    let from = fleet.pods.last().ok_or("no test pod is running")?;
    resolves(scene, fleet, from, objects::HEADLESS, &addresses).await?;
    Ok(format!(
        "{} resolves to the addresses of {}",
        objects::HEADLESS,
        count(addresses.len(), "pod")
    ))
}

async fn resolves(
    scene: &Scene<'_>,
    fleet: &Fleet<'_>,
    pod: &ProbePod,
    name: &str,
    expected: &BTreeSet<IpAddr>,
) -> Result<(), String> {
    eventually(|| async {
        let output = run_in(scene, &pod.name, fleet.image.lookup(name))
            .await
            .map_err(|error| format!("{name} on {}: {error}", pod.node))?;
        let addresses = ProbeImage::addresses(&output);
        // Nodes outside the list have pods too: more addresses than expected are theirs.
        if addresses.is_superset(expected) {
            Ok(())
        } else {
            Err(format!(
                "{name} on {}: {} instead of {}",
                pod.node,
                written(&addresses),
                written(expected)
            ))
        }
    })
    .await
}

fn written(addresses: &BTreeSet<IpAddr>) -> String {
    if addresses.is_empty() {
        return "no address".to_owned();
    }
    addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}
