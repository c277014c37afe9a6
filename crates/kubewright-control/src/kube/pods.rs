//! Why pods do not run: their containers' waiting reasons, their conditions and the events about them.
//!
//! Used only after a wait ran out of time, so nothing here fails: what cannot be asked is said instead.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use tokio::time::timeout;

use super::failure::ApiFailure;

/// Explaining must not take as long as waiting did.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Pods explained and events shown per pod; the rest is counted.
const PODS_SHOWN: usize = 5;
const EVENTS_SHOWN: usize = 2;

/// Returns a deployment's pod selector as text, as in `k8s-app=kube-dns`.
pub(crate) fn selector(deployment: &Deployment) -> String {
    let labels = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.match_labels.as_ref());
    let pairs: Vec<_> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

/// Returns one line per pod that is not ready, and what the events say about it.
pub(crate) async fn explain(client: &Client, namespace: &str, labels: &str) -> Vec<String> {
    if labels.is_empty() {
        return Vec::new();
    }
    match timeout(ANSWER_WITHIN, ask(client, namespace, labels)).await {
        Ok(Ok((pods, events))) => describe(&pods, &events),
        Ok(Err(failure)) => vec![format!("its pods could not be read: {failure}")],
        Err(_) => vec!["its pods could not be read: no answer".to_owned()],
    }
}

async fn ask(client: &Client, namespace: &str, labels: &str) -> Result<(Vec<Pod>, Vec<Event>), ApiFailure> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let pods = pods.list(&ListParams::default().labels(labels)).await?.items;
    let about_pods = ListParams::default().fields("involvedObject.kind=Pod,type=Warning");
    let events = events.list(&about_pods).await?.items;
    Ok((pods, events))
}

fn describe(pods: &[Pod], events: &[Event]) -> Vec<String> {
    if pods.is_empty() {
        return vec!["it has no pods".to_owned()];
    }
    let mut latest = BTreeMap::<&str, Vec<&Event>>::new();
    for event in events {
        let pod = event.involved_object.name.as_deref().unwrap_or_default();
        latest.entry(pod).or_default().push(event);
    }
    let unready: Vec<_> = pods.iter().filter(|pod| !is_ready(pod)).collect();
    let mut lines = Vec::new();
    for pod in unready.iter().take(PODS_SHOWN) {
        lines.push(format!("{}: {}", place(pod), reason(pod)));
        let mut about = latest.remove(pod.name_any().as_str()).unwrap_or_default();
        about.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
        for event in about.iter().rev().take(EVENTS_SHOWN) {
            let reason = event.reason.as_deref().unwrap_or("event");
            let message = event.message.as_deref().unwrap_or_default();
            lines.push(format!(
                "  {reason}: {}",
                message.lines().next().unwrap_or_default()
            ));
        }
    }
    if unready.len() > PODS_SHOWN {
        lines.push(format!("and {} more pods", unready.len() - PODS_SHOWN));
    }
    lines
}

fn place(pod: &Pod) -> String {
    match pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
        Some(node) => format!("pod {} on {node}", pod.name_any()),
        None => format!("pod {}", pod.name_any()),
    }
}

/// Tells whether a pod is Ready and stays.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && pod
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref())
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Returns the reason and message of the first container that waits or ended, as in `ErrImagePull`.
pub(crate) fn waiting(pod: &Pod) -> Option<(String, String)> {
    let status = pod.status.as_ref()?;
    let containers = status
        .init_container_statuses
        .iter()
        .chain(status.container_statuses.iter())
        .flatten();
    containers
        .filter_map(|container| container.state.as_ref())
        .find_map(|state| {
            let (reason, message) = match (&state.waiting, &state.terminated) {
                (Some(waiting), _) => (waiting.reason.clone(), waiting.message.clone()),
                (None, Some(ended)) if ended.exit_code != 0 => (
                    ended.reason.clone(),
                    Some(
                        ended
                            .message
                            .clone()
                            .unwrap_or_else(|| format!("exit code {}", ended.exit_code)),
                    ),
                ),
                _ => return None,
            };
            Some((reason.unwrap_or_default(), message.unwrap_or_default()))
        })
}

/// Says in one line why a pod is not ready.
pub(crate) fn reason(pod: &Pod) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "is being deleted".to_owned();
    }
    let Some(status) = pod.status.as_ref() else {
        return "the scheduler has not seen it yet".to_owned();
    };
    let joined = |reason: &str, message: &str| match (reason, message.lines().next().unwrap_or_default()) {
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    };
    // Scheduling comes first: a pod without a node has no containers to tell about.
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status != "True");
    if let Some(condition) = unscheduled {
        return joined(
            condition.reason.as_deref().unwrap_or("not scheduled"),
            condition.message.as_deref().unwrap_or_default(),
        );
    }
    if let Some((reason, message)) = waiting(pod) {
        return joined(&reason, &message);
    }
    match (&status.reason, &status.message) {
        (Some(reason), message) => joined(reason, message.as_deref().unwrap_or_default()),
        (None, _) => format!(
            "{}, not ready",
            status.phase.as_deref().unwrap_or("Pending").to_lowercase()
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(
            json!({"metadata": {"name": "p"}, "spec": {"nodeName": "w-1", "containers": []}, "status": status}),
        )
        .unwrap()
    }

    #[test]
    fn a_waiting_container_gives_the_reason_and_the_events_follow() {
        let pod = pod(
            &json!({"phase": "Pending", "containerStatuses": [{"name": "c", "ready": false,
            "restartCount": 0, "image": "i", "imageID": "", "state": {"waiting": {"reason": "ErrImagePull",
            "message": "no such host\nmore"}}}]}),
        );
        let event: Event = serde_json::from_value(json!({"metadata": {"name": "e"}, "reason": "Failed",
            "message": "Failed to pull image", "involvedObject": {"kind": "Pod", "name": "p"}}))
        .unwrap();
        assert_eq!(
            describe(&[pod], &[event]),
            [
                "pod p on w-1: ErrImagePull: no such host",
                "  Failed: Failed to pull image"
            ]
        );
    }

    #[test]
    fn a_pod_without_a_node_says_what_the_scheduler_said() {
        let pod = pod(
            &json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available"}]}),
        );
        assert_eq!(reason(&pod), "Unschedulable: 0/3 nodes are available");
    }

    #[test]
    fn no_pods_is_said() {
        assert_eq!(describe(&[], &[]), ["it has no pods"]);
    }
}
