//! The controller manager: on every control plane, one of them leads.
//!
//! The raised client rates are worth five seconds of every build: with the defaults, the default service account,
//! without which no pod is admitted, appears after six seconds. The shortened lease halves the time a dead leader
//! holds endpoints back after a power cut. Pod ranges are kubewright's to give, before a node's network starts.

use super::trust::{authority_id, secret_id};
use super::{
    Arguments, CIPHER_SUITES, Component, Confinement, Kubeconfig, Port, Probe, Process, apiserver,
    client_certificate, serving_certificate,
};
use crate::pki::SERVICE_ACCOUNT_KEY_PATH;
use crate::render::View;
use crate::resource::{AuthorityName, Certificate, Resource, Stage, Start};
use crate::spec::ComponentName;

const KUBECONFIG: &str = "/etc/kubernetes/controller-manager.conf";

/// Seconds a leader that is gone holds the lease, by which it must have renewed it, and between attempts.
pub(super) const LEASE_SECONDS: (u32, u32, u32) = (8, 6, 1);

/// The controller manager of a control plane.
pub fn component(view: &View) -> Component {
    let mut component = Component::new("kube-controller-manager", Stage::ControlPlane);
    let client = client_certificate(
        "controller-manager",
        AuthorityName::Kubernetes,
        "system:kube-controller-manager",
        &[],
        "/etc/kubernetes/pki/controller-manager",
    );
    let serving = serving_certificate(
        "controller-manager-server",
        AuthorityName::Kubernetes,
        "kube-controller-manager",
        [],
        [],
        "/etc/kubernetes/pki/controller-manager-server",
    );
    component
        .reads
        .push(Resource::Binary(view.binary("kube-controller-manager")));
    component.reads.push(
        Kubeconfig {
            path: KUBECONFIG,
            cluster: view.cluster.name.as_str(),
            user: "system:kube-controller-manager",
            server: apiserver::LOCAL_URL,
            certificate: &client,
        }
        .file(),
    );
    component.shared = vec![
        authority_id(AuthorityName::Kubernetes),
        authority_id(AuthorityName::FrontProxy),
        secret_id(AuthorityName::Kubernetes.key_path()),
        secret_id(SERVICE_ACCOUNT_KEY_PATH),
    ];
    component.process = Some(process(view, &serving));
    component.rereads = [client, serving].map(Resource::Certificate).into();
    component
}

fn process(view: &View, serving: &Certificate) -> Process {
    let mut process = Process::new("the Kubernetes controller manager", Stage::ControlPlane);
    process.program = Some(view.binary("kube-controller-manager").path);
    process.arguments = arguments(view, serving);
    process.start = Start::Ask;
    process.starts_after = vec!["kube-apiserver"];
    process.confinement = Confinement::Strict { writable: Vec::new() };
    process.ports = vec![Port {
        name: "https",
        number: 10257,
        address: Some([127, 0, 0, 1].into()),
    }];
    process.probe = Some(Probe {
        url: "https://127.0.0.1:10257/healthz".to_owned(),
    });
    process
}

fn arguments(view: &View, serving: &Certificate) -> Arguments {
    let authority = AuthorityName::Kubernetes.certificate_path();
    let (lease, renew, retry) = LEASE_SECONDS;
    let mut arguments = Arguments::new([
        ("kubeconfig", KUBECONFIG),
        ("authentication-kubeconfig", KUBECONFIG),
        ("authorization-kubeconfig", KUBECONFIG),
        // At the very first start the role that lets it look this up may not exist yet.
        ("authentication-tolerate-lookup-failure", "true"),
        ("client-ca-file", authority),
        (
            "requestheader-client-ca-file",
            AuthorityName::FrontProxy.certificate_path(),
        ),
        ("requestheader-allowed-names", "front-proxy-client"),
        ("bind-address", "127.0.0.1"),
        ("tls-cert-file", &serving.certificate_path),
        ("tls-private-key-file", &serving.key_path),
        ("tls-min-version", "VersionTLS12"),
        ("tls-cipher-suites", &CIPHER_SUITES.join(",")),
        ("cluster-name", view.cluster.name.as_str()),
        ("allocate-node-cidrs", "false"),
        (
            "service-cluster-ip-range",
            &view.cluster.network.service_cidr.to_string(),
        ),
        ("cluster-signing-cert-file", authority),
        ("cluster-signing-key-file", AuthorityName::Kubernetes.key_path()),
        ("root-ca-file", authority),
        ("service-account-private-key-file", SERVICE_ACCOUNT_KEY_PATH),
        ("use-service-account-credentials", "true"),
        ("kube-api-qps", "200"),
        ("kube-api-burst", "400"),
        ("leader-elect", "true"),
        ("leader-elect-lease-duration", &format!("{lease}s")),
        ("leader-elect-renew-deadline", &format!("{renew}s")),
        ("leader-elect-retry-period", &format!("{retry}s")),
        ("terminated-pod-gc-threshold", "1000"),
        ("profiling", "false"),
    ]);
    if let Some(overrides) = view.overrides(ComponentName::KubeControllerManager) {
        arguments.set_all(&overrides.extra_args);
    }
    arguments
}
