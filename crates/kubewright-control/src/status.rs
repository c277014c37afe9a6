//! How a cluster is, at a glance: nodes, API servers, etcd members, and how far the machines are from cluster.yaml.

use std::collections::BTreeMap;

use kubewright_core::wire::NodeCondition;
use serde::Serialize;

use crate::kube::nodes::list_nodes;
use crate::node_access::Nodes;
use crate::observe::Observation;
use crate::session::Session;

/// How long one component has to answer.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3);

/// How a cluster is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Version of this form.
    pub api_version: &'static str,
    /// The cluster's name.
    pub cluster: String,
    /// The Kubernetes version cluster.yaml asks for.
    pub kubernetes: String,
    /// Whether the API answers, and if not, why.
    pub api: String,
    /// Every node of cluster.yaml, in its order.
    pub nodes: Vec<NodeStatus>,
    /// Nodes the API knows and cluster.yaml does not.
    pub unknown_nodes: Vec<String>,
    /// Cluster objects that differ.
    pub objects_differing: usize,
}

/// How a node is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// The kubelet's version, as the API shows it.
    pub kubelet_version: Option<String>,
    /// Whether the kubelet reports Ready.
    pub ready: bool,
    /// Why it is not, if it is not.
    pub reason: String,
    /// The API server on the node: `ready`, or why not; control planes only.
    pub api_server: Option<String>,
    /// The etcd member on the node: `leader`, `member`, or why not; control planes only.
    pub etcd: Option<String>,
    /// How many resources differ from cluster.yaml; not known of a node that cannot be reached.
    pub differences: Option<usize>,
    /// Why the node cannot be reached, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
}

impl ClusterStatus {
    /// Whether everything answers, is Ready and is as cluster.yaml says.
    pub fn is_healthy(&self) -> bool {
        let is_well = |node: &NodeStatus| {
            node.ready
                && node.differences == Some(0)
                && node.api_server.as_deref().is_none_or(|said| said == "ready")
                && node
                    .etcd
                    .as_deref()
                    .is_none_or(|said| said == "leader" || said == "member")
        };
        self.api == "ready" && self.objects_differing == 0 && self.nodes.iter().all(is_well)
    }
}

/// Puts together how the cluster is.
pub async fn look(session: &Session, observation: &Observation) -> ClusterStatus {
    let access = Nodes::new(
        &session.cluster,
        observation.hands.nodes.clone(),
        std::sync::Arc::clone(&observation.authorities),
    );
    let (api, records) = match observation.api.client().await {
        Ok(client) => match list_nodes(&client).await {
            Ok(records) => ("ready".to_owned(), records),
            Err(error) => (error.to_string(), Vec::new()),
        },
        Err(error) => (error.to_string(), Vec::new()),
    };
    let records: BTreeMap<String, _> = records
        .into_iter()
        .map(|record| (record.name.clone(), record))
        .collect();
    let mut nodes = Vec::new();
    for node in &session.cluster.nodes {
        let name = node.name.as_str();
        let record = records.get(name);
        let (api_server, etcd) = if node.is_control_plane() {
            let (api_server, etcd) = tokio::join!(api_server(observation, name), etcd(&access, name));
            (Some(api_server), Some(etcd))
        } else {
            (None, None)
        };
        let seen = observation.observed.nodes.get(name);
        nodes.push(NodeStatus {
            name: name.to_owned(),
            address: node.address.to_string(),
            roles: node.roles.iter().map(ToString::to_string).collect(),
            kubelet_version: record
                .map(|record| record.version.clone())
                .filter(|version| !version.is_empty()),
            ready: record.is_some_and(|record| record.ready),
            reason: record.map_or_else(|| "not registered".to_owned(), |record| record.reason.clone()),
            api_server,
            etcd,
            differences: seen.map(|seen| seen.differences.len()),
            unreachable: observation.observed.unreachable.get(name).cloned(),
        });
    }
    let seen = observation.observed.api.as_ref();
    ClusterStatus {
        api_version: "kubewright/v1alpha1",
        cluster: session.cluster.name.to_string(),
        kubernetes: session.cluster.kubernetes.to_string(),
        api,
        nodes,
        unknown_nodes: seen.map(|api| api.unknown_nodes.clone()).unwrap_or_default(),
        objects_differing: seen.map_or(0, |api| api.objects.len()),
    }
}

async fn api_server(observation: &Observation, name: &str) -> String {
    let Some(node) = observation.hands.nodes.get(name) else {
        return "unreachable".to_owned();
    };
    let condition = NodeCondition::HttpOk {
        url: "https://127.0.0.1:6443/readyz".to_owned(),
        ca_file: Some("/etc/kubernetes/pki/ca.crt".to_owned()),
    };
    match node.wait(condition, TIMEOUT).await {
        Ok(()) => "ready".to_owned(),
        Err(_) => "not ready".to_owned(),
    }
}

async fn etcd(access: &Nodes, name: &str) -> String {
    let Ok((client, _way)) = access.etcd(name).await else {
        return "unreachable".to_owned();
    };
    match tokio::time::timeout(TIMEOUT, client.status()).await {
        Ok(Ok(status)) if status.leader == 0 => "no leader".to_owned(),
        Ok(Ok(status)) if status.leader == status.member_id => "leader".to_owned(),
        Ok(Ok(_)) => "member".to_owned(),
        Ok(Err(_)) | Err(_) => "no answer".to_owned(),
    }
}
