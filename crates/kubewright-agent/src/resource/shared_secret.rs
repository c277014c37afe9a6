//! Secret files that several nodes have alike. Their content comes from the controller, goes to the file and nowhere else.

use kubewright_core::observed::Change;
use kubewright_core::resource::{Digest, SharedSecret};
use kubewright_core::wire::NodeError;

use super::{Work, file};
use crate::accounts;
use crate::fault::{fault, hinted};
use crate::node::Node;

pub(super) fn inspect(node: &mut Node, secret: &SharedSecret) -> Result<Option<Change>, NodeError> {
    let seen = match node.look_for_file(&secret.path)? {
        Ok(seen) => seen,
        Err(change) => return Ok(Some(change)),
    };
    let Some(wanted) = secret.sha256 else {
        return Ok(Some(Change::Missing));
    };
    if node.hashes.of(&node.tree, &secret.path)? != Some(wanted) {
        return Ok(Some(Change::Content { before: None }));
    }
    Ok(node.access_change(seen.owner, &secret.access))
}

pub(super) fn change(
    node: &mut Node,
    work: &mut Work<'_>,
    secret: &SharedSecret,
    change: &Change,
) -> Result<(), NodeError> {
    let owner = accounts::need_owner(node.system.as_ref(), &secret.access, &secret.path)?;
    if matches!(change, Change::Access { .. }) {
        return file::set_owner(node, &secret.path, owner);
    }
    let content = work.peer.secret(&secret.name)?;
    let digest = Digest::of(content.expose());
    if secret.sha256.is_some_and(|wanted| wanted != digest) {
        let error = fault(
            format!("write {}", secret.path),
            format!("the secret {} that arrived is not the one announced", secret.name),
        );
        return Err(hinted(
            error,
            "run the same command again: it was made from an older look at the cluster",
        ));
    }
    node.tree.write(&secret.path, content.expose(), owner)?;
    node.hashes.remember(&node.tree, &secret.path, digest)
}
