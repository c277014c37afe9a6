//! Content by digest on this computer: `blobs/<sha256>` as it is, `blobs/<sha256>.zst` as it is sent.
//!
//! A file gets its name only after its content was verified and is on the disk; whatever else lies there is refuse.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use kubewright_core::resource::{Blob, Digest};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::ArtifactError;

/// zstd's level: on the binaries of Kubernetes 3 is as fast as a disk and 10 % smaller than 1.
const LEVEL: i32 = 3;

/// A directory of content by digest.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens the cache below `root`, making what is missing.
    pub(super) fn open(root: PathBuf) -> Result<Self, ArtifactError> {
        for directory in [root.join("blobs"), root.join("partial")] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .map_err(|error| file_error("make", &directory, &error))?;
        }
        Ok(Self { root })
    }

    /// Where kubewright's cache is: `$XDG_CACHE_HOME/kubewright`.
    pub(super) fn default_root() -> PathBuf {
        let base = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
        base.unwrap_or_else(std::env::temp_dir).join("kubewright")
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the content of a digest is, if it is there.
    pub(super) fn path(&self, sha256: Digest) -> PathBuf {
        self.root.join("blobs").join(sha256.to_string())
    }

    /// Where the compressed content of a digest is, if it is there.
    pub(super) fn zstd_path(&self, sha256: Digest) -> PathBuf {
        self.root.join("blobs").join(format!("{sha256}.zst"))
    }

    /// Where a download that did not finish yet is kept.
    pub(super) fn partial_path(&self, url: &str) -> PathBuf {
        self.root
            .join("partial")
            .join(Digest::of(url.as_bytes()).to_string())
    }

    /// The content of a digest, if it is here.
    pub(super) fn get(&self, sha256: Digest) -> Option<Blob> {
        let metadata = fs::metadata(self.path(sha256)).ok()?;
        metadata.is_file().then_some(Blob {
            sha256,
            size_bytes: metadata.len(),
        })
    }

    /// Keeps what `content` yields, whatever it is.
    pub(super) fn keep(&self, content: &mut impl Read) -> io::Result<Blob> {
        let mut file = self.temporary()?;
        let (sha256, size_bytes) = copy_hashing(content, &mut file)?;
        persist(file, &self.path(sha256))?;
        Ok(Blob { sha256, size_bytes })
    }

    /// Keeps a finished download under the digest its content was found to have.
    pub(super) fn adopt(&self, path: &Path, sha256: Digest) -> io::Result<()> {
        File::open(path)?.sync_all()?;
        fs::rename(path, self.path(sha256))
    }

    /// Compresses content, unless it turns out to be something else; returns its digest.
    pub(super) fn compress(&self, content: &mut impl Read, sha256: Digest) -> io::Result<Digest> {
        let mut file = self.temporary()?;
        let mut encoder = zstd::Encoder::new(&mut file, LEVEL)?;
        let (found, _) = copy_hashing(content, &mut encoder)?;
        encoder.finish()?;
        if found == sha256 {
            persist(file, &self.zstd_path(sha256))?;
        }
        Ok(found)
    }

    fn temporary(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(self.root.join("blobs"))
    }
}

fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Copies, and tells digest and size of what was copied.
fn copy_hashing(from: &mut impl Read, to: &mut impl Write) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        size += count as u64;
    }
    Ok((Digest::from_bytes(hasher.finalize().into()), size))
}

/// The digest of a file's content.
pub(super) fn hash_file(path: &Path) -> io::Result<Digest> {
    Ok(copy_hashing(&mut File::open(path)?, &mut io::sink())?.0)
}

pub(super) fn file_error(doing: &'static str, path: &Path, error: &io::Error) -> ArtifactError {
    ArtifactError::File {
        doing,
        path: path.to_owned(),
        cause: error.to_string(),
    }
}
