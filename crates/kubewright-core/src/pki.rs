//! The authorities and shared secrets of a cluster, as data: names, subjects and where they live (kubeadm's paths).
//!
//! Leaf certificates are described by the components that use them, as [`crate::resource::Certificate`]s.

use crate::resource::AuthorityName;

/// Days an authority's certificate is valid for.
pub const AUTHORITY_LIFETIME_DAYS: u32 = 3650;
/// Days a leaf certificate is valid for.
pub const LEAF_LIFETIME_DAYS: u32 = 365;
/// A leaf with fewer days left is renewed by the next `apply`: a third of its life.
pub const LEAF_RENEW_BEFORE_DAYS: u32 = 122;
/// Certificates begin this many minutes before they are issued, for clocks that are behind.
pub const BACKDATE_MINUTES: u32 = 5;

/// Directory of the cluster's keys and certificates.
pub const PKI_DIRECTORY: &str = "/etc/kubernetes/pki";
/// Directory of etcd's keys and certificates.
pub const ETCD_PKI_DIRECTORY: &str = "/etc/kubernetes/pki/etcd";

impl AuthorityName {
    /// All authorities.
    pub const ALL: [Self; 3] = [Self::Kubernetes, Self::Etcd, Self::FrontProxy];

    /// The common name of the authority's certificate (kubeadm's).
    pub const fn common_name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Etcd => "etcd-ca",
            Self::FrontProxy => "front-proxy-ca",
        }
    }

    /// Where the certificate lives on a node.
    pub const fn certificate_path(self) -> &'static str {
        match self {
            Self::Kubernetes => "/etc/kubernetes/pki/ca.crt",
            Self::Etcd => "/etc/kubernetes/pki/etcd/ca.crt",
            Self::FrontProxy => "/etc/kubernetes/pki/front-proxy-ca.crt",
        }
    }

    /// Where the key lives on control planes.
    pub const fn key_path(self) -> &'static str {
        match self {
            Self::Kubernetes => "/etc/kubernetes/pki/ca.key",
            Self::Etcd => "/etc/kubernetes/pki/etcd/ca.key",
            Self::FrontProxy => "/etc/kubernetes/pki/front-proxy-ca.key",
        }
    }

    /// The name the key has as a shared secret.
    pub const fn secret_name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes-ca-key",
            Self::Etcd => "etcd-ca-key",
            Self::FrontProxy => "front-proxy-ca-key",
        }
    }
}

/// The name of the service-account signing key as a shared secret.
pub const SERVICE_ACCOUNT_SECRET: &str = "service-account-key";
/// Where the service-account signing key lives on control planes.
pub const SERVICE_ACCOUNT_KEY_PATH: &str = "/etc/kubernetes/pki/sa.key";
/// Where the service-account public key lives on control planes.
pub const SERVICE_ACCOUNT_PUBLIC_PATH: &str = "/etc/kubernetes/pki/sa.pub";
/// The name of the encryption configuration (with the key in it) as a shared secret.
pub const ENCRYPTION_SECRET: &str = "encryption-config";
/// Where the encryption configuration lives on control planes.
pub const ENCRYPTION_CONFIG_PATH: &str = "/etc/kubernetes/encryption.yaml";

/// Every shared secret: name and path.
pub fn shared_secrets() -> Vec<(&'static str, &'static str)> {
    let keys = AuthorityName::ALL.map(|authority| (authority.secret_name(), authority.key_path()));
    keys.into_iter()
        .chain([
            (SERVICE_ACCOUNT_SECRET, SERVICE_ACCOUNT_KEY_PATH),
            (ENCRYPTION_SECRET, ENCRYPTION_CONFIG_PATH),
        ])
        .collect()
}
