//! What kubewright remembers of its own on a node: which resources it put there, what units were started with, and
//! what this kernel would not take.
//!
//! A resource enters the ledger before it is made, so that a crash never leaves anything without an owner. The ledger decides
//! what is orphaned and what `reset` removes; what a resource is like is always looked up.

use std::collections::BTreeMap;

use kubewright_core::resource::{Digest, Resource, ResourceId};
use kubewright_core::wire::NodeError;
use serde::{Deserialize, Serialize};

use crate::fault::Doing as _;
use crate::tree::{Owner, Tree};

/// Directory of everything kubewright keeps about a node on that node.
pub const DIRECTORY: &str = "/var/lib/kubewright";
/// Where the ledger is kept.
pub const PATH: &str = "/var/lib/kubewright/state.json";
/// A ledger that could not be understood is moved here when the next one is written.
const BROKEN: &str = "/var/lib/kubewright/state.json.broken";
const LIMIT: u64 = 16 << 20;
const SCHEMA: u32 = 1;

/// Something kubewright put on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owned {
    /// Further paths that belong to it: a certificate's key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
}

/// The ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    schema: u32,
    /// What kubewright put on the node.
    pub owned: BTreeMap<ResourceId, Owned>,
    /// Unit name to the fingerprint of the inputs it was last started with.
    pub started: BTreeMap<String, Digest>,
    /// Optional kernel settings that could not be made, by the kernel that refused them.
    pub refused: BTreeMap<ResourceId, String>,
    #[serde(skip)]
    saved: Vec<u8>,
    #[serde(skip)]
    broken: bool,
}

impl Ledger {
    /// Reads the ledger; an empty one when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn load(tree: &Tree) -> Result<Self, NodeError> {
        let Some(text) = tree.read(PATH, LIMIT)? else {
            return Ok(Self::default());
        };
        match serde_json::from_slice::<Self>(&text) {
            Ok(ledger) => Ok(Self {
                saved: text,
                ..ledger
            }),
            Err(_) => Ok(Self {
                broken: true,
                ..Self::default()
            }),
        }
    }

    /// Writes the ledger, if it differs from what is on disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&mut self, tree: &Tree) -> Result<(), NodeError> {
        self.schema = SCHEMA;
        let text = serde_json::to_vec(self).doing(|| format!("write {PATH}"))?;
        let nothing_to_say = self.owned.is_empty() && self.started.is_empty() && self.refused.is_empty();
        if text == self.saved || (nothing_to_say && self.saved.is_empty()) {
            return Ok(());
        }
        if self.broken {
            tree.hard_link(PATH, BROKEN)?;
            self.broken = false;
        }
        tree.write(PATH, &text, Owner::mine(0o600))?;
        tree.sync()?;
        self.saved = text;
        Ok(())
    }

    /// Notes that a resource is kubewright's, before it is made.
    pub fn own(&mut self, resource: &Resource) {
        let also = match resource {
            Resource::Certificate(certificate) => vec![certificate.key_path.clone()],
            _ => Vec::new(),
        };
        self.owned.insert(resource.id(), Owned { also });
    }
}
