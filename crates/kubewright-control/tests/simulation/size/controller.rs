//! The controller as a process of its own: looks and plans as `kubewright apply` does, and tells what it needed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use kubewright_control::authority::Authorities;
use kubewright_control::cluster_api::ClusterApi;
use kubewright_control::etcd::EtcdConnections;
use kubewright_control::node::Node;
use kubewright_control::observe::{ObserveErrors, UnreachablePolicy, observe};
use kubewright_control::report::{Reporter, Silent};
use kubewright_control::session::{Connections, Purpose, Session};
use kubewright_control::transport::{Ssh, SshSettings, Transport, allow_many_channels};
use kubewright_core::plan::plan_apply;
use kubewright_core::spec::{Cluster, Node as SpecNode};
use serde::{Deserialize, Serialize};

use super::super::fixture::Fixture;
use super::still::{Members, Still};

/// The file with what the API has, in the directory of the connections.
pub(super) const API: &str = "api.json";

/// What a controller needed for a look and a plan.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Needed {
    pub(super) changes: usize,
    pub(super) seconds: f64,
    pub(super) processor_seconds: f64,
    /// The most of its memory that was ever resident, its program included.
    pub(super) peak_mib: f64,
    /// Open while it talks with all nodes.
    pub(super) descriptors: usize,
}

/// The process: tells on standard output what it needed, or what went wrong.
pub(crate) fn control(connections: &str, nodes: &str) {
    let fixture = Fixture::new();
    let cluster = super::cluster(&fixture, nodes.parse().unwrap());
    allow_many_channels();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let needed = runtime.block_on(perform(&fixture, cluster, Path::new(connections)));
    println!("{}", serde_json::to_string(&needed).unwrap());
}

async fn perform(fixture: &Fixture, cluster: Cluster, connections: &Path) -> Result<Needed, String> {
    let (began, processor) = (Instant::now(), processor_seconds());
    let session = Session::with(
        cluster,
        fixture.path(),
        fixture.agents.clone(),
        Arc::clone(&fixture.store),
        Arc::new(ThroughPipes(connections.to_owned())),
    )
    .map_err(|error| error.to_string())?;
    let reporter: Arc<dyn Reporter> = Arc::new(Silent);
    let told = |ObserveErrors(errors): ObserveErrors| {
        let errors: Vec<String> = errors.iter().take(5).map(ToString::to_string).collect();
        errors.join("; ")
    };
    let policy = UnreachablePolicy::EveryNode;
    let observation = observe(&session, Purpose::Change, policy, false, &reporter)
        .await
        .map_err(told)?;
    let plan = plan_apply(
        &session.cluster,
        &observation.desired.states,
        &observation.desired.object_names(),
        &observation.observed,
    )
    .map_err(|refusal| refusal.to_string())?;
    Ok(Needed {
        changes: plan.changes(),
        seconds: began.elapsed().as_secs_f64(),
        processor_seconds: processor_seconds() - processor,
        peak_mib: peak_mib(),
        descriptors: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
    })
}

/// `VmHWM` of proc(5).
fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}

/// `utime` and `stime` of proc(5), whose unit is a hundredth of a second to every program.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// The real connections, but for the program that is `ssh` and what the API is.
struct ThroughPipes(PathBuf);

impl Connections for ThroughPipes {
    fn node(&self, session: &Session, node: &SpecNode) -> Arc<dyn Transport> {
        let settings = SshSettings::of(&session.cluster, node, &session.directory);
        Arc::new(Ssh::new(settings, session.agents.clone()).with_program(self.0.join("ssh")))
    }

    fn api(&self, _: &Cluster, _: &BTreeMap<String, Node>, _: &Arc<Authorities>) -> Arc<dyn ClusterApi> {
        let present = fs::read(self.0.join(API)).unwrap();
        Arc::new(Still::with(serde_json::from_slice(&present).unwrap()))
    }

    fn etcd(
        &self,
        cluster: &Cluster,
        _: &BTreeMap<String, Node>,
        _: &Arc<Authorities>,
    ) -> Arc<dyn EtcdConnections> {
        Arc::new(Members::of(cluster))
    }
}
