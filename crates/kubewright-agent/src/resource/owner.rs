//! Owner and mode of what is on the node, as a journal keeps them: `uid:gid:mode`, the mode in octal.

use kubewright_core::journal::Undo;
use kubewright_core::wire::NodeError;

use crate::fault::fault;
use crate::node::Node;
use crate::tree::{Kind, Look, Owner};

/// How to give a path back to whom it belongs now; it is to be removed when there is nothing yet.
pub(super) fn record(node: &Node, path: &str) -> Result<Undo, NodeError> {
    Ok(match node.tree.look(path)? {
        Look::There(seen) => Undo::Value {
            value: format!("{}:{}:{:o}", seen.owner.uid, seen.owner.gid, seen.owner.mode),
        },
        _ => Undo::Remove,
    })
}

/// Reads what [`record`] wrote.
pub(super) fn parse(path: &str, value: &str) -> Result<Owner, NodeError> {
    let malformed = || fault(format!("undo {path}"), format!("{value:?} is no owner and mode"));
    let mut parts = value.split(':');
    let mut number =
        |radix| u32::from_str_radix(parts.next().unwrap_or_default(), radix).map_err(|_| malformed());
    Ok(Owner {
        uid: number(10)?,
        gid: number(10)?,
        mode: number(8)?,
    })
}

/// Gives a directory to an owner, and with it the files right in it that belong to its present one: what a process
/// writes there (its log) is of use to the next process only if it may go on with it. Files first: as long as one is
/// left, the directory still differs.
pub(super) fn give_directory(node: &Node, path: &str, owner: Owner) -> Result<(), NodeError> {
    if let Look::There(directory) = node.tree.look(path)?
        && directory.owner.uid != owner.uid
    {
        for name in node.tree.list(path)? {
            let file = format!("{path}/{name}");
            if let Look::There(seen) = node.tree.look(&file)?
                && seen.kind == Kind::File
                && seen.owner.uid == directory.owner.uid
            {
                let mode = seen.owner.mode;
                node.tree.set_owner(&file, Owner { mode, ..owner })?;
            }
        }
    }
    node.tree.set_owner(path, owner)
}
