//! The content this program can send, by digest, and how it is sent: compressed once, then from the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::read::GzDecoder;
use kubewright_core::catalogue::Platform;
use kubewright_core::resource::{Blob, Digest};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;

use super::ArtifactError;
use super::cache::{Cache, file_error};
use crate::node::{BlobOpening, Blobs, NoBlob};
use crate::transport::{Agents, Reader};

/// Where content is when it is not in the cache.
#[derive(Clone, Debug)]
enum Source {
    /// A file of a directory the operator named.
    File(PathBuf),
    /// An agent this program carries.
    Gzip(Arc<[u8]>),
}

/// Content by digest.
#[derive(Debug)]
pub struct Store {
    cache: Cache,
    sources: Mutex<BTreeMap<Digest, Source>>,
    compressed: Mutex<BTreeMap<Digest, Arc<OnceCell<()>>>>,
    /// Compressing takes a processor each.
    processors: Semaphore,
}

impl Store {
    /// Opens the store in the operator's cache directory.
    pub fn open_default() -> Result<Self, ArtifactError> {
        Self::open(Cache::default_root())
    }

    /// Opens a store that keeps its things below `root`.
    pub fn open(root: PathBuf) -> Result<Self, ArtifactError> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            cache: Cache::open(root)?,
            sources: Mutex::default(),
            compressed: Mutex::default(),
            processors: Semaphore::new(processors),
        })
    }

    /// Makes the agents part of what can be sent: nodes run them as programs of their own too.
    pub fn add_agents(&self, agents: &Agents) -> BTreeMap<Platform, Blob> {
        let add = |(platform, agent): (Platform, &crate::transport::Agent)| {
            self.add(agent.sha256, Source::Gzip(agent.gzip.clone()));
            (platform, agent.blob())
        };
        agents.iter().map(add).collect()
    }

    /// Makes a verified file part of what can be sent.
    pub(super) fn add_file(&self, sha256: Digest, path: PathBuf) {
        self.add(sha256, Source::File(path));
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Compresses content ahead of time, so that no node has to wait for it.
    pub async fn prepare(&self, sha256: Digest) -> Result<(), NoBlob> {
        let once = {
            let mut compressed = self.compressed.lock().unwrap_or_else(PoisonError::into_inner);
            compressed.entry(sha256).or_default().clone()
        };
        once.get_or_try_init(|| self.compress(sha256)).await?;
        Ok(())
    }

    fn add(&self, sha256: Digest, source: Source) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.insert(sha256, source);
    }

    fn source(&self, sha256: Digest) -> Option<Source> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.get(&sha256).cloned()
    }

    async fn compress(&self, sha256: Digest) -> Result<(), NoBlob> {
        let failed = |cause: String| NoBlob { sha256, cause };
        if self.cache.zstd_path(sha256).is_file() {
            return Ok(());
        }
        let source = self
            .source(sha256)
            .unwrap_or_else(|| Source::File(self.cache.path(sha256)));
        let _processor = self
            .processors
            .acquire()
            .await
            .map_err(|error| failed(error.to_string()))?;
        let cache = self.cache.clone();
        let compress = move || -> Result<Digest, String> {
            let mut content: Box<dyn Read> = match &source {
                Source::File(path) => {
                    Box::new(File::open(path).map_err(|error| file_error("read", path, &error).to_string())?)
                }
                Source::Gzip(bytes) => Box::new(GzDecoder::new(&bytes[..])),
            };
            cache
                .compress(&mut content, sha256)
                .map_err(|error| format!("compress: {error}"))
        };
        let found = spawn_blocking(compress)
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(failed)?;
        if found != sha256 {
            return Err(failed(format!("the file has changed, its digest is now {found}")));
        }
        Ok(())
    }

    async fn open_compressed(&self, sha256: Digest) -> Result<Reader, NoBlob> {
        self.prepare(sha256).await?;
        let path = self.cache.zstd_path(sha256);
        let file = tokio::fs::File::open(&path).await.map_err(|error| NoBlob {
            sha256,
            cause: file_error("read", &path, &error).to_string(),
        })?;
        Ok(Box::new(file))
    }
}

impl Blobs for Store {
    fn open_zstd(&self, sha256: Digest) -> BlobOpening<'_> {
        Box::pin(self.open_compressed(sha256))
    }
}
