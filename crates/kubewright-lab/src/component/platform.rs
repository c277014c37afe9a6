//! The platform that components are made for: always this computer's, since the lab's machines run on it.

use anyhow::{Result, bail};

/// An architecture of Linux under the names that Go, Debian and upstream's downloads use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    /// Go's and the image specification's name: `amd64` or `arm64`.
    pub(crate) architecture: &'static str,
    /// Debian's directory name for libraries.
    pub(crate) triple: &'static str,
}

impl Platform {
    /// The 64-bit x86 platform.
    pub(crate) const AMD64: Self = Self {
        architecture: "amd64",
        triple: "x86_64-linux-gnu",
    };
    /// The 64-bit ARM platform.
    pub(crate) const ARM64: Self = Self {
        architecture: "arm64",
        triple: "aarch64-linux-gnu",
    };

    /// Returns the platform of this computer, an error when components are not made for it.
    pub(crate) fn of_this_computer() -> Result<Self> {
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => Ok(Self::AMD64),
            ("linux", "aarch64") => Ok(Self::ARM64),
            (system, architecture) => {
                bail!(
                    "components are made for linux on x86_64 and aarch64, this is {system} on {architecture}"
                )
            }
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "linux/{}", self.architecture)
    }
}
