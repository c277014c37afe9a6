//! From what was seen to what is to be: artifacts are found, the user's own objects are read, and the rest is the core's.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubewright_core::catalogue::Platform;
use kubewright_core::desired::Desired;
use kubewright_core::errors::ErrorId;
use kubewright_core::founding::etcd_starts;
use kubewright_core::observed::{Facts, Observed};
use kubewright_core::plan::allocate_pod_ranges;
use kubewright_core::render::{NodePlatform, RenderContext};
use serde_json::Value;

use super::look::Seen;
use crate::addon;
use crate::artifact::{Fetching, Wanted};
use crate::error::{Error, Kind};
use crate::kube::kind::ObjectName;
use crate::random;
use crate::report::{Event, Reporter};
use crate::session::Session;

/// What is to be, and how it is told from what another look makes of it.
pub(super) struct Wish {
    pub(super) desired: Desired,
    /// The same without what only this look made; `None` when there is no such thing.
    ///
    /// Until a cluster exists, every look makes its id, authorities and secrets again, in memory. A plan saved by one look and
    /// applied by another must not depend on them.
    pub(super) lasting: Option<Desired>,
}

/// Works out what is to be.
pub(super) async fn desired(
    session: &Session,
    seen: &Seen,
    reporter: &Arc<dyn Reporter>,
) -> Result<Wish, Error> {
    let (cluster, observed) = (&session.cluster, &seen.observed);
    let pod_cidrs = allocate_pod_ranges(cluster, observed)?;
    let platforms = platforms(observed)?;
    let wanted = Wanted {
        cluster,
        release: &session.release,
        platforms: &platforms.values().map(|platform| platform.platform).collect(),
        directory: &session.directory,
        fetching: fetching(reporter),
    };
    let artifacts = session.store.resolve(&wanted).await?;
    let known_id = observed.cluster_id(cluster);
    let new_id = new_cluster_id()?;
    let context = RenderContext {
        cluster,
        release: &session.release,
        cluster_id: known_id.unwrap_or(&new_id),
        platforms: &platforms,
        pod_cidrs: &pod_cidrs,
        authorities: &seen.authorities.certificates(),
        service_account_public_key: seen.authorities.service_account_public(),
        secrets: &seen.authorities.digests(),
        artifacts: &artifacts,
        agents: &session.store.add_agents(&session.agents),
        etcd: &etcd_starts(cluster, observed),
    };
    let addons = addon::objects(cluster, &session.directory)?;
    for (position, object) in addons.iter().enumerate() {
        ObjectName::of(object, position)
            .map_err(|error| Error::caused(Kind::User, "read the objects", &error))?;
    }
    let (held, made) = (seen.authorities.lasting(), known_id.is_none());
    let lasting = match held {
        None if !made => None,
        held => {
            let mut context = RenderContext {
                cluster_id: known_id.unwrap_or_default(),
                ..context
            };
            if let Some(held) = &held {
                context.authorities = &held.certificates;
                context.service_account_public_key = &held.service_account_public;
                context.secrets = &held.digests;
            }
            Some(render(&context, addons.clone()).await?)
        }
    };
    Ok(Wish {
        desired: render(&context, addons).await?,
        lasting,
    })
}

/// The id of a cluster that does not exist yet: 128 bits that no key and no name has to do with.
fn new_cluster_id() -> Result<String, Error> {
    let bytes =
        random::bytes::<16>().map_err(|error| Error::caused(Kind::Bug, "name the cluster", &error))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// As [`Desired::of`]. The connections go on between one node and the next, also where there is but one thread for
/// everything: agents give up a controller that is silent.
async fn render(context: &RenderContext<'_>, addons: Vec<Value>) -> Result<Desired, Error> {
    let mut desired = Desired::without_nodes(context, addons);
    for node in &context.cluster.nodes {
        desired
            .add_node(context, node.name.as_str())
            .map_err(|error| Error::caused(Kind::User, "work out what the node is to have", &error))?;
        tokio::task::yield_now().await;
    }
    Ok(desired)
}

fn platforms(observed: &Observed) -> Result<BTreeMap<String, NodePlatform>, Error> {
    observed
        .nodes
        .iter()
        .map(|(name, node)| Ok((name.clone(), platform(name, &node.facts)?)))
        .collect()
}

fn platform(node: &str, facts: &Facts) -> Result<NodePlatform, Error> {
    let platform = Platform::from_machine(&facts.architecture).ok_or_else(|| {
        Error::named(
            ErrorId::AgentMissing,
            format!("processor {:?} is not supported", facts.architecture),
        )
        .on(node)
        .hint("kubewright runs on amd64 and arm64")
    })?;
    Ok(NodePlatform {
        platform,
        cgroup_version: facts.cgroup_version,
        memory_bytes: facts.memory_bytes,
        processors: facts.processors,
    })
}

/// Passes on how downloads go.
fn fetching(reporter: &Arc<dyn Reporter>) -> Fetching {
    let reporter = Arc::clone(reporter);
    Arc::new(move |what, bytes, of| {
        let doing = match of {
            Some(of) => format!("fetching {what}, {} of {} MiB", bytes >> 20, of >> 20),
            None => format!("fetching {what}, {} MiB", bytes >> 20),
        };
        reporter.event(&Event::Node {
            node: "artifacts".to_owned(),
            doing,
        });
    })
}
