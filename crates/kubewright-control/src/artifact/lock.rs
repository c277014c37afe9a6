//! `kubewright.lock` beside cluster.yaml: digests that the catalogue does not know, pinned when they were first seen.
//!
//! What a download is, and what each file in an archive is, may not change unnoticed. The file is meant to be
//! committed with cluster.yaml; deleting it means trusting upstream's answers again.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use kubewright_core::resource::{Blob, Digest};
use serde::{Deserialize, Serialize};

use super::cache::file_error;
use super::{ArtifactError, LOCK_FILE};

const VERSION: u32 = 1;
const HEADER: &str =
    "# What kubewright's downloads are. Kept by kubewright; commit it beside cluster.yaml.\n";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    #[serde(default)]
    artifacts: BTreeMap<String, Pin>,
}

/// What one download is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pin {
    /// Of the download as a whole.
    pub(super) sha256: Digest,
    /// Of the files taken from it, by their path in the archive.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) members: BTreeMap<String, Member>,
}

/// What one file in an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Member {
    sha256: Digest,
    size: u64,
}

impl From<Blob> for Member {
    fn from(blob: Blob) -> Self {
        Self {
            sha256: blob.sha256,
            size: blob.size_bytes,
        }
    }
}

impl From<Member> for Blob {
    fn from(member: Member) -> Self {
        Self {
            sha256: member.sha256,
            size_bytes: member.size,
        }
    }
}

/// The lock file, read once and written when something was added.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    content: Content,
    is_changed: bool,
}

impl LockFile {
    /// Reads the lock file of a directory; a missing one is empty.
    pub(super) fn read(directory: &Path) -> Result<Self, ArtifactError> {
        let path = directory.join(LOCK_FILE);
        let format = |cause: String| ArtifactError::Format {
            path: path.clone(),
            cause,
        };
        let content = match fs::read_to_string(&path) {
            Ok(text) => toml::from_str::<Content>(&text).map_err(|error| format(error.to_string()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Content {
                version: VERSION,
                artifacts: BTreeMap::new(),
            },
            Err(error) => return Err(file_error("read", &path, &error)),
        };
        if content.version != VERSION {
            let found = content.version;
            return Err(format(format!(
                "version {found} is not supported; expected {VERSION}"
            )));
        }
        Ok(Self {
            path,
            content,
            is_changed: false,
        })
    }

    /// What a download is, by its address at upstream.
    pub(super) fn get(&self, url: &str) -> Option<&Pin> {
        self.content.artifacts.get(url)
    }

    /// Pins a download.
    pub(super) fn insert(&mut self, url: &str, pin: Pin) {
        if self.get(url) != Some(&pin) {
            self.content.artifacts.insert(url.to_owned(), pin);
            self.is_changed = true;
        }
    }

    /// Writes what was added.
    pub(super) fn write(&self) -> Result<(), ArtifactError> {
        if !self.is_changed {
            return Ok(());
        }
        let text = toml::to_string(&self.content).map_err(|error| ArtifactError::Format {
            path: self.path.clone(),
            cause: error.to_string(),
        })?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(HEADER.as_bytes())?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            // Like any file of the project's, not like a temporary one.
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            file.as_file().set_permissions(permissions)?;
            file.persist(&self.path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|error| file_error("write", &self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_once_and_reads_it_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut lock = LockFile::read(directory.path()).unwrap();
        let blob = Blob {
            sha256: Digest::of(b"member"),
            size_bytes: 6,
        };
        let pin = Pin {
            sha256: Digest::of(b"archive"),
            members: BTreeMap::from([("bin/containerd".to_owned(), blob.into())]),
        };
        lock.insert("https://example.org/a.tar.gz", pin.clone());
        lock.write().unwrap();
        let again = LockFile::read(directory.path()).unwrap();
        assert_eq!(again.get("https://example.org/a.tar.gz"), Some(&pin));
    }

    #[test]
    fn writes_nothing_when_nothing_was_added() {
        let directory = tempfile::tempdir().unwrap();
        LockFile::read(directory.path()).unwrap().write().unwrap();
        assert!(!directory.path().join(LOCK_FILE).exists());
    }

    #[test]
    fn refuses_a_file_it_does_not_understand() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["version = 2\n", "version = 1\nunknown = 3\n", "nonsense"] {
            fs::write(directory.path().join(LOCK_FILE), text).unwrap();
            assert!(LockFile::read(directory.path()).is_err(), "{text}");
        }
    }
}
