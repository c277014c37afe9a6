//! The sources `upstream` and `mirror: URL`: each project's own downloads, by the catalogue's addresses.
//!
//! What a download must be comes from, in this order: the catalogue; `kubewright.lock`; the sum that upstream publishes,
//! over a connection nobody can change; for what has none, the first download. Images are not fetched here: the nodes'
//! runtime pulls them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::read::MultiGzDecoder;
use kubewright_core::catalogue::{Artifact, Checksum, Format};
use kubewright_core::component;
use kubewright_core::render::Artifacts;
use kubewright_core::resource::{Blob, Digest};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use super::archive::{Limits, unpack};
use super::cache::Cache;
use super::download::{Downloader, Expected, is_trustworthy};
use super::lock::{LockFile, Pin};
use super::{ArtifactError, Binaries, Fetching, LOCK_FILE, Store, Wanted};

/// Downloads at once.
const AT_ONCE: usize = 4;
const ELF: &[u8] = b"\x7fELF";
const GZIP: &[u8] = b"\x1f\x8b";

/// What every download needs.
#[derive(Clone)]
struct Source {
    downloader: Downloader,
    cache: Cache,
    lock: Arc<Mutex<LockFile>>,
    mirror: Option<String>,
    fetching: Fetching,
}

pub(super) async fn resolve(
    store: &Store,
    wanted: &Wanted<'_>,
    mirror: Option<&str>,
) -> Result<Artifacts, ArtifactError> {
    let source = Source {
        downloader: Downloader::new(wanted.cluster)?,
        cache: store.cache().clone(),
        lock: Arc::new(Mutex::new(LockFile::read(wanted.directory)?)),
        mirror: mirror.map(|url| url.trim_end_matches('/').to_owned()),
        fetching: wanted.fetching.clone(),
    };
    let names = component::binaries(wanted.cluster);
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let mut getting = JoinSet::new();
    for platform in wanted.platforms.iter().copied() {
        for artifact in wanted.release.artifacts(platform) {
            let Some(artifact) = reduced(artifact, &names) else {
                continue;
            };
            let (source, at_once) = (source.clone(), at_once.clone());
            getting.spawn(async move {
                let _permit = at_once.acquire_owned().await;
                let got = source.get(&artifact).await;
                (artifact, got)
            });
        }
    }
    let mut binaries = Binaries::new();
    let mut failure = None;
    while let Some(done) = getting.join_next().await {
        match done {
            Ok((artifact, Ok(files))) => {
                let platform = artifact.platform;
                binaries.extend(files.into_iter().map(|(name, blob)| ((name, platform), blob)));
            }
            // The rest goes on: what arrives is kept for the next run.
            Ok((_, Err(error))) => failure = failure.or(Some(error)),
            Err(error) => tracing::error!(%error, "download task ended"),
        }
    }
    let lock = source.lock.lock().unwrap_or_else(PoisonError::into_inner);
    lock.write()?;
    match failure {
        Some(error) => Err(error),
        None => Ok(Artifacts::resolved(binaries, BTreeMap::new())),
    }
}

/// The artifact with only the files that are needed; `None` when that is none.
fn reduced(mut artifact: Artifact, names: &BTreeSet<&str>) -> Option<Artifact> {
    artifact.files.retain(|file| names.contains(file.name.as_str()));
    (!artifact.files.is_empty()).then_some(artifact)
}

impl Source {
    /// Gets an artifact's files, by the names they are installed under.
    async fn get(&self, artifact: &Artifact) -> Result<BTreeMap<String, Blob>, ArtifactError> {
        let pin = self.pin_of(artifact);
        let known = artifact.sha256().and_then(|sum| sum.parse::<Digest>().ok());
        // A pin of something else than what the catalogue knows is of no use.
        let pin = pin.filter(|pin| known.is_none_or(|known| known == pin.sha256));
        if let Some(files) = pin.as_ref().and_then(|pin| self.present(artifact, pin)) {
            return Ok(files);
        }
        let expected = self.expected(artifact, known, pin.as_ref()).await?;
        let sha256 = self.bytes(artifact, &expected).await?;
        let mut now = Pin {
            sha256,
            members: BTreeMap::new(),
        };
        if artifact.format == Format::TarGz {
            let members = self.unpack(artifact, sha256).await?;
            for (member, blob) in &members {
                let before = pin.as_ref().and_then(|pin| pin.members.get(member).copied());
                if let Some(before) = before.map(Blob::from).filter(|before| before != blob) {
                    return Err(ArtifactError::Digest {
                        what: format!("{member} in {}", artifact.url),
                        found: blob.sha256,
                        expected: before.sha256,
                        by: LOCK_FILE.to_owned(),
                    });
                }
            }
            // Members that this cluster does not need stay pinned.
            now.members = pin.map(|pin| pin.members).unwrap_or_default();
            now.members
                .extend(members.into_iter().map(|(member, blob)| (member, blob.into())));
        }
        let files = self
            .present(artifact, &now)
            .ok_or_else(|| ArtifactError::Archive {
                archive: artifact.url.clone(),
                cause: "its extracted files are missing in the cache".to_owned(),
            })?;
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.insert(&artifact.url, now);
        Ok(files)
    }

    fn pin_of(&self, artifact: &Artifact) -> Option<Pin> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.get(&artifact.url).cloned()
    }

    /// The artifact's files, if all are in the cache.
    fn present(&self, artifact: &Artifact, pin: &Pin) -> Option<BTreeMap<String, Blob>> {
        artifact
            .files
            .iter()
            .map(|file| {
                let blob = match &file.member {
                    None => self.cache.get(pin.sha256)?,
                    Some(member) => {
                        let pinned = Blob::from(*pin.members.get(member)?);
                        self.cache.get(pinned.sha256).filter(|blob| *blob == pinned)?
                    }
                };
                Some((file.name.clone(), blob))
            })
            .collect()
    }

    /// What the download must be, and who says so.
    async fn expected(
        &self,
        artifact: &Artifact,
        known: Option<Digest>,
        pin: Option<&Pin>,
    ) -> Result<Expected, ArtifactError> {
        let magic = match artifact.format {
            Format::Plain => ELF,
            Format::TarGz => GZIP,
        };
        let expected = |sha256: Option<Digest>, by: &str| Expected {
            sha256,
            by: by.to_owned(),
            magic,
        };
        if let Some(known) = known {
            return Ok(expected(Some(known), "kubewright's catalogue"));
        }
        if let Some(pin) = pin {
            return Ok(expected(Some(pin.sha256), LOCK_FILE));
        }
        let url = match &artifact.checksum {
            Checksum::Published(url) => self.address(url),
            Checksum::Known(_) | Checksum::Unpublished => self.address(&artifact.url),
        };
        if !is_trustworthy(&url) {
            return Err(ArtifactError::Untrusted {
                url,
                name: artifact.name.to_owned(),
            });
        }
        if !matches!(artifact.checksum, Checksum::Published(_)) {
            return Ok(expected(None, ""));
        }
        let text = self.downloader.text(&url).await?;
        let sum = published_sum(&text, artifact.file_name()).ok_or_else(|| ArtifactError::Download {
            url: url.clone(),
            cause: format!("it has no SHA-256 sum of {}", artifact.file_name()),
            attempts: 1,
        })?;
        Ok(expected(Some(sum), &url))
    }

    /// Gets the download itself into the cache.
    async fn bytes(&self, artifact: &Artifact, expected: &Expected) -> Result<Digest, ArtifactError> {
        if let Some(blob) = expected.sha256.and_then(|sha256| self.cache.get(sha256)) {
            return Ok(blob.sha256);
        }
        let url = self.address(&artifact.url);
        let name = format!("{} {}", artifact.name, artifact.version);
        self.downloader
            .fetch(&self.cache, &url, &name, expected, &self.fetching)
            .await
    }

    async fn unpack(
        &self,
        artifact: &Artifact,
        sha256: Digest,
    ) -> Result<BTreeMap<String, Blob>, ArtifactError> {
        let cache = self.cache.clone();
        let name = artifact.file_name().to_owned();
        let members: Vec<String> = artifact
            .files
            .iter()
            .filter_map(|file| file.member.clone())
            .collect();
        let archive = name.clone();
        spawn_blocking(move || unpack_kept(&cache, sha256, &archive, &members))
            .await
            .map_err(|error| ArtifactError::Archive {
                archive: name,
                cause: error.to_string(),
            })?
    }

    /// Where an address of upstream's is with this source.
    fn address(&self, url: &str) -> String {
        match &self.mirror {
            Some(mirror) => format!("{mirror}/{}", url.strip_prefix("https://").unwrap_or(url)),
            None => url.to_owned(),
        }
    }
}

/// Takes the wanted members of a compressed archive in the cache into the cache.
fn unpack_kept(
    cache: &Cache,
    sha256: Digest,
    archive: &str,
    wanted: &[String],
) -> Result<BTreeMap<String, Blob>, ArtifactError> {
    let path = cache.path(sha256);
    let file = File::open(&path).map_err(|error| super::cache::file_error("read", &path, &error))?;
    let tar = MultiGzDecoder::new(BufReader::new(file));
    unpack(tar, archive, wanted, Limits::DEFAULT, |mut content| {
        cache.keep(&mut content)
    })
}

/// Finds a file's sum in what upstream publishes: a bare sum, or lines `sum  file name`.
fn published_sum(text: &str, file_name: &str) -> Option<Digest> {
    if let [only] = text.split_whitespace().collect::<Vec<_>>()[..] {
        return only.parse().ok();
    }
    text.lines().find_map(|line| {
        let (sum, name) = line.trim().split_once(char::is_whitespace)?;
        let name = name.trim().trim_start_matches('*');
        let name = name.rsplit('/').next().unwrap_or(name);
        if name == file_name { sum.parse().ok() } else { None }
    })
}

#[cfg(test)]
#[path = "upstream_tests.rs"]
mod tests;
