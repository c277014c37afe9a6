//! Binaries and images: found, verified, kept by digest, sent compressed.
//!
//! Where they come from is cluster.yaml's `artifacts.source`; once the bytes are there, it is one path: nothing is used
//! or kept before its digest was compared with what the catalogue, the lock file or the directory's manifest says, and
//! what is sent is compressed once, while its digest is computed again. The cache can be deleted at any time.

pub mod archive;
mod cache;
mod checked;
mod directory;
mod download;
mod error;
mod lock;
mod store;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubewright_core::catalogue::{Platform, Release};
use kubewright_core::render::Artifacts;
use kubewright_core::resource::Blob;
use kubewright_core::spec::{ArtifactSource, Cluster};

pub use error::ArtifactError;
pub use store::Store;

/// The lock file's name, beside cluster.yaml.
pub const LOCK_FILE: &str = "kubewright.lock";

/// Is told what is being fetched, how many bytes of it are there, and how many there will be, if that is known.
pub type Fetching = Arc<dyn Fn(&str, u64, Option<u64>) + Send + Sync>;

/// What is needed, and where relative paths begin.
pub struct Wanted<'a> {
    /// The cluster; its source, roles and network decide.
    pub cluster: &'a Cluster,
    /// The versions.
    pub release: &'a Release,
    /// What the nodes run on.
    pub platforms: &'a BTreeSet<Platform>,
    /// The directory of cluster.yaml.
    pub directory: &'a Path,
    /// Is told about downloads.
    pub fetching: Fetching,
}

impl Store {
    /// Finds out which bytes the names of binaries and images stand for, fetching what is not there yet.
    pub async fn resolve(&self, wanted: &Wanted<'_>) -> Result<Artifacts, ArtifactError> {
        match &wanted.cluster.artifacts.source {
            ArtifactSource::Upstream => upstream::resolve(self, wanted, None).await,
            ArtifactSource::Mirror(url) => upstream::resolve(self, wanted, Some(url)).await,
            ArtifactSource::Directory(path) => {
                directory::resolve(self, wanted, &wanted.directory.join(expand(path))).await
            }
            ArtifactSource::Bundle(_) => Err(ArtifactError::NotYet("bundle")),
        }
    }
}

/// Replaces a leading `~/` by the home directory.
fn expand(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// Binaries as [`Artifacts`] takes them.
type Binaries = BTreeMap<(String, Platform), Blob>;

#[cfg(test)]
mod tests;
