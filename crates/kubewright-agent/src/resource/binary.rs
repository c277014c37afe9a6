//! Executables, named by their digest. A running one is replaced by a rename, which its process does not notice.

use kubewright_core::observed::Change;
use kubewright_core::resource::{Access, Binary};
use kubewright_core::wire::NodeError;

use super::{Work, file};
use crate::accounts;
use crate::blob::Content;
use crate::fault::{fault, hinted};
use crate::node::Node;

fn access() -> Access {
    Access::root(0o755)
}

pub(super) fn inspect(node: &mut Node, binary: &Binary) -> Result<Option<Change>, NodeError> {
    let seen = match node.look_for_file(&binary.path)? {
        Ok(seen) => seen,
        Err(change) => return Ok(Some(change)),
    };
    if let Some(blob) = binary.blob {
        // A file of another size has another digest: it need not be read to be replaced.
        let same_size = seen.stamp.size == blob.size_bytes;
        let present = if same_size {
            node.hashes.of(&node.tree, &binary.path)?
        } else {
            None
        };
        if present != Some(blob.sha256) {
            let before = present.map_or_else(
                || format!("{} bytes of another version", seen.stamp.size),
                |digest| digest.short(),
            );
            return Ok(Some(Change::Value {
                before,
                after: format!("{} ({})", binary.version, blob.sha256.short()),
            }));
        }
    }
    Ok(node.access_change(seen.owner, &access()))
}

pub(super) fn change(node: &mut Node, work: &mut Work<'_>, binary: &Binary) -> Result<(), NodeError> {
    let owner = accounts::need_owner(node.system.as_ref(), &access(), &binary.path)?;
    if let Some(Change::Access { .. }) = inspect(node, binary)? {
        return file::set_owner(node, &binary.path, owner);
    }
    let Some(blob) = binary.blob else {
        let error = fault(format!("write {}", binary.path), "its content is not known");
        return Err(hinted(
            error,
            "this plan was made offline; make it again without --offline",
        ));
    };
    let mut target = node.tree.begin(&binary.path)?;
    let stream = work.peer.blob(blob.sha256)?;
    Content::new(stream, blob)?.copy_to(&mut target)?;
    target.commit(owner)?;
    node.hashes.remember(&node.tree, &binary.path, blob.sha256)
}
