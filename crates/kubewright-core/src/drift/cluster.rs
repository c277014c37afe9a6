//! What differs in the API and among etcd's members.

use super::{Finding, Kind, Seen, is_built};
use crate::check::text::list;
use crate::component::etcd::Filling;
use crate::observed::{EtcdStatus, Membership, ObservedEtcd};
use crate::shown::{sentence, shown};
use crate::spec::Node;

/// What API and etcd tell about one node of cluster.yaml.
pub(super) fn of_node(seen: &Seen<'_>, node: &Node) -> Vec<Finding> {
    let name = node.name.as_str();
    if !is_built(seen, name) {
        return Vec::new();
    }
    let finding = |kind, subject: &str, message: String| Finding {
        kind,
        node: Some(name.to_owned()),
        subject: subject.to_owned(),
        message,
        diff: None,
    };
    let mut found = Vec::new();
    if let Some(api) = &seen.observed.api {
        let object = format!("Node {name}");
        let differs = api.nodes_to_register.iter().any(|other| other == name);
        match api.kubelet_versions.get(name) {
            None if differs => {
                found.push(finding(
                    Kind::NodeMissing,
                    &object,
                    "it does not exist".to_owned(),
                ));
            }
            _ if differs => found.push(finding(
                Kind::NodeChanged,
                &object,
                "labels, taints or pod CIDR differ".to_owned(),
            )),
            _ => {}
        }
        let wanted = format!("v{}", seen.cluster.kubernetes);
        if let Some(running) = api
            .kubelet_versions
            .get(name)
            .filter(|version| !version.is_empty())
            && *running != wanted
        {
            let message = format!("runs as {}, should be {wanted}", shown(running));
            found.push(finding(Kind::RunningVersion, "kubelet", message));
        }
        if api.nodes_not_ready.iter().any(|other| other == name) {
            let message = "its kubelet does not report Ready".to_owned();
            found.push(finding(Kind::NodeNotReady, &object, message));
        }
    }
    if node.is_control_plane() {
        for message in member_problems(seen, node) {
            found.push(finding(Kind::EtcdMember, "its member", message));
        }
        let filling = Filling::all(seen.cluster, seen.observed).into_iter();
        for filling in filling.filter(|filling| filling.node == name) {
            let message = format!("{filling}: {}", filling.remedy());
            found.push(finding(Kind::EtcdDatabase, "its member", message));
        }
        if let Some(Ok(status)) = own(seen, name) {
            let wanted = seen.release.etcd.to_string();
            if status.version != wanted {
                let message = format!("runs as {}, should be {wanted}", shown(&status.version));
                found.push(finding(Kind::RunningVersion, "etcd", message));
            }
        }
    }
    found
}

/// What a control plane's own member said of itself.
fn own<'s>(seen: &'s Seen<'_>, name: &str) -> Option<&'s Result<EtcdStatus, String>> {
    seen.observed.etcd.as_ref()?.own.get(name)
}

fn member_problems(seen: &Seen<'_>, node: &Node) -> Vec<String> {
    let mut problems = Vec::new();
    let name = node.name.as_str();
    match seen.observed.etcd.as_ref().map(|etcd| etcd.membership(node)) {
        Some(Membership::Absent) => problems.push("is not in the member list".to_owned()),
        Some(Membership::Listed(member)) if !member.is_started() => {
            problems.push("was added and never started".to_owned());
        }
        Some(Membership::Listed(member)) if member.is_learner => {
            problems.push("is a learner: it does not vote".to_owned());
        }
        None | Some(Membership::Untold | Membership::Listed(_)) => {}
    }
    let is_reached = !seen.observed.unreachable.contains_key(name);
    match own(seen, name).filter(|_| is_reached) {
        Some(Err(cause)) => problems.push(format!("does not answer: {}", sentence(cause))),
        Some(Ok(status)) => {
            if !status.has_leader {
                problems.push("sees no leader".to_owned());
            }
            let alarms = status
                .alarms
                .iter()
                .filter(|alarm| alarm.member_id == status.member_id);
            let alarms = alarms.map(|alarm| format!("alarm {}", alarm.kind));
            let complaints: Vec<String> = alarms.chain(status.complaints.iter().cloned()).collect();
            if !complaints.is_empty() {
                problems.push(format!("is unhealthy: {}", sentence(&list(&complaints))));
            }
        }
        None => {}
    }
    problems
}

/// What API and etcd tell that belongs to no node of cluster.yaml.
pub(super) fn findings(seen: &Seen<'_>) -> Vec<Finding> {
    let finding = |kind, subject: &str, message: &str, diff: Option<String>| Finding {
        kind,
        node: None,
        subject: shown(subject),
        message: message.to_owned(),
        diff,
    };
    let is_any_built = seen
        .cluster
        .nodes
        .iter()
        .any(|node| is_built(seen, node.name.as_str()));
    let mut found = Vec::new();
    if !is_any_built {
        return found;
    }
    match &seen.observed.api {
        None => found.push(finding(
            Kind::ApiUnreachable,
            "the API",
            "no API server answers: no object was compared",
            None,
        )),
        Some(api) => {
            for name in &api.unknown_nodes {
                found.push(finding(
                    Kind::NodeUnknown,
                    &format!("Node {name}"),
                    "is not in cluster.yaml",
                    None,
                ));
            }
            for (name, diff) in &api.objects {
                let (kind, message) = match diff {
                    None => (Kind::ObjectMissing, "is missing"),
                    Some(_) => (Kind::ObjectChanged, "differs"),
                };
                found.push(finding(kind, name, message, diff.clone()));
            }
            for name in &api.orphaned {
                found.push(finding(Kind::OrphanedObject, name, "is orphaned", None));
            }
            for (name, holds) in &api.kept {
                let message = format!("is orphaned, but is kept because of {}", sentence(holds));
                found.push(finding(Kind::OrphanedObject, name, &message, None));
            }
            for name in &api.deployments_unavailable {
                let name = format!("Deployment {name}");
                found.push(finding(
                    Kind::Unavailable,
                    &name,
                    "has unavailable replicas",
                    None,
                ));
            }
        }
    }
    let clusters = seen.observed.etcd.iter().flat_map(ObservedEtcd::clusters);
    let clusters: Vec<String> = clusters.map(|cluster| cluster.to_string()).collect();
    if clusters.len() > 1 {
        let message = format!("are {} clusters: {}", clusters.len(), clusters.join("; "));
        found.push(finding(Kind::EtcdClusters, "its members", &message, None));
    }
    match seen.observed.etcd.as_ref().filter(|etcd| etcd.members.is_some()) {
        None => found.push(finding(
            Kind::EtcdUnreachable,
            "its members",
            "member list unavailable",
            None,
        )),
        Some(etcd) => {
            for member in etcd.unknown_members(seen.cluster) {
                let name = match member.name.as_str() {
                    "" => "a member without a name",
                    name => name,
                };
                let message = format!(
                    "matches no control plane in cluster.yaml ({})",
                    shown(&list(&member.peer_urls))
                );
                found.push(finding(Kind::EtcdMemberUnknown, name, &message, None));
            }
        }
    }
    found
}
