//! Container images, imported into containerd from OCI archives.
//!
//! Asking containerd takes a process; whether the manifest of an image that was imported is still in its content store is
//! a look at one file. The store drops it when the image is removed, so the file's presence suffices until somebody asks
//! to verify.

use kubewright_core::observed::Change;
use kubewright_core::resource::{Digest, Image};
use kubewright_core::wire::NodeError;

use super::Work;
use crate::blob::Content;
use crate::fault::{Doing as _, fault, hinted};
use crate::node::Node;
use crate::system::{Command, act, ask};
use crate::tree::Look;

const CONTENT: &str = "/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256";
const SOCKET: &str = "/run/containerd/containerd.sock";

fn ctr(arguments: &[&str]) -> Command {
    let mut all = vec!["--namespace", "k8s.io"];
    all.extend(arguments);
    Command::new("ctr", &all)
}

pub(super) fn inspect(node: &Node, image: &Image) -> Result<Option<Change>, NodeError> {
    let id = kubewright_core::resource::ResourceId::new("image", &image.reference);
    if let Some(manifest) = image.manifest
        && !node.hashes.distrust
        && node.ledger.owned.contains_key(&id)
        && matches!(node.tree.look(&format!("{CONTENT}/{manifest}"))?, Look::There(_))
    {
        return Ok(None);
    }
    if !is_running(node) {
        return Ok(Some(Change::Missing));
    }
    Ok(compare(image, listed(node, &image.reference)?))
}

fn compare(image: &Image, present: Option<Digest>) -> Option<Change> {
    match (present, image.manifest) {
        (None, _) => Some(Change::Missing),
        (Some(before), Some(after)) if before != after => Some(Change::Value {
            before: before.short(),
            after: after.short(),
        }),
        _ => None,
    }
}

pub(super) fn change(node: &mut Node, work: &mut Work<'_>, image: &Image) -> Result<(), NodeError> {
    let doing = || format!("import {}", image.reference);
    let Some(blob) = image.blob else {
        let error = fault(doing(), "its content is not known");
        return Err(hinted(
            error,
            "this plan was made offline: make it again with the artifacts at hand",
        ));
    };
    if !is_running(node) {
        let error = fault(doing(), "containerd is not running");
        return Err(hinted(error, "see `journalctl -u containerd` on the node"));
    }
    let mut content = Content::new(work.peer.blob(blob.sha256)?, blob)?;
    let command = ctr(&["images", "import", "--digests=false", "-"]);
    node.system.effect(&command.line()).doing(doing)?;
    let imported = node
        .system
        .feed(&command, &mut content)
        .doing(doing)
        .and_then(|output| output.ok(&command))
        .and_then(|_| content.finish());
    if let Err(error) = imported {
        // What came must be what was asked for, whatever the importer made of it.
        let _ = act(node.system.as_ref(), &ctr(&["images", "rm", &image.reference]));
        return Err(error);
    }
    match compare(image, listed(node, &image.reference)?) {
        None => Ok(()),
        Some(change) => Err(fault(
            doing(),
            format!("the archive does not hold it ({change:?})"),
        )),
    }
}

fn is_running(node: &Node) -> bool {
    node.system.path(SOCKET).exists()
}

/// The digest containerd lists for an image. `ctr` has no machine-readable form; the table's first and third columns are the
/// reference and the digest.
fn listed(node: &Node, reference: &str) -> Result<Option<Digest>, NodeError> {
    let filter = format!("name=={reference}");
    let output = ask(node.system.as_ref(), &ctr(&["images", "ls", &filter]))?;
    Ok(parse(&output.stdout, reference))
}

fn parse(table: &str, reference: &str) -> Option<Digest> {
    table.lines().find_map(|line| {
        let mut columns = line.split_whitespace();
        (columns.next()? == reference).then_some(())?;
        columns.nth(1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_reference_and_digest_from_the_table() {
        let digest = Digest::of(b"x");
        let table = format!(
            "REF TYPE DIGEST SIZE PLATFORMS LABELS\n\
             registry.k8s.io/pause:3.10.1 application/vnd.oci.image.index.v1+json sha256:{digest} 1.0 MiB linux/amd64 -\n"
        );
        assert_eq!(parse(&table, "registry.k8s.io/pause:3.10.1"), Some(digest));
        assert_eq!(parse(&table, "registry.k8s.io/pause:3.10"), None);
    }
}
