//! The node's memory that etcd's bootstrap is finished.
//!
//! A file of its own, because what hangs on it is that no second cluster is ever founded: it must not be lost with
//! anything else that is kept about the node. Only a reset removes it.

use kubewright_core::wire::NodeError;

use crate::ledger::DIRECTORY;
use crate::tree::{Look, Owner, Tree};

/// Where it is kept.
pub const PATH: &str = "/var/lib/kubewright/settled";

/// Whether the node remembers a finished bootstrap.
///
/// # Errors
/// When that cannot be looked up: nobody may conclude that there was none.
pub fn is_settled(tree: &Tree) -> Result<bool, NodeError> {
    Ok(tree.look(PATH)? != Look::Missing)
}

/// Remembers it.
///
/// # Errors
/// When it cannot be written.
pub fn settle(tree: &Tree) -> Result<(), NodeError> {
    if is_settled(tree)? {
        return Ok(());
    }
    if tree.look(DIRECTORY)? == Look::Missing {
        tree.make_directory(DIRECTORY, Owner::mine(0o700))?;
    }
    tree.write(PATH, b"etcd's bootstrap is finished\n", Owner::mine(0o600))?;
    tree.sync()
}
