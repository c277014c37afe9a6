//! Who the nodes are: reachable, of this cluster and no other, with nobody else's traces.

use std::collections::BTreeMap;

use super::installers::remedy;
use super::text::{count, list, sentence, shown};
use super::{Found, Kind, Look, Subject};
use crate::carrier;
use crate::component;
use crate::component::etcd::Filling;
use crate::observed::{Change, Leftover};
use crate::resource::{AuthorityName, Digest};

/// An authority with fewer days left is in its last year: no certificate lasts as long as planned any more.
const LAST_DAYS: i64 = 365;
const SECONDS_OF_A_DAY: i64 = 86_400;
/// What a node of this cluster has besides what its components fill by themselves.
const OWN_PLACES: [&str; 2] = ["/etc/containerd", "/opt/cni"];

pub(super) fn judge(look: &Look, found: &mut Found) {
    for (node, silent) in &look.measured.silent {
        found.error(
            Kind::NodeUnreachable,
            node,
            sentence(&silent.cause),
            sentence(&silent.fix),
        );
    }
    for subject in &look.subjects {
        marker(look, subject, found);
        member(subject, found);
        blocked(subject, found);
        leftovers(subject, found);
        unfinished(subject, found);
    }
    for filling in Filling::all(look.cluster, look.observed) {
        found.warning(
            Kind::EtcdDatabase,
            &filling.node,
            filling.to_string(),
            filling.remedy(),
        );
    }
    cluster_ids(look, found);
    authorities(look, found);
    endings(look, found);
}

/// Authorities in their last year, each once: all nodes have the same.
fn endings(look: &Look, found: &mut Found) {
    for authority in AuthorityName::ALL {
        let told = look.subjects.iter().find_map(|subject| {
            let mut facts = subject.facts.certificates.iter();
            let fact = facts.find(|fact| fact.path == authority.certificate_path())?;
            Some((subject, fact)).filter(|_| subject.is_own)
        });
        let Some((subject, fact)) = told else { continue };
        let left = fact.not_after.saturating_sub(subject.facts.clock_ms / 1000);
        let days = left.div_euclid(SECONDS_OF_A_DAY);
        if days >= LAST_DAYS {
            continue;
        }
        let ends = match days {
            ..0 => "has ended".to_owned(),
            days => format!(
                "ends in {}",
                count(usize::try_from(days).unwrap_or_default(), "day")
            ),
        };
        found.warning(
            Kind::AuthorityEnds,
            subject.name(),
            format!(
                "the {} authority {ends}, and everything it signed with it",
                authority.common_name()
            ),
            "plan its replacement: an authority cannot be rotated by kubewright yet",
        );
    }
}

fn marker(look: &Look, subject: &Subject, found: &mut Found) {
    let Some(marker) = &subject.facts.marker else {
        return;
    };
    if marker.cluster != look.cluster.name.as_str() {
        found.error(
            Kind::OtherCluster,
            subject.name(),
            format!(
                "the node belongs to cluster {}, as its node {}",
                shown(&marker.cluster),
                shown(&marker.node)
            ),
            "correct the node's address in cluster.yaml; to take the machine over: kubewright reset with the \
             cluster.yaml of the cluster it belongs to",
        );
    } else if marker.node != subject.name() {
        found.error(
            Kind::OtherNode,
            subject.name(),
            format!("the node was set up as {}", shown(&marker.node)),
            format!(
                "give it its old name in cluster.yaml, or correct the address of {}",
                subject.name()
            ),
        );
    }
}

/// Nodes of one cluster name whose markers name different authorities: all are told, for nobody knows who is right.
fn cluster_ids(look: &Look, found: &mut Found) {
    let mut by_id: BTreeMap<&str, Vec<&Subject>> = BTreeMap::new();
    for subject in look.subjects.iter().filter(|subject| subject.is_own) {
        if let Some(marker) = &subject.facts.marker {
            by_id.entry(&marker.cluster_id).or_default().push(subject);
        }
    }
    if by_id.len() < 2 {
        return;
    }
    for (id, subjects) in &by_id {
        for subject in subjects {
            let strangers: Vec<&str> = by_id
                .iter()
                .filter(|(other, _)| *other != id)
                .flat_map(|(_, subjects)| subjects.iter().map(|subject| subject.name()))
                .collect();
            found.error(
                Kind::OtherCluster,
                subject.name(),
                format!(
                    "the node belongs to another cluster named {} (id {}) than {}",
                    look.cluster.name,
                    shown(id.get(..12).unwrap_or(id)),
                    super::text::names(&strangers)
                ),
                "find out which nodes belong to this cluster; correct the addresses of the others in cluster.yaml",
            );
        }
    }
}

/// The same authority with two certificates among the cluster's own nodes.
fn authorities(look: &Look, found: &mut Found) {
    let mut by_path: BTreeMap<&str, BTreeMap<Digest, Vec<&str>>> = BTreeMap::new();
    for subject in look.subjects.iter().filter(|subject| subject.is_own) {
        for (path, certificate) in &subject.facts.authority_certificates {
            let digest = Digest::of(certificate.trim().as_bytes());
            by_path
                .entry(path)
                .or_default()
                .entry(digest)
                .or_default()
                .push(subject.name());
        }
    }
    for (path, certificates) in by_path
        .into_iter()
        .filter(|(_, certificates)| certificates.len() > 1)
    {
        // What fewer nodes have is the likelier stranger; of equals all are told.
        let most = certificates.values().map(Vec::len).max().unwrap_or_default();
        let is_tied = certificates.values().filter(|nodes| nodes.len() == most).count() > 1;
        for nodes in certificates
            .values()
            .filter(|nodes| is_tied || nodes.len() < most)
        {
            for node in nodes {
                let strangers: Vec<&str> = certificates
                    .values()
                    .filter(|other| *other != nodes)
                    .flatten()
                    .copied()
                    .collect();
                found.error(
                    Kind::AuthorityMismatch,
                    node,
                    format!("{} differs from that of {}", shown(path), super::text::names(&strangers)),
                    format!(
                        "find out which node does not belong to this cluster (openssl x509 -noout -fingerprint -in {}); do not apply \
                         before that",
                        super::text::word(path, "FILE")
                    ),
                );
            }
        }
    }
}

/// A machine that never was a control plane of this cluster joins etcd; whether another machine was its member before, etcd's
/// list says, which the plan looks at.
fn member(subject: &Subject, found: &mut Found) {
    let facts = subject.facts;
    if subject.node.is_control_plane() && facts.is_bootstrapped && !facts.has_etcd_data {
        found.error(
            Kind::MemberWithoutData,
            subject.name(),
            "it is a member of etcd and has no data: started without, it would vote a second time",
            format!(
                "if the old disk is readable, put its /var/lib/etcd back on {} (never an older copy); otherwise kubewright plan \
                 says what to do",
                subject.name()
            ),
        );
    }
}

fn blocked(subject: &Subject, found: &mut Found) {
    for difference in &subject.seen.differences {
        if let Change::Blocked { reason } = &difference.change {
            found.error(
                Kind::Blocked,
                subject.name(),
                format!("{}: {}", shown(&difference.resource.to_string()), shown(reason)),
                "move it away on the node, then run the same command again",
            );
        }
    }
}

fn leftovers(subject: &Subject, found: &mut Found) {
    let mut by_owner: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for leftover in &subject.facts.leftovers {
        if !(subject.is_own && is_own(leftover)) {
            by_owner.entry(&leftover.of).or_default().push(&leftover.what);
        }
    }
    for (of, what) in by_owner {
        let shown_what = list(what.iter().take(4).map(|what| shown(what)));
        let more = match what.len().saturating_sub(4) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        found.error(
            Kind::Leftovers,
            subject.name(),
            format!("traces of {}: {shown_what}{more}", shown(of)),
            remedy(of),
        );
    }
}

/// Whether a node of this cluster has it by itself; other installers use the same places.
fn is_own(leftover: &Leftover) -> bool {
    let filled = component::ALL
        .iter()
        .flat_map(|component| component.traces.directories);
    let is_own_unit =
        carrier::component_of(&leftover.what).is_some_and(|name| component::named(name).is_some());
    is_own_unit
        || filled
            .chain(&OWN_PLACES)
            .any(|place| leftover.what.starts_with(place))
}

fn unfinished(subject: &Subject, found: &mut Found) {
    if let Some(run) = &subject.facts.unfinished_run {
        found.warning(
            Kind::UnfinishedRun,
            subject.name(),
            format!("run {} did not finish", shown(run)),
            "kubewright apply continues where it stopped",
        );
    }
}
