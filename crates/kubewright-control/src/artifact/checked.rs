//! Files of other people's directories whose digest was computed before: `checked.json` in the cache.
//!
//! A gigabyte is not hashed again while path, size, modification time and inode are the same. What was changed less than
//! two seconds before it was looked at is not remembered: its time could not tell a second change.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kubewright_core::resource::Digest;
use serde::{Deserialize, Serialize};

const FILE: &str = "checked.json";
const RECENT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    size: u64,
    seconds: i64,
    nanoseconds: i64,
    inode: u64,
    device: u64,
    sha256: Digest,
}

/// What was computed before.
#[derive(Debug, Default)]
pub(super) struct Checked {
    path: PathBuf,
    seen: BTreeMap<PathBuf, Seen>,
    is_changed: bool,
}

impl Checked {
    /// Reads what an earlier run left; anything unreadable counts as nothing.
    pub(super) fn read(root: &Path) -> Self {
        let path = root.join(FILE);
        let seen = fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Self {
            path,
            seen,
            is_changed: false,
        }
    }

    /// The digest of a file, if the file is as it was.
    pub(super) fn get(&self, path: &Path, metadata: &Metadata) -> Option<Digest> {
        let seen = self.seen.get(path)?;
        (*seen == Seen::of(metadata, seen.sha256)).then_some(seen.sha256)
    }

    /// Remembers the digest of a file; `metadata` is from before it was computed.
    pub(super) fn insert(&mut self, path: &Path, metadata: &Metadata, sha256: Digest) {
        let is_recent = metadata
            .modified()
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok())
            .is_none_or(|age| age < RECENT);
        if !is_recent {
            self.seen.insert(path.to_owned(), Seen::of(metadata, sha256));
            self.is_changed = true;
        }
    }

    /// Writes what is new; that it cannot be written only costs time later.
    pub(super) fn write(&self) {
        if !self.is_changed {
            return;
        }
        let written = serde_json::to_vec(&self.seen)
            .map_err(std::io::Error::from)
            .and_then(|text| {
                let directory = self.path.parent().unwrap_or(Path::new("."));
                let mut file = tempfile::NamedTempFile::new_in(directory)?;
                std::io::Write::write_all(&mut file, &text)?;
                file.persist(&self.path).map_err(|error| error.error)?;
                Ok(())
            });
        if let Err(error) = written {
            tracing::debug!(%error, path = %self.path.display(), "digests not remembered");
        }
    }
}

impl Seen {
    fn of(metadata: &Metadata, sha256: Digest) -> Self {
        Self {
            size: metadata.len(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
            inode: metadata.ino(),
            device: metadata.dev(),
            sha256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old_file(directory: &Path) -> PathBuf {
        let path = directory.join("file");
        fs::write(&path, "content").unwrap();
        let file = fs::File::open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60))
            .unwrap();
        path
    }

    #[test]
    fn remembers_a_file_until_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = old_file(directory.path());
        let metadata = fs::metadata(&path).unwrap();
        let mut checked = Checked::read(directory.path());
        checked.insert(&path, &metadata, Digest::of(b"content"));
        checked.write();
        let again = Checked::read(directory.path());
        assert_eq!(again.get(&path, &metadata), Some(Digest::of(b"content")));
        fs::write(&path, "CONTENT").unwrap();
        assert_eq!(again.get(&path, &fs::metadata(&path).unwrap()), None);
    }

    #[test]
    fn does_not_remember_a_file_that_has_just_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "content").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let mut checked = Checked::read(directory.path());
        checked.insert(&path, &metadata, Digest::of(b"content"));
        assert_eq!(checked.get(&path, &metadata), None);
    }
}
