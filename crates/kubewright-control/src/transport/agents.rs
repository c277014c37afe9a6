//! The agent's executables, one per platform, packed as they travel.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use kubewright_core::catalogue::Platform;
use kubewright_core::resource::{Blob, Digest};

/// One agent executable.
#[derive(Clone)]
pub struct Agent {
    /// The executable, compressed with gzip, which every node can unpack.
    pub gzip: Arc<[u8]>,
    /// Digest of the executable itself; names it on the node.
    pub sha256: Digest,
    /// Size of the executable itself, in bytes.
    pub size_bytes: u64,
}

impl fmt::Debug for Agent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Agent({}, {} bytes)",
            self.sha256.short(),
            self.gzip.len()
        )
    }
}

impl Agent {
    /// Packs an executable.
    pub fn pack(executable: &[u8]) -> std::io::Result<Self> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(executable)?;
        Ok(Self {
            gzip: encoder.finish()?.into(),
            sha256: Digest::of(executable),
            size_bytes: executable.len() as u64,
        })
    }

    /// The executable as content that nodes can be sent.
    pub fn blob(&self) -> Blob {
        Blob {
            sha256: self.sha256,
            size_bytes: self.size_bytes,
        }
    }
}

/// The agents this program carries, by platform.
#[derive(Clone, Debug, Default)]
pub struct Agents(BTreeMap<Platform, Agent>);

impl Agents {
    /// Adds the agent of a platform.
    pub fn with(mut self, platform: Platform, agent: Agent) -> Self {
        self.0.insert(platform, agent);
        self
    }

    /// The agent of a platform.
    pub fn get(&self, platform: Platform) -> Option<&Agent> {
        self.0.get(&platform)
    }

    /// All agents, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (Platform, &Agent)> {
        self.0.iter().map(|(platform, agent)| (*platform, agent))
    }
}
