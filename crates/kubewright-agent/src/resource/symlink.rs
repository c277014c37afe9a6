//! Symbolic links.

use kubewright_core::journal::Undo;
use kubewright_core::observed::Change;
use kubewright_core::resource::Symlink;
use kubewright_core::wire::NodeError;

use crate::node::Node;
use crate::tree::{Kind, Look};

pub(super) fn inspect(node: &Node, link: &Symlink) -> Result<Option<Change>, NodeError> {
    Ok(match node.tree.look(&link.path)? {
        Look::Missing => Some(Change::Missing),
        Look::Blocked(reason) => Some(Change::Blocked { reason }),
        Look::There(seen) if seen.kind == Kind::Link => {
            let before = node.tree.read_link(&link.path)?.unwrap_or_default();
            (before != link.target).then(|| Change::Value {
                before,
                after: link.target.clone(),
            })
        }
        Look::There(seen) => Some(Change::Blocked {
            reason: format!(
                "{} is at {}, where a link should be",
                seen.kind.article(),
                link.path
            ),
        }),
    })
}

pub(super) fn record(node: &Node, link: &Symlink) -> Result<Undo, NodeError> {
    let target = node.tree.read_link(&link.path)?;
    Ok(target.map_or(Undo::Remove, |target| Undo::Link { target }))
}
