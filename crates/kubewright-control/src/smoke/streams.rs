//! What people do to a pod through the API: run a command in it, read its log, forward a port.
//!
//! These go from the API server to the kubelet, by other certificates than everything else.

use kube::api::LogParams;

use super::fleet::{Fleet, ProbePod};
use super::image::{PORT, ProbeImage};
use super::{Checked, Scene, api_error, eventually, http, objects};

/// The pods on one control plane and one worker.
fn chosen<'f>(scene: &Scene<'_>, fleet: &'f Fleet<'_>) -> Result<Vec<&'f ProbePod>, String> {
    scene
        .one_of_each()
        .into_iter()
        .map(|node| fleet.on(&node.name))
        .collect()
}

fn places(pods: &[&ProbePod]) -> String {
    let nodes: Vec<_> = pods.iter().map(|pod| pod.node.as_str()).collect();
    format!("in pods on {}", nodes.join(" and "))
}

/// Runs a command that asks the pod for its own name.
pub(super) async fn exec_in_pods(scene: &Scene<'_>, fleet: &Fleet<'_>) -> Checked {
    let pods = chosen(scene, fleet)?;
    for pod in &pods {
        let name = fleet.name_at(scene, pod, &format!("127.0.0.1:{PORT}")).await?;
        if name != pod.name {
            return Err(format!(
                "a command on {} printed `{name}` instead of {}",
                pod.node, pod.name
            ));
        }
    }
    Ok(places(&pods))
}

/// Reads the line each server prints when it starts.
pub(super) async fn logs(scene: &Scene<'_>, fleet: &Fleet<'_>) -> Checked {
    let pods = chosen(scene, fleet)?;
    let expected = ProbeImage::log_line();
    let parameters = LogParams {
        container: Some(objects::CONTAINER.to_owned()),
        limit_bytes: Some(64 << 10),
        ..LogParams::default()
    };
    for pod in &pods {
        // The runtime writes the log, the kubelet reads it: a line may be a moment late.
        eventually(|| async {
            let log = scene
                .pods()
                .logs(&pod.name, &parameters)
                .await
                .map_err(|error| format!("{}: {}", pod.node, api_error(error)))?;
            if log.contains(&expected) {
                Ok(())
            } else {
                Err(format!("the log on {} does not say `{expected}`", pod.node))
            }
        })
        .await?;
    }
    Ok(places(&pods))
}

/// Asks each pod for its name through a forwarded port.
pub(super) async fn port_forward(scene: &Scene<'_>, fleet: &Fleet<'_>) -> Checked {
    let pods = chosen(scene, fleet)?;
    for pod in &pods {
        let mut forwarder = scene
            .pods()
            .portforward(&pod.name, &[PORT])
            .await
            .map_err(|error| format!("{}: {}", pod.node, api_error(error)))?;
        let stream = forwarder
            .take_stream(PORT)
            .ok_or_else(|| format!("no stream to the pod on {}", pod.node))?;
        let answer = http::get(stream, "localhost", fleet.image.name_path()).await;
        forwarder.abort();
        let name = answer.map_err(|error| format!("{}: {error}", pod.node))?;
        if name != pod.name {
            return Err(format!(
                "`{name}` answered on {} instead of {}",
                pod.node, pod.name
            ));
        }
    }
    Ok(places(&pods))
}
