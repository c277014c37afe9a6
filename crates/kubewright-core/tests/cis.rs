//! The CIS Kubernetes Benchmark v1.12, as far as an installer decides it, checked against what is rendered by default.
//!
//! One row per item: its number and what must be so. Deliberately not followed, with the reason:
//!
//! - 1.1.15 to 1.1.18 and 1.1.21 ask for files of root's alone: the API server, the controller manager and the scheduler run
//!   as their own users, and what each reads is root's and readable by its group (0640). None can change what it reads.
//! - 1.1.19 asks that everything below `/etc/kubernetes/pki` be root's: etcd's two keys are etcd's, or it could not
//!   run as its own user (1.1.12); the API proxy's key is the proxy's.
//! - 1.2.1 asks for no anonymous requests at all: three health endpoints are open, and nothing else.
//! - 1.2.3, 1.2.9, 1.2.11 ask for admission plug-ins that break ordinary workloads or need figures only the
//!   operator knows; `--enable-admission-plugins` takes them.
//! - 4.2.7 asks for no `--hostname-override`: names in cluster.yaml are the names in certificates.

#![allow(clippy::disallowed_methods)] // goldens are files
#![allow(clippy::unwrap_used)] // what a test stands on may fail it

#[path = "golden/context.rs"]
mod context;

use context::world;
use kubewright_core::render::render;
use kubewright_core::resource::{Access, NodeState, Resource, ResourceId};
use serde_json::{Value, json};

/// What must be so.
enum Must<'a> {
    /// The unit's argument has this value.
    Be(&'a str, &'a str, &'a str),
    /// The unit has the argument, and what it points to is provided.
    Point(&'a str, &'a str),
    /// The unit does not have the argument.
    Lack(&'a str, &'a str),
    /// The value of a comma-separated argument does not contain the word.
    Exclude(&'a str, &'a str, &'a str),
    /// The value at a JSON pointer of a YAML file.
    Set(&'a str, &'a str, Value),
    /// Nothing, or an empty value, at a JSON pointer of a YAML file.
    Unset(&'a str, &'a str),
    /// The path has at most this mode and this owner, `USER:GROUP` or one name for both.
    Mode(&'a str, u32, &'a str),
}

use Must::{Be, Exclude, Lack, Mode, Point, Set, Unset};

const API: &str = "kube-apiserver.service";
const MANAGER: &str = "kube-controller-manager.service";
const SCHEDULER: &str = "kube-scheduler.service";
const ETCD: &str = "etcd.service";
const KUBELET: &str = "/var/lib/kubelet/config.yaml";

fn table() -> Vec<(&'static str, Must<'static>)> {
    vec![
        (
            "1.1.9",
            Mode("/etc/kubewright/cni/10-kubewright.conflist", 0o600, "root"),
        ),
        ("1.1.11", Mode("/var/lib/etcd", 0o700, "etcd")),
        ("1.1.12", Mode("/var/lib/etcd", 0o700, "etcd")),
        ("1.1.13", Mode("/etc/kubernetes/admin.conf", 0o600, "root")),
        (
            "1.1.15",
            Mode("/etc/kubernetes/scheduler.conf", 0o640, "root:kube-scheduler"),
        ),
        (
            "1.1.17",
            Mode(
                "/etc/kubernetes/controller-manager.conf",
                0o640,
                "root:kube-controller-manager",
            ),
        ),
        ("1.1.19", Mode("/etc/kubernetes/pki", 0o755, "root")),
        ("1.1.20", Mode("/etc/kubernetes/pki/ca.crt", 0o644, "root")),
        (
            "1.1.21",
            Mode(
                "/etc/kubernetes/pki/ca.key",
                0o640,
                "root:kube-controller-manager",
            ),
        ),
        (
            "1.1.21",
            Mode("/etc/kubernetes/pki/apiserver.key", 0o640, "root:kube-apiserver"),
        ),
        (
            "1.1.21",
            Mode("/etc/kubernetes/pki/sa.key", 0o640, "root:kube-token-signers"),
        ),
        ("1.2.2", Lack(API, "token-auth-file")),
        ("1.2.4", Point(API, "kubelet-client-certificate")),
        ("1.2.4", Point(API, "kubelet-client-key")),
        ("1.2.5", Point(API, "kubelet-certificate-authority")),
        ("1.2.6", Exclude(API, "authorization-mode", "AlwaysAllow")),
        ("1.2.7", Be(API, "authorization-mode", "Node,RBAC")),
        ("1.2.8", Be(API, "authorization-mode", "Node,RBAC")),
        ("1.2.10", Exclude(API, "enable-admission-plugins", "AlwaysAdmit")),
        ("1.2.12", Lack(API, "disable-admission-plugins")),
        ("1.2.13", Lack(API, "disable-admission-plugins")),
        ("1.2.14", Be(API, "enable-admission-plugins", "NodeRestriction")),
        ("1.2.15", Be(API, "profiling", "false")),
        (
            "1.2.16",
            Be(API, "audit-log-path", "/var/log/kubernetes/audit.log"),
        ),
        ("1.2.17", Be(API, "audit-log-maxage", "30")),
        ("1.2.18", Be(API, "audit-log-maxbackup", "10")),
        ("1.2.19", Be(API, "audit-log-maxsize", "100")),
        ("1.2.21", Lack(API, "service-account-lookup")),
        ("1.2.22", Point(API, "service-account-key-file")),
        ("1.2.23", Point(API, "etcd-certfile")),
        ("1.2.23", Point(API, "etcd-keyfile")),
        ("1.2.24", Point(API, "tls-cert-file")),
        ("1.2.24", Point(API, "tls-private-key-file")),
        ("1.2.25", Point(API, "client-ca-file")),
        ("1.2.26", Point(API, "etcd-cafile")),
        ("1.2.27", Point(API, "encryption-provider-config")),
        (
            "1.2.29",
            Exclude(API, "tls-cipher-suites", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
        ),
        (
            "1.2.30",
            Be(API, "service-account-extend-token-expiration", "false"),
        ),
        ("1.3.1", Be(MANAGER, "terminated-pod-gc-threshold", "1000")),
        ("1.3.2", Be(MANAGER, "profiling", "false")),
        ("1.3.3", Be(MANAGER, "use-service-account-credentials", "true")),
        ("1.3.4", Point(MANAGER, "service-account-private-key-file")),
        ("1.3.5", Point(MANAGER, "root-ca-file")),
        ("1.3.6", Lack(MANAGER, "feature-gates")),
        ("1.3.7", Be(MANAGER, "bind-address", "127.0.0.1")),
        ("1.4.1", Be(SCHEDULER, "profiling", "false")),
        (
            "1.4.1",
            Set("/etc/kubernetes/scheduler.yaml", "/enableProfiling", json!(false)),
        ),
        ("1.4.2", Be(SCHEDULER, "bind-address", "127.0.0.1")),
        ("2.1", Point(ETCD, "cert-file")),
        ("2.1", Point(ETCD, "key-file")),
        ("2.2", Be(ETCD, "client-cert-auth", "true")),
        ("2.3", Lack(ETCD, "auto-tls")),
        ("2.4", Point(ETCD, "peer-cert-file")),
        ("2.4", Point(ETCD, "peer-key-file")),
        ("2.5", Be(ETCD, "peer-client-cert-auth", "true")),
        ("2.6", Lack(ETCD, "peer-auto-tls")),
        (
            "2.7",
            Be(ETCD, "trusted-ca-file", "/etc/kubernetes/pki/etcd/ca.crt"),
        ),
        (
            "2.7",
            Be(ETCD, "peer-trusted-ca-file", "/etc/kubernetes/pki/etcd/ca.crt"),
        ),
        ("3.2.1", Point(API, "audit-policy-file")),
        ("4.1.3", Mode("/etc/kubernetes/kube-proxy.conf", 0o600, "root")),
        ("4.1.5", Mode("/etc/kubernetes/kubelet.conf", 0o600, "root")),
        ("4.1.7", Mode("/etc/kubernetes/pki/ca.crt", 0o644, "root")),
        ("4.1.9", Mode(KUBELET, 0o600, "root")),
        (
            "4.2.1",
            Set(KUBELET, "/authentication/anonymous/enabled", json!(false)),
        ),
        ("4.2.2", Set(KUBELET, "/authorization/mode", json!("Webhook"))),
        (
            "4.2.3",
            Set(
                KUBELET,
                "/authentication/x509/clientCAFile",
                json!("/etc/kubernetes/pki/ca.crt"),
            ),
        ),
        ("4.2.4", Set(KUBELET, "/readOnlyPort", json!(0))),
        ("4.2.5", Unset(KUBELET, "/streamingConnectionIdleTimeout")),
        ("4.2.6", Unset(KUBELET, "/makeIPTablesUtilChains")),
        ("4.2.8", Unset(KUBELET, "/eventRecordQPS")),
        (
            "4.2.9",
            Set(KUBELET, "/tlsCertFile", json!("/var/lib/kubelet/pki/kubelet.crt")),
        ),
        (
            "4.2.9",
            Set(
                KUBELET,
                "/tlsPrivateKeyFile",
                json!("/var/lib/kubelet/pki/kubelet.key"),
            ),
        ),
        ("4.2.10", Set(KUBELET, "/rotateCertificates", json!(true))),
        ("4.2.11", Unset(KUBELET, "/featureGates")),
        (
            "4.2.12",
            Set(
                KUBELET,
                "/tlsCipherSuites/0",
                json!("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
            ),
        ),
        ("4.2.13", Set(KUBELET, "/podPidsLimit", json!(4096))),
        ("4.2.14", Set(KUBELET, "/seccompDefault", json!(true))),
        (
            "4.3.1",
            Set(
                "/var/lib/kube-proxy/config.yaml",
                "/metricsBindAddress",
                json!("127.0.0.1:10249"),
            ),
        ),
    ]
}

#[test]
fn every_item_an_installer_decides_holds_by_default() {
    let world = world("three-plus-two");
    let state = render(&world.context(), "cp-1").unwrap();
    let failures: Vec<String> = table()
        .into_iter()
        .filter_map(|(id, must)| {
            check(&state, &must)
                .err()
                .map(|problem| format!("{id}: {problem}"))
        })
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn anonymous_requests_reach_health_endpoints_only() {
    let world = world("three-plus-two");
    let state = render(&world.context(), "cp-1").unwrap();
    let config = yaml(&state, "/etc/kubernetes/authentication.yaml").unwrap();
    let paths: Vec<&str> = config["anonymous"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| condition["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["/livez", "/readyz", "/healthz"]);
}

fn check(state: &NodeState, must: &Must) -> Result<(), String> {
    match must {
        Be(unit, name, value) => match argument(state, unit, name) {
            Some(found) if found == *value => Ok(()),
            found => Err(format!("{unit} has --{name}={found:?}")),
        },
        Point(unit, name) => {
            let path = argument(state, unit, name).ok_or_else(|| format!("{unit} lacks --{name}"))?;
            access(state, &path)
                .map(|_| ())
                .ok_or_else(|| format!("nothing provides {path}"))
        }
        Lack(unit, name) => match argument(state, unit, name) {
            None => Ok(()),
            Some(found) => Err(format!("{unit} has --{name}={found}")),
        },
        Exclude(unit, name, word) => match argument(state, unit, name) {
            Some(found) if !found.split(',').any(|item| item == *word) => Ok(()),
            found => Err(format!("{unit} has --{name}={found:?}")),
        },
        Set(path, pointer, value) => {
            let config = yaml(state, path).ok_or_else(|| format!("no {path}"))?;
            match config.pointer(pointer) {
                Some(found) if found == value => Ok(()),
                found => Err(format!("{path} has {pointer}: {found:?}")),
            }
        }
        Unset(path, pointer) => {
            let config = yaml(state, path).ok_or_else(|| format!("no {path}"))?;
            match config.pointer(pointer) {
                None => Ok(()),
                Some(found) => Err(format!("{path} has {pointer}: {found}")),
            }
        }
        Mode(path, mode, owner) => {
            let found = access(state, path).ok_or_else(|| format!("nothing provides {path}"))?;
            let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
            let fits = found.mode & !mode == 0 && found.user == user && found.group == group;
            if fits {
                Ok(())
            } else {
                Err(format!("{path} is {found:?}"))
            }
        }
    }
}

fn argument(state: &NodeState, unit: &str, name: &str) -> Option<String> {
    let staged = state.get(&ResourceId::new("unit", unit))?;
    let Resource::Unit(unit) = &staged.resource else {
        return None;
    };
    let prefix = format!("--{name}=");
    unit.content
        .split_whitespace()
        .find_map(|word| word.strip_prefix(&prefix))
        .map(str::to_owned)
}

fn yaml(state: &NodeState, path: &str) -> Option<Value> {
    let staged = state.get(&ResourceId::new("file", path))?;
    let Resource::File(file) = &staged.resource else {
        return None;
    };
    serde_saphyr::from_str(&file.content).ok()
}

/// Owner and mode of what is at a path; certificates are readable by all and belong to their key's owner.
fn access(state: &NodeState, path: &str) -> Option<Access> {
    state.resources.iter().find_map(|staged| match &staged.resource {
        Resource::Directory(it) if it.path == path => Some(it.access.clone()),
        Resource::File(it) if it.path == path => Some(it.access.clone()),
        Resource::SharedSecret(it) if it.path == path => Some(it.access.clone()),
        Resource::Certificate(it) if it.key_path == path => Some(it.key_access.clone()),
        Resource::Certificate(it) if it.certificate_path == path => Some(Access {
            mode: 0o644,
            ..it.key_access.clone()
        }),
        _ => None,
    })
}
