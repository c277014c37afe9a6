//! What one invocation works with: the cluster file, the versions, the artifacts, the connections to the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubewright_core::catalogue::{Release, release};
use kubewright_core::check::Report;
use kubewright_core::errors::ErrorId;
use kubewright_core::spec::{Cluster, Node as SpecNode};
use kubewright_core::wire::LockHolder;
use tokio::sync::watch;

use crate::artifact::Store;
use crate::authority::Authorities;
use crate::check::{Watch, check};
use crate::cluster_api::{ClusterApi, KubernetesApi};
use crate::error::{Error, Kind};
use crate::etcd::{EtcdConnections, ThroughNodes};
use crate::execute::{Guards, WaitReports};
use crate::node::{Blobs, Introduction, LockWait, Node, Services, waiting_for};
use crate::random;
use crate::report::{Event, Reporter};
use crate::transport::{Agents, Ssh, SshSettings, Transport};

/// What the connections are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Only looking: no lock is taken.
    Read,
    /// Changing: every node's lock is held for as long as its connection lives.
    Change,
}

/// What one invocation works with.
pub struct Session {
    /// What cluster.yaml says.
    pub cluster: Cluster,
    /// The versions that belong together.
    pub release: Release,
    /// The directory of cluster.yaml: relative paths in it start here.
    pub directory: PathBuf,
    /// Binaries and images.
    pub store: Arc<Store>,
    /// The agents this program carries.
    pub agents: Agents,
    /// This run's id.
    pub run: String,
    /// Who runs it and from where.
    pub operator: String,
    /// The connections to the nodes and to the API.
    pub connections: Arc<dyn Connections>,
    /// A node that is not healthy after its change is left as it is, for somebody who wants to look at it.
    pub keep_failed: bool,
}

/// How the outside world is reached: over SSH in the program, inside this process in the simulated cluster.
pub trait Connections: Send + Sync {
    /// The way to a node.
    fn node(&self, session: &Session, node: &SpecNode) -> Arc<dyn Transport>;

    /// The way to the cluster's API, which is connected to when it is first needed.
    fn api(
        &self,
        cluster: &Cluster,
        nodes: &BTreeMap<String, Node>,
        authorities: &Arc<Authorities>,
    ) -> Arc<dyn ClusterApi>;

    /// The connections to the members of the cluster's etcd.
    fn etcd(
        &self,
        cluster: &Cluster,
        nodes: &BTreeMap<String, Node>,
        authorities: &Arc<Authorities>,
    ) -> Arc<dyn EtcdConnections>;

    /// When waits say why they last.
    fn wait_reports(&self) -> WaitReports {
        WaitReports::default()
    }

    /// Gives guards the times of the world they are asked about.
    fn pace(&self, guards: Guards) -> Guards {
        guards
    }
}

/// The connections of the real world: the operator's `ssh`, and API servers through connections with their nodes.
#[derive(Clone, Copy, Debug)]
pub struct OverSsh;

impl Connections for OverSsh {
    fn node(&self, session: &Session, node: &SpecNode) -> Arc<dyn Transport> {
        Arc::new(Ssh::new(
            SshSettings::of(&session.cluster, node, &session.directory),
            session.agents.clone(),
        ))
    }

    fn api(
        &self,
        cluster: &Cluster,
        nodes: &BTreeMap<String, Node>,
        authorities: &Arc<Authorities>,
    ) -> Arc<dyn ClusterApi> {
        Arc::new(KubernetesApi::new(
            cluster,
            nodes.clone(),
            Arc::clone(authorities),
        ))
    }

    fn etcd(
        &self,
        _: &Cluster,
        nodes: &BTreeMap<String, Node>,
        authorities: &Arc<Authorities>,
    ) -> Arc<dyn EtcdConnections> {
        Arc::new(ThroughNodes::new(nodes.clone(), Arc::clone(authorities)))
    }
}

impl Session {
    /// Prepares an invocation; talks to nobody yet.
    ///
    /// # Errors
    /// When the version is not in the catalogue or the artifact source cannot be used.
    pub fn new(cluster: Cluster, directory: &Path, agents: Agents) -> Result<Self, Error> {
        Self::with(
            cluster,
            directory,
            agents,
            Arc::new(Store::open_default()?),
            Arc::new(OverSsh),
        )
    }

    /// The same with a store and connections of one's own.
    ///
    /// # Errors
    /// When the version is not in the catalogue or there is no randomness to be had.
    pub fn with(
        cluster: Cluster,
        directory: &Path,
        agents: Agents,
        store: Arc<Store>,
        connections: Arc<dyn Connections>,
    ) -> Result<Self, Error> {
        let release = release(&cluster.kubernetes).ok_or_else(|| {
            Error::named(
                ErrorId::VersionUnknown,
                format!("Kubernetes {} is not in the catalogue", cluster.kubernetes),
            )
        })?;
        let id = random::bytes::<6>().map_err(|error| Error::caused(Kind::Bug, "name the run", &error))?;
        Ok(Self {
            cluster,
            release,
            directory: directory.to_path_buf(),
            store,
            agents,
            run: format!(
                "{:012x}",
                u64::from_be_bytes([0, 0, id[0], id[1], id[2], id[3], id[4], id[5]])
            ),
            operator: operator(),
            connections,
            keep_failed: false,
        })
    }

    /// The way to a node.
    pub(crate) fn transport(&self, node: &SpecNode) -> Arc<dyn Transport> {
        self.connections.node(self, node)
    }

    /// Opens a connection with one node.
    ///
    /// # Errors
    /// When it cannot be reached, or somebody else is working on it.
    pub async fn connect_to(
        &self,
        node: &SpecNode,
        purpose: Purpose,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<Node, Error> {
        let way = self.transport(node);
        let never = watch::Sender::new(false);
        let lock_wait = lock_wait(node.name.as_str(), reporter, never.subscribe());
        Ok(Node::connect_waiting(way.as_ref(), &self.introduction(purpose), lock_wait).await?)
    }

    /// Looks for what would make an apply fail.
    pub async fn check(&self, only: Option<&BTreeSet<String>>, watch: Watch<'_>) -> Report {
        let connections = self
            .cluster
            .nodes
            .iter()
            .map(|node| (node.name.to_string(), self.transport(node)));
        check(
            &self.cluster,
            &connections.collect(),
            &self.introduction(Purpose::Read),
            only,
            watch,
        )
        .await
    }

    /// How connections are opened.
    pub(crate) fn introduction(&self, purpose: Purpose) -> Introduction {
        Introduction {
            run: self.run.clone(),
            cluster: self.cluster.name.to_string(),
            operator: self.operator.clone(),
            lock: purpose == Purpose::Change,
        }
    }

    /// What is asked before a control plane is disturbed.
    pub fn guards(&self, nodes: &BTreeMap<String, Node>, authorities: &Arc<Authorities>) -> Guards {
        let etcd = self.connections.etcd(&self.cluster, nodes, authorities);
        self.connections.pace(Guards::new(&self.cluster, nodes, etcd))
    }

    /// Who answers what nodes ask for.
    pub(crate) fn services(&self, authorities: &Arc<Authorities>) -> Services {
        Services {
            authorities: Arc::clone(authorities),
            blobs: Arc::clone(&self.store) as Arc<dyn Blobs>,
        }
    }
}

/// Waits for the lock of a run that is gone, and tells for what, until it is pointless.
pub(crate) fn lock_wait(
    node: &str,
    reporter: &Arc<dyn Reporter>,
    pointless: watch::Receiver<bool>,
) -> LockWait {
    let (node, reporter) = (node.to_owned(), Arc::clone(reporter));
    let told = move |holder: &LockHolder| {
        reporter.event(&Event::Waiting {
            node: node.clone(),
            what: waiting_for(holder),
        });
    };
    LockWait::new(Arc::new(told), pointless)
}

/// `user@computer`, for locks and logs.
fn operator() -> String {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "unknown".to_owned());
    let computer = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!(
        "{user}@{}",
        if computer.trim().is_empty() {
            "unknown"
        } else {
            computer.trim()
        }
    )
}
