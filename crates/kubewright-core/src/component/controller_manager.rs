//! The controller manager: on every control plane, one of them leads.
//!
//! The raised client rates are worth five seconds of every build: with the defaults, the default service account,
//! without which no pod is admitted, appears after six seconds. The shortened lease halves the time a dead leader
//! holds endpoints back after a power cut. Pod ranges are kubewright's to give, before a node's network starts.

use super::beside_apiserver::{Beside, LEASE_SECONDS, on_restart};
use super::description::on_control_planes;
use super::trust::{TOKEN_SIGNERS, secret_id};
use super::view::View;
use super::{Account, Arguments, Component, Description, Port, Probe, Program};
use crate::pki::SERVICE_ACCOUNT_KEY_PATH;
use crate::resource::{AuthorityName, Certificate, Stage};
use crate::spec::ComponentName;

/// The component's name.
pub const NAME: &str = "kube-controller-manager";
const PORT: u16 = 10257;

/// The controller manager, on control planes.
pub const DESCRIPTION: Description = Description {
    title: "the Kubernetes controller manager",
    program: Program::Catalogue(NAME),
    binaries: &[NAME],
    account: Some(Account::homeless(NAME)),
    ports: &[Port::local(PORT, "the controller manager")],
    probe: Some(Probe::https(PORT, "/healthz")),
    on_restart,
    ..Description::new(NAME, Stage::ControlPlane, on_control_planes)
};

const BESIDE: Beside = Beside {
    description: &DESCRIPTION,
    kubeconfig: "/etc/kubernetes/controller-manager.conf",
};

/// The controller manager of a control plane.
pub fn component(view: &View) -> Component {
    let (mut component, serving) = BESIDE.component(view);
    component.shared.extend([
        secret_id(AuthorityName::Kubernetes.key_path()),
        secret_id(SERVICE_ACCOUNT_KEY_PATH),
    ]);
    let mut process = BESIDE.process(arguments(view, &serving));
    process.groups = vec![TOKEN_SIGNERS.name];
    component.process = Some(process);
    component
}

fn arguments(view: &View, serving: &Certificate) -> Arguments {
    let authority = AuthorityName::Kubernetes.certificate_path();
    let (lease, renew, retry) = LEASE_SECONDS;
    let mut arguments = BESIDE.arguments(("kubeconfig", BESIDE.kubeconfig), serving);
    let own = [
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
    ];
    for (name, value) in own {
        arguments.set(name, value);
    }
    if let Some(overrides) = view.overrides(ComponentName::KubeControllerManager) {
        arguments.set_all(&overrides.extra_args);
    }
    arguments
}
