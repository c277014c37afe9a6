//! What the agent may ask for while it converges: content, signatures, secrets — of its own node's state only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubewright_core::resource::{Certificate, Digest, NodeState, Resource, ResourceId};
use kubewright_core::secret::Secret;
use kubewright_core::wire::{SecretText, ToAgent};

use super::Blobs;
use super::connection::Shared;
use crate::authority::Authorities;

/// Is told which resource is being made so, and whether it is done (otherwise: begun).
pub type Progress = Arc<dyn Fn(&ResourceId, bool) + Send + Sync>;

/// Who answers what an agent asks for.
#[derive(Clone)]
pub struct Services {
    /// Signs certificates and knows the shared secrets.
    pub authorities: Arc<Authorities>,
    /// Has the content of binaries and images.
    pub blobs: Arc<dyn Blobs>,
}

/// What the state that is made so lets its node ask for.
#[derive(Default)]
pub(super) struct Planned {
    certificates: BTreeMap<ResourceId, Certificate>,
    secrets: BTreeSet<String>,
    blobs: BTreeSet<Digest>,
}

impl Planned {
    pub(super) fn of(state: &NodeState) -> Self {
        let mut planned = Self::default();
        for resource in state.resources.iter().map(|staged| &staged.resource) {
            match resource {
                Resource::Certificate(certificate) => {
                    planned.certificates.insert(resource.id(), certificate.clone());
                }
                Resource::SharedSecret(secret) => {
                    planned.secrets.insert(secret.name.clone());
                }
                _ => planned.blobs.extend(resource.blob().map(|blob| blob.sha256)),
            }
        }
        planned
    }

    pub(super) fn has_blob(&self, sha256: Digest) -> bool {
        self.blobs.contains(&sha256)
    }
}

impl Shared {
    /// Who answers at present.
    pub(super) fn services(&self) -> Result<Services, String> {
        let state = self.state();
        let services = state
            .pending
            .values()
            .find_map(|pending| pending.services.clone());
        services.ok_or_else(|| "it asks for things while nothing converges".to_owned())
    }

    pub(super) fn serve_signature(&self, resource: ResourceId, request: &str) -> Result<(), String> {
        let services = self.services()?;
        let planned = self.state().planned.certificates.get(&resource).cloned();
        let certificate = match planned {
            Some(certificate) => services
                .authorities
                .sign(&certificate, request, SystemTime::now())
                .map_err(|error| error.to_string()),
            None => Err("it is not part of the node's state".to_owned()),
        };
        if let Err(cause) = &certificate {
            tracing::warn!(node = %self.node, %resource, %cause, "signature refused");
        }
        self.answer(&ToAgent::Signed {
            resource,
            certificate,
        })
    }

    pub(super) fn serve_secret(&self, name: String) -> Result<(), String> {
        let services = self.services()?;
        let is_planned = self.state().planned.secrets.contains(&name);
        if !is_planned {
            tracing::warn!(node = %self.node, %name, "secret refused: it is not part of the node's state");
        }
        let content = services
            .authorities
            .secret(&name)
            .filter(|_| is_planned)
            .map(|secret| SecretText(STANDARD.encode(secret.expose())));
        self.answer(&ToAgent::Secret { name, content })
    }

    /// Takes a secret that a control plane hands over.
    pub(super) fn receive_secret(&self, name: String, content: SecretText) -> Result<(), String> {
        let bytes = STANDARD
            .decode(zeroize::Zeroizing::new(content.0).as_bytes())
            .map_err(|_| "a secret that is not base64")?;
        let mut state = self.state();
        let asked = state
            .pending
            .values_mut()
            .find(|pending| pending.expected.contains(&name));
        let pending = asked.ok_or("a secret that nobody asked for")?;
        pending.secrets.insert(name, Secret::new(bytes));
        Ok(())
    }
}
