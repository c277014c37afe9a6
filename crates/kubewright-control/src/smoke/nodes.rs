//! What the smoke test sees from a node's own side, through the connections with the nodes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use kubewright_core::carrier::unit_name;
use kubewright_core::component::api_proxy;
use kubewright_core::spec::Cluster;
use kubewright_core::wire::NodeCondition;

use super::{NodeAccess, Stream};
use crate::authority::Authorities;
use crate::error::{Error, Kind};
use crate::etcd::ThroughNodes;
use crate::node::Node;

const PROXY_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections with all nodes, and the authorities that let one talk to etcd.
pub struct Nodes {
    open: BTreeMap<String, Node>,
    control_planes: Vec<String>,
    etcd: ThroughNodes,
}

impl Nodes {
    /// Takes connections that are open.
    pub fn new(cluster: &Cluster, nodes: BTreeMap<String, Node>, authorities: Arc<Authorities>) -> Self {
        let control_planes = cluster
            .control_planes()
            .map(|node| node.name.to_string())
            .collect();
        Self {
            etcd: ThroughNodes::new(nodes.clone(), authorities),
            open: nodes,
            control_planes,
        }
    }

    fn node(&self, name: &str) -> Result<&Node, Error> {
        self.open
            .get(name)
            .ok_or_else(|| Error::new(Kind::Ssh, "the node cannot be reached").on(name))
    }
}

impl NodeAccess for Nodes {
    fn connect<'a>(
        &'a self,
        node: &'a str,
        address: SocketAddr,
    ) -> BoxFuture<'a, Result<Box<dyn Stream>, String>> {
        Box::pin(async move {
            let node = self.node(node).map_err(|error| error.to_string())?;
            let stream = node
                .open_tunnel(&address.to_string())
                .await
                .map_err(|error| error.to_string())?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }

    fn etcd_value<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        Box::pin(async move {
            let mut last = "no control plane is reachable".to_owned();
            for name in &self.control_planes {
                let (client, _way) = self.etcd.client(name).await.map_err(|error| error.to_string())?;
                match client.value(key).await {
                    Ok(value) => return Ok(value.map(|secret| secret.expose().to_vec())),
                    Err(error) => last = format!("{name}: {error}"),
                }
            }
            Err(last)
        })
    }

    fn kill_proxy<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let node = self.node(node).map_err(|error| error.to_string())?;
            node.crash_unit(&unit_name(api_proxy::NAME))
                .await
                .map_err(|error| error.to_string())
        })
    }

    fn proxy_answers<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let node = self.node(node).map_err(|error| error.to_string())?;
            node.wait(NodeCondition::serves(&api_proxy::DESCRIPTION), PROXY_TIMEOUT)
                .await
                .map_err(|error| error.to_string())
        })
    }
}
