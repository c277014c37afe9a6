//! This node, with everything that is remembered while the agent works on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubewright_core::observed::{Change, Counters};
use kubewright_core::resource::{Access, Digest};
use kubewright_core::wire::NodeError;

use crate::accounts;
use crate::hashes::Hashes;
use crate::ledger::Ledger;
use crate::system::System;
use crate::tree::{Look, Owner, Seen, Tree};

/// The node the agent works on; one worker owns it.
pub struct Node {
    /// Programs, clock and root.
    pub system: Arc<dyn System>,
    /// Its files.
    pub tree: Tree,
    /// What kubewright put there.
    pub ledger: Ledger,
    /// Digests of its files.
    pub hashes: Hashes,
    /// Images the runtime has, once it was asked in this look.
    pub(crate) images: Option<BTreeMap<String, Digest>>,
    /// What units were started with before this connection changed what they read.
    pub(crate) started_before: BTreeMap<String, Digest>,
    /// Resources changed in this connection.
    pub changed: u64,
    /// Units started, stopped or restarted in this connection.
    pub unit_actions: u64,
}

impl Node {
    /// Opens the node and reads what is remembered of it; writes nothing.
    ///
    /// # Errors
    /// When its root or the ledger cannot be read.
    pub fn open(system: Arc<dyn System>) -> Result<Self, NodeError> {
        let tree = Tree::open(Arc::clone(&system))?;
        Ok(Self {
            ledger: Ledger::load(&tree)?,
            hashes: Hashes::load(&tree),
            system,
            tree,
            images: None,
            started_before: BTreeMap::new(),
            changed: 0,
            unit_actions: 0,
        })
    }

    /// Work done so far; the bytes of blobs are known to their receiver.
    pub fn counters(&self) -> Counters {
        Counters {
            changed: self.changed,
            files_written: self.tree.written(),
            unit_actions: self.unit_actions,
            blob_bytes: 0,
            files_hashed: self.hashes.computed,
        }
    }

    /// Forgets what a unit was started with, because that is about to change; an undo asks for it again.
    pub(crate) fn outdate(&mut self, unit: &str) {
        if let Some(started) = self.ledger.started.remove(unit) {
            self.started_before.entry(unit.to_owned()).or_insert(started);
        }
    }

    /// What a unit was started with before this connection changed anything of it.
    pub(crate) fn started_before(&self, unit: &str) -> Option<Digest> {
        let before = self.started_before.get(unit);
        before.or_else(|| self.ledger.started.get(unit)).copied()
    }

    /// Looks for a regular file: what is there, or the change that follows from what is not.
    ///
    /// # Errors
    /// When the path cannot be looked at.
    pub(crate) fn look_for_file(&self, path: &str) -> Result<Result<Seen, Change>, NodeError> {
        Ok(match self.tree.look(path)? {
            Look::Missing => Err(Change::Missing),
            Look::Blocked(reason) => Err(Change::Blocked { reason }),
            Look::There(seen) if seen.kind == crate::tree::Kind::File => Ok(seen),
            Look::There(seen) => Err(Change::Blocked {
                reason: format!("{} is at {path}, where a file should be", seen.kind.article()),
            }),
        })
    }

    /// How owner and mode differ from what is wanted, if they do.
    pub(crate) fn access_change(&self, present: Owner, wanted: &Access) -> Option<Change> {
        if accounts::owner(self.system.as_ref(), wanted) == Some(present) {
            return None;
        }
        Some(Change::Access {
            before: accounts::describe(self.system.as_ref(), present),
            after: accounts::describe_access(wanted),
        })
    }
}
