//! The only place with component versions, their download addresses, digests and supported skews.
//!
//! A `Release` is one Kubernetes version with everything that goes with it. An `Artifact` is one download: an
//! address, what is in it, and how its bytes are checked. Nothing here fetches anything; nothing elsewhere may name
//! a version. Raising a version is a change to `release.rs` and, where upstream's sum is known, to `digests.txt`.

mod artifact;
mod release;
mod skew;

/// The smoke test's image, where the artifacts bring one; otherwise upstream's test image is pulled.
pub const PROBE_IMAGE: &str = "kubewright.lab/probe:1";

pub use artifact::{Artifact, ArtifactFile, Checksum, Format, Image, Platform};
pub use release::{Release, newest, release, supported_minors, versions};
pub use skew::{SkewError, check_etcd_upgrade, check_kubelet, check_upgrade};

#[cfg(test)]
mod tests;
