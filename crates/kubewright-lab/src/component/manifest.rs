//! The manifest of an artifact directory, `manifest.json`: what is in it and how to know that it arrived whole.
//!
//! It is what an artifact source `directory: PATH` reads:
//!
//! ```json
//! { "apiVersion": "kubewright/artifacts/v1alpha1", "kind": "ArtifactDirectory",
//!   "recipe": "<sha256 of all recipes>", "source": "build",
//!   "artifacts": [
//!     { "name": "etcd", "project": "etcd", "version": "3.6.16", "platform": "linux/amd64",
//!       "kind": "binary", "file": "bin/etcd", "sha256": "…", "size": 27000000 },
//!     { "name": "coredns", "project": "coredns", "version": "1.14.7", "platform": "linux/amd64",
//!       "kind": "image", "file": "images/coredns.tar", "sha256": "…", "size": 77000000,
//!       "reference": "registry.k8s.io/coredns/coredns:v1.14.7", "manifestDigest": "sha256:…" } ] }
//! ```
//!
//! `name` is unique per kind and, for a binary, the file name it has on a node. `version` has no leading `v`.
//! `file` is relative to the directory, `size` is in bytes. An image is an uncompressed OCI image-layout archive
//! whose index names `reference`. `artifacts` is sorted by kind and name; the manifest is written last, so a
//! directory that has one is whole. Readers ignore fields they do not know.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The version of this format.
pub(crate) const API_VERSION: &str = "kubewright/artifacts/v1alpha1";

/// The file's name in the directory.
pub(crate) const FILE: &str = "manifest.json";

/// All artifacts of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    /// Digest of the recipes the artifacts were made from.
    pub(crate) recipe: String,
    /// `build` or `download`: where the binaries come from; images are always built.
    pub(crate) source: String,
    pub(crate) artifacts: Vec<Artifact>,
}

/// One file that goes to nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Artifact {
    pub(crate) name: String,
    /// The upstream project whose recipe made it.
    pub(crate) project: String,
    pub(crate) version: String,
    pub(crate) platform: String,
    pub(crate) kind: Kind,
    pub(crate) file: String,
    pub(crate) sha256: String,
    /// In bytes.
    pub(crate) size: u64,
    /// The name that pods use, images only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
    /// Digest of the image's manifest, images only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest_digest: Option<String>,
}

/// What a node does with an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Installed as an executable file.
    Binary,
    /// Imported into the container runtime.
    Image,
}

impl Manifest {
    /// Makes a manifest with its artifacts in order.
    pub(crate) fn new(recipe: &str, source: &str, mut artifacts: Vec<Artifact>) -> Self {
        artifacts.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Self {
            api_version: API_VERSION.to_owned(),
            kind: "ArtifactDirectory".to_owned(),
            recipe: recipe.to_owned(),
            source: source.to_owned(),
            artifacts,
        }
    }

    /// Writes the manifest into a directory.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let mut text = serde_json::to_string_pretty(self).context("write manifest as JSON")?;
        text.push('\n');
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// Reads the manifest of a directory, `None` where there is none of this format.
    pub(crate) fn read(directory: &Path) -> Option<Self> {
        let text = std::fs::read(directory.join(FILE)).ok()?;
        let manifest: Self = serde_json::from_slice(&text).ok()?;
        (manifest.api_version == API_VERSION).then_some(manifest)
    }

    /// Says whether every artifact is in the directory with its size.
    pub(crate) fn is_whole(&self, directory: &Path) -> bool {
        self.artifacts.iter().all(|artifact| {
            std::fs::metadata(directory.join(&artifact.file))
                .is_ok_and(|file| file.is_file() && file.len() == artifact.size)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(kind: Kind, name: &str) -> Artifact {
        Artifact {
            name: name.to_owned(),
            project: "etcd".to_owned(),
            version: "3.6.16".to_owned(),
            platform: "linux/amd64".to_owned(),
            kind,
            file: format!("bin/{name}"),
            sha256: "00".to_owned(),
            size: 3,
            reference: None,
            manifest_digest: None,
        }
    }

    #[test]
    fn lists_binaries_before_images_by_name() {
        let artifacts = vec![
            artifact(Kind::Image, "a"),
            artifact(Kind::Binary, "c"),
            artifact(Kind::Binary, "b"),
        ];
        let manifest = Manifest::new("digest", "build", artifacts);
        let names: Vec<_> = manifest.artifacts.iter().map(|made| made.name.as_str()).collect();
        assert_eq!(names, ["b", "c", "a"]);
    }

    #[test]
    fn writes_the_documented_fields() {
        let mut image = artifact(Kind::Image, "a");
        image.reference = Some("example/a:1".to_owned());
        image.manifest_digest = Some("sha256:11".to_owned());
        let manifest = Manifest::new("digest", "build", vec![image]);
        let value = serde_json::to_value(&manifest).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "apiVersion": "kubewright/artifacts/v1alpha1", "kind": "ArtifactDirectory",
                "recipe": "digest", "source": "build",
                "artifacts": [{
                    "name": "a", "project": "etcd", "version": "3.6.16", "platform": "linux/amd64",
                    "kind": "image", "file": "bin/a", "sha256": "00", "size": 3,
                    "reference": "example/a:1", "manifestDigest": "sha256:11",
                }],
            })
        );
    }

    #[test]
    fn is_whole_only_with_every_file_of_the_right_size() {
        let directory = tempfile::tempdir().unwrap();
        let manifest = Manifest::new("digest", "build", vec![artifact(Kind::Binary, "etcd")]);
        manifest.write(directory.path()).unwrap();
        assert_eq!(Manifest::read(directory.path()), Some(manifest.clone()));
        assert!(!manifest.is_whole(directory.path()));
        std::fs::create_dir(directory.path().join("bin")).unwrap();
        std::fs::write(directory.path().join("bin/etcd"), "ab").unwrap();
        assert!(!manifest.is_whole(directory.path()));
        std::fs::write(directory.path().join("bin/etcd"), "abc").unwrap();
        assert!(manifest.is_whole(directory.path()));
    }

    #[test]
    fn ignores_a_manifest_of_another_format() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), "{\"apiVersion\": \"other/v1\"}").unwrap();
        assert_eq!(Manifest::read(directory.path()), None);
    }
}
