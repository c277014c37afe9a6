//! One etcd, founded once: by whom, and where its members are.

use crate::observed::{EtcdMember, Founders, Membership, Observed, ObservedEtcd, peer_url};
use crate::plan::Refusal;
use crate::spec::Cluster;

/// Two databases are two clusters, whatever their members are called: no change makes one of them.
pub(super) fn refuse_two_clusters(observed: &Observed) -> Result<(), Refusal> {
    let clusters = observed
        .etcd
        .iter()
        .flat_map(ObservedEtcd::clusters)
        .collect::<Vec<_>>();
    if clusters.len() > 1 {
        return Err(Refusal::TwoClusters { clusters });
    }
    Ok(())
}

/// While the bootstrap is not finished, every control plane takes part: nobody founds a cluster for one that is away.
pub(super) fn refuse_absent_founders(cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    if observed.is_bootstrapped() {
        return Ok(());
    }
    match observed.unreachable_control_planes(cluster).first() {
        Some(node) => Err(Refusal::FounderUnreachable {
            node: (*node).to_owned(),
        }),
        None => Ok(()),
    }
}

/// Without a quorum of control planes nothing can be changed in the API, and nothing that was changed can be seen to hold.
pub(super) fn refuse_without_quorum(cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    let unreachable = observed.unreachable_control_planes(cluster);
    let of = cluster.control_planes().count();
    if observed.api.is_some() || (of - unreachable.len()) > of / 2 {
        return Ok(());
    }
    Err(Refusal::NoQuorumReachable {
        unreachable: unreachable.into_iter().map(str::to_owned).collect(),
        of,
    })
}

/// While the bootstrap is not finished, the control planes of cluster.yaml are those that began it.
pub(super) fn refuse_other_founders(cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    if observed.is_bootstrapped() {
        return refuse_forgotten_founders(cluster, observed);
    }
    let wanted = Founders::of(cluster);
    for (node, seen) in &observed.nodes {
        if let Some(recorded) = seen
            .facts
            .founders
            .as_ref()
            .filter(|recorded| **recorded != wanted)
        {
            return Err(Refusal::OtherFounders {
                node: node.clone(),
                recorded: recorded.clone(),
                wanted,
            });
        }
    }
    // What an earlier version began has no record: its members tell.
    let Some(members) = observed.etcd.as_ref().and_then(|etcd| etcd.members.as_ref()) else {
        return Ok(());
    };
    let members = by_name(members, &wanted);
    if members == wanted {
        return Ok(());
    }
    Err(Refusal::OtherMembers { members, wanted })
}

/// The members by name. One that has not started has none: it is taken for the control plane at its address, and stands
/// under the address where there is no such control plane.
fn by_name(members: &[EtcdMember], wanted: &Founders) -> Founders {
    let named = |member: &EtcdMember| {
        let url = member.peer_urls.join(",");
        let at_its_address = wanted.0.iter().find(|(_, wanted)| **wanted == url);
        let name = match at_its_address {
            _ if member.is_started() => &member.name,
            Some((name, _)) => name,
            None => &url,
        };
        (name.clone(), url.clone())
    };
    Founders(members.iter().map(named).collect())
}

/// A founder that is a member is a control plane: left out of cluster.yaml it would vote, and nobody would manage it.
fn refuse_forgotten_founders(cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    let founders = observed
        .nodes
        .values()
        .filter_map(|seen| seen.facts.founders.as_ref());
    let founders: Vec<&String> = founders.flat_map(|founders| founders.0.keys()).collect();
    let members = observed
        .etcd
        .iter()
        .flat_map(|etcd| etcd.unknown_members(cluster));
    match members
        .map(|member| &member.name)
        .find(|name| founders.contains(name))
    {
        Some(member) => Err(Refusal::MemberForgotten {
            member: member.clone(),
        }),
        None => Ok(()),
    }
}

/// A member stays where it is: what cluster.yaml says of its address is what the other members know.
pub(super) fn refuse_other_addresses(cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    for node in cluster.control_planes() {
        let (name, wants) = (node.name.as_str(), peer_url(node.address));
        let recorded = || {
            let seen = observed.nodes.get(name)?;
            let founders = seen.facts.founders.as_ref()?;
            founders.0.get(name).map(std::slice::from_ref)
        };
        let known = match observed.etcd.as_ref().map(|etcd| etcd.membership(node)) {
            Some(Membership::Listed(member)) => Some(member.peer_urls.as_slice()),
            // What it was founded with, where no member could be asked.
            _ => recorded(),
        };
        if let Some(is) = known.filter(|known| !known.is_empty() && !known.contains(&wants)) {
            return Err(Refusal::MemberAddress {
                node: name.to_owned(),
                is: is.join(", "),
                wants,
            });
        }
    }
    Ok(())
}
