//! The cluster's API as steps and commands see it: found through any control plane that is ready, reached through the
//! conversation with that node, spoken to with an identity that lives for this invocation only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use kube::Client;
use kubewright_core::manifest::NodeObject;
use kubewright_core::observed::{Observed, ObservedApi};
use kubewright_core::plan::Condition;
use kubewright_core::resource::AuthorityName;
use kubewright_core::spec::Cluster;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::authority::Authorities;
use crate::error::{Error, Kind};
use crate::execute::{Asking, ClusterApi};
use crate::kube::kind::ObjectName;
use crate::kube::nodes;
use crate::kube::objects::{self, ObjectChange};
use crate::kube::{connect, surplus, wait};
use crate::node::{Forward, Node};

/// Where every control plane's API server listens on its own node.
const API_ADDRESS: &str = "127.0.0.1:6443";
const API_PORT: u16 = 6443;
/// How long a control plane has to answer before the next one is asked.
const FIND_TIMEOUT: Duration = Duration::from_secs(5);
/// The identity of an invocation: it exists in memory only and ends by itself.
const IDENTITY_LIFETIME: Duration = Duration::from_secs(4 * 3600);

/// The cluster's API.
pub struct KubernetesApi {
    cluster: String,
    control_planes: Vec<String>,
    nodes: BTreeMap<String, Node>,
    authorities: Arc<Authorities>,
    connection: OnceCell<Connection>,
    desired: Mutex<Desired>,
}

/// A client and the way it takes.
struct Connection {
    client: Client,
    _way: Forward,
}

#[derive(Default)]
struct Desired {
    objects: BTreeMap<String, Value>,
    order: Vec<String>,
    nodes: BTreeMap<String, NodeObject>,
}

impl KubernetesApi {
    /// An API that is connected to when it is first needed.
    pub fn new(cluster: &Cluster, nodes: BTreeMap<String, Node>, authorities: Arc<Authorities>) -> Self {
        Self {
            cluster: cluster.name.to_string(),
            control_planes: cluster
                .control_planes()
                .map(|node| node.name.to_string())
                .collect(),
            nodes,
            authorities,
            connection: OnceCell::new(),
            desired: Mutex::default(),
        }
    }

    async fn connect_first(&self, candidates: &[String]) -> Result<Client, Error> {
        let connect = || async {
            let mut refusals = Vec::new();
            for name in candidates {
                match tokio::time::timeout(FIND_TIMEOUT, self.connect(name)).await {
                    Ok(Ok(client)) => return Ok(client),
                    Ok(Err(error)) => refusals.push(format!("{name}: {error}")),
                    Err(_) => refusals.push(format!("{name}: no answer within {} s", FIND_TIMEOUT.as_secs())),
                }
            }
            let error = Error::new(Kind::Api, "no API server answers");
            Err(refusals.into_iter().fold(error, Error::because)
                .hint("kubewright status tells what runs; journalctl -u kube-apiserver on a control plane tells why"))
        };
        Ok(self.connection.get_or_try_init(connect).await?.client.clone())
    }

    async fn connect(&self, name: &str) -> Result<Connection, Error> {
        let node = self
            .nodes
            .get(name)
            .ok_or_else(|| Error::new(Kind::Ssh, "the node cannot be reached").on(name))?;
        let way = node
            .forward(API_ADDRESS)
            .await
            .map_err(|error| Error::caused(Kind::User, "listen on this computer's loopback", &error))?;
        // The group may do everything from the first second of a cluster's life, before any binding exists.
        let credentials = self.authorities.issue_client(
            "kubewright",
            &["system:masters".to_owned()],
            IDENTITY_LIFETIME,
            SystemTime::now(),
        )?;
        let certificates = self.authorities.certificates();
        let ca = certificates
            .get(&AuthorityName::Kubernetes)
            .map(String::as_str)
            .unwrap_or_default();
        let url = format!("https://{}", way.address());
        let client = connect::client(&url, ca, &credentials.certificate, &credentials.key)
            .map_err(|error| Error::caused(Kind::Api, "prepare the API client", &error).on(name))?;
        wait::readyz(&client)
            .await
            .map_err(|error| Error::caused(Kind::Api, "ask the API server", &error).on(name))?;
        Ok(Connection { client, _way: way })
    }

    /// The named objects and nodes as they are to be; all of them without names.
    fn wanted(&self, objects: Option<&[String]>, nodes: Option<&[String]>) -> (Vec<Value>, Vec<NodeObject>) {
        let Ok(desired) = self.desired.lock() else {
            return (Vec::new(), Vec::new());
        };
        let is_wanted =
            |names: Option<&[String]>, name: &String| names.is_none_or(|names| is_named(names, name));
        let objects = desired.order.iter().filter(|name| is_wanted(objects, name));
        let objects = objects
            .filter_map(|name| desired.objects.get(name).cloned())
            .collect();
        let nodes = desired.nodes.iter().filter(|(name, _)| is_wanted(nodes, name));
        (objects, nodes.map(|(_, node)| node.clone()).collect())
    }
}

/// Whether an object is meant by one of the names: what names no namespace and has one lives in `default`.
fn is_named(names: &[String], name: &str) -> bool {
    let placed = || match name.split_once(' ') {
        Some((kind, name)) if !name.contains('/') => format!("{kind} default/{name}"),
        _ => name.to_owned(),
    };
    names.iter().any(|other| other == name) || names.contains(&placed())
}

impl ClusterApi for KubernetesApi {
    fn find<'a>(&'a self, observed: &'a Observed) -> Asking<'a, bool> {
        // Among those where something listens.
        let listens = |name: &&String| {
            observed.nodes.get(*name).is_some_and(|node| {
                node.facts
                    .listening
                    .iter()
                    .any(|listener| listener.port == API_PORT)
            })
        };
        let candidates: Vec<String> = self.control_planes.iter().filter(listens).cloned().collect();
        Box::pin(async move { !candidates.is_empty() && self.connect_first(&candidates).await.is_ok() })
    }

    fn look_at_nodes<'a>(&'a self, cluster: &'a Cluster) -> Asking<'a, Result<ObservedApi, Error>> {
        Box::pin(async move {
            let listed = nodes::list_nodes(&self.client().await?)
                .await
                .map_err(|error| Error::caused(Kind::Api, "list the nodes", &error))?;
            let mut seen = ObservedApi::default();
            for node in listed {
                if cluster.node(&node.name).is_none() {
                    seen.unknown_nodes.push(node.name.clone());
                } else if !node.ready {
                    seen.nodes_not_ready.push(node.name.clone());
                }
                seen.kubelet_versions.insert(node.name.clone(), node.version);
                if let Some(range) = node.pod_cidr {
                    seen.pod_cidrs.insert(node.name, range);
                }
            }
            Ok(seen)
        })
    }

    fn set_desired(&self, objects: Vec<Value>, nodes: Vec<NodeObject>) -> Result<(), Error> {
        let mut desired = Desired::default();
        for (position, mut object) in objects.into_iter().enumerate() {
            surplus::mark(&mut object, &self.cluster);
            let name = ObjectName::of(&object, position)
                .map_err(|error| Error::caused(Kind::User, "read the objects", &error))?
                .to_string();
            desired.order.push(name.clone());
            desired.objects.insert(name, object);
        }
        desired.nodes = nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
        if let Ok(mut own) = self.desired.lock() {
            *own = desired;
        }
        Ok(())
    }

    fn object_names(&self) -> Vec<String> {
        self.desired
            .lock()
            .map(|desired| desired.order.clone())
            .unwrap_or_default()
    }

    fn compare(&self, seen: Option<ObservedApi>) -> Asking<'_, Result<Option<ObservedApi>, Error>> {
        Box::pin(async move {
            let Some(mut seen) = seen else { return Ok(None) };
            let client = self.client().await?;
            let (wanted_objects, wanted_nodes) = self.wanted(None, None);
            let (objects, nodes, dns, surplus) = tokio::join!(
                objects::diff_objects(&client, &wanted_objects),
                nodes::diff_nodes(&client, &wanted_nodes),
                wait::unavailable_deployments(&client, &[("kube-system", "coredns")]),
                surplus::find(&client, &self.cluster, &wanted_objects),
            );
            let objects = objects.map_err(|error| Error::caused(Kind::Api, "compare the objects", &error))?;
            let nodes = nodes.map_err(|error| Error::caused(Kind::Api, "compare the nodes", &error))?;
            let diff = |change| match change {
                ObjectChange::Missing => None,
                ObjectChange::Changed { diff } => Some(diff),
            };
            seen.objects = objects
                .into_iter()
                .map(|difference| (difference.id, diff(difference.change)))
                .collect();
            seen.nodes_to_register = nodes.into_iter().map(|difference| difference.name).collect();
            let dns = dns.map_err(|error| Error::caused(Kind::Api, "look at the deployments", &error))?;
            seen.deployments_unavailable = dns.into_keys().collect();
            let surplus = surplus
                .map_err(|error| Error::caused(Kind::Api, "look for objects no longer wanted", &error))?;
            seen.surplus = surplus.deletable.into_keys().collect();
            seen.kept = surplus.kept;
            Ok(Some(seen))
        })
    }

    fn client(&self) -> Asking<'_, Result<Client, Error>> {
        Box::pin(self.connect_first(&self.control_planes))
    }

    fn register_nodes<'a>(&'a self, names: &'a [String]) -> Asking<'a, Result<usize, Error>> {
        Box::pin(async move {
            let (_, nodes) = self.wanted(Some(&[]), Some(names));
            let changed = nodes::register_nodes(&self.client().await?, &nodes)
                .await
                .map_err(|error| Error::caused(Kind::Api, "register the nodes", &error))?;
            Ok(changed.len())
        })
    }

    fn delete_objects<'a>(&'a self, names: &'a [String]) -> Asking<'a, Result<usize, Error>> {
        Box::pin(async move {
            let client = self.client().await?;
            let (objects, _) = self.wanted(None, Some(&[]));
            let surplus = surplus::find(&client, &self.cluster, &objects)
                .await
                .map_err(|error| Error::caused(Kind::Api, "look for objects no longer wanted", &error))?;
            surplus::delete(&client, surplus, names)
                .await
                .map_err(|(name, error)| Error::caused(Kind::Api, format!("delete {name}"), &error))
        })
    }

    fn apply_objects<'a>(&'a self, names: &'a [String]) -> Asking<'a, Result<usize, Error>> {
        Box::pin(async move {
            let (objects, _) = self.wanted(Some(names), Some(&[]));
            objects::apply_objects(&self.client().await?, &objects)
                .await
                .map_err(|error| Error::caused(Kind::Api, "apply the objects", &error))?;
            Ok(objects.len())
        })
    }

    fn wait<'a>(&'a self, condition: &'a Condition, timeout: Duration) -> Asking<'a, Result<(), Error>> {
        Box::pin(async move {
            let client = self.client().await?;
            let waited = match condition {
                Condition::NodesReady { nodes } => wait::nodes_ready(&client, nodes, timeout).await,
                Condition::DeploymentAvailable { namespace, name } => {
                    wait::deployment_available(&client, namespace, name, timeout).await
                }
                Condition::OnNode { .. } => {
                    return Err(Error::bug("a node's condition was asked of the API"));
                }
            };
            waited.map_err(|error| Error::caused(Kind::Api, format!("wait until {condition}"), &error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_named;

    #[test]
    fn an_object_without_a_namespace_is_meant_by_the_name_it_differs_under() {
        let names = ["ConfigMap default/a", "ClusterRole b"].map(str::to_owned);
        assert!(is_named(&names, "ConfigMap a"));
        assert!(is_named(&names, "ClusterRole b"));
        assert!(!is_named(&names, "ConfigMap kube-system/a"));
        assert!(!is_named(&names, "Secret a"));
    }
}
