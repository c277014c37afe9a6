//! Files with known content, and what all kinds that are files share.

use kubewright_core::journal::Undo;
use kubewright_core::observed::Change;
use kubewright_core::resource::{Digest, File};
use kubewright_core::wire::NodeError;

use crate::accounts;
use crate::fault::fault;
use crate::journal;
use crate::node::Node;
use crate::tree::{Look, Owner, Seen};

/// Text up to this many bytes is shown in a plan.
const SHOWN_BYTES: u64 = 64 << 10;
/// What the present content must not hold to be shown: another program's file may be in our place.
///
/// A token is one where something is given one; arguments only speak of tokens, as `--extend-token-expiration` does.
const SECRET_MARKS: [&str; 9] = [
    "private key",
    "-key-data",
    "token:",
    "token=",
    "token\"",
    "token ",
    "password",
    "secret:",
    "secretbox",
];

pub(super) fn inspect(node: &mut Node, file: &File) -> Result<Option<Change>, NodeError> {
    let seen = match node.look_for_file(&file.path)? {
        Ok(seen) => seen,
        Err(change) => return Ok(Some(change)),
    };
    if seen.stamp.size != file.content.len() as u64
        || node.hashes.of(&node.tree, &file.path)? != Some(Digest::of(file.content.as_bytes()))
    {
        return Ok(Some(Change::Content {
            before: shown(node, &file.path, &seen),
        }));
    }
    Ok(node.access_change(seen.owner, &file.access))
}

pub(super) fn record(node: &mut Node, path: &str) -> Result<Undo, NodeError> {
    match node.look_for_file(path)? {
        Ok(_) => {
            let digest = node.hashes.of(&node.tree, path)?;
            journal::keep(&node.tree, path, digest)
        }
        Err(_) => Ok(Undo::Remove),
    }
}

pub(super) fn change(node: &mut Node, file: &File, change: &Change) -> Result<(), NodeError> {
    let owner = accounts::need_owner(node.system.as_ref(), &file.access, &file.path)?;
    if matches!(change, Change::Access { .. }) {
        return set_owner(node, &file.path, owner);
    }
    let bytes = file.content.as_bytes();
    node.tree.write(&file.path, bytes, owner)?;
    node.hashes.remember(&node.tree, &file.path, Digest::of(bytes))
}

/// Sets owner and mode; the content stays known.
pub(super) fn set_owner(node: &mut Node, path: &str, owner: Owner) -> Result<(), NodeError> {
    let known = node.hashes.of(&node.tree, path)?;
    node.tree.set_owner(path, owner)?;
    match known {
        Some(digest) => node.hashes.remember(&node.tree, path, digest),
        None => Ok(()),
    }
}

pub(super) fn undo(node: &mut Node, path: &str, undo: &Undo) -> Result<(), NodeError> {
    match undo {
        Undo::Remove => node.tree.remove(path),
        Undo::Link { target } => node.tree.link(path, target),
        Undo::Restore {
            sha256,
            mode,
            uid,
            gid,
        } => {
            let owner = Owner {
                uid: *uid,
                gid: *gid,
                mode: *mode,
            };
            journal::restore(&node.tree, path, *sha256, owner)?;
            node.hashes.remember(&node.tree, path, *sha256)
        }
        _ => Err(fault(
            format!("undo {path}"),
            "recorded in a way that does not fit a file",
        )),
    }
}

/// Whether a file or link is there.
pub(super) fn is_there(node: &Node, path: &str) -> Result<bool, NodeError> {
    use crate::tree::Kind;
    Ok(matches!(node.tree.look(path)?, Look::There(seen) if matches!(seen.kind, Kind::File | Kind::Link)))
}

/// The present content for a plan: text, not large, and nothing that could be secret.
pub(super) fn shown(node: &Node, path: &str, seen: &Seen) -> Option<String> {
    if seen.stamp.size > SHOWN_BYTES || is_private(path) {
        return None;
    }
    let text = String::from_utf8(node.tree.read(path, SHOWN_BYTES).ok()??).ok()?;
    let lower = text.to_lowercase();
    let is_secret = SECRET_MARKS.iter().any(|mark| lower.contains(mark));
    (!is_secret).then_some(text)
}

/// Paths whose content is never shown, whatever it looks like.
fn is_private(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    extension == "key"
        || path == kubewright_core::pki::ENCRYPTION_CONFIG_PATH
        || (path.starts_with("/etc/kubernetes/pki/") && !matches!(extension, "crt" | "pub"))
        || path.starts_with("/var/lib/kubelet/pki/")
}
