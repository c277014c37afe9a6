//! What a living cluster is: settings that cannot change under it, nodes that cannot be forgotten, versions that
//! follow one another.
//!
//! What they were is observed: every node's marker remembers what the cluster was made with, kubelets tell their
//! version, the API its nodes. Nothing is taken from a file of the operator's computer.

use crate::catalogue::check_upgrade;
use crate::observed::{FixedSettings, Marker, Observed};
use crate::plan::Refusal;
use crate::plan::pod_ranges::refused_claims;
use crate::spec::{Cluster, Version};

/// Settings that pods, certificates and objects were made with.
struct Setting {
    /// Its path in cluster.yaml.
    path: &'static str,
    /// What a marker remembers of it.
    of: fn(&FixedSettings) -> &str,
    /// Why it cannot change.
    reason: &'static str,
}

const SETTINGS: [Setting; 4] = [
    Setting {
        path: "spec.network.domain",
        of: |settings| &settings.domain,
        reason: "running pods look names up under it, and certificates name it",
    },
    Setting {
        path: "spec.network.podCidr",
        of: |settings| &settings.pod_cidr,
        reason: "nodes keep their part of it for life, and running pods have addresses of it",
    },
    Setting {
        path: "spec.network.serviceCidr",
        of: |settings| &settings.service_cidr,
        reason: "services keep their addresses, the API's and DNS' own among them",
    },
    Setting {
        path: "spec.network.cni",
        of: |settings| &settings.cni,
        reason: "running pods keep the interfaces the other plug-in made, and would lose the network",
    },
];

/// A cluster that lives keeps what it was made with.
pub(super) fn refuse_other_settings(cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    if !is_alive(observed) {
        return Ok(());
    }
    let wanted = FixedSettings::of(cluster);
    for (node, marker) in markers(observed) {
        let Some(present) = &marker.fixed else { continue };
        for setting in &SETTINGS {
            let (was, wants) = ((setting.of)(present), (setting.of)(&wanted));
            if was != wants {
                return Err(Refusal::FixedSetting {
                    node: node.clone(),
                    setting: setting.path,
                    was: was.to_owned(),
                    wants: wants.to_owned(),
                    reason: setting.reason,
                });
            }
        }
    }
    Ok(())
}

/// R14: versions go forward, one minor at a time.
pub(super) fn refuse_version_jumps(cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    if !is_alive(observed) {
        return Ok(());
    }
    for (node, version) in versions(observed) {
        check_upgrade(version, cluster.kubernetes)
            .map_err(|error| Refusal::VersionStep { node, cause: error })?;
    }
    Ok(())
}

/// No kubelet gets ahead of an API server that is away and comes back as it was.
pub(super) fn refuse_version_without_all(cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    match observed.unreachable_control_planes(cluster).first() {
        Some(node) if changes_minor(cluster, observed) => Err(Refusal::VersionWithout {
            node: (*node).to_owned(),
            version: cluster.kubernetes,
        }),
        _ => Ok(()),
    }
}

/// Whether any node comes from another minor: then kubelets wait for every API server.
pub(in crate::plan) fn changes_minor(cluster: &Cluster, observed: &Observed) -> bool {
    is_alive(observed) && versions(observed).any(|(_, version)| !version.is_same_minor(cluster.kubernetes))
}

/// Nodes are not forgotten: what is left of them would still be trusted, and members would still be counted.
pub(super) fn refuse_forgotten_nodes(cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    for node in cluster.nodes.iter().filter(|node| !node.is_control_plane()) {
        let seen = observed.nodes.get(node.name.as_str());
        if seen.is_some_and(|seen| seen.facts.is_bootstrapped && seen.facts.has_etcd_data) {
            return Err(Refusal::MemberLeftOver {
                node: node.name.to_string(),
            });
        }
    }
    let unknown = observed.api.iter().flat_map(|api| &api.unknown_nodes);
    match unknown.min() {
        Some(node) => Err(Refusal::NodeForgotten { node: node.clone() }),
        None => Ok(()),
    }
}

/// A node's own word about its pod range counts only while it can be true: with `bridge` it becomes a route on all others.
///
/// Before the cluster serves no range is in use, so what an interrupted run left in the markers is only passed over.
pub(super) fn refuse_pod_range_claims(cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    if !is_alive(observed) {
        return Ok(());
    }
    let first = refused_claims(cluster, observed).into_iter().next();
    first.map_or(Ok(()), Err)
}

/// Whether there is a cluster to lose: its bootstrap is finished, or it answers.
fn is_alive(observed: &Observed) -> bool {
    observed.is_bootstrapped() || observed.api.is_some()
}

fn markers(observed: &Observed) -> impl Iterator<Item = (&String, &Marker)> {
    let nodes = observed.nodes.iter();
    nodes.filter_map(|(name, node)| Some((name, node.facts.marker.as_ref()?)))
}

/// Every version a node of the cluster has or was to have.
fn versions(observed: &Observed) -> impl Iterator<Item = (String, Version)> + '_ {
    let remembered = markers(observed).filter_map(|(node, marker)| Some((node, marker.kubernetes.as_ref()?)));
    let running = observed.api.iter().flat_map(|api| &api.kubelet_versions);
    remembered.chain(running).filter_map(|(node, version)| {
        let version = version.strip_prefix('v').unwrap_or(version);
        Some((node.clone(), version.parse().ok()?))
    })
}
