//! Proves that a cluster works, by doing in it what its users will do.
//!
//! One small pod per node, a service in front of them and a Secret, in a namespace of their own that is removed at the
//! end whatever happened. Every check has a bound, says what it saw, and does not keep the others from being tried. What
//! has to be seen from a node's own side (a NodePort, etcd's raw bytes, the node-local proxy) goes through
//! [`NodeAccess`], which the caller provides.

mod fleet;
mod http;
mod image;
mod names;
mod network;
mod nodes;
mod objects;
mod proxy;
mod secret;
mod streams;

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join, join_all};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::DeleteParams;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout_at};

pub use fleet::ProbePod;
pub use image::ProbeImage;
pub use nodes::Nodes;

use crate::kube::client::ApiClient;
use crate::kube::failure::ApiFailure;
use crate::kube::objects::apply_objects;
use crate::kube::watch::{self, Selection, Verdict};
use crate::random;
use fleet::Fleet;

/// How long one check may take once the pods run; this and other limits are for usual servers.
const CHECK_LIMIT: Duration = Duration::from_secs(30);
/// How long the namespace may take to be gone.
const CLEANUP_LIMIT: Duration = Duration::from_secs(60);
/// What the rules of a service take to reach a node cannot be watched: how often is tried.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// A stream to a port somewhere.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What can only be seen from a node's own side. Errors are sentences for people.
pub trait NodeAccess: Send + Sync {
    /// Connects to an address as a process on `node` would.
    fn connect<'a>(
        &'a self,
        node: &'a str,
        address: SocketAddr,
    ) -> BoxFuture<'a, Result<Box<dyn Stream>, String>>;

    /// Reads the raw bytes etcd holds under a key; `None` when there is no such key.
    fn etcd_value<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>>;

    /// Kills the node-local proxy's process on `node`, hard.
    fn kill_proxy<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), String>>;

    /// Tells whether the API answers through the proxy of `node`; an error says why it does not.
    fn proxy_answers<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), String>>;
}

/// A node that takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmokeNode {
    /// Its name.
    pub name: String,
    /// Its address, where NodePorts answer.
    pub address: IpAddr,
    /// Whether it is a control plane.
    pub is_control_plane: bool,
}

/// What is proven, and with what.
#[derive(Debug, Clone)]
pub struct SmokeOptions {
    /// Nodes that must take part, all of them Ready.
    pub nodes: Vec<SmokeNode>,
    /// Images to run, the first that can be had.
    pub images: Vec<ProbeImage>,
    /// The cluster's DNS domain, as in `cluster.local`.
    pub domain: String,
    /// What a Secret's value in etcd begins with, as in `k8s:enc:secretbox:v1:`; `None` when it is not encrypted.
    pub encryption_prefix: Option<String>,
    /// How long the pods may take to run, pulling their image included.
    pub pods_limit: Duration,
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckResult {
    /// What was checked.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// What was seen, or what went wrong.
    pub detail: String,
    /// How long it took.
    pub seconds: f64,
}

/// What happens while it happens.
#[derive(Debug, Clone, Copy)]
pub enum SmokeEvent<'a> {
    /// A check begins.
    Started {
        /// Its name.
        check: &'a str,
    },
    /// A check is over.
    Finished(&'a CheckResult),
}

/// Is told what happens.
pub type Reporter<'a> = &'a (dyn for<'b> Fn(SmokeEvent<'b>) + Send + Sync);

/// What a check yields: what was seen, or what went wrong.
type Checked = Result<String, String>;

/// What every check needs.
struct Scene<'a> {
    client: &'a ApiClient,
    options: &'a SmokeOptions,
    access: &'a dyn NodeAccess,
    reporter: Reporter<'a>,
    namespace: String,
}

impl Scene<'_> {
    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.raw(), &self.namespace)
    }

    /// One control plane and one worker, as far as there are both.
    fn one_of_each(&self) -> Vec<&SmokeNode> {
        let nodes = &self.options.nodes;
        let control_plane = nodes.iter().find(|node| node.is_control_plane);
        let worker = nodes.iter().find(|node| !node.is_control_plane);
        control_plane.into_iter().chain(worker).collect()
    }

    async fn check(&self, name: &str, limit: Duration, check: impl Future<Output = Checked>) -> CheckResult {
        (self.reporter)(SmokeEvent::Started { check: name });
        let limit = self.client.pace().bound(limit);
        let started = Instant::now();
        let outcome = match tokio::time::timeout(limit, check).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("not finished within {} s", limit.as_secs())),
        };
        let (ok, detail) = match outcome {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        let result = CheckResult {
            name: name.to_owned(),
            ok,
            detail,
            seconds: started.elapsed().as_secs_f64(),
        };
        (self.reporter)(SmokeEvent::Finished(&result));
        result
    }
}

/// Runs all checks and cleans up; the results come in a fixed order, the events as things happen.
///
/// When `stop` completes first, the checks under way are given up and the namespace is removed all the same. Only a
/// future that is dropped leaves it behind; its label `kubewright.io/smoke` tells what it is.
pub async fn run(
    client: &ApiClient,
    options: &SmokeOptions,
    access: &dyn NodeAccess,
    reporter: Reporter<'_>,
    stop: impl Future<Output = ()>,
) -> Vec<CheckResult> {
    let scene = Scene {
        client,
        options,
        access,
        reporter,
        namespace: objects::namespace_name(random::bytes::<4>().unwrap_or_default()),
    };
    let mut results = tokio::select! {
        results = checks(&scene) => results,
        () = stop => {
            let given_up = async { Err("interrupted".to_owned()) };
            vec![scene.check("interrupted", CHECK_LIMIT, given_up).await]
        }
    };
    results.push(scene.check("cleanup", CLEANUP_LIMIT, clean_up(&scene)).await);
    results
}

async fn checks(scene: &Scene<'_>) -> Vec<CheckResult> {
    let prepared = scene.check("namespace", CHECK_LIMIT, prepare(scene)).await;
    if !prepared.ok {
        return vec![prepared];
    }
    let mut results = vec![prepared];
    let (in_pods, secret) = join(pod_checks(scene), secret_check(scene)).await;
    results.extend(in_pods);
    results.extend(secret);
    // Last, because connections through the proxy break for a moment.
    results.push(
        scene
            .check("node-local proxy", CHECK_LIMIT, proxy::comes_back(scene))
            .await,
    );
    results
}

async fn prepare(scene: &Scene<'_>) -> Checked {
    let namespace = objects::namespace(&scene.namespace);
    apply_objects(scene.client, &[namespace]).await.map_err(chain)?;
    Ok(scene.namespace.clone())
}

async fn secret_check(scene: &Scene<'_>) -> Option<CheckResult> {
    let prefix = scene.options.encryption_prefix.as_deref()?;
    Some(
        scene
            .check(
                "encryption at rest",
                CHECK_LIMIT,
                secret::is_encrypted(scene, prefix),
            )
            .await,
    )
}

async fn pod_checks(scene: &Scene<'_>) -> Vec<CheckResult> {
    let mut fleet = None;
    let start = async {
        let started = Fleet::start(scene).await?;
        let seen = started.summary();
        fleet = Some(started);
        Ok(seen)
    };
    // The fleet keeps to its own limit and then says more than that time is over.
    let limit = scene.options.pods_limit + CHECK_LIMIT;
    let mut results = vec![scene.check("pods on every node", limit, start).await];
    let Some(fleet) = &fleet else {
        return results;
    };
    let checks: Vec<(&str, BoxFuture<'_, Checked>)> = vec![
        ("pod to pod", Box::pin(network::all_pairs(scene, fleet))),
        ("cluster ip", Box::pin(network::cluster_ip(scene, fleet))),
        ("node port", Box::pin(network::node_port(scene, fleet))),
        ("dns", Box::pin(names::through_search_path(scene, fleet))),
        ("headless service", Box::pin(names::headless(scene, fleet))),
        ("exec", Box::pin(streams::exec_in_pods(scene, fleet))),
        ("logs", Box::pin(streams::logs(scene, fleet))),
        ("port-forward", Box::pin(streams::port_forward(scene, fleet))),
    ];
    let running = checks
        .into_iter()
        .map(|(name, check)| scene.check(name, CHECK_LIMIT, check));
    results.extend(join_all(running).await);
    results
}

async fn clean_up(scene: &Scene<'_>) -> Checked {
    let api: Api<Namespace> = Api::all(scene.client.raw());
    let deleted = scene
        .client
        .policy()
        .run(|| async {
            match api.delete(&scene.namespace, &DeleteParams::default()).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await;
    if let Err(error) = deleted {
        return Err(format!(
            "namespace {} is still there: {error}; delete it with `kubectl delete namespace {}`",
            scene.namespace, scene.namespace
        ));
    }
    // A little less than the check's own limit, to be able to say what the namespace waits for.
    let limit = scene.client.pace().bound(CLEANUP_LIMIT);
    let end = tokio::time::Instant::now() + limit.saturating_sub(Duration::from_secs(5));
    watch::until(&api, &Selection::named(&scene.namespace), end, |namespaces| {
        let Some(namespace) = namespaces.values().next() else {
            return Verdict::Done(());
        };
        let conditions = namespace
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        let said: Vec<_> = conditions
            .into_iter()
            .flatten()
            .filter(|condition| condition.status == "True")
            .filter_map(|condition| condition.message.clone())
            .collect();
        Verdict::Waiting(if said.is_empty() {
            "it is being deleted".to_owned()
        } else {
            said.join("; ")
        })
    })
    .await
    .map_err(|over| {
        format!(
            "namespace {} is still being deleted: {}",
            scene.namespace, over.last_seen
        )
    })?;
    Ok(format!("namespace {} is removed", scene.namespace))
}

/// Tries until it succeeds; the check's limit ends it, so the last error is remembered by trying until just before.
async fn eventually<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, String>>,
{
    let end = Instant::now() + CHECK_LIMIT.saturating_sub(Duration::from_secs(5));
    let mut last = None;
    loop {
        let error = match timeout_at(end.into(), attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => return Err(last.unwrap_or_else(|| "no attempt finished".to_owned())),
        };
        if Instant::now() + TRY_EVERY >= end {
            return Err(error);
        }
        last = Some(error);
        sleep(TRY_EVERY).await;
    }
}

fn api_error(error: kube::Error) -> String {
    ApiFailure::from(error).to_string()
}

fn chain(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Writes `1 pod`, `2 pods`.
fn count(number: usize, of: impl Display) -> String {
    if number == 1 {
        format!("1 {of}")
    } else {
        format!("{number} {of}s")
    }
}
