//! Directories.

use kubewright_core::observed::Change;
use kubewright_core::resource::Directory;
use kubewright_core::wire::NodeError;

use super::owner;
use crate::accounts;
use crate::node::Node;
use crate::tree::{Kind, Look};

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

pub(super) fn change(node: &Node, directory: &Directory) -> Result<(), NodeError> {
    let wanted = accounts::need_owner(node.system.as_ref(), &directory.access, &directory.path)?;
    match node.tree.look(&directory.path)? {
        Look::There(_) => owner::give_directory(node, &directory.path, wanted),
        _ => node.tree.make_directory(&directory.path, wanted),
    }
}

pub(super) fn undo(node: &Node, path: &str, value: &str) -> Result<(), NodeError> {
    owner::give_directory(node, path, owner::parse(path, value)?)
}

/// Whether it is there with nothing in it; only then is a directory ever removed.
pub(super) fn is_empty(node: &Node, path: &str) -> Result<bool, NodeError> {
    let is_directory = matches!(node.tree.look(path)?, Look::There(seen) if seen.kind == Kind::Directory);
    Ok(is_directory && node.tree.list(path)?.is_empty())
}
