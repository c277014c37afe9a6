//! Directories.

use kubewright_core::journal::Undo;
use kubewright_core::observed::Change;
use kubewright_core::resource::Directory;
use kubewright_core::wire::NodeError;

use crate::accounts;
use crate::fault::fault;
use crate::node::Node;
use crate::tree::{Kind, Look, Owner};

pub(super) fn inspect(node: &Node, directory: &Directory) -> Result<Option<Change>, NodeError> {
    Ok(match node.tree.look(&directory.path)? {
        Look::Missing => Some(Change::Missing),
        Look::Blocked(reason) => Some(Change::Blocked { reason }),
        Look::There(seen) if seen.kind == Kind::Directory => {
            node.access_change(seen.owner, &directory.access)
        }
        Look::There(seen) => Some(Change::Blocked {
            reason: format!(
                "{} is at {}, where a directory should be",
                seen.kind.article(),
                directory.path
            ),
        }),
    })
}

pub(super) fn record(node: &Node, directory: &Directory) -> Result<Undo, NodeError> {
    Ok(match node.tree.look(&directory.path)? {
        Look::There(seen) => Undo::Value {
            value: format!("{}:{}:{:o}", seen.owner.uid, seen.owner.gid, seen.owner.mode),
        },
        _ => Undo::Remove,
    })
}

pub(super) fn change(node: &Node, directory: &Directory) -> Result<(), NodeError> {
    let owner = accounts::need_owner(node.system.as_ref(), &directory.access, &directory.path)?;
    match node.tree.look(&directory.path)? {
        Look::There(_) => node.tree.set_owner(&directory.path, owner),
        _ => node.tree.make_directory(&directory.path, owner),
    }
}

pub(super) fn undo(node: &Node, path: &str, value: &str) -> Result<(), NodeError> {
    let malformed = || fault(format!("undo {path}"), format!("{value:?} is no owner and mode"));
    let mut parts = value.split(':');
    let mut number =
        |radix| u32::from_str_radix(parts.next().unwrap_or_default(), radix).map_err(|_| malformed());
    let owner = Owner {
        uid: number(10)?,
        gid: number(10)?,
        mode: number(8)?,
    };
    node.tree.set_owner(path, owner)
}

/// Whether it is there with nothing in it; only then is a directory ever removed.
pub(super) fn is_empty(node: &Node, path: &str) -> Result<bool, NodeError> {
    let is_directory = matches!(node.tree.look(path)?, Look::There(seen) if seen.kind == Kind::Directory);
    Ok(is_directory && node.tree.list(path)?.is_empty())
}
