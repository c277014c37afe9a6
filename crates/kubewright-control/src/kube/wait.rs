//! Named conditions of a cluster: wait until they hold, or say what was last seen.
//!
//! Every wait has a bound and is told of changes by the server. When time runs out the error carries what a person
//! would look up next: the condition of each node, why a deployment's pods do not start and what the events say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use tokio::time::Instant;

use super::client::ApiClient;
use super::failure::ApiFailure;
use super::nodes::readiness;
use super::pods;
use super::retry::RequestError;
use super::watch::{self, Selection, TimeOver, Verdict};

/// A condition that did not come true in time.
// The last seen state is the hint: it names the node or pod and the reason.
#[derive(Debug, thiserror::Error)]
#[error("waited {} s until {condition}; last seen: {last_seen}", .waited.as_secs())]
pub struct WaitTimedOut {
    /// What was waited for, as in `3 nodes are Ready`.
    pub condition: String,
    /// How long.
    pub waited: Duration,
    /// What was seen last; may have several lines.
    pub last_seen: String,
}

fn timed_out(condition: String, waited: Duration) -> impl FnOnce(TimeOver) -> WaitTimedOut {
    move |over| WaitTimedOut {
        condition,
        waited,
        last_seen: over.last_seen,
    }
}

/// Waits until all named nodes report Ready.
pub async fn nodes_ready(client: &ApiClient, names: &[String], limit: Duration) -> Result<(), WaitTimedOut> {
    let condition = match names {
        [] => return Ok(()),
        [name] => format!("node {name} is Ready"),
        many => format!("{} nodes are Ready", many.len()),
    };
    let api: Api<Node> = Api::all(client.raw());
    watch::until(&api, &Selection::default(), Instant::now() + limit, |nodes| {
        let late: Vec<String> = unready(names, |name| nodes.get(&format!("/{name}")))
            .into_iter()
            .map(|(name, reason)| format!("{name}: {reason}"))
            .collect();
        if late.is_empty() {
            Verdict::Done(())
        } else {
            Verdict::Waiting(late.join("; "))
        }
    })
    .await
    .map_err(timed_out(condition, limit))
}

/// Looks once at nodes, and returns those of them that are not Ready, with the reason.
pub async fn unready_nodes(
    client: &ApiClient,
    names: &[String],
) -> Result<Vec<(String, String)>, RequestError> {
    let api: Api<Node> = Api::all(client.raw());
    let list = ListParams::default();
    let listed = client.policy().run(|| api.list(&list)).await?;
    let nodes: BTreeMap<String, Node> = listed.into_iter().map(|node| (node.name_any(), node)).collect();
    Ok(unready(names, |name| nodes.get(name)))
}

fn unready<'n>(names: &[String], find: impl Fn(&str) -> Option<&'n Node>) -> Vec<(String, String)> {
    let state = |name: &String| match find(name) {
        None => Some((name.clone(), "not registered".to_owned())),
        Some(node) => match readiness(node) {
            (true, _) => None,
            (false, reason) => Some((name.clone(), reason)),
        },
    };
    names.iter().filter_map(state).collect()
}

/// Waits until a deployment's current version has all its replicas available.
pub async fn deployment_available(
    client: &ApiClient,
    namespace: &str,
    name: &str,
    limit: Duration,
) -> Result<(), WaitTimedOut> {
    let api: Api<Deployment> = Api::namespaced(client.raw(), namespace);
    let mut labels = String::new();
    let waited = watch::until(
        &api,
        &Selection::named(name),
        Instant::now() + limit,
        |deployments| {
            let Some(deployment) = deployments.values().next() else {
                return Verdict::Waiting("there is no such deployment".to_owned());
            };
            labels = pods::selector(deployment);
            match unavailable(deployment) {
                None => Verdict::Done(()),
                Some(reason) => Verdict::Waiting(reason),
            }
        },
    )
    .await;
    let Err(over) = waited else {
        return Ok(());
    };
    let mut last_seen = over.last_seen;
    for line in pods::explain(client, namespace, &labels).await {
        let _ = write!(last_seen, "\n  {line}");
    }
    Err(WaitTimedOut {
        condition: format!("deployment {namespace}/{name} is available"),
        waited: limit,
        last_seen,
    })
}

/// Looks once why a deployment is not available: its replicas, then its pods with the last word of each; nothing when it
/// is.
pub async fn late_deployment(
    client: &ApiClient,
    namespace: &str,
    name: &str,
) -> Result<Vec<String>, RequestError> {
    let api: Api<Deployment> = Api::namespaced(client.raw(), namespace);
    let Some(deployment) = client.policy().run(|| api.get_opt(name)).await? else {
        return Ok(vec!["there is no such deployment".to_owned()]);
    };
    let Some(reason) = unavailable(&deployment) else {
        return Ok(Vec::new());
    };
    let pods = pods::explain(client, namespace, &pods::selector(&deployment)).await;
    Ok(std::iter::once(reason).chain(pods).collect())
}

/// Looks once at deployments, given as namespace and name, and returns those that are not available, as
/// `namespace/name`, with the reason.
pub async fn unavailable_deployments(
    client: &ApiClient,
    deployments: &[(&str, &str)],
) -> Result<BTreeMap<String, String>, RequestError> {
    let looks = deployments.iter().map(|(namespace, name)| async move {
        let api: Api<Deployment> = Api::namespaced(client.raw(), namespace);
        let deployment = client.policy().run(|| api.get_opt(name)).await?;
        let reason = match &deployment {
            None => Some("there is no such deployment".to_owned()),
            Some(deployment) => unavailable(deployment),
        };
        let late = reason.map(|reason| (format!("{namespace}/{name}"), reason));
        Ok::<_, RequestError>(late)
    });
    let looked: Vec<_> = futures::future::try_join_all(looks).await?;
    Ok(looked.into_iter().flatten().collect())
}

/// Returns why a deployment is not available, or `None`.
fn unavailable(deployment: &Deployment) -> Option<String> {
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let generation = deployment.metadata.generation.unwrap_or(0);
    let Some(status) = &deployment.status else {
        return Some("the controller-manager has not looked at it yet".to_owned());
    };
    if status.observed_generation.unwrap_or(0) < generation {
        return Some("the controller-manager has not looked at its latest version yet".to_owned());
    }
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    let all = status.replicas.unwrap_or(0);
    if updated >= wanted && available >= wanted && all == updated {
        return None;
    }
    Some(format!(
        "{available} of {wanted} replicas available, {updated} of the latest version"
    ))
}

/// Asks an API server once whether it is ready.
pub async fn readyz(client: &ApiClient) -> Result<(), ApiFailure> {
    let request = kube::core::Request::new("/readyz")
        .list(&ListParams::default())
        .map_err(kube::Error::BuildRequest)?;
    client.request_text(request).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(status: &serde_json::Value) -> Deployment {
        serde_json::from_value(json!({"metadata": {"name": "a", "generation": 2},
            "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": status}))
        .unwrap()
    }

    #[test]
    fn a_deployment_is_available_when_its_latest_version_is() {
        let complete =
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(unavailable(&deployment(&complete)), None);
        let old =
            json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert!(
            unavailable(&deployment(&old))
                .unwrap()
                .contains("latest version yet")
        );
        let partly =
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 2});
        assert_eq!(
            unavailable(&deployment(&partly)).unwrap(),
            "2 of 2 replicas available, 1 of the latest version"
        );
    }

    #[test]
    fn each_unready_node_is_named_with_its_reason() {
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "a"}, "status": {"conditions": [
            {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "no network"}]}}))
        .unwrap();
        let found = unready(&["a".to_owned(), "b".to_owned()], |name| {
            (name == "a").then_some(&node)
        });
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(name, reason)| (name.as_str(), reason.as_str()))
            .collect();
        assert_eq!(
            found,
            [("a", "KubeletNotReady: no network"), ("b", "not registered")]
        );
    }
}
