//! Proxies, registries, name servers and issuers that cannot be what was meant.

use super::{adding, said};
use crate::spec::parse;

/// What is said of lines under `spec`: place and rule of each finding.
fn rules(lines: &str) -> Vec<String> {
    let findings = match parse(&adding(lines), "cluster.yaml") {
        Ok(parsed) => parsed.warnings,
        Err(errors) => errors.findings,
    };
    findings
        .iter()
        .map(|finding| format!("{} {}", finding.path, finding.rule))
        .collect()
}

#[test]
fn a_proxy_is_a_url_without_a_password() {
    assert_eq!(
        rules("  proxy: { https: 'http://proxy.example.org:3128' }"),
        Vec::<String>::new()
    );
    let wrong =
        "  proxy: { http: 'http://me:CANARY@proxy.example.org', https: 'proxy:3128', noProxy: ['a b'] }";
    assert_eq!(
        rules(wrong),
        [
            "spec.proxy.http invalid-value",
            "spec.proxy.https invalid-value",
            "spec.proxy.noProxy[0] invalid-value"
        ]
    );
    let errors = parse(&adding(wrong), "cluster.yaml").unwrap_err();
    assert!(
        !errors.findings[0].message.contains("CANARY"),
        "{}",
        errors.findings[0].message
    );
    assert_eq!(
        rules("  proxy: { noProxy: [a] }"),
        ["spec.proxy.noProxy no-effect"]
    );
}

#[test]
fn a_registry_has_a_name_and_safe_mirrors() {
    assert_eq!(
        rules("  registries: { docker.io: { mirrors: ['https://mirror.example.org'] } }"),
        Vec::<String>::new()
    );
    assert_eq!(
        rules(
            "  registries:
    'https://docker.io': { mirrors: ['https://mirror.example.org'] }
    quay.io: { mirrors: ['http://mirror.example.org', 'mirror', 'https://a\"b'] }
    ghcr.io: { ca: none }
    empty.example: {}"
        ),
        [
            "spec.registries.https://docker.io invalid-value",
            "spec.registries.quay.io.mirrors[0] plain-http",
            "spec.registries.quay.io.mirrors[1] invalid-value",
            "spec.registries.quay.io.mirrors[2] invalid-value",
            "spec.registries.ghcr.io.ca invalid-value",
            "spec.registries.empty.example no-effect",
        ]
    );
}

#[test]
fn name_servers_lie_outside_the_cluster() {
    assert_eq!(rules("  dns: { upstream: [192.0.2.53] }"), Vec::<String>::new());
    assert_eq!(
        rules("  dns: { upstream: [127.0.0.1, 10.96.0.10, resolver] }"),
        ["spec.dns.upstream[2] invalid-value"],
        "what cannot be read is told first"
    );
    assert_eq!(
        rules("  dns: { upstream: [127.0.0.1, 10.96.0.10] }"),
        [
            "spec.dns.upstream[0] invalid-value",
            "spec.dns.upstream[1] invalid-value"
        ]
    );
}

#[test]
fn an_issuer_is_told_by_its_own_key_alone() {
    assert_eq!(
        rules("  oidc: { issuer: 'https://login.example.org', clientId: kubernetes }"),
        Vec::<String>::new()
    );
    assert_eq!(
        rules("  oidc: { issuer: 'http://login.example.org' }"),
        ["spec.oidc.clientId missing-key", "spec.oidc.issuer invalid-value"]
    );
    let said = said(&adding(
        "  components: { kube-apiserver: { extraArgs: { oidc-issuer-url: 'https://login.example.org' } } }",
    ));
    assert!(said.contains("set `spec.oidc` instead"), "{said}");
}
