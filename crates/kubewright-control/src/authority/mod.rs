//! The cluster's authorities and shared secrets, in the controller's memory only.
//!
//! They are made once, for a new cluster, and from then on read back from the control planes that hold them: the
//! operator's machine keeps no copy. A certificate that was read keeps exactly its bytes. Nothing here can be
//! printed: keys are [`Secret`]s, and the types around them show names only.

mod lasting;
mod merge;
mod sign;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubewright_core::pki::{ENCRYPTION_SECRET, SERVICE_ACCOUNT_SECRET, shared_secrets};
use kubewright_core::resource::{AuthorityCertificates, AuthorityName, Digest};
use kubewright_core::secret::Secret;
use rcgen::{Issuer, KeyPair, PublicKeyData as _};

pub use lasting::Lasting;
pub use merge::{kept_certificates, merge_certificates, merge_secrets};
pub use sign::ClientCredentials;

use crate::random;

/// What is wrong with authorities, secrets or a signing request.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// No control plane holds these secrets.
    #[error("no reachable control plane has {}", names.join(", "))]
    Missing {
        /// The secrets' names.
        names: Vec<String>,
    },
    /// No control plane has the authority's certificate.
    #[error("no reachable control plane has the certificate of the {} CA", .0.common_name())]
    NoCertificate(AuthorityName),
    /// A key and a certificate do not belong together.
    #[error("key and certificate of the {} CA do not match", .0.common_name())]
    Mismatch(AuthorityName),
    /// What was read is not a key or certificate.
    #[error("{what} cannot be read: {cause}")]
    Unreadable {
        /// What it should have been.
        what: String,
        /// Why it is not.
        cause: String,
    },
    /// Control planes hold different values of what must be one.
    #[error("{what} differs between nodes: {}", groups(nodes))]
    Differs {
        /// The secret or certificate.
        what: String,
        /// The nodes, grouped by what they hold.
        nodes: Vec<Vec<String>>,
    },
    /// A signing request that is not what it should be.
    #[error("signing request for {name}: {cause}")]
    Request {
        /// The certificate's name.
        name: String,
        /// Why it is refused.
        cause: String,
    },
    /// A certificate that cannot be made.
    #[error("make {what}: {cause}")]
    Make {
        /// What was to be made.
        what: String,
        /// Why it cannot.
        cause: String,
    },
    /// The operating system gave no randomness.
    #[error(transparent)]
    Randomness(#[from] random::NoRandomness),
}

fn groups(nodes: &[Vec<String>]) -> String {
    let groups: Vec<String> = nodes.iter().map(|group| group.join(", ")).collect();
    groups.join(" / ")
}

impl AuthorityError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Missing { .. } | Self::NoCertificate(_) => {
                "bring back a control plane that has them, or restore them from a backup"
            }
            Self::Mismatch(_) | Self::Differs { .. } => {
                "one of the nodes belongs to another cluster or was restored from an old backup: compare \
                 /etc/kubernetes/pki on the nodes named, and `kubewright reset` the one that is wrong"
            }
            Self::Unreadable { .. } => "restore the file from another control plane or from a backup",
            // The node's agent or this program is at fault; there is nothing an operator could change.
            Self::Request { .. } | Self::Make { .. } | Self::Randomness(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// An authority: its certificate as it is on disk, and its key ready to sign.
struct Authority {
    certificate: String,
    not_after: i64,
    issuer: Issuer<'static, KeyPair>,
}

/// The authorities and shared secrets of one cluster.
pub struct Authorities {
    by_name: BTreeMap<AuthorityName, Authority>,
    secrets: BTreeMap<String, Secret>,
    service_account_public: String,
    /// Names of the secrets that no node holds yet: they were made by this run, the next run would make others.
    made: BTreeSet<String>,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.secrets.keys().collect();
        formatter
            .debug_struct("Authorities")
            .field("secrets", &names)
            .finish_non_exhaustive()
    }
}

impl Authorities {
    /// Makes everything a new cluster needs.
    pub fn generate(now: SystemTime) -> Result<Self, AuthorityError> {
        Self::complete(BTreeMap::new(), BTreeMap::new(), now)
    }

    /// Takes up what the control planes hold.
    ///
    /// # Errors
    /// [`AuthorityError::Missing`] when something is not there: a running cluster cannot get it again.
    pub fn from_secrets(
        secrets: BTreeMap<String, Secret>,
        certificates: &AuthorityCertificates,
    ) -> Result<Self, AuthorityError> {
        let names: Vec<String> = shared_secrets()
            .into_iter()
            .filter(|(name, _)| !secrets.contains_key(*name))
            .map(|(name, _)| name.to_owned())
            .collect();
        if !names.is_empty() {
            return Err(AuthorityError::Missing { names });
        }
        let mut by_name = BTreeMap::new();
        for name in AuthorityName::ALL {
            let certificate = certificates
                .get(&name)
                .ok_or(AuthorityError::NoCertificate(name))?;
            let key = read_key(name.secret_name(), &secrets)?;
            by_name.insert(name, Authority::read(name, certificate, key)?);
        }
        let service_account = read_key(SERVICE_ACCOUNT_SECRET, &secrets)?;
        Ok(Self {
            by_name,
            service_account_public: service_account.public_key_pem(),
            secrets,
            made: BTreeSet::new(),
        })
    }

    /// Takes up what the control planes hold of an unfinished cluster, and makes what is missing.
    ///
    /// Only for a cluster that does not exist yet: an authority without its key is made again.
    pub fn complete(
        mut secrets: BTreeMap<String, Secret>,
        mut certificates: AuthorityCertificates,
        now: SystemTime,
    ) -> Result<Self, AuthorityError> {
        let mut made = BTreeSet::new();
        for name in AuthorityName::ALL {
            if !secrets.contains_key(name.secret_name()) || !certificates.contains_key(&name) {
                let key = new_key(name.secret_name())?;
                certificates.insert(name, sign::self_signed(name, &key, now)?);
                secrets.insert(name.secret_name().to_owned(), pem_of(&key));
                made.insert(name.secret_name().to_owned());
            }
        }
        if !secrets.contains_key(SERVICE_ACCOUNT_SECRET) {
            let key = new_key(SERVICE_ACCOUNT_SECRET)?;
            secrets.insert(SERVICE_ACCOUNT_SECRET.to_owned(), pem_of(&key));
            made.insert(SERVICE_ACCOUNT_SECRET.to_owned());
        }
        if !secrets.contains_key(ENCRYPTION_SECRET) {
            let key = Secret::new(random::bytes::<32>()?.to_vec());
            secrets.insert(ENCRYPTION_SECRET.to_owned(), encryption_configuration(&key));
            made.insert(ENCRYPTION_SECRET.to_owned());
        }
        Ok(Self {
            made,
            ..Self::from_secrets(secrets, &certificates)?
        })
    }

    /// The authorities' certificates, PEM, exactly as they are on disk.
    pub fn certificates(&self) -> AuthorityCertificates {
        self.by_name
            .iter()
            .map(|(name, authority)| (*name, authority.certificate.clone()))
            .collect()
    }

    /// A shared secret by name.
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name)
    }

    /// Digests of the shared secrets, by name.
    pub fn digests(&self) -> BTreeMap<String, Digest> {
        self.secrets
            .iter()
            .map(|(name, secret)| (name.clone(), Digest::of(secret.expose())))
            .collect()
    }

    /// The public half of the service-account key, PEM.
    pub fn service_account_public(&self) -> &str {
        &self.service_account_public
    }

    fn authority(&self, name: AuthorityName) -> Result<&Authority, AuthorityError> {
        self.by_name.get(&name).ok_or(AuthorityError::NoCertificate(name))
    }
}

impl Authority {
    fn read(name: AuthorityName, certificate: &str, key: KeyPair) -> Result<Self, AuthorityError> {
        let unreadable = |cause: String| AuthorityError::Unreadable {
            what: format!("certificate of the {} CA", name.common_name()),
            cause,
        };
        let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes())
            .map_err(|error| unreadable(error.to_string()))?;
        let parsed = pem.parse_x509().map_err(|error| unreadable(error.to_string()))?;
        if parsed.subject.iter().any(|part| part.iter().next().is_none()) {
            return Err(unreadable("empty part of the subject".to_owned()));
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(AuthorityError::Mismatch(name));
        }
        let not_after = parsed.validity().not_after.timestamp();
        let issuer =
            Issuer::from_ca_cert_pem(certificate, key).map_err(|error| unreadable(error.to_string()))?;
        Ok(Self {
            certificate: certificate.to_owned(),
            not_after,
            issuer,
        })
    }
}

fn new_key(what: &str) -> Result<KeyPair, AuthorityError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| AuthorityError::Make {
        what: what.to_owned(),
        cause: error.to_string(),
    })
}

fn pem_of(key: &KeyPair) -> Secret {
    Secret::new(key.serialize_pem().into_bytes())
}

fn read_key(name: &str, secrets: &BTreeMap<String, Secret>) -> Result<KeyPair, AuthorityError> {
    let secret = secrets.get(name).ok_or_else(|| AuthorityError::Missing {
        names: vec![name.to_owned()],
    })?;
    // The cause names no content: what a parser found unreadable may be most of a key.
    let unreadable = || AuthorityError::Unreadable {
        what: name.to_owned(),
        cause: "not a private key in PEM (PKCS #8)".to_owned(),
    };
    let text = std::str::from_utf8(secret.expose()).map_err(|_| unreadable())?;
    KeyPair::from_pem(text).map_err(|_| unreadable())
}

/// The API server's encryption configuration: new secrets with XSalsa20-Poly1305, plain ones still read.
fn encryption_configuration(key: &Secret) -> Secret {
    let key = zeroize::Zeroizing::new(STANDARD.encode(key.expose()));
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1\n\
         kind: EncryptionConfiguration\n\
         resources:\n\
         - resources:\n\
         \x20 - secrets\n\
         \x20 providers:\n\
         \x20 - secretbox:\n\
         \x20     keys:\n\
         \x20     - name: key1\n\
         \x20       secret: {}\n\
         \x20 - identity: {{}}\n",
        key.as_str()
    );
    Secret::new(text.into_bytes())
}

#[cfg(test)]
mod impostor_tests;
#[cfg(test)]
mod tests;
