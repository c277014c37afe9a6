//! Certificates: an authority's own, a node's, a person's.
//!
//! Of a signing request only the public key counts, once its signature proved that the node has the private one. Names
//! and usages come from the plan, so that a node cannot ask for more than it was planned to have.

use std::time::{Duration, SystemTime};

use kubewright_core::pki::{AUTHORITY_LIFETIME_DAYS, BACKDATE_MINUTES};
use kubewright_core::resource::{AuthorityName, Certificate, Usage};
use kubewright_core::secret::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo, date_time_ymd,
};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::{Authorities, AuthorityError, new_key, pem_of};
use crate::random;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const BACKDATE: Duration = Duration::from_secs(60 * BACKDATE_MINUTES as u64);
/// X.520 organizationName; rcgen keeps one value for each kind of name, and this is a second kind.
const ORGANIZATION: [u64; 4] = [2, 5, 4, 10];

/// A certificate and its key for a person or a robot outside the cluster.
#[derive(Debug)]
pub struct ClientCredentials {
    /// The certificate, PEM.
    pub certificate: String,
    /// The private key, PEM.
    pub key: Secret,
}

impl Authorities {
    /// Signs the certificate a node asks for.
    ///
    /// # Errors
    /// [`AuthorityError::Request`] when the request is not one, or not signed by the key it carries.
    pub fn sign(
        &self,
        certificate: &Certificate,
        request: &str,
        now: SystemTime,
    ) -> Result<String, AuthorityError> {
        let key = key_of_request(&certificate.name, request)?;
        self.issue(certificate, &key, certificate.lifetime_days * DAY, now)
    }

    /// Makes a client certificate of the cluster's own authority, with a new key.
    pub fn issue_client(
        &self,
        common_name: &str,
        organizations: &[String],
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<ClientCredentials, AuthorityError> {
        self.issue_client_of(
            AuthorityName::Kubernetes,
            common_name,
            organizations,
            lifetime,
            now,
        )
    }

    /// Makes a client certificate of any authority, with a new key.
    pub fn issue_client_of(
        &self,
        authority: AuthorityName,
        common_name: &str,
        organizations: &[String],
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<ClientCredentials, AuthorityError> {
        let key = new_key(common_name)?;
        let profile = Certificate {
            name: common_name.to_owned(),
            authority,
            common_name: common_name.to_owned(),
            organizations: organizations.to_vec(),
            dns_names: Vec::new(),
            addresses: Vec::new(),
            usages: vec![Usage::ClientAuth],
            lifetime_days: 0,
            renew_before_days: 0,
            certificate_path: String::new(),
            key_path: String::new(),
            key_access: kubewright_core::resource::Access::root(0o600),
            superseded_by: None,
        };
        Ok(ClientCredentials {
            certificate: self.issue(&profile, &key, lifetime, now)?,
            key: pem_of(&key),
        })
    }

    fn issue(
        &self,
        certificate: &Certificate,
        key: &impl PublicKeyData,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<String, AuthorityError> {
        let failed = |cause: String| AuthorityError::Make {
            what: format!("certificate {}", certificate.name),
            cause,
        };
        let authority = self.authority(certificate.authority)?;
        let issuer_end = SystemTime::UNIX_EPOCH + Duration::from_secs(authority.not_after.max(0) as u64);
        if issuer_end <= now {
            return Err(failed(format!(
                "the {} CA has expired",
                certificate.authority.common_name()
            )));
        }
        let mut parameters = parameters(now, (now + lifetime).min(issuer_end))?;
        parameters.distinguished_name = subject(&certificate.common_name, &certificate.organizations)
            .ok_or_else(|| failed("more than two organizations".to_owned()))?;
        for name in &certificate.dns_names {
            let name = name
                .as_str()
                .try_into()
                .map_err(|error: rcgen::Error| failed(error.to_string()))?;
            parameters.subject_alt_names.push(SanType::DnsName(name));
        }
        let addresses = certificate.addresses.iter().copied().map(SanType::IpAddress);
        parameters.subject_alt_names.extend(addresses);
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = certificate
            .usages
            .iter()
            .map(|usage| match usage {
                Usage::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
                Usage::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
            })
            .collect();
        let signed = parameters
            .signed_by(key, &authority.issuer)
            .map_err(|error| failed(error.to_string()))?;
        Ok(signed.pem())
    }
}

/// Makes an authority's own certificate.
pub(super) fn self_signed(
    name: AuthorityName,
    key: &KeyPair,
    now: SystemTime,
) -> Result<String, AuthorityError> {
    let mut parameters = parameters(now, now + AUTHORITY_LIFETIME_DAYS * DAY)?;
    parameters
        .distinguished_name
        .push(DnType::CommonName, name.common_name());
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    let certificate = parameters
        .self_signed(key)
        .map_err(|error| AuthorityError::Make {
            what: format!("certificate of the {} CA", name.common_name()),
            cause: error.to_string(),
        })?;
    Ok(certificate.pem())
}

/// What all certificates have: both dates (rcgen's own are 1975 and 4096) and a random serial number.
fn parameters(now: SystemTime, end: SystemTime) -> Result<CertificateParams, AuthorityError> {
    let mut serial = random::bytes::<16>()?;
    // RFC 5280 wants a positive number: DER takes the first bit for the sign.
    serial[0] &= 0x7f;
    serial[0] |= 0x40;
    let seconds = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        date_time_ymd(1970, 1, 1) + Duration::from_secs(since.as_secs())
    };
    let mut parameters = CertificateParams::default();
    parameters.not_before = seconds(now - BACKDATE);
    parameters.not_after = seconds(end);
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    parameters.distinguished_name = DistinguishedName::new();
    Ok(parameters)
}

/// Organisations before the common name, as kubeadm has it; `None` when there are too many.
fn subject(common_name: &str, organizations: &[String]) -> Option<DistinguishedName> {
    let mut subject = DistinguishedName::new();
    let kinds = [
        DnType::OrganizationName,
        DnType::CustomDnType(ORGANIZATION.to_vec()),
    ];
    if organizations.len() > kinds.len() {
        return None;
    }
    for (kind, organization) in kinds.into_iter().zip(organizations) {
        subject.push(kind, organization.as_str());
    }
    if !common_name.is_empty() {
        subject.push(DnType::CommonName, common_name);
    }
    Some(subject)
}

/// Checks a signing request and takes its public key.
fn key_of_request(name: &str, request: &str) -> Result<SubjectPublicKeyInfo, AuthorityError> {
    let refused = |cause: &str| AuthorityError::Request {
        name: name.to_owned(),
        cause: cause.to_owned(),
    };
    let (_, pem) = x509_parser::pem::parse_x509_pem(request.as_bytes()).map_err(|_| refused("not PEM"))?;
    if pem.label != "CERTIFICATE REQUEST" {
        return Err(refused("not a signing request"));
    }
    let (_, parsed) =
        X509CertificationRequest::from_der(&pem.contents).map_err(|_| refused("not a signing request"))?;
    parsed
        .verify_signature()
        .map_err(|_| refused("not signed by the key it carries"))?;
    let key = SubjectPublicKeyInfo::from_der(parsed.certification_request_info.subject_pki.raw)
        .map_err(|_| refused("a key of an unknown kind"))?;
    if *key.algorithm() != rcgen::PKCS_ECDSA_P256_SHA256 {
        return Err(refused("not a P-256 key"));
    }
    Ok(key)
}
