//! One download: where it is, what is in it, how it is checked.

use std::fmt;

/// A node's operating system and processor, as upstream names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Linux on x86-64.
    Amd64,
    /// Linux on 64-bit ARM.
    Arm64,
}

impl Platform {
    /// Every platform the catalogue has artifacts for.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Returns upstream's word for the processor: `amd64` or `arm64`.
    pub const fn arch(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Returns the platform for what `uname -m` prints; `None` when the catalogue has nothing for it.
    pub fn from_machine(machine: &str) -> Option<Self> {
        match machine {
            "x86_64" | "amd64" => Some(Self::Amd64),
            "aarch64" | "arm64" => Some(Self::Arm64),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.arch())
    }
}

/// How the bytes at an address are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The file itself.
    Plain,
    /// A gzip-compressed tar archive.
    TarGz,
}

/// How the downloaded bytes are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// Upstream's SHA-256 sum in hexadecimal, known to the catalogue.
    Known(String),
    /// Not known here; upstream publishes it at this address, to be fetched over TLS and pinned. The answer is either
    /// the bare sum or `sum  file name` lines, of which the one with the download's file name counts.
    Published(String),
    /// Upstream publishes none: the first download over TLS is pinned.
    Unpublished,
}

/// One file of an artifact that nodes need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactFile {
    /// The name it is installed under, such as `kubelet`.
    pub name: String,
    /// The path in the archive; `None` when the artifact is the file itself.
    pub member: Option<String>,
}

/// One download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The catalogue's name, such as `containerd`; one per download.
    pub name: &'static str,
    /// The version without a `v`.
    pub version: String,
    /// What it runs on.
    pub platform: Platform,
    /// The address on upstream's own site.
    pub url: String,
    /// How it is packed.
    pub format: Format,
    /// How it is checked.
    pub checksum: Checksum,
    /// The files in it that nodes need.
    pub files: Vec<ArtifactFile>,
}

impl Artifact {
    /// Returns the last part of the address.
    pub fn file_name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or(&self.url)
    }

    /// Returns the SHA-256 sum if the catalogue knows it.
    pub fn sha256(&self) -> Option<&str> {
        match &self.checksum {
            Checksum::Known(sum) => Some(sum),
            Checksum::Published(_) | Checksum::Unpublished => None,
        }
    }
}

/// A container image that the cluster's own objects use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The catalogue's name, such as `coredns`.
    pub name: &'static str,
    /// The version without a `v`.
    pub version: String,
    /// The full reference with its tag, such as `registry.k8s.io/pause:3.10.1`.
    pub reference: String,
}
