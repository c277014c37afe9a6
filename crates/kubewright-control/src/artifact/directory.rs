//! The source `directory: PATH`: files and a manifest that says what each is, as the lab makes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use kubewright_core::catalogue::Platform;
use kubewright_core::component;
use kubewright_core::render::{Artifacts, ImageArchive};
use kubewright_core::resource::{Blob, Digest};
use serde::Deserialize;
use tokio::task::{JoinSet, spawn_blocking};

use super::cache::{file_error, hash_file};
use super::checked::Checked;
use super::{ArtifactError, Binaries, Store, Wanted};

const FILE: &str = "manifest.json";
const API_VERSION: &str = "kubewright/artifacts/v1alpha1";
/// Files hashed at once.
const AT_ONCE: usize = 4;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    api_version: String,
    artifacts: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    version: String,
    platform: String,
    kind: Kind,
    file: String,
    sha256: Digest,
    size: u64,
    reference: Option<String>,
    manifest_digest: Option<Digest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Binary,
    Image,
    /// A later version's; readers ignore what they do not know.
    #[serde(other)]
    Unknown,
}

impl Entry {
    fn blob(&self) -> Blob {
        Blob {
            sha256: self.sha256,
            size_bytes: self.size,
        }
    }
}

pub(super) async fn resolve(
    store: &Store,
    wanted: &Wanted<'_>,
    directory: &Path,
) -> Result<Artifacts, ArtifactError> {
    let manifest = read(directory)?;
    let mut used: BTreeMap<PathBuf, Entry> = BTreeMap::new();
    let (mut binaries, mut images) = (Binaries::new(), BTreeMap::new());
    let mut entry_path = |entry: &Entry| {
        let path = inside(directory, &entry.file)?;
        used.insert(path, entry.clone());
        Ok::<_, ArtifactError>(())
    };
    for platform in wanted.platforms.iter().copied() {
        for name in component::binaries(wanted.cluster) {
            let entry = find_binary(&manifest, wanted, directory, name, platform)?;
            entry_path(entry)?;
            binaries.insert((name.to_owned(), platform), entry.blob());
        }
        for entry in of_platform(&manifest, Kind::Image, platform) {
            let (Some(reference), Some(manifest)) = (&entry.reference, entry.manifest_digest) else {
                return Err(ArtifactError::Format {
                    path: directory.join(FILE),
                    cause: format!("image {} has no `reference` or no `manifestDigest`", entry.name),
                });
            };
            entry_path(entry)?;
            let archive = ImageArchive {
                manifest,
                blob: entry.blob(),
            };
            images.insert((reference.clone(), platform), archive);
        }
    }
    verify(store, used).await?;
    Ok(Artifacts::resolved(binaries, images))
}

fn read(directory: &Path) -> Result<Manifest, ArtifactError> {
    let path = directory.join(FILE);
    let text = fs::read(&path).map_err(|error| file_error("read", &path, &error))?;
    let format = |cause: String| ArtifactError::Format {
        path: path.clone(),
        cause,
    };
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| format(error.to_string()))?;
    if manifest.api_version != API_VERSION {
        return Err(format(format!(
            "apiVersion is {:?}, expected {API_VERSION:?}",
            manifest.api_version
        )));
    }
    Ok(manifest)
}

/// The path of a file below the directory; nothing else is read.
fn inside(directory: &Path, file: &str) -> Result<PathBuf, ArtifactError> {
    let relative = Path::new(file);
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if file.is_empty() || !relative.components().all(is_plain) {
        return Err(ArtifactError::Format {
            path: directory.join(FILE),
            cause: format!("file {file:?} is not below the directory"),
        });
    }
    Ok(directory.join(relative))
}

fn of_platform(manifest: &Manifest, kind: Kind, platform: Platform) -> impl Iterator<Item = &Entry> {
    let platform = format!("linux/{platform}");
    manifest
        .artifacts
        .iter()
        .filter(move |entry| entry.kind == kind && entry.platform == platform)
}

/// Finds a binary of the right version. Of Kubernetes and etcd the version must be the catalogue's to the patch: plans and
/// skew rules count on it; the others may be an organisation's own builds.
fn find_binary<'a>(
    manifest: &'a Manifest,
    wanted: &Wanted<'_>,
    directory: &Path,
    name: &str,
    platform: Platform,
) -> Result<&'a Entry, ArtifactError> {
    let expected = wanted
        .release
        .binary(name, platform)
        .map(|(artifact, _)| artifact);
    let version = expected.as_ref().map_or("", |artifact| artifact.version.as_str());
    let absent = |instead: Option<String>| ArtifactError::Absent {
        source_name: directory.display().to_string(),
        name: name.to_owned(),
        version: version.to_owned(),
        platform,
        instead,
    };
    let entry = of_platform(manifest, Kind::Binary, platform)
        .find(|entry| entry.name == name)
        .ok_or_else(|| absent(None))?;
    if entry.version != version {
        let kubernetes = wanted.release.kubernetes.to_string();
        let etcd = wanted.release.etcd.to_string();
        if version == kubernetes || version == etcd {
            return Err(absent(Some(entry.version.clone())));
        }
        tracing::debug!(name, found = %entry.version, catalogue = version, "the directory has another version");
    }
    Ok(entry)
}

/// Compares every file that is used with the manifest, and makes it part of the store.
async fn verify(store: &Store, used: BTreeMap<PathBuf, Entry>) -> Result<(), ArtifactError> {
    let mut checked = Checked::read(store.cache().root());
    let mut hashing = JoinSet::new();
    let at_once = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    for (path, entry) in used {
        let metadata = fs::metadata(&path).map_err(|error| file_error("read", &path, &error))?;
        store.add_file(entry.sha256, path.clone());
        if let Some(found) = checked.get(&path, &metadata) {
            compare(&path, &entry, found)?;
            continue;
        }
        let at_once = at_once.clone();
        hashing.spawn(async move {
            let _permit = at_once.acquire_owned().await;
            let hashed = {
                let path = path.clone();
                spawn_blocking(move || hash_file(&path)).await
            };
            (path, entry, metadata, hashed)
        });
    }
    while let Some(done) = hashing.join_next().await {
        let Ok((path, entry, metadata, hashed)) = done else {
            continue;
        };
        let found = hashed
            .map_err(std::io::Error::other)
            .and_then(|hashed| hashed)
            .map_err(|error| file_error("read", &path, &error))?;
        compare(&path, &entry, found)?;
        checked.insert(&path, &metadata, found);
    }
    checked.write();
    Ok(())
}

fn compare(path: &Path, entry: &Entry, found: Digest) -> Result<(), ArtifactError> {
    if found == entry.sha256 {
        return Ok(());
    }
    Err(ArtifactError::Digest {
        what: path.display().to_string(),
        found,
        expected: entry.sha256,
        by: format!("the directory's {FILE}"),
    })
}
