//! The name servers that the kubelet passes on to pods, the cluster's DNS among them.

use super::text::{count, list, shown};
use super::{Found, Kind, Look, Subject};
use crate::observed::choose_resolvers;
use crate::spec::{Cluster, ComponentName};

/// `MaxDNSNameservers` in pkg/apis/core/validation of Kubernetes 1.36: the kubelet passes on the first ones.
const SERVERS: usize = 3;
/// `MaxDNSSearchPaths`, less the three domains of the cluster that the kubelet puts before them.
const SEARCH_DOMAINS: usize = 32 - 3;
/// `MaxDNSSearchListChars`, less as much as the cluster's own may take.
const SEARCH_CHARACTERS: usize = 2048 - 3 * 253;

pub(super) fn judge(look: &Look, found: &mut Found) {
    let kubelet = look.cluster.overrides(ComponentName::Kubelet);
    if kubelet.is_some_and(|kubelet| kubelet.extra_config.contains_key("resolvConf")) {
        return;
    }
    for subject in &look.subjects {
        // Facts without any address are of no whole machine.
        if !subject.facts.addresses.is_empty() {
            judge_node(look.cluster, subject, found);
        }
    }
}

fn judge_node(cluster: &Cluster, subject: &Subject, found: &mut Found) {
    let chosen = choose_resolvers(&subject.facts.resolvers);
    let Some(file) = chosen.file() else {
        if cluster.dns.upstream.is_empty() {
            none(subject, found);
        }
        return;
    };
    let path = shown(&file.path);
    let network = &cluster.network;
    for server in file.usable() {
        for (key, range) in [
            ("network.podCidr", network.pod_cidr),
            ("network.serviceCidr", network.service_cidr),
        ] {
            if range.contains(server) {
                found.error(
                    Kind::NameServerInRange,
                    subject.name(),
                    format!("name server {server} of {path} is inside {key} {range}"),
                    format!("choose another {key} in cluster.yaml, or another name server for the node"),
                );
            }
        }
    }
    if file.servers.len() > SERVERS {
        found.warning(
            Kind::ResolverLimits,
            subject.name(),
            format!(
                "{path} has {}; pods get the first {SERVERS}",
                count(file.servers.len(), "name server")
            ),
            "put the best three first",
        );
    }
    let characters: usize = file.search.iter().map(|domain| domain.len() + 1).sum();
    if file.search.len() > SEARCH_DOMAINS || characters > SEARCH_CHARACTERS {
        found.warning(
            Kind::ResolverLimits,
            subject.name(),
            format!(
                "{path} has {} of {characters} characters; pods get the first ones, beside the cluster's own three \
                 {SEARCH_DOMAINS} and {SEARCH_CHARACTERS} characters at most",
                count(file.search.len(), "search domain")
            ),
            format!("remove search domains from {path}"),
        );
    }
}

fn none(subject: &Subject, found: &mut Found) {
    let said = subject.facts.resolvers.iter().map(|file| {
        let path = shown(&file.path);
        if file.servers.is_empty() {
            format!("{path} names none")
        } else {
            format!(
                "{path} names {}",
                list(file.servers.iter().map(|server| shown(server)))
            )
        }
    });
    let said = list(said);
    let said = if said.is_empty() {
        "there is no /etc/resolv.conf".to_owned()
    } else {
        said
    };
    found.warning(
        Kind::NoNameServer,
        subject.name(),
        format!(
            "no name server that pods can reach: {said}; on this node the cluster's DNS answers only the cluster's own \
             names"
        ),
        "give the node a name server that is no loopback address, or name one under dns.upstream in cluster.yaml; where \
         there is none, nothing need be done",
    );
}
