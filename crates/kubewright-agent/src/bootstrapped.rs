//! The node's memory that etcd's bootstrap is finished.
//!
//! A file of its own, because what hangs on it is that no second cluster is ever founded: it must not be lost with
//! anything else that is kept about the node. Only a reset removes it.

use kubewright_core::component::etcd::BEGIN_PATH;
use kubewright_core::resource::ResourceId;
use kubewright_core::wire::NodeError;

use crate::ledger::DIRECTORY;
use crate::node::Node;
use crate::tree::{Look, Owner, Tree};

/// Where it is kept.
pub const PATH: &str = "/var/lib/kubewright/settled";

/// Whether the node remembers a finished bootstrap.
///
/// # Errors
/// When that cannot be looked up: that is not the same as no bootstrap.
pub fn is_bootstrapped(tree: &Tree) -> Result<bool, NodeError> {
    Ok(tree.look(PATH)? != Look::Missing)
}

/// Remembers it, and takes back the permission to begin without data: a run that takes up an interrupted bootstrap gives
/// it to members that have begun already, and nothing else would take it from them before the next reboot.
///
/// # Errors
/// When it cannot be written, or the permission cannot be taken back.
pub fn mark(node: &mut Node) -> Result<(), NodeError> {
    node.tree.remove(BEGIN_PATH)?;
    let permission = ResourceId::new("file", BEGIN_PATH);
    if node.ledger.owned.remove(&permission).is_some() {
        node.ledger.save(&node.tree)?;
    }
    let tree = &node.tree;
    if is_bootstrapped(tree)? {
        return Ok(());
    }
    if tree.look(DIRECTORY)? == Look::Missing {
        tree.make_directory(DIRECTORY, Owner::mine(0o700))?;
    }
    tree.write(PATH, b"etcd's bootstrap is finished\n", Owner::mine(0o600))?;
    tree.sync()
}
