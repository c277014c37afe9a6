//! Who answers what an agent asks for while it converges, and what the state of its node lets it ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kubewright_core::resource::{Certificate, Digest, NodeState, Resource, ResourceId};

use super::Blobs;
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
    pub(super) certificates: BTreeMap<ResourceId, Certificate>,
    pub(super) secrets: BTreeSet<String>,
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
