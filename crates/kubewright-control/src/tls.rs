//! Which cryptography every TLS connection of the controller uses, decided in one place.
//!
//! The connections themselves are made by libraries (kube, reqwest, rustls); here is only what they must agree on:
//! the provider, the roots that are trusted (those given, never the system's) and the client's own identity.

use std::sync::Arc;

use kubewright_core::secret::Secret;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate or key that cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text is not what it is said to be.
    // No hint: kubewright made the material itself, the user cannot repair it by hand.
    #[error("read {what}")]
    Pem {
        /// Which of the three, as in `the client's key`.
        what: &'static str,
        /// What the reader says.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The authority file holds no certificate.
    #[error("no certificate in the CA file")]
    NoAuthority,
    /// The material does not fit together.
    #[error("set up tls")]
    Setup {
        /// What rustls says.
        #[source]
        source: rustls::Error,
    },
}

/// Returns the cryptography provider.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Makes [`provider`] the process' default, for libraries that ask for none; later calls do nothing.
pub fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // It fails only when another thread was faster, with the same provider.
        let _ = ring::default_provider().install_default();
    }
}

/// Reads the certificates in a PEM text.
pub fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { what, source })
}

/// Makes a client's configuration: trusts `authority_pem` alone and presents the given certificate.
pub fn client_config(
    authority_pem: &str,
    certificate_pem: &str,
    key_pem: &Secret,
) -> Result<rustls::ClientConfig, TlsError> {
    let setup = |source| TlsError::Setup { source };
    let authority = certificates(authority_pem, "the certificate authority")?;
    if authority.is_empty() {
        return Err(TlsError::NoAuthority);
    }
    let mut roots = rustls::RootCertStore::empty();
    for certificate in authority {
        roots.add(certificate).map_err(setup)?;
    }
    let chain = certificates(certificate_pem, "the client's certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.expose()).map_err(|source| TlsError::Pem {
        what: "the client's key",
        source,
    })?;
    rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(setup)
}
