//! Certificates: the key is made here and stays here, the controller signs.
//!
//! A certificate is good while it says exactly what is wanted, is signed by the authority, matches its key and has
//! enough of its life left. Everything else is one reason to issue it again, with a new key. Key and certificate are
//! written beside their places and made durable there, and only then renamed, key first and with nothing in between:
//! a process that reads the pair again almost never sees halves. A crash between the two is seen as a mismatch and
//! repaired by issuing.

use std::io::Write as _;

use kubewright_core::observed::{CertificatePart, CertificateProblem, Change};
use kubewright_core::resource::{Access, AuthorityCertificates, Certificate, Digest, ResourceId, Usage};
use kubewright_core::wire::NodeError;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType,
};
use zeroize::Zeroizing;

use super::{Work, file};
use crate::accounts;
use crate::fault::{fault, hinted};
use crate::node::Node;
use crate::tree::{Owner, commit_both};
use crate::x509;

/// Everybody may read a certificate.
const PUBLIC_MODE: u32 = 0o644;
/// Seconds of a day.
const DAY: i64 = 86_400;
/// Keys and certificates are a few kilobytes.
const LIMIT: u64 = 256 << 10;

/// The certificate's own access: readable by all, owned like the key.
fn public_access(certificate: &Certificate) -> Access {
    Access {
        mode: PUBLIC_MODE,
        ..certificate.key_access.clone()
    }
}

/// Gives a key back to whom it belonged, and its certificate with it.
pub(super) fn undo_owner(node: &mut Node, id: &ResourceId, owner: Owner) -> Result<(), NodeError> {
    let owned = node.ledger.owned.get(id).cloned().unwrap_or_default();
    for key in &owned.also {
        file::set_owner(node, key, owner)?;
    }
    let public = Owner {
        mode: PUBLIC_MODE,
        ..owner
    };
    file::set_owner(node, id.what(), public)
}

/// Whether a change takes a new certificate, or only owner and mode differ.
pub(super) fn needs_issuing(change: &Change) -> bool {
    matches!(change, Change::Missing | Change::Certificate { .. })
}

pub(super) fn inspect(
    node: &mut Node,
    authorities: &AuthorityCertificates,
    certificate: &Certificate,
) -> Result<Option<Change>, NodeError> {
    if is_superseded(node, authorities, certificate) {
        return Ok(None);
    }
    let mut owners = Vec::new();
    for (path, access) in [
        (&certificate.certificate_path, public_access(certificate)),
        (&certificate.key_path, certificate.key_access.clone()),
    ] {
        match node.look_for_file(path)? {
            Ok(seen) => owners.push((seen.owner, access)),
            Err(Change::Missing) if path == &certificate.key_path => {
                return Ok(Some(issue(CertificateProblem::KeyMissing {})));
            }
            Err(change) => return Ok(Some(change)),
        }
    }
    let text = node
        .tree
        .read(&certificate.certificate_path, LIMIT)?
        .unwrap_or_default();
    if let Err(problem) = judge(&text, authorities, certificate, node.system.now()) {
        return Ok(Some(issue(problem)));
    }
    let key = Zeroizing::new(node.tree.read(&certificate.key_path, LIMIT)?.unwrap_or_default());
    if !x509::key_matches(&text, &key) {
        return Ok(Some(issue(CertificateProblem::OtherKey {})));
    }
    Ok(owners
        .iter()
        .find_map(|(owner, access)| node.access_change(*owner, access)))
}

const fn issue(problem: CertificateProblem) -> Change {
    Change::Certificate { problem }
}

/// Whether the certificate is good for another while; otherwise why not.
fn judge(
    text: &[u8],
    authorities: &AuthorityCertificates,
    wanted: &Certificate,
    now: i64,
) -> Result<(), CertificateProblem> {
    let present = x509::Leaf::parse(text).ok_or(CertificateProblem::Unreadable {})?;
    says_what_is_wanted(&present, wanted)?;
    let authority = authorities
        .get(&wanted.authority)
        .ok_or(CertificateProblem::AuthorityUnknown {})?;
    if !x509::is_signed_by(text, authority.as_bytes()) {
        return Err(CertificateProblem::OtherAuthority {});
    }
    let left = present.not_after - now;
    let days = left.div_euclid(DAY);
    if left <= 0 {
        return Err(CertificateProblem::Expired {});
    }
    // No certificate outlives its authority: one that ends with it is as good as a new one would be.
    let authority_end = x509::latest_end(authority.as_bytes()).unwrap_or(i64::MAX);
    let new_end = authority_end.min(now + i64::from(wanted.lifetime_days) * DAY);
    let gain = new_end - present.not_after;
    if days < i64::from(wanted.renew_before_days) && gain >= DAY {
        return Err(CertificateProblem::Expiring { days });
    }
    Ok(())
}

fn says_what_is_wanted(present: &x509::Leaf, wanted: &Certificate) -> Result<(), CertificateProblem> {
    if present.common_name != wanted.common_name {
        return Err(CertificateProblem::OtherName {
            present: present.common_name.clone(),
        });
    }
    let differing = |part, present: &[String], wanted: &[String]| {
        let without = |all: &[String], others: &[String]| -> Vec<String> {
            all.iter()
                .filter(|value| !others.contains(value))
                .cloned()
                .collect()
        };
        let (missing, unwanted) = (without(wanted, present), without(present, wanted));
        if missing.is_empty() && unwanted.is_empty() {
            return Ok(());
        }
        Err(CertificateProblem::Differs {
            part,
            missing,
            unwanted,
        })
    };
    differing(
        CertificatePart::Groups,
        &present.organizations,
        &wanted.organizations,
    )?;
    let names: Vec<_> = wanted
        .dns_names
        .iter()
        .cloned()
        .chain(wanted.addresses.iter().map(ToString::to_string))
        .collect();
    differing(CertificatePart::Names, &present.names, &names)?;
    let usages: Vec<_> = wanted
        .usages
        .iter()
        .map(|usage| x509::usage_name(*usage).to_owned())
        .collect();
    differing(CertificatePart::Usages, &present.usages, &usages)
}

/// The combined file its user renews by itself is good: valid, of the same authority and for the same name.
fn is_superseded(node: &Node, authorities: &AuthorityCertificates, wanted: &Certificate) -> bool {
    let Some(path) = &wanted.superseded_by else {
        return false;
    };
    let Some(authority) = authorities.get(&wanted.authority) else {
        return false;
    };
    // The kubelet keeps a link there to the newest of its files.
    let target = match node.tree.read_link(path) {
        Ok(Some(target)) if target.starts_with('/') => target,
        Ok(Some(target)) => format!(
            "{}/{target}",
            path.rsplit_once('/').map_or("", |(parent, _)| parent)
        ),
        _ => path.clone(),
    };
    let Ok(Some(text)) = node.tree.read(&target, LIMIT) else {
        return false;
    };
    let text = Zeroizing::new(text);
    let Some(present) = x509::Leaf::parse(&text) else {
        return false;
    };
    present.common_name == wanted.common_name
        && present
            .organizations
            .iter()
            .all(|group| wanted.organizations.contains(group))
        && present.organizations.len() == wanted.organizations.len()
        && present.not_after > node.system.now()
        && x509::is_signed_by(&text, authority.as_bytes())
        && x509::key_matches(&text, &text)
}

/// Makes a key and hands in its signing request.
pub(super) fn request(work: &mut Work<'_>, certificate: &Certificate) -> Result<(), NodeError> {
    let id = ResourceId::new("certificate", &certificate.certificate_path);
    if work.keys.contains_key(&id) {
        return Ok(());
    }
    let doing = || format!("make a key for {}", certificate.name);
    let key = KeyPair::generate().map_err(|error| fault(doing(), error.to_string()))?;
    let request = parameters(certificate)
        .and_then(|parameters| parameters.serialize_request(&key))
        .and_then(|request| request.pem())
        .map_err(|error| {
            fault(
                format!("request a certificate for {}", certificate.name),
                error.to_string(),
            )
        })?;
    work.keys.insert(id.clone(), key);
    work.peer.request_signature(&id, request)
}

fn parameters(certificate: &Certificate) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::default();
    let mut name = DistinguishedName::new();
    for organization in &certificate.organizations {
        name.push(DnType::OrganizationName, organization.as_str());
    }
    name.push(DnType::CommonName, certificate.common_name.as_str());
    parameters.distinguished_name = name;
    for dns_name in &certificate.dns_names {
        parameters
            .subject_alt_names
            .push(SanType::DnsName(dns_name.as_str().try_into()?));
    }
    let addresses = certificate.addresses.iter().copied();
    parameters
        .subject_alt_names
        .extend(addresses.map(SanType::IpAddress));
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = certificate
        .usages
        .iter()
        .map(|usage| match usage {
            Usage::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
            Usage::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
        })
        .collect();
    Ok(parameters)
}

pub(super) fn change(
    node: &mut Node,
    work: &mut Work<'_>,
    certificate: &Certificate,
    change: &Change,
) -> Result<(), NodeError> {
    let system = node.system.clone();
    let key_owner = accounts::need_owner(system.as_ref(), &certificate.key_access, &certificate.key_path)?;
    let public = public_access(certificate);
    let public_owner = accounts::need_owner(system.as_ref(), &public, &certificate.certificate_path)?;
    if !needs_issuing(change) {
        file::set_owner(node, &certificate.key_path, key_owner)?;
        return file::set_owner(node, &certificate.certificate_path, public_owner);
    }
    request(work, certificate)?;
    let id = ResourceId::new("certificate", &certificate.certificate_path);
    let text = work.peer.signature(&id)?;
    let doing = || format!("issue {}", certificate.name);
    let key = work
        .keys
        .remove(&id)
        .ok_or_else(|| fault(doing(), "its key is gone"))?;
    let key_text = Zeroizing::new(key.serialize_pem());
    judge(
        text.as_bytes(),
        &work.state.authorities,
        certificate,
        system.now(),
    )
    .and_then(|()| {
        let matches = x509::key_matches(text.as_bytes(), key_text.as_bytes());
        matches.then_some(()).ok_or(CertificateProblem::OtherKey {})
    })
    .map_err(|problem| {
        let error = fault(
            doing(),
            format!("the certificate that arrived is of no use: {problem}"),
        );
        hinted(error, "compare the node's clock with the controller's")
    })?;
    let write = |error: std::io::Error| fault(doing(), error);
    let mut new_key = node.tree.begin(&certificate.key_path)?;
    new_key.write_all(key_text.as_bytes()).map_err(write)?;
    let mut new_certificate = node.tree.begin(&certificate.certificate_path)?;
    new_certificate.write_all(text.as_bytes()).map_err(write)?;
    commit_both((new_key, key_owner), (new_certificate, public_owner))?;
    let digest = Digest::of(text.as_bytes());
    node.hashes
        .remember(&node.tree, &certificate.certificate_path, digest)
}
