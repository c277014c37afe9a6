//! What the nodes and the cluster are to have, as far as the next look would find the same.
//!
//! Until a cluster exists, every look makes authorities and secrets again, in memory. A plan saved by one look and applied
//! by another must not depend on them, so what it is compared by is rendered without.

use std::collections::BTreeMap;

use kubewright_core::manifest::{manifests, node_objects};
use kubewright_core::render::RenderContext;
use kubewright_core::resource::{Digest, NodeState};
use serde_json::Value;

use super::render_nodes;
use crate::authority::Authorities;
use crate::error::{Error, Kind};
use crate::kube::kind::ObjectName;

/// What is desired, for comparing one look with another.
pub(super) struct Comparable {
    /// What every node is to have; `None` when that is what it is to have anyway.
    pub(super) states: Option<BTreeMap<String, NodeState>>,
    /// Digests of the objects the cluster is to have, by name.
    pub(super) objects: BTreeMap<String, Digest>,
}

impl Comparable {
    pub(super) async fn of(
        context: &RenderContext<'_>,
        authorities: &Authorities,
        addons: &[Value],
    ) -> Result<Self, Error> {
        let Some(lasting) = authorities.lasting() else {
            return Ok(Self {
                states: None,
                objects: objects(context, addons)?,
            });
        };
        let context = RenderContext {
            authorities: &lasting.certificates,
            service_account_public_key: &lasting.service_account_public,
            secrets: &lasting.digests,
            ..*context
        };
        Ok(Self {
            states: Some(render_nodes(&context).await?),
            objects: objects(&context, addons)?,
        })
    }
}

fn objects(context: &RenderContext<'_>, addons: &[Value]) -> Result<BTreeMap<String, Digest>, Error> {
    let own = manifests(context);
    let mut digests = BTreeMap::new();
    for (position, object) in own.iter().chain(addons).enumerate() {
        let name = ObjectName::of(object, position)
            .map_err(|error| Error::caused(Kind::User, "read the objects", &error))?;
        digests.insert(name.to_string(), Digest::of(object.to_string().as_bytes()));
    }
    for node in node_objects(context) {
        let text = node.manifest().to_string();
        digests.insert(format!("Node {}", node.name), Digest::of(text.as_bytes()));
    }
    Ok(digests)
}
