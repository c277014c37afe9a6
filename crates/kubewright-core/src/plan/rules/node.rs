//! Rules about nodes: who they are, what they hold, what is in the way on them.

use std::collections::BTreeMap;

use crate::founding::{EtcdStart, etcd_starts};
use crate::observed::{Change, Marker, Observed};
use crate::plan::Refusal;
use crate::resource::{NodeState, Resource, ResourceId};
use crate::spec::Cluster;

/// R8: every node is who cluster.yaml says it is, and belongs to no other cluster.
pub(in crate::plan) fn refuse_other_identities(
    cluster: &Cluster,
    states: &BTreeMap<String, NodeState>,
    observed: &Observed,
) -> Result<(), Refusal> {
    let mut machines: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, node) in &observed.nodes {
        let machine_id = node.facts.machine_id.as_str();
        if !machine_id.is_empty()
            && let Some(first) = machines.insert(machine_id, name)
        {
            return Err(Refusal::SameMachine {
                first: first.to_owned(),
                second: name.clone(),
                machine_id: machine_id.to_owned(),
            });
        }
        let Some(marker) = &node.facts.marker else {
            continue;
        };
        let id = states.get(name).and_then(cluster_id);
        if marker.cluster != cluster.name.as_str() && id.as_ref() == Some(&marker.cluster_id) {
            return Err(Refusal::FixedSetting {
                node: name.clone(),
                setting: "metadata.name",
                was: marker.cluster.clone(),
                wants: cluster.name.to_string(),
                reason: "nodes know their cluster by it, so that no machine of another cluster is touched",
            });
        }
        if marker.cluster != cluster.name.as_str() || id.is_some_and(|id| id != marker.cluster_id) {
            return Err(Refusal::OtherCluster {
                node: name.clone(),
                cluster: marker.cluster.clone(),
                id: marker.cluster_id.clone(),
            });
        }
        if marker.node != *name {
            return Err(Refusal::OtherNode {
                node: name.clone(),
                other: marker.node.clone(),
            });
        }
    }
    Ok(())
}

/// All machines belong to one cluster, also where nothing else is known of it than what they say.
pub(in crate::plan) fn refuse_different_clusters(observed: &Observed) -> Result<(), Refusal> {
    let kept = observed.nodes.iter();
    let kept = kept.filter_map(|(name, node)| Some((name, &node.facts.marker.as_ref()?.cluster_id)));
    let mut kept = kept.filter(|(_, id)| !id.is_empty());
    let Some((first, first_id)) = kept.next() else {
        return Ok(());
    };
    match kept.find(|(_, id)| *id != first_id) {
        Some((second, second_id)) => Err(Refusal::DifferentClusters {
            first: first.clone(),
            first_id: first_id.clone(),
            second: second.clone(),
            second_id: second_id.clone(),
        }),
        None => Ok(()),
    }
}

/// The cluster's id as the rendered marker has it.
fn cluster_id(state: &NodeState) -> Option<String> {
    let staged = state.get(&ResourceId::new("file", Marker::PATH))?;
    let Resource::File(file) = &staged.resource else {
        return None;
    };
    serde_json::from_str::<Marker>(&file.content)
        .ok()
        .map(|marker| marker.cluster_id)
}

/// R5: a bootstrapped cluster with a control plane without data needs a removal and a join, never a second bootstrap.
pub(super) fn refuse_lost_members(cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    let mut starts = etcd_starts(cluster, observed).into_iter();
    match starts.find(|(_, start)| *start == EtcdStart::Lost) {
        Some((node, _)) => Err(Refusal::MemberWithoutData { node }),
        None => Ok(()),
    }
}

/// Nothing is removed that kubewright did not put there.
pub(super) fn refuse_blocked(observed: &Observed) -> Result<(), Refusal> {
    for (node, seen) in &observed.nodes {
        for difference in &seen.differences {
            if let Change::Blocked { reason } = &difference.change {
                return Err(Refusal::Blocked {
                    node: node.clone(),
                    resource: difference.resource.to_string(),
                    reason: reason.clone(),
                });
            }
        }
    }
    Ok(())
}
