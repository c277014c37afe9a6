//! Certificates of components, from the few things in which they differ.

use std::net::{IpAddr, Ipv4Addr};

use crate::pki::{LEAF_LIFETIME_DAYS, LEAF_RENEW_BEFORE_DAYS};
use crate::resource::{Access, AuthorityName, Certificate, Usage};

/// A certificate a client shows: `path` without suffix gets `.crt` and `.key`, for root alone.
pub(crate) fn client_certificate(
    name: &str,
    authority: AuthorityName,
    common_name: &str,
    organizations: &[&str],
    path: &str,
) -> Certificate {
    Certificate {
        name: name.to_owned(),
        authority,
        common_name: common_name.to_owned(),
        organizations: organizations.iter().map(|&group| group.to_owned()).collect(),
        dns_names: Vec::new(),
        addresses: Vec::new(),
        usages: vec![Usage::ClientAuth],
        lifetime_days: LEAF_LIFETIME_DAYS,
        renew_before_days: LEAF_RENEW_BEFORE_DAYS,
        certificate_path: format!("{path}.crt"),
        key_path: format!("{path}.key"),
        key_access: Access::root(0o600),
        superseded_by: None,
    }
}

/// A certificate a server shows that is asked over loopback too: valid for `localhost` and `127.0.0.1` as well.
pub(crate) fn local_serving_certificate(
    name: &str,
    authority: AuthorityName,
    common_name: &str,
    dns_names: impl IntoIterator<Item = String>,
    addresses: impl IntoIterator<Item = IpAddr>,
    path: &str,
) -> Certificate {
    let dns_names = dns_names.into_iter().chain(["localhost".to_owned()]);
    let addresses = addresses.into_iter().chain([IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    serving_certificate(name, authority, common_name, dns_names, addresses, path)
}

/// A certificate a server shows: valid for the given names and addresses.
pub(crate) fn serving_certificate(
    name: &str,
    authority: AuthorityName,
    common_name: &str,
    dns_names: impl IntoIterator<Item = String>,
    addresses: impl IntoIterator<Item = IpAddr>,
    path: &str,
) -> Certificate {
    let mut certificate = client_certificate(name, authority, common_name, &[], path);
    certificate.usages = vec![Usage::ServerAuth];
    certificate.dns_names = dns_names.into_iter().collect();
    certificate.dns_names.sort();
    certificate.dns_names.dedup();
    certificate.addresses = addresses.into_iter().collect();
    certificate.addresses.sort();
    certificate.addresses.dedup();
    certificate
}
