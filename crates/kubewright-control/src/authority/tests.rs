use std::time::Duration;

use kubewright_core::resource::{Access, Certificate, Usage};
use kubewright_core::spec::NodeName;
use rcgen::{CertificateParams, DnType};
use x509_parser::prelude::{GeneralName, ParsedExtension, X509Certificate};

use super::*;

const DAY: u64 = 24 * 60 * 60;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn profile() -> Certificate {
    Certificate {
        name: "apiserver".to_owned(),
        authority: AuthorityName::Kubernetes,
        common_name: "kube-apiserver".to_owned(),
        organizations: vec!["system:one".to_owned()],
        dns_names: vec!["kubernetes".to_owned()],
        addresses: vec!["10.96.0.1".parse().unwrap()],
        usages: vec![Usage::ServerAuth],
        lifetime_days: 365,
        renew_before_days: 122,
        certificate_path: "/etc/kubernetes/pki/apiserver.crt".to_owned(),
        key_path: "/etc/kubernetes/pki/apiserver.key".to_owned(),
        key_access: Access::root(0o600),
        superseded_by: None,
    }
}

/// A request for more than was planned.
fn greedy_request(key: &KeyPair) -> String {
    let mut parameters = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, "admin");
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, "system:masters");
    parameters.serialize_request(key).unwrap().pem().unwrap()
}

fn inspect<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    look(&pem.parse_x509().unwrap())
}

fn key_identifiers(certificate: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut subject, mut authority) = (None, None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => subject = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                authority = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            _ => {}
        }
    }
    (subject, authority)
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

#[test]
fn signs_what_was_planned_and_ignores_what_the_request_asks_for() {
    let authorities = Authorities::generate(now()).unwrap();
    let key = new_key("test").unwrap();
    let signed = authorities
        .sign(&profile(), &greedy_request(&key), now())
        .unwrap();
    inspect(&signed, |certificate| {
        assert_eq!(
            certificate.subject().to_string(),
            "O=system:one, CN=kube-apiserver"
        );
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        let names = &names.value.general_names;
        assert!(matches!(
            names.as_slice(),
            [
                GeneralName::DNSName("kubernetes"),
                GeneralName::IPAddress([10, 96, 0, 1])
            ]
        ));
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth);
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && !usage.key_cert_sign());
        assert!(!certificate.is_ca());
        assert_eq!(certificate.public_key().raw, key.subject_public_key_info());
    });
}

#[test]
fn dates_a_leaf_a_little_back_and_gives_it_its_lifetime() {
    let authorities = Authorities::generate(now()).unwrap();
    let request = greedy_request(&new_key("test").unwrap());
    let signed = authorities.sign(&profile(), &request, now()).unwrap();
    inspect(&signed, |certificate| {
        assert_eq!(certificate.validity().not_before.timestamp(), 1_800_000_000 - 300);
        assert_eq!(
            certificate.validity().not_after.timestamp(),
            1_800_000_000 + 365 * DAY as i64
        );
    });
}

#[test]
fn no_leaf_outlives_its_authority() {
    let authorities = Authorities::generate(now()).unwrap();
    let request = greedy_request(&new_key("test").unwrap());
    let late = now() + Duration::from_secs(3600 * DAY);
    let signed = authorities.sign(&profile(), &request, late).unwrap();
    let end = inspect(&authorities.certificates()[&AuthorityName::Kubernetes], |ca| {
        ca.validity().not_after
    });
    assert_eq!(inspect(&signed, |leaf| leaf.validity().not_after), end);
    let too_late = now() + Duration::from_secs(3651 * DAY);
    assert!(authorities.sign(&profile(), &request, too_late).is_err());
}

#[test]
fn a_leaf_verifies_against_its_authority_only_and_points_to_it() {
    let authorities = Authorities::generate(now()).unwrap();
    let request = greedy_request(&new_key("test").unwrap());
    let signed = authorities.sign(&profile(), &request, now()).unwrap();
    let certificates = authorities.certificates();
    inspect(&signed, |leaf| {
        inspect(&certificates[&AuthorityName::Kubernetes], |ca| {
            assert!(leaf.verify_signature(Some(ca.public_key())).is_ok());
            assert!(ca.is_ca() && ca.key_usage().unwrap().unwrap().value.key_cert_sign());
            assert_eq!(ca.subject().to_string(), "CN=kubernetes");
            assert_eq!(leaf.issuer(), ca.subject());
            assert_eq!(key_identifiers(leaf).1, key_identifiers(ca).0);
            assert!(key_identifiers(leaf).0.is_some());
        });
        inspect(&certificates[&AuthorityName::Etcd], |ca| {
            assert!(leaf.verify_signature(Some(ca.public_key())).is_err());
        });
    });
}

#[test]
fn refuses_a_request_that_its_key_did_not_sign() {
    let authorities = Authorities::generate(now()).unwrap();
    let request = greedy_request(&new_key("test").unwrap());
    let (_, pem) = x509_parser::pem::parse_x509_pem(request.as_bytes()).unwrap();
    let mut der = pem.contents;
    let position = der
        .windows(12)
        .position(|window| window == b"evil.example")
        .unwrap();
    der[position] = b'E';
    let forged = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        STANDARD.encode(&der)
    );
    for request in [forged.as_str(), "", "nonsense"] {
        let error = authorities.sign(&profile(), request, now()).unwrap_err();
        assert!(matches!(error, AuthorityError::Request { .. }), "{error}");
    }
}

#[test]
fn takes_up_what_it_made_byte_for_byte() {
    let made = Authorities::generate(now()).unwrap();
    let again = Authorities::from_secrets(made.secrets.clone(), &made.certificates()).unwrap();
    assert_eq!(again.certificates(), made.certificates());
    assert_eq!(again.digests(), made.digests());
    assert_eq!(again.service_account_public(), made.service_account_public());
    assert_eq!(made.digests().len(), 5);
    let request = greedy_request(&new_key("test").unwrap());
    let signed = again.sign(&profile(), &request, now()).unwrap();
    inspect(&signed, |leaf| {
        inspect(&made.certificates()[&AuthorityName::Kubernetes], |ca| {
            assert!(leaf.verify_signature(Some(ca.public_key())).is_ok());
        });
    });
}

#[test]
fn refuses_a_key_of_another_cluster() {
    let mut certificates = Authorities::generate(now()).unwrap().certificates();
    let other = Authorities::generate(now()).unwrap();
    let error = Authorities::from_secrets(other.secrets.clone(), &certificates).unwrap_err();
    assert!(matches!(
        error,
        AuthorityError::Mismatch(AuthorityName::Kubernetes)
    ));
    certificates.clear();
    assert!(Authorities::from_secrets(other.secrets.clone(), &certificates).is_err());
}

#[test]
fn names_the_secrets_that_are_missing() {
    let made = Authorities::generate(now()).unwrap();
    let mut secrets = made.secrets.clone();
    secrets.remove(ENCRYPTION_SECRET);
    let error = Authorities::from_secrets(secrets, &made.certificates()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no reachable control plane has encryption-config"
    );
}

#[test]
fn completes_what_an_interrupted_first_run_left() {
    let made = Authorities::generate(now()).unwrap();
    let mut secrets = made.secrets.clone();
    secrets.remove("etcd-ca-key");
    secrets.remove(SERVICE_ACCOUNT_SECRET);
    let completed = Authorities::complete(secrets, made.certificates(), now()).unwrap();
    let (before, after) = (made.certificates(), completed.certificates());
    assert_eq!(
        after[&AuthorityName::Kubernetes],
        before[&AuthorityName::Kubernetes]
    );
    assert_ne!(after[&AuthorityName::Etcd], before[&AuthorityName::Etcd]);
    assert_eq!(
        completed.digests()[ENCRYPTION_SECRET],
        made.digests()[ENCRYPTION_SECRET]
    );
}

#[test]
fn merges_equal_secrets_and_names_the_nodes_of_different_ones() {
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    let holds = |text: &str| BTreeMap::from([("key".to_owned(), secret(text))]);
    let mut held = BTreeMap::from([
        (node("cp-1"), holds("a")),
        (node("cp-2"), BTreeMap::new()),
        (node("cp-3"), holds("a")),
    ]);
    assert_eq!(merge_secrets(&held).unwrap(), holds("a"));
    held.insert(node("cp-2"), holds("b"));
    let error = merge_secrets(&held).unwrap_err();
    assert_eq!(
        error.to_string(),
        "secret key differs between nodes: cp-1, cp-3 / cp-2"
    );
}

#[test]
fn merges_certificates_by_path() {
    let path = AuthorityName::Etcd.certificate_path().to_owned();
    let found = BTreeMap::from([(node("cp-1"), BTreeMap::from([(path, "PEM".to_owned())]))]);
    let merged = merge_certificates(&found).unwrap();
    assert_eq!(merged, BTreeMap::from([(AuthorityName::Etcd, "PEM".to_owned())]));
}

#[test]
fn a_certificate_whose_key_was_never_kept_counts_for_nothing() {
    let path = |name: AuthorityName| name.certificate_path().to_owned();
    let found = BTreeMap::from([
        (path(AuthorityName::Kubernetes), "kept".to_owned()),
        (path(AuthorityName::Etcd), "left behind".to_owned()),
    ]);
    let key = AuthorityName::Kubernetes.secret_name().to_owned();
    let held = BTreeMap::from([(key, Secret::new(b"key".to_vec()))]);
    let kept = kept_certificates(&found, &held);
    assert_eq!(
        kept,
        BTreeMap::from([(path(AuthorityName::Kubernetes), "kept".to_owned())])
    );
}

#[test]
fn issues_a_person_a_certificate_with_up_to_two_groups() {
    let authorities = Authorities::generate(now()).unwrap();
    let lifetime = Duration::from_secs(8 * 3600);
    let groups = ["one".to_owned(), "two".to_owned(), "three".to_owned()];
    let issued = authorities
        .issue_client("ada", &groups[..2], lifetime, now())
        .unwrap();
    inspect(&issued.certificate, |certificate| {
        assert_eq!(certificate.subject().to_string(), "O=one, O=two, CN=ada");
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        assert_eq!(
            certificate.validity().not_after.timestamp(),
            1_800_000_000 + 8 * 3600
        );
    });
    assert!(issued.key.expose().starts_with(b"-----BEGIN PRIVATE KEY-----"));
    assert!(authorities.issue_client("ada", &groups, lifetime, now()).is_err());
}

#[test]
fn encrypts_new_secrets_and_still_reads_plain_ones() {
    let authorities = Authorities::generate(now()).unwrap();
    let text = authorities.secret(ENCRYPTION_SECRET).unwrap().expose().to_vec();
    let text = String::from_utf8(text).unwrap();
    let key = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("secret: "))
        .unwrap();
    assert_eq!(STANDARD.decode(key).unwrap().len(), 32);
    assert!(text.find("secretbox").unwrap() < text.find("identity: {}").unwrap());
}

#[test]
fn shows_no_secret_when_printed() {
    let authorities = Authorities::generate(now()).unwrap();
    let shown = format!("{authorities:?}");
    assert!(shown.contains("etcd-ca-key") && !shown.contains("PRIVATE"));
}

#[test]
fn what_two_looks_share_is_what_nodes_hold_and_nothing_that_was_just_made() {
    let new = Authorities::generate(now()).unwrap().lasting().unwrap();
    assert!(new.certificates.is_empty() && new.digests.is_empty() && new.service_account_public.is_empty());

    let first = Authorities::generate(now()).unwrap();
    let held = |name: &str| {
        (
            name.to_owned(),
            Secret::new(first.secret(name).unwrap().expose().to_vec()),
        )
    };
    let some = [held("etcd-ca-key"), held(SERVICE_ACCOUNT_SECRET)]
        .into_iter()
        .collect();
    let taken_up = Authorities::complete(some, first.certificates(), now()).unwrap();
    let lasting = taken_up.lasting().unwrap();
    let names: Vec<_> = lasting.certificates.keys().copied().collect();
    assert_eq!(names, [AuthorityName::Etcd]);
    assert_eq!(lasting.digests.len(), 2);
    assert_eq!(lasting.service_account_public, first.service_account_public());

    let all = shared_secrets().into_iter().map(|(name, _)| held(name)).collect();
    let settled = Authorities::from_secrets(all, &first.certificates()).unwrap();
    assert!(settled.lasting().is_none());
}
