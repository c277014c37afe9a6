//! Container images, imported into containerd from OCI archives.
//!
//! containerd is asked once for all images of an inspection. When it does not answer, images count as missing: they are
//! imported after it was started.

use std::collections::BTreeMap;

use kubewright_core::carrier::log_command;
use kubewright_core::component::containerd;
use kubewright_core::observed::Change;
use kubewright_core::resource::{Digest, Image};
use kubewright_core::wire::NodeError;

use super::Work;
use crate::blob::Content;
use crate::fault::{Doing as _, fault, hinted};
use crate::node::Node;
use crate::system::{Command, act, ask};

const SOCKET: &str = "/run/containerd/containerd.sock";

fn ctr(arguments: &[&str]) -> Command {
    let mut all = vec!["--namespace", "k8s.io", "--connect-timeout", "3s"];
    all.extend(arguments);
    Command::new("ctr", &all)
}

pub(super) fn inspect(node: &mut Node, image: &Image) -> Option<Change> {
    if node.images.is_none() {
        let listed = if is_running(node) {
            list(node).unwrap_or_default()
        } else {
            BTreeMap::new()
        };
        node.images = Some(listed);
    }
    let listed = node
        .images
        .as_ref()
        .and_then(|images| images.get(&image.reference));
    compare(image, listed.copied())
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
            "this plan was made offline; make it again without --offline",
        ));
    };
    if !is_running(node) {
        let error = fault(doing(), "containerd is not running");
        return Err(hinted(
            error,
            format!("see `{}` on the node", log_command(&[containerd::NAME])),
        ));
    }
    let mut content = Content::new(work.peer.blob(blob.sha256)?, blob)?;
    let command = ctr(&["images", "import", "--digests=false", "-"]);
    node.images = None;
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
    match compare(image, list(node)?.remove(&image.reference)) {
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

/// The images containerd has. `ctr` knows no machine-readable form; the table's first and third columns are reference and
/// digest.
fn list(node: &Node) -> Result<BTreeMap<String, Digest>, NodeError> {
    let output = ask(node.system.as_ref(), &ctr(&["images", "ls"]))?;
    Ok(parse(&output.stdout))
}

fn parse(table: &str) -> BTreeMap<String, Digest> {
    let rows = table.lines().filter_map(|line| {
        let mut columns = line.split_whitespace();
        let reference = columns.next()?.to_owned();
        Some((reference, columns.nth(1)?.parse().ok()?))
    });
    rows.collect()
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
        let images = BTreeMap::from([("registry.k8s.io/pause:3.10.1".to_owned(), digest)]);
        assert_eq!(parse(&table), images);
    }
}
