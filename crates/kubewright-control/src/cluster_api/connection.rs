//! The way to an API server that is ready, through the connection with its node; another one when the connection is
//! lost or the server does not serve any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kubewright_core::carrier::log_command;
use kubewright_core::component::apiserver;
use kubewright_core::resource::AuthorityName;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::authority::Authorities;
use crate::error::{Error, ErrorId, Kind};
use crate::kube::client::ApiClient;
use crate::kube::{connect, wait};
use crate::node::{Forward, Node};
use crate::pace::Measure;

/// How long a usual control plane has to answer before the next one is asked.
const FIND_TIMEOUT: Duration = Duration::from_secs(5);
/// The identity of an invocation: it exists in memory only and ends by itself.
const IDENTITY_LIFETIME: Duration = Duration::from_secs(4 * 3600);

/// The connections to a cluster's API servers, and the one that is used.
pub(super) struct ApiConnection {
    pub(super) control_planes: Vec<String>,
    nodes: BTreeMap<String, Node>,
    /// Where the API server of each control plane listens, as its node sees it.
    addresses: BTreeMap<String, String>,
    authorities: Arc<Authorities>,
    connection: Mutex<Option<Connection>>,
}

/// A client and the way it takes.
struct Connection {
    client: ApiClient,
    node: Node,
    _forward: Forward,
}

impl ApiConnection {
    pub(super) fn new(
        control_planes: Vec<String>,
        nodes: BTreeMap<String, Node>,
        authorities: Arc<Authorities>,
    ) -> Self {
        let addresses = control_planes.iter();
        Self {
            addresses: addresses
                .map(|name| (name.clone(), apiserver::LOCAL.to_string()))
                .collect(),
            control_planes,
            nodes,
            authorities,
            connection: Mutex::default(),
        }
    }

    /// The client in use, or one through the first of the candidates that is ready.
    pub(super) async fn first(&self, candidates: &[String]) -> Result<(ApiClient, Node), Error> {
        let mut connection = self.connection.lock().await;
        if let Some(open) = &*connection
            && !open.node.is_lost()
        {
            return Ok((open.client.clone(), open.node.clone()));
        }
        *connection = None;
        let mut refusals = Vec::new();
        for name in candidates {
            let limit = self
                .nodes
                .get(name)
                .map_or(FIND_TIMEOUT, |node| node.pace().bound(FIND_TIMEOUT));
            match tokio::time::timeout(limit, self.connect(name)).await {
                Ok(Ok(open)) => {
                    let found = (open.client.clone(), open.node.clone());
                    *connection = Some(open);
                    return Ok(found);
                }
                Ok(Err(error)) => refusals.push(format!("{name}: {error}")),
                Err(_) => refusals.push(format!("{name}: no answer within {} s", limit.as_secs())),
            }
        }
        let error = Error::named(ErrorId::ApiUnreachable, "no API server answers");
        Err(refusals.into_iter().fold(error, Error::because).hint(format!(
            "kubewright status shows which API servers run; {} on a control plane shows why one does not",
            log_command(&[apiserver::NAME])
        )))
    }

    /// Does something with the API that can be done twice: when the connection that carries it is lost, or it fails and
    /// the server is not ready any more, again through another control plane.
    pub(super) async fn with<T, F>(&self, work: impl Fn(ApiClient) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut ways_left = self.control_planes.len();
        loop {
            let (client, node) = self.first(&self.control_planes).await?;
            ways_left = ways_left.saturating_sub(1);
            let done = tokio::select! {
                biased;
                done = work(client.clone()) => Some(done),
                () = node.ended() => None,
            };
            match done {
                Some(Ok(done)) => return Ok(done),
                Some(Err(error)) if ways_left == 0 => return Err(error),
                Some(Err(error)) if !node.is_lost() && is_ready(&client).await => return Err(error),
                None if ways_left == 0 => {
                    let error = Error::named(ErrorId::ApiUnreachable, "the connection to the API was lost");
                    return Err(error.on(node.name().as_str()));
                }
                Some(Err(_)) | None => {
                    tracing::warn!(node = %node.name(), "the connection to the API was lost; connecting to another API server");
                    *self.connection.lock().await = None;
                }
            }
        }
    }

    async fn connect(&self, name: &str) -> Result<Connection, Error> {
        let unreachable = || Error::named(ErrorId::SshNoAnswer, "the node cannot be reached").on(name);
        let node = self.nodes.get(name).ok_or_else(unreachable)?;
        let address = self.addresses.get(name).ok_or_else(unreachable)?;
        let forward = node.forward(address).await.map_err(|error| {
            Error::caused(Kind::User, "listen on the loopback interface", &error).id(ErrorId::LocalFailure)
        })?;
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
        let url = format!("https://{}", forward.address());
        let client = connect::client(&url, ca, &credentials.certificate, &credentials.key, node.pace())
            .map_err(|error| Error::caused(Kind::Api, "prepare the API client", &error).on(name))?;
        let asked = Instant::now();
        wait::readyz(&client)
            .await
            .map_err(|error| Error::caused(Kind::Api, "ask the API server", &error).on(name))?;
        node.pace().note(Measure::ApiRequest, asked.elapsed());
        Ok(Connection {
            client,
            node: node.clone(),
            _forward: forward,
        })
    }
}

/// Whether the server still says that it is ready.
async fn is_ready(client: &ApiClient) -> bool {
    matches!(
        tokio::time::timeout(client.pace().bound(FIND_TIMEOUT), wait::readyz(client)).await,
        Ok(Ok(()))
    )
}

#[cfg(test)]
mod tests;
