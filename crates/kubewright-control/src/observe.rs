//! Looks at everything before anything is planned: nodes, secrets, API, etcd's members, and how all of it differs from
//! cluster.yaml.
//!
//! Two exchanges with every node, all nodes at once: who are you and what do you hold; then, with the desired states
//! rendered from the answers, how do you differ. etcd and the API are asked meanwhile. What an operator's machine keeps from earlier runs is never asked.

mod comparable;
mod every_node;
mod unreachable;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use kubewright_core::catalogue::Platform;
use kubewright_core::errors::ErrorId;
use kubewright_core::manifest::{manifests, node_objects};
use kubewright_core::observed::{Facts, Observed, ObservedNode};
use kubewright_core::pki;
use kubewright_core::plan::{MadeFrom, Sources, allocate_pod_ranges};
use kubewright_core::render::{NodePlatform, RenderContext, render};
use kubewright_core::resource::NodeState;
use kubewright_core::secret::Secret;
use kubewright_core::spec::{Cluster, Node as SpecNode, NodeName};
use tokio::sync::watch;

use crate::addon;
use crate::artifact::{Fetching, Wanted};
use crate::authority::{Authorities, kept_certificates, merge_certificates, merge_secrets};
use crate::cluster_api::ClusterApi;
use crate::error::{Error, Kind};
use crate::execute::RunContext;
use crate::membership;
use crate::node::{Node, NodeCallError};
use crate::report::{Event, Reporter};
pub use crate::session::UnreachablePolicy;
use crate::session::{Purpose, Session, lock_wait};
use comparable::Comparable;
use every_node::every_node;

/// Everything that was seen, and the open connections it was seen through.
pub struct Observation {
    /// What was seen.
    pub observed: Observed,
    /// What every node is to have.
    pub states: BTreeMap<String, NodeState>,
    /// Names of all objects the cluster is to have.
    pub objects: Vec<String>,
    /// Connections and API, for the run that may follow.
    pub run_context: Arc<RunContext>,
    /// The API, for commands that talk to it.
    pub api: Arc<dyn ClusterApi>,
    /// The cluster's authorities, new ones if there were none.
    pub authorities: Arc<Authorities>,
    /// What the nodes and the cluster are to have, as far as it is the same at every look.
    comparable: Comparable,
}

impl Observation {
    /// Everything a plan is made from, for one that is saved.
    pub fn made_from(&self, session: &Session) -> MadeFrom {
        MadeFrom::of(&Sources {
            cluster: &session.cluster,
            release: &session.release,
            states: self.comparable.states.as_ref().unwrap_or(&self.states),
            objects: &self.comparable.objects,
            observed: &self.observed,
        })
    }
}

/// Why not everything could be seen: one error per node.
#[derive(Debug)]
pub struct ObserveErrors(pub Vec<Error>);

impl<E: Into<Error>> From<E> for ObserveErrors {
    fn from(error: E) -> Self {
        Self(vec![error.into()])
    }
}

/// What a first look shows: who the nodes are, and whose authority they live under.
pub struct FirstLook {
    /// Open connections, by node.
    pub nodes: BTreeMap<String, Node>,
    /// Facts of every node.
    pub observed: Observed,
    /// The cluster's authorities, new ones if there were none.
    pub authorities: Arc<Authorities>,
    /// The cluster's API, not connected to yet.
    pub api: Arc<dyn ClusterApi>,
}

impl FirstLook {
    /// What a run works with that needs no more than a first look.
    pub fn into_run_context(self, session: &Session) -> RunContext {
        let services = session.services(&self.authorities);
        let guards = session.guards(&self.nodes, &self.authorities);
        RunContext {
            nodes: self.nodes,
            services,
            api: self.api,
            guards,
        }
    }
}

/// Looks at the whole cluster.
///
/// # Errors
/// One error for every node that could not be looked at.
pub async fn observe(
    session: &Session,
    purpose: Purpose,
    verify: bool,
    reporter: &Arc<dyn Reporter>,
) -> Result<Observation, ObserveErrors> {
    let cluster = &session.cluster;
    let FirstLook {
        nodes,
        mut observed,
        authorities,
        api,
    } = first_look(session, purpose, reporter).await?;
    if api.find(&observed).await {
        observed.api = Some(api.look_at_nodes(cluster).await?);
    }
    let pod_cidrs = allocate_pod_ranges(cluster, &observed)?;
    let platforms = platforms(&observed)?;
    let wanted = Wanted {
        cluster,
        release: &session.release,
        platforms: &platforms.values().map(|platform| platform.platform).collect(),
        directory: &session.directory,
        fetching: fetching(reporter),
    };
    let artifacts = session.store.resolve(&wanted).await?;
    let context = RenderContext {
        cluster,
        release: &session.release,
        platforms: &platforms,
        pod_cidrs: &pod_cidrs,
        authorities: &authorities.certificates(),
        service_account_public_key: authorities.service_account_public(),
        secrets: &authorities.digests(),
        artifacts: &artifacts,
        agents: &session.store.add_agents(&session.agents),
        etcd_bootstrap: !observed.is_bootstrapped(),
    };
    let states = Arc::new(render_nodes(&context).await?);
    let addons = addon::objects(cluster, &session.directory)?;
    let comparable = Comparable::of(&context, &authorities, &addons).await?;
    let mut objects = manifests(&context);
    objects.extend(addons);
    api.set_desired(objects, node_objects(&context))?;
    let open = by_name(cluster, &nodes);
    let inspections = every_node(&open, |name, node| {
        let states = Arc::clone(&states);
        reporter.event(&Event::Node {
            node: name.clone(),
            doing: "looking".to_owned(),
        });
        async move {
            match states.get(&name) {
                Some(state) => node.inspect(state, verify).await,
                None => node.inspect(&NodeState::default(), verify).await,
            }
        }
    });
    let connections = session.connections.etcd(cluster, &nodes, &authorities);
    let before = observed.api.take();
    let (inspections, seen, etcd) = tokio::join!(
        inspections,
        api.compare(before),
        membership::look(connections, cluster, &observed)
    );
    observed.etcd = etcd;
    let inspections = session
        .unreachable_policy
        .accept(cluster, inspections, &mut observed.unreachable)?;
    for (name, inspection) in inspections {
        if let Some(node) = observed.nodes.get_mut(&name) {
            node.differences = inspection.differences;
        }
    }
    for name in observed.unreachable.keys() {
        observed.nodes.remove(name);
    }
    observed.api = seen?;
    let services = session.services(&authorities);
    Ok(Observation {
        observed,
        states: Arc::unwrap_or_clone(states),
        objects: api.object_names(),
        run_context: Arc::new(RunContext {
            guards: session.guards(&nodes, &authorities),
            nodes,
            services,
            api: Arc::clone(&api),
        }),
        api,
        authorities,
        comparable,
    })
}

/// Works out what every node is to have. The connections go on between one node and the next, also where there is but
/// one thread for everything: agents give up a controller that is silent.
async fn render_nodes(context: &RenderContext<'_>) -> Result<BTreeMap<String, NodeState>, Error> {
    let mut states = BTreeMap::new();
    for node in &context.cluster.nodes {
        let state = render(context, node.name.as_str())
            .map_err(|error| Error::caused(Kind::User, "work out what the node is to have", &error))?;
        states.insert(node.name.to_string(), state);
        tokio::task::yield_now().await;
    }
    Ok(states)
}

/// Open connections by the names the file gives their nodes.
fn by_name(cluster: &Cluster, nodes: &BTreeMap<String, Node>) -> BTreeMap<NodeName, Node> {
    let open = |spec: &SpecNode| Some((spec.name.clone(), nodes.get(spec.name.as_str())?.clone()));
    cluster.nodes.iter().filter_map(open).collect()
}

/// Opens a connection with every node at once; whoever cannot be reached and may be lacked is added to `absent`.
async fn connect(
    session: &Session,
    purpose: Purpose,
    reporter: &Arc<dyn Reporter>,
    absent: &mut BTreeMap<String, String>,
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
    session
        .unreachable_policy
        .accept(&session.cluster, answers, absent)
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
) -> Result<FirstLook, ObserveErrors> {
    let mut observed = Observed::default();
    let mut nodes = connect(session, purpose, reporter, &mut observed.unreachable).await?;
    let open = by_name(&session.cluster, &nodes);
    let looks = every_node(&open, |_, node| async move { node.facts().await }).await;
    let looks = session
        .unreachable_policy
        .accept(&session.cluster, looks, &mut observed.unreachable)?;
    nodes.retain(|name, _| looks.contains_key(name));
    observed.nodes = looks
        .into_iter()
        .map(|(name, facts)| (name, seen(facts)))
        .collect();
    // Nodes ask for nothing while they are reset; these would open no door.
    let authorities = Arc::new(Authorities::generate(SystemTime::now())?);
    let api = session.connections.api(&session.cluster, &nodes, &authorities);
    Ok(FirstLook {
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

/// Facts of every node, and the authorities as the control planes hold them.
///
/// # Errors
/// One error for every node that could not be looked at, or that the control planes do not hold the same.
pub async fn first_look(
    session: &Session,
    purpose: Purpose,
    reporter: &Arc<dyn Reporter>,
) -> Result<FirstLook, ObserveErrors> {
    let mut observed = Observed::default();
    let mut nodes = connect(session, purpose, reporter, &mut observed.unreachable).await?;
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
    let looks = session
        .unreachable_policy
        .accept(&session.cluster, looks, &mut observed.unreachable)?;
    nodes.retain(|name, _| looks.contains_key(name));
    let mut held: BTreeMap<NodeName, BTreeMap<String, Secret>> = BTreeMap::new();
    let mut certificates = BTreeMap::new();
    let is_bootstrapped = looks.values().any(|(facts, _)| facts.is_bootstrapped);
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
    Ok(FirstLook {
        nodes,
        observed,
        authorities,
        api,
    })
}

fn platforms(observed: &Observed) -> Result<BTreeMap<String, NodePlatform>, Error> {
    observed
        .nodes
        .iter()
        .map(|(name, node)| Ok((name.clone(), platform(name, &node.facts)?)))
        .collect()
}

fn platform(node: &str, facts: &Facts) -> Result<NodePlatform, Error> {
    let platform = Platform::from_machine(&facts.architecture).ok_or_else(|| {
        Error::named(
            ErrorId::AgentMissing,
            format!("processor {:?} is not supported", facts.architecture),
        )
        .on(node)
        .hint("kubewright runs on amd64 and arm64")
    })?;
    Ok(NodePlatform {
        platform,
        cgroup_version: facts.cgroup_version,
    })
}

/// Passes on how downloads go.
fn fetching(reporter: &Arc<dyn Reporter>) -> Fetching {
    let reporter = Arc::clone(reporter);
    Arc::new(move |what, bytes, of| {
        let doing = match of {
            Some(of) => format!("fetching {what}, {} of {} MiB", bytes >> 20, of >> 20),
            None => format!("fetching {what}, {} MiB", bytes >> 20),
        };
        reporter.event(&Event::Node {
            node: "artifacts".to_owned(),
            doing,
        });
    })
}
