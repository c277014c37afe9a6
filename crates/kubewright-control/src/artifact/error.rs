//! Why an artifact could not be fetched.

use std::path::PathBuf;

use kubewright_core::catalogue::Platform;
use kubewright_core::resource::Digest;

/// An artifact could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A file of this computer cannot be read or written.
    #[error("{doing} {}: {cause}", path.display())]
    File {
        /// What was being done, as in `read`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it does not work.
        cause: String,
    },
    /// The directory's manifest or the lock file is not what it should be.
    #[error("{}: {cause}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The source does not have something.
    #[error("{source_name} has no {name} {version} for {platform}{}", instead.as_ref().map_or_else(String::new, |version| format!(" (it has {version})")))]
    Absent {
        /// The source.
        source_name: String,
        /// What is not there.
        name: String,
        /// The version wanted.
        version: String,
        /// The platform wanted.
        platform: Platform,
        /// The version that is there instead.
        instead: Option<String>,
    },
    /// Content is not what it should be.
    #[error("{what}: its SHA-256 is {found}, expected {expected} ({by})")]
    Digest {
        /// The file or address.
        what: String,
        /// What it is.
        found: Digest,
        /// What it should be.
        expected: Digest,
        /// Where that comes from.
        by: String,
    },
    /// A download did not work, after every attempt that makes sense.
    #[error("download {url}: {cause}{}", if *attempts > 1 { format!(" ({attempts} attempts)") } else { String::new() })]
    Download {
        /// The address.
        url: String,
        /// What went wrong last.
        cause: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// Nothing trustworthy says what the content should be.
    #[error("the checksum of {name} comes from {url} without TLS and is not trusted")]
    Untrusted {
        /// The address.
        url: String,
        /// The artifact.
        name: String,
    },
    /// An archive that is refused.
    #[error("archive {archive}: {cause}")]
    Archive {
        /// The archive.
        archive: String,
        /// Why.
        cause: String,
    },
    /// Not built yet.
    #[error("artifacts.source `{0}` is not supported yet")]
    NotYet(&'static str),
}

impl ArtifactError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::File { .. } => {
                "check that the path exists, that you may read and write it, and that the disk is not full"
            }
            Self::Format { .. } => "correct the file, or create it again",
            Self::Absent { .. } => "set `kubernetes` to a version that the source has, or use another source",
            Self::Digest { .. } => {
                "do not use it: download the file again; if that repeats, the source is broken or was tampered with"
            }
            Self::Download { .. } => {
                "check the network and HTTPS_PROXY; without internet access use `artifacts: { source: { mirror: URL } }` \
                 or a directory"
            }
            Self::Untrusted { .. } => {
                "use an https mirror, or commit the kubewright.lock of a run with `source: upstream`"
            }
            Self::Archive { .. } => "do not use it: download the archive again from its project",
            Self::NotYet(_) => "use `upstream`, a mirror or a directory",
        };
        Some(hint.to_owned())
    }
}
