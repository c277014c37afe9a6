//! Digests of files, remembered by what the file system says about them, so that a second look reads nothing.
//!
//! A digest is remembered for a path together with the file's size, times, inode and device; when any of these differs the
//! file is read again. A file changed so recently that its times could hide another change is not remembered.

use std::collections::BTreeMap;
use std::io::Read as _;

use kubewright_core::resource::Digest;
use kubewright_core::wire::NodeError;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::fault::Doing as _;
use crate::tree::{Look, Owner, Stamp, Tree};

/// Where the digests are kept between connections.
pub const PATH: &str = "/var/lib/kubewright/hashes.json";
/// Coarsest step of a file system's clock, nanoseconds.
const CLOCK_STEP: i64 = 20_000_000;
/// Bound on the kept file, bytes.
const LIMIT: u64 = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    sha256: Digest,
}

/// Digests known without reading.
#[derive(Debug, Default)]
pub struct Hashes {
    known: BTreeMap<String, Known>,
    dirty: bool,
    /// How many files had to be read.
    pub computed: u64,
    /// What was read since [`Hashes::read_everything`]; `None` when what is remembered is believed.
    read: Option<BTreeMap<String, Known>>,
}

impl Hashes {
    /// Reads what was kept; nothing when there is none or it cannot be understood.
    pub fn load(tree: &Tree) -> Self {
        let kept = tree.read(PATH, LIMIT).ok().flatten().unwrap_or_default();
        Self {
            known: serde_json::from_slice(&kept).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Believes nothing that is remembered until [`Hashes::trust`]: every file is read, once.
    pub fn read_everything(&mut self) {
        self.read = Some(BTreeMap::new());
    }

    /// Believes what is remembered again.
    pub fn trust(&mut self) {
        self.read = None;
    }

    /// Keeps what was learned, if anything.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&mut self, tree: &Tree) -> Result<(), NodeError> {
        if !self.dirty {
            return Ok(());
        }
        self.known.retain(
            |path, known| matches!(tree.look(path), Ok(Look::There(seen)) if seen.stamp == known.stamp),
        );
        let text = serde_json::to_vec(&self.known).doing(|| format!("write {PATH}"))?;
        tree.write(PATH, &text, Owner::mine(0o600))?;
        self.dirty = false;
        Ok(())
    }

    /// The digest of a regular file; `None` when nothing is there.
    ///
    /// # Errors
    /// When something else is there or it cannot be read.
    pub fn of(&mut self, tree: &Tree, path: &str) -> Result<Option<Digest>, NodeError> {
        let Look::There(before) = tree.look(path)? else {
            return Ok(None);
        };
        if let Some(known) = self.read.as_ref().unwrap_or(&self.known).get(path)
            && known.stamp == before.stamp
        {
            return Ok(Some(known.sha256));
        }
        let Some(mut file) = tree.open_file(path)? else {
            return Ok(None);
        };
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 128 << 10];
        loop {
            match file.read(&mut buffer).doing(|| format!("read {path}"))? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            }
        }
        self.computed += 1;
        let sha256 = Digest::from_bytes(hasher.finalize().into());
        let settled = tree.clock() - before.stamp.changed > CLOCK_STEP;
        let unchanged = matches!(tree.look(path)?, Look::There(after) if after.stamp == before.stamp);
        if unchanged && let Some(read) = &mut self.read {
            let stamp = before.stamp;
            read.insert(path.to_owned(), Known { stamp, sha256 });
        }
        if settled && unchanged {
            self.insert(path, before.stamp, sha256);
        }
        Ok(Some(sha256))
    }

    /// Remembers the digest of a file the agent itself has just written.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn remember(&mut self, tree: &Tree, path: &str, sha256: Digest) -> Result<(), NodeError> {
        if let Look::There(seen) = tree.look(path)? {
            self.insert(path, seen.stamp, sha256);
        }
        Ok(())
    }

    fn insert(&mut self, path: &str, stamp: Stamp, sha256: Digest) {
        let known = Known { stamp, sha256 };
        if self.known.insert(path.to_owned(), known) != Some(known) {
            self.dirty = true;
        }
    }
}
