//! Why pods do not run: their containers' waiting reasons, their conditions and the events about them.
//!
//! Used while a wait takes long and after it ran out of time, so nothing here fails: what cannot be asked is said
//! instead.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt as _};
use kubewright_core::shown::sentence;
use kubewright_core::wire::last_word;
use tokio::time::timeout;

use super::client::ApiClient;
use super::failure::ApiFailure;

/// Explaining must not take as long as waiting did; at a usual server.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Pods explained and events shown per pod; the rest is counted.
const PODS_SHOWN: usize = 5;
const EVENTS_SHOWN: usize = 2;
/// Pods whose last words are read: those of one deployment die of the same cause.
const LOGS_READ: usize = 2;
/// Lines of a container's log that are read for its last word.
const LOG_LINES: i64 = 20;

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

/// Returns one line per pod that is not ready, its last word and what the events say about it.
pub(crate) async fn explain(client: &ApiClient, namespace: &str, labels: &str) -> Vec<String> {
    if labels.is_empty() {
        return Vec::new();
    }
    let limit = client.pace().bound(ANSWER_WITHIN);
    let (pods, events) = match timeout(limit, ask(client, namespace, labels)).await {
        Ok(Ok(found)) => found,
        Ok(Err(failure)) => return vec![format!("its pods could not be read: {failure}")],
        Err(_) => return vec!["its pods could not be read: no answer".to_owned()],
    };
    let words = last_words(client, namespace, &pods).await;
    describe(&pods, &words, &events)
}

async fn ask(
    client: &ApiClient,
    namespace: &str,
    labels: &str,
) -> Result<(Vec<Pod>, Vec<Event>), ApiFailure> {
    let pods: Api<Pod> = Api::namespaced(client.raw(), namespace);
    let events: Api<Event> = Api::namespaced(client.raw(), namespace);
    let pods = pods.list(&ListParams::default().labels(labels)).await?.items;
    let about_pods = ListParams::default().fields("involvedObject.kind=Pod,type=Warning");
    let events = events.list(&about_pods).await?.items;
    Ok((pods, events))
}

/// Reads what the containers of pods that are not ready wrote last, by pod. A log that cannot be read in time is left
/// out: it comes through the node's kubelet, and that may be what is down.
async fn last_words(client: &ApiClient, namespace: &str, pods: &[Pod]) -> BTreeMap<String, String> {
    let limit = client.pace().bound(ANSWER_WITHIN);
    let api: Api<Pod> = Api::namespaced(client.raw(), namespace);
    let unready = pods.iter().filter(|pod| !is_ready(pod));
    let begun = unready.filter_map(|pod| Some((pod.name_any(), troubled(pod)?)));
    let read = begun.take(LOGS_READ).map(|(name, container)| {
        let api = api.clone();
        async move {
            let wanted = LogParams {
                container: Some(container.name),
                previous: container.has_ended,
                tail_lines: Some(LOG_LINES),
                ..LogParams::default()
            };
            let log = timeout(limit, api.logs(&name, &wanted)).await.ok()?.ok()?;
            Some((name, last_word(log.lines())?.to_owned()))
        }
    });
    futures::future::join_all(read)
        .await
        .into_iter()
        .flatten()
        .collect()
}

/// A container that is not ready and has written something.
#[derive(Debug, PartialEq, Eq)]
struct Troubled {
    name: String,
    /// It waits to be started again: what is told is the word of the one before.
    has_ended: bool,
}

/// Returns the first container of a pod that is not ready, if it has ever begun.
fn troubled(pod: &Pod) -> Option<Troubled> {
    let status = pod.status.as_ref()?;
    let containers = status
        .init_container_statuses
        .iter()
        .chain(status.container_statuses.iter())
        .flatten();
    containers
        .filter(|container| !container.ready)
        .find_map(|container| {
            let state = container.state.as_ref()?;
            let has_ended = state.waiting.is_some();
            let is_over = state
                .terminated
                .as_ref()
                .is_some_and(|ended| ended.exit_code == 0);
            let has_begun = !has_ended || container.restart_count > 0;
            (has_begun && !is_over).then(|| Troubled {
                name: container.name.clone(),
                has_ended,
            })
        })
}

/// How often the containers of a pod were started again.
fn restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|container| container.restart_count).sum()
}

fn describe(pods: &[Pod], words: &BTreeMap<String, String>, events: &[Event]) -> Vec<String> {
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
        let mut line = format!("{}: {}", place(pod), reason(pod));
        if let restarts @ 1.. = restarts(pod) {
            let _ = write!(line, " (restarts: {restarts})");
        }
        lines.push(line);
        if let Some(word) = words.get(&pod.name_any()) {
            lines.push(format!("  its last line: {}", sentence(word)));
        }
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
            describe(&[pod], &BTreeMap::new(), &[event]),
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
        assert_eq!(describe(&[], &BTreeMap::new(), &[]), ["it has no pods"]);
    }

    #[test]
    fn a_container_that_ends_again_and_again_is_told_with_its_last_line() {
        let status = |state: serde_json::Value, restarts: i32| {
            pod(
                &json!({"phase": "Running", "containerStatuses": [{"name": "coredns", "ready": false,
                "restartCount": restarts, "image": "i", "imageID": "", "state": state}]}),
            )
        };
        let waits = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}});
        let looping = status(waits.clone(), 4);
        let words = BTreeMap::from([("p".to_owned(), "plugin/forward: no valid upstream".to_owned())]);
        assert_eq!(
            describe(std::slice::from_ref(&looping), &words, &[]),
            [
                "pod p on w-1: CrashLoopBackOff: back-off 40s (restarts: 4)",
                "  its last line: plugin/forward: no valid upstream"
            ]
        );
        let found = |has_ended| {
            Some(Troubled {
                name: "coredns".to_owned(),
                has_ended,
            })
        };
        assert_eq!(troubled(&looping), found(true));
        assert_eq!(troubled(&status(json!({"running": {}}), 0)), found(false));
        assert_eq!(
            troubled(&status(json!({"terminated": {"exitCode": 1}}), 0)),
            found(false)
        );
        // An image that is not there has no log.
        assert_eq!(troubled(&status(waits, 0)), None);
    }
}
