//! The smoke test's pods: one per node, started with the first image that can be had.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{AttachParams, DeleteParams};
use kube::{Api, ResourceExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use super::image::ProbeImage;
use super::{Scene, api_error, chain, count, objects};
use crate::kube::objects::apply_objects;
use crate::kube::pods;
use crate::kube::watch::{self, Selection, Verdict};

/// What a command in a pod may print.
const LONGEST_OUTPUT: u64 = 64 << 10;
/// Container states that mean that the image cannot be had.
const NO_IMAGE: &[&str] = &[
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
];

/// One of the smoke test's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbePod {
    /// Its name, which is what it answers.
    pub name: String,
    /// The node it runs on.
    pub node: String,
    /// Its address.
    pub address: IpAddr,
}

/// The pods, running.
pub(super) struct Fleet<'a> {
    pub(super) image: &'a ProbeImage,
    /// By the order of the nodes.
    pub(super) pods: Vec<ProbePod>,
    /// The service's address.
    pub(super) cluster_ip: IpAddr,
    /// The port of the service on every node.
    pub(super) node_port: u16,
}

enum Start {
    Running(Vec<ProbePod>),
    NoImage(String),
}

impl<'a> Fleet<'a> {
    /// Starts the pods and waits until one is ready on every node.
    pub(super) async fn start(scene: &Scene<'a>) -> Result<Self, String> {
        if scene.options.nodes.is_empty() {
            return Err("the cluster has no node to run pods on".to_owned());
        }
        let end = Instant::now() + scene.options.pods_limit;
        let services = objects::services(&scene.namespace);
        apply_objects(scene.client, &services).await.map_err(chain)?;
        let mut refused = Vec::new();
        for (attempt, image) in scene.options.images.iter().enumerate() {
            let is_last = attempt + 1 == scene.options.images.len();
            let daemon_set = objects::daemon_set(&scene.namespace, image, attempt);
            apply_objects(scene.client, &[daemon_set]).await.map_err(chain)?;
            match wait(scene, attempt, is_last, end).await? {
                Start::Running(pods) => {
                    let (cluster_ip, node_port) = service_address(scene).await?;
                    return Ok(Self {
                        image,
                        pods,
                        cluster_ip,
                        node_port,
                    });
                }
                Start::NoImage(reason) => {
                    refused.push(format!("{}: {reason}", image.reference));
                    let api: Api<DaemonSet> = Api::namespaced(scene.client.raw(), &scene.namespace);
                    let name = objects::daemon_set_name(attempt);
                    api.delete(&name, &DeleteParams::default())
                        .await
                        .map_err(api_error)?;
                }
            }
        }
        Err(format!("could not pull a test image: {}", refused.join("; ")))
    }

    /// Says what runs.
    pub(super) fn summary(&self) -> String {
        format!("{} of {}", count(self.pods.len(), "pod"), self.image.reference)
    }

    /// Finds the pod on a node.
    pub(super) fn on(&self, node: &str) -> Result<&ProbePod, String> {
        self.pods
            .iter()
            .find(|pod| pod.node == node)
            .ok_or_else(|| format!("no pod on {node}"))
    }

    /// Fetches the name of the pod that answers at `authority`, from inside a pod.
    pub(super) async fn name_at(
        &self,
        scene: &Scene<'_>,
        from: &ProbePod,
        authority: &str,
    ) -> Result<String, String> {
        let output = run_in(scene, &from.name, self.image.get_name(authority)).await;
        output
            .map(|name| name.trim().to_owned())
            .map_err(|error| format!("{} to {authority}: {error}", from.node))
    }

    /// Tells whether a name is one of the pods'.
    pub(super) fn has(&self, name: &str) -> bool {
        self.pods.iter().any(|pod| pod.name == name)
    }
}

async fn wait(scene: &Scene<'_>, attempt: usize, is_last: bool, end: Instant) -> Result<Start, String> {
    let selector = objects::selector(attempt);
    let names: Vec<&str> = scene
        .options
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    let waited = watch::until(&scene.pods(), &Selection::labelled(&selector), end, |pods| {
        judge(&names, pods, is_last)
    })
    .await;
    match waited {
        Ok(start) => Ok(start),
        Err(over) => {
            let mut lines = vec![over.last_seen];
            lines.extend(pods::explain(scene.client, &scene.namespace, &selector).await);
            Err(lines.join("\n  "))
        }
    }
}

fn judge(nodes: &[&str], pods: &BTreeMap<String, Pod>, is_last: bool) -> Verdict<Start> {
    let by_node: BTreeMap<&str, &Pod> = pods
        .values()
        .filter_map(|pod| Some((pod.spec.as_ref()?.node_name.as_deref()?, pod)))
        .collect();
    let mut running = Vec::new();
    let mut late = Vec::new();
    for node in nodes {
        match by_node.get(node) {
            None => late.push(format!("{node}: no pod")),
            Some(pod) => match address(pod).filter(|_| pods::is_ready(pod)) {
                Some(address) => running.push(ProbePod {
                    name: pod.name_any(),
                    node: (*node).to_owned(),
                    address,
                }),
                None => late.push(format!("{node}: {}", pods::reason(pod))),
            },
        }
    }
    if late.is_empty() {
        return Verdict::Done(Start::Running(running));
    }
    let no_image = by_node
        .values()
        .filter_map(|pod| pods::waiting(pod))
        .find(|(reason, _)| NO_IMAGE.contains(&reason.as_str()));
    match no_image {
        Some((_, message)) if !is_last => Verdict::Done(Start::NoImage(message)),
        _ => Verdict::Waiting(late.join("; ")),
    }
}

fn address(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

async fn service_address(scene: &Scene<'_>) -> Result<(IpAddr, u16), String> {
    let api: Api<Service> = Api::namespaced(scene.client.raw(), &scene.namespace);
    let spec = api
        .get(objects::SERVICE)
        .await
        .map_err(api_error)?
        .spec
        .unwrap_or_default();
    let address = spec
        .cluster_ip
        .as_deref()
        .and_then(|address| address.parse().ok());
    let port = spec.ports.iter().flatten().find_map(|port| port.node_port);
    match (address, port.and_then(|port| u16::try_from(port).ok())) {
        (Some(address), Some(port)) => Ok((address, port)),
        _ => Err("the service has no cluster IP".to_owned()),
    }
}

/// Returns the address of the API's own service, which DNS must know.
pub(super) async fn api_address(scene: &Scene<'_>) -> Result<IpAddr, String> {
    let api: Api<Service> = Api::namespaced(scene.client.raw(), "default");
    let spec = api
        .get("kubernetes")
        .await
        .map_err(api_error)?
        .spec
        .unwrap_or_default();
    let address = spec.cluster_ip.and_then(|address| address.parse().ok());
    Ok(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

/// Runs a command in a pod and returns what it printed; an error is what it complained about.
pub(super) async fn run_in(scene: &Scene<'_>, pod: &str, command: Vec<String>) -> Result<String, String> {
    let parameters = AttachParams::default().container(objects::CONTAINER).stderr(true);
    let mut process = scene
        .pods()
        .exec(pod, command, &parameters)
        .await
        .map_err(api_error)?;
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let status = process.take_status();
    let read = async |stream: Option<_>| {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            // A stream that breaks shows in the status, which then does not come.
            let _ = tokio::io::AsyncReadExt::take(stream, LONGEST_OUTPUT)
                .read_to_end(&mut bytes)
                .await;
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (output, complaint) = tokio::join!(read(stdout), read(stderr));
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    match status {
        Some(status) if status.status.as_deref() == Some("Success") => Ok(output),
        Some(status) if complaint.trim().is_empty() => Err(status.message.unwrap_or_default()),
        Some(_) => Err(complaint.trim().to_owned()),
        None => Err("the connection to the pod broke".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods(pods: &[(&str, serde_json::Value)]) -> BTreeMap<String, Pod> {
        pods.iter()
            .map(|(node, status)| {
                let pod = json!({"metadata": {"name": format!("probe-{node}")},
                    "spec": {"nodeName": node, "containers": []}, "status": status});
                ((*node).to_owned(), serde_json::from_value(pod).unwrap())
            })
            .collect()
    }

    fn ready(address: &str) -> serde_json::Value {
        json!({"podIP": address, "conditions": [{"type": "Ready", "status": "True"}]})
    }

    fn without_image() -> serde_json::Value {
        json!({"phase": "Pending", "containerStatuses": [{"name": "probe", "ready": false, "restartCount": 0,
            "image": "i", "imageID": "", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}}]})
    }

    #[test]
    fn a_pod_on_every_node_is_enough() {
        let pods = pods(&[
            ("a", ready("10.0.0.1")),
            ("b", ready("10.0.1.1")),
            ("other", json!({})),
        ]);
        let Verdict::Done(Start::Running(pods)) = judge(&["b", "a"], &pods, true) else {
            panic!("not running");
        };
        assert_eq!(
            pods.iter().map(|pod| pod.node.as_str()).collect::<Vec<_>>(),
            ["b", "a"]
        );
    }

    #[test]
    fn each_late_node_is_named_with_its_reason() {
        let pods = pods(&[("a", ready("10.0.0.1")), ("b", without_image())]);
        let Verdict::Waiting(seen) = judge(&["a", "b", "c"], &pods, true) else {
            panic!("not waiting");
        };
        assert_eq!(seen, "b: ErrImagePull: no such host; c: no pod");
    }

    #[test]
    fn an_image_that_cannot_be_had_gives_way_to_the_next() {
        let pods = pods(&[("a", without_image())]);
        let verdict = judge(&["a"], &pods, false);
        assert!(matches!(verdict, Verdict::Done(Start::NoImage(reason)) if reason == "no such host"));
    }
}
