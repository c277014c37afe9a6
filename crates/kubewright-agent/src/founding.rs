//! The node's memory of who founds etcd.
//!
//! A file of its own, like the memory of a finished bootstrap: what hangs on it is that no second cluster is ever founded.
//! It is kept before any member starts, and only a reset removes it.

use kubewright_core::observed::Founders;
use kubewright_core::wire::NodeError;

use crate::fault::fault;
use crate::ledger::DIRECTORY;
use crate::tree::{Look, Owner, Tree};

/// Where it is kept.
pub const PATH: &str = "/var/lib/kubewright/founders.json";
/// More control planes than anybody has.
const LIMIT: u64 = 64 << 10;

/// The founders the node keeps, if it keeps any.
///
/// # Errors
/// When that cannot be looked up or read: this must not be taken for none.
pub fn founders(tree: &Tree) -> Result<Option<Founders>, NodeError> {
    let Some(content) = tree.read(PATH, LIMIT)? else {
        return Ok(None);
    };
    serde_json::from_slice(&content)
        .map(Some)
        .map_err(|error| fault(format!("read {PATH}"), error))
}

/// Keeps the founders; they are durable when this returns.
///
/// # Errors
/// When they cannot be written, or the node keeps others.
pub fn record(tree: &Tree, wanted: &Founders) -> Result<(), NodeError> {
    match founders(tree)? {
        Some(kept) if kept == *wanted => return Ok(()),
        Some(kept) => {
            let cause = format!("the node keeps others: {kept}");
            return Err(fault("record the founders of etcd", cause));
        }
        None => {}
    }
    if tree.look(DIRECTORY)? == Look::Missing {
        tree.make_directory(DIRECTORY, Owner::mine(0o700))?;
    }
    let content = serde_json::to_vec(wanted).map_err(|error| fault(format!("write {PATH}"), error))?;
    tree.write(PATH, &content, Owner::mine(0o600))?;
    tree.sync()
}
