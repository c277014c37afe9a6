//! Reading certificates: what they say, who signed them, which key they belong to.

use std::net::IpAddr;

use kubewright_core::resource::Usage;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// What a certificate says, as far as kubewright decides by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Subject common name.
    pub common_name: String,
    /// Subject organisations.
    pub organizations: Vec<String>,
    /// DNS names and addresses as text; names of any other kind appear as something nobody wants.
    pub names: Vec<String>,
    /// Extended key usages, as [`usage_name`] writes them.
    pub usages: Vec<String>,
    /// When it ends, seconds since the epoch.
    pub not_after: i64,
}

impl Leaf {
    /// Reads the first certificate of a PEM text.
    pub fn parse(pem: &[u8]) -> Option<Self> {
        let der = first(pem)?;
        let certificate = parse(&der)?;
        let subject = certificate.subject();
        let mut names = Vec::new();
        if let Some(extension) = certificate.subject_alternative_name().ok()? {
            names.extend(extension.value.general_names.iter().map(name));
        }
        let mut usages = Vec::new();
        if let Some(extension) = certificate.extended_key_usage().ok()? {
            let usage = extension.value;
            if usage.server_auth {
                usages.push(usage_name(Usage::ServerAuth).to_owned());
            }
            if usage.client_auth {
                usages.push(usage_name(Usage::ClientAuth).to_owned());
            }
            let more = usage.any || usage.code_signing || usage.email_protection || usage.time_stamping;
            if more || usage.ocsp_signing || !usage.other.is_empty() {
                usages.push("another usage".to_owned());
            }
        }
        Some(Self {
            common_name: subject.iter_common_name().next()?.as_str().ok()?.to_owned(),
            organizations: subject
                .iter_organization()
                .filter_map(|organization| organization.as_str().ok())
                .map(str::to_owned)
                .collect(),
            names,
            usages,
            not_after: certificate.validity().not_after.timestamp(),
        })
    }
}

/// A usage as people read it.
pub const fn usage_name(usage: Usage) -> &'static str {
    match usage {
        Usage::ServerAuth => "server",
        Usage::ClientAuth => "client",
    }
}

/// Whether the first certificate of `pem` carries the signature of a certificate in `authorities` (PEM, one or more).
pub fn is_signed_by(pem: &[u8], authorities: &[u8]) -> bool {
    let Some(der) = first(pem) else { return false };
    let Some(certificate) = parse(&der) else {
        return false;
    };
    CertificateDer::pem_slice_iter(authorities)
        .flatten()
        .any(|authority| {
            parse(&authority).is_some_and(|authority| {
                certificate.issuer().as_raw() == authority.subject().as_raw()
                    && certificate.verify_signature(Some(authority.public_key())).is_ok()
            })
        })
}

/// When the last of the certificates in `authorities` (PEM, one or more) ends, seconds since the epoch.
pub fn latest_end(authorities: &[u8]) -> Option<i64> {
    let ends = CertificateDer::pem_slice_iter(authorities)
        .flatten()
        .filter_map(|der| Some(parse(&der)?.validity().not_after.timestamp()));
    ends.max()
}

/// Whether the first certificate of `pem` belongs to the private key in `key` (PEM).
pub fn key_matches(pem: &[u8], key: &[u8]) -> bool {
    let Some(der) = first(pem) else { return false };
    let Some(certificate) = parse(&der) else {
        return false;
    };
    public_part(key).is_some_and(|public| certificate.public_key().subject_public_key.data.as_ref() == public)
}

fn public_part(key: &[u8]) -> Option<Vec<u8>> {
    use rustls::pki_types::PrivateKeyDer;
    let der = PrivateKeyDer::from_pem_slice(key).ok()?;
    // The kubelet writes SEC1 ("EC PRIVATE KEY"), everybody else PKCS#8; the signer understands both.
    let key = rustls::crypto::ring::sign::any_supported_type(&der).ok()?;
    let spki = key.public_key()?;
    let (_, info) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&spki).ok()?;
    Some(info.subject_public_key.data.to_vec())
}

fn first(pem: &[u8]) -> Option<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).next()?.ok()
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(der)
        .ok()
        .map(|(_, certificate)| certificate)
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.map_or_else(
                |_| "a malformed address".to_owned(),
                |address| address.to_string(),
            )
        }
        other => format!("{other:?}"),
    }
}
