//! Looking, before anything is rendered: who the nodes are, what they hold, whose authority they live under, which
//! members etcd has, and what the API says of its nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use kubewright_core::desired::Desired;
use kubewright_core::observed::{Facts, Observed, ObservedNode};
use kubewright_core::pki;
use kubewright_core::secret::Secret;
use kubewright_core::spec::{Cluster, Node as SpecNode, NodeName};
use tokio::sync::watch;

use super::ObserveErrors;
use super::every_node::every_node;
use super::unreachable::{Missing, UnreachablePolicy};
use crate::authority::{Authorities, kept_certificates, merge_certificates, merge_secrets};
use crate::cluster_api::ClusterApi;
use crate::etcd;
use crate::execute::RunContext;
use crate::node::{Node, NodeCallError};
use crate::report::{Event, Reporter};
use crate::session::{Purpose, Session, lock_wait};

/// What was seen, and through what.
pub struct Seen {
    /// Open connections, by node.
    pub nodes: BTreeMap<String, Node>,
    /// What was seen of nodes, etcd and API.
    pub observed: Observed,
    /// The cluster's authorities, new ones if there were none.
    pub authorities: Arc<Authorities>,
    /// The cluster's API; connected to when it is first needed.
    pub api: Arc<dyn ClusterApi>,
}

impl Seen {
    /// What a run works with.
    pub fn into_run_context(self, session: &Session, desired: Arc<Desired>) -> RunContext {
        let services = session.services(&self.authorities);
        let guards = session.guards(&self.nodes, &self.authorities);
        RunContext {
            desired,
            guards,
            nodes: self.nodes,
            services,
            api: self.api,
            wait_reports: session.connections.wait_reports(),
            keep_failed: session.keep_failed,
        }
    }
}

/// Looks at everything there is, at all nodes at once, then at etcd and the API at once.
///
/// # Errors
/// As [`first_look`].
pub(super) async fn look(
    session: &Session,
    purpose: Purpose,
    policy: UnreachablePolicy,
    reporter: &Arc<dyn Reporter>,
) -> Result<Seen, ObserveErrors> {
    let mut seen = first_look(session, purpose, policy, reporter).await?;
    let cluster = &session.cluster;
    let members = session.connections.etcd(cluster, &seen.nodes, &seen.authorities);
    let api = async {
        if seen.api.find(&seen.observed).await {
            seen.api.look_at_nodes(cluster).await.map(Some)
        } else {
            Ok(None)
        }
    };
    let (api, etcd) = tokio::join!(api, etcd::look(members, cluster, &seen.observed));
    (seen.observed.api, seen.observed.etcd) = (api?, etcd);
    Ok(seen)
}

/// Looks at the nodes only: their facts, and the authorities as the control planes hold them.
///
/// # Errors
/// One error for every node that could not be looked at, or that the control planes do not hold the same.
pub async fn first_look(
    session: &Session,
    purpose: Purpose,
    policy: UnreachablePolicy,
    reporter: &Arc<dyn Reporter>,
) -> Result<Seen, ObserveErrors> {
    let mut observed = Observed::default();
    let mut missing = Missing::default();
    let mut nodes = connect(session, purpose, policy, reporter, &mut missing).await?;
    let paths: BTreeMap<String, String> = pki::shared_secrets()
        .into_iter()
        .map(|(name, path)| (name.to_owned(), path.to_owned()))
        .collect();
    let open = by_name(&session.cluster, &nodes);
    let looks = every_node(&open, |name, node| {
        let paths = paths.clone();
        let holds_secrets = session
            .cluster
            .node(&name)
            .is_some_and(kubewright_core::spec::Node::is_control_plane);
        async move {
            let secrets = async {
                if holds_secrets {
                    node.read_secrets(paths).await
                } else {
                    Ok(BTreeMap::new())
                }
            };
            tokio::try_join!(node.facts(), secrets)
        }
    })
    .await;
    let looks = missing.sort(policy, looks)?;
    nodes.retain(|name, _| looks.contains_key(name));
    let is_bootstrapped = looks.values().any(|(facts, _)| facts.is_bootstrapped);
    let is_seen = |name: &str| looks.contains_key(name);
    observed.unreachable = missing.judge(policy, &session.cluster, is_bootstrapped, is_seen)?;
    let mut held: BTreeMap<NodeName, BTreeMap<String, Secret>> = BTreeMap::new();
    let mut certificates = BTreeMap::new();
    for (name, (facts, secrets)) in looks {
        if let Some(node) = session.cluster.node(&name).filter(|node| node.is_control_plane()) {
            let own = if is_bootstrapped {
                facts.authority_certificates.clone()
            } else {
                kept_certificates(&facts.authority_certificates, &secrets)
            };
            certificates.insert(node.name.clone(), own);
            held.insert(node.name.clone(), secrets);
        }
        observed.nodes.insert(name, seen(facts));
    }
    let (secrets, certificates) = (merge_secrets(&held)?, merge_certificates(&certificates)?);
    // A cluster that was formed cannot get its secrets again; one that was not takes up what an interrupted run left.
    let authorities = if is_bootstrapped {
        Authorities::from_secrets(secrets, &certificates)?
    } else {
        Authorities::complete(secrets, certificates, SystemTime::now())?
    };
    let authorities = Arc::new(authorities);
    let api = session.connections.api(&session.cluster, &nodes, &authorities);
    Ok(Seen {
        nodes,
        observed,
        authorities,
        api,
    })
}

/// What taking a cluster down works with: facts of every node, and no secret. A reset that was interrupted has removed
/// keys from some nodes or all, and must not miss them.
///
/// # Errors
/// One error for every node that could not be looked at.
pub async fn look_before_reset(
    session: &Session,
    purpose: Purpose,
    reporter: &Arc<dyn Reporter>,
) -> Result<Seen, ObserveErrors> {
    let policy = UnreachablePolicy::EveryNode;
    let mut observed = Observed::default();
    let mut missing = Missing::default();
    let mut nodes = connect(session, purpose, policy, reporter, &mut missing).await?;
    let open = by_name(&session.cluster, &nodes);
    let looks = every_node(&open, |_, node| async move { node.facts().await }).await;
    let looks = missing.sort(policy, looks)?;
    nodes.retain(|name, _| looks.contains_key(name));
    observed.nodes = looks
        .into_iter()
        .map(|(name, facts)| (name, seen(facts)))
        .collect();
    // Nodes ask for nothing while they are reset; these would open no door.
    let authorities = Arc::new(Authorities::generate(SystemTime::now())?);
    let api = session.connections.api(&session.cluster, &nodes, &authorities);
    Ok(Seen {
        nodes,
        observed,
        authorities,
        api,
    })
}

fn seen(facts: Facts) -> ObservedNode {
    ObservedNode {
        facts,
        differences: Vec::new(),
    }
}

/// Open connections by the names the file gives their nodes.
pub(super) fn by_name(cluster: &Cluster, nodes: &BTreeMap<String, Node>) -> BTreeMap<NodeName, Node> {
    let open = |spec: &SpecNode| Some((spec.name.clone(), nodes.get(spec.name.as_str())?.clone()));
    cluster.nodes.iter().filter_map(open).collect()
}

/// Opens a connection with every node at once.
async fn connect(
    session: &Session,
    purpose: Purpose,
    policy: UnreachablePolicy,
    reporter: &Arc<dyn Reporter>,
    missing: &mut Missing,
) -> Result<BTreeMap<String, Node>, ObserveErrors> {
    let connections: BTreeMap<NodeName, _> = session
        .cluster
        .nodes
        .iter()
        .map(|node| (node.name.clone(), session.transport(node)))
        .collect();
    // When one node belongs to a run that is alive, there is no point in waiting for another.
    let pointless = Arc::new(watch::Sender::new(false));
    let answers = every_node(&connections, |name, way| {
        let lock_wait = lock_wait(&name, reporter, pointless.subscribe());
        reporter.event(&Event::Node {
            node: name,
            doing: "connecting".to_owned(),
        });
        let introduction = session.introduction(purpose);
        let pointless = Arc::clone(&pointless);
        async move {
            let node = Node::connect_waiting(way.as_ref(), &introduction, lock_wait).await;
            if matches!(node, Err(NodeCallError::Locked { .. })) {
                pointless.send_replace(true);
            }
            node
        }
    })
    .await;
    missing.sort(policy, answers)
}
