use std::collections::BTreeSet;

use super::{Diagnosis, ErrorId, diagnose};
use crate::check;
use crate::spec::RULES;

fn is_kebab(id: &str) -> bool {
    !id.is_empty()
        && id.split('-').all(|part| !part.is_empty())
        && id
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
}

#[test]
fn no_two_ids_are_the_same() {
    let errors: Vec<&str> = ErrorId::ALL.iter().map(|id| id.as_str()).collect();
    let checks: Vec<&str> = check::Kind::ALL.iter().map(|kind| kind.id()).collect();
    let causes: Vec<&str> = Diagnosis::ALL.iter().map(|diagnosis| diagnosis.id).collect();
    let rules: Vec<&str> = RULES.iter().map(|(rule, _)| *rule).collect();
    for ids in [&errors, &checks, &causes, &rules] {
        let once: BTreeSet<&&str> = ids.iter().collect();
        assert_eq!(once.len(), ids.len());
        assert_eq!(ids.iter().find(|id| !is_kebab(id)), None);
    }
    // Errors and findings of the machines are searched for in one place.
    let both: Vec<&&str> = errors.iter().filter(|id| checks.contains(id)).collect();
    assert_eq!(both, Vec::<&&str>::new());
}

#[test]
fn every_kind_has_an_id_that_is_its_own() {
    for id in ErrorId::ALL {
        let general = ErrorId::of_kind(id.kind());
        assert_eq!(general.kind(), id.kind(), "{id}");
    }
}

#[test]
fn ids_cross_the_wire_by_their_names() {
    for id in ErrorId::ALL {
        let json = serde_json::to_string(id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<ErrorId>(&json).unwrap(), *id);
    }
}

#[test]
fn what_services_say_points_to_its_cause() {
    let cases = [
        (
            "{\"level\":\"fatal\",\"caller\":\"etcdmain/etcd.go\",\"msg\":\"discovery failed\",\"error\":\"member \
             3f1a has already been bootstrapped\"}",
            "etcd-data-lost",
        ),
        (
            "write /var/lib/etcd/member/wal/0.tmp: no space left on device",
            "disk-full",
        ),
        (
            "/usr/sbin/nft: error while loading shared libraries: libnftables.so.1: file too short",
            "library-damaged",
        ),
        (
            "kubelet.service: Failed to execute /usr/local/bin/kubelet: Exec format error",
            "wrong-processor",
        ),
        (
            "listen tcp 192.0.2.11:6443: bind: address already in use",
            "port-taken",
        ),
        (
            "x509: certificate signed by unknown authority (possibly because of \"crypto/rsa\")",
            "other-authority",
        ),
        (
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time",
            "clock",
        ),
        (
            "etcd.service: A process of this unit has been killed by the OOM killer. oom-kill",
            "out-of-memory",
        ),
        ("Error: unknown flag: --evnt-ttl", "unknown-argument"),
        (
            "\"command failed\" err=\"failed to run Kubelet: running with swap on is not supported\"",
            "swap",
        ),
        (
            "dial tcp 127.0.0.1:2379: connect: connection refused",
            "etcd-unreachable",
        ),
        (
            "kube-apiserver.service: Failed at step EXEC spawning: Exec format error",
            "wrong-processor",
        ),
        (
            "x509: certificate is valid for 192.0.2.11, not 192.0.2.12",
            "certificate-name",
        ),
        ("walpb: crc mismatch", "etcd-data-damaged"),
        ("not so after 180 s: it answers 503: ALARM NOSPACE", "etcd-space"),
        (
            "not so after 180 s: it answers 503: RAFT NO LEADER",
            "etcd-no-leader",
        ),
    ];
    for (line, id) in cases {
        assert_eq!(
            diagnose(["started", line]).map(|diagnosis| diagnosis.id),
            Some(id),
            "{line}"
        );
    }
}

#[test]
fn says_nothing_about_lines_it_does_not_know() {
    assert_eq!(
        diagnose(["Started etcd.", "ready to serve client requests"]),
        None
    );
    assert_eq!(diagnose([]), None);
}

#[test]
fn a_full_disk_explains_what_follows_from_it() {
    let lines = [
        "mkdir /var/lib/etcd/member: no space left on device",
        "dial tcp 192.0.2.12:2380: connect: connection refused",
    ];
    let diagnosis = diagnose(lines).unwrap();
    assert_eq!(diagnosis.id, "disk-full");
    assert!(
        diagnosis
            .next(Some("cp-2"), Some("etcd.service"))
            .starts_with("on cp-2: df -h")
    );
}

#[test]
fn every_diagnosis_is_reached_by_each_of_its_own_signs() {
    for diagnosis in Diagnosis::ALL {
        for sign in diagnosis.signs() {
            let found = diagnose([sign.as_str()]).unwrap();
            assert_eq!(found.id, diagnosis.id, "{sign}");
        }
    }
}

#[test]
fn that_a_program_could_not_be_executed_does_not_say_why() {
    let line = "kubelet.service: Main process exited, code=exited, status=203/EXEC";
    assert_eq!(diagnose([line].into_iter()), None);
}

#[test]
fn advice_to_use_etcdctl_comes_with_what_it_needs() {
    let options = crate::component::etcd::ETCDCTL_OPTIONS;
    let advised: Vec<String> = Diagnosis::ALL
        .iter()
        .map(|diagnosis| diagnosis.next(None, None))
        .collect();
    let advised: Vec<&String> = advised.iter().filter(|next| next.contains("etcdctl")).collect();
    assert!(!advised.is_empty());
    for next in advised {
        assert!(next.contains(options), "{next}");
    }
}
