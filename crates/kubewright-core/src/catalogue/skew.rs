//! Which versions may run side by side, and which may follow which.
//!
//! The rules are Kubernetes' version skew policy (https://kubernetes.io/releases/version-skew-policy/) and etcd's
//! upgrade guides: one minor at a time.

use crate::value::Version;

/// A combination or an order of versions that upstream does not support.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkewError {
    /// The kubelet is newer than the API server.
    #[error(
        "kubelet {kubelet} is newer than the API server {apiserver}; upgrade control planes before workers"
    )]
    KubeletNewer {
        /// The kubelet's version.
        kubelet: Version,
        /// The API server's version.
        apiserver: Version,
    },
    /// The kubelet is too far behind the API server.
    #[error(
        "kubelet {kubelet} is more than three minors behind the API server {apiserver}; upgrade the kubelet first"
    )]
    KubeletTooOld {
        /// The kubelet's version.
        kubelet: Version,
        /// The API server's version.
        apiserver: Version,
    },
    /// An upgrade would skip a minor.
    #[error("{component} cannot go from {from} to {to} in one step; go to {next} first")]
    SkipsMinor {
        /// What would be upgraded.
        component: &'static str,
        /// The version it has.
        from: Version,
        /// The version asked for.
        to: Version,
        /// The next minor, such as `1.35`.
        next: String,
    },
    /// The target is older than what runs.
    #[error(
        "{component} cannot go back from {from} to {to}; its data may not be readable by the older version"
    )]
    Downgrade {
        /// What would be downgraded.
        component: &'static str,
        /// The version it has.
        from: Version,
        /// The version asked for.
        to: Version,
    },
}

/// Checks that a kubelet may talk to an API server: never newer, at most three minors older.
pub fn check_kubelet(kubelet: Version, apiserver: Version) -> Result<(), SkewError> {
    let (kubelet_minor, apiserver_minor) =
        ((kubelet.major, kubelet.minor), (apiserver.major, apiserver.minor));
    if kubelet_minor > apiserver_minor {
        return Err(SkewError::KubeletNewer { kubelet, apiserver });
    }
    if kubelet.major != apiserver.major || apiserver.minor - kubelet.minor > 3 {
        return Err(SkewError::KubeletTooOld { kubelet, apiserver });
    }
    Ok(())
}

/// Checks that the Kubernetes control plane may go from one version to another: forward, one minor at a time.
pub fn check_upgrade(from: Version, to: Version) -> Result<(), SkewError> {
    check_step("kubernetes", from, to)
}

/// Checks that etcd may go from one version to another: forward, one minor at a time.
pub fn check_etcd_upgrade(from: Version, to: Version) -> Result<(), SkewError> {
    check_step("etcd", from, to)
}

fn check_step(component: &'static str, from: Version, to: Version) -> Result<(), SkewError> {
    if (to.major, to.minor) < (from.major, from.minor) || (to.is_same_minor(from) && to.patch < from.patch) {
        return Err(SkewError::Downgrade { component, from, to });
    }
    if to.major != from.major || to.minor - from.minor > 1 {
        let next = format!("{}.{}", from.major, from.minor + 1);
        return Err(SkewError::SkipsMinor {
            component,
            from,
            to,
            next,
        });
    }
    Ok(())
}
