//! The scheduler: on every control plane, one of them leads. Its settings are a file, so that profiles can be merged in.

use serde_json::json;

use super::controller_manager::LEASE_SECONDS;
use super::trust::authority_id;
use super::{
    Arguments, CIPHER_SUITES, Component, Confinement, Kubeconfig, Port, Probe, Process, apiserver,
    client_certificate, merge, serving_certificate, to_yaml,
};
use crate::render::{View, private_file};
use crate::resource::{AuthorityName, Resource, Stage, Start};
use crate::spec::ComponentName;

const KUBECONFIG: &str = "/etc/kubernetes/scheduler.conf";
const CONFIG_PATH: &str = "/etc/kubernetes/scheduler.yaml";

/// The scheduler of a control plane.
pub fn component(view: &View) -> Component {
    let mut component = Component::new("kube-scheduler", Stage::ControlPlane);
    let client = client_certificate(
        "scheduler",
        AuthorityName::Kubernetes,
        "system:kube-scheduler",
        &[],
        "/etc/kubernetes/pki/scheduler",
    );
    let serving = serving_certificate(
        "scheduler-server",
        AuthorityName::Kubernetes,
        "kube-scheduler",
        [],
        [],
        "/etc/kubernetes/pki/scheduler-server",
    );
    component
        .reads
        .push(Resource::Binary(view.binary("kube-scheduler")));
    component.reads.push(
        Kubeconfig {
            path: KUBECONFIG,
            cluster: view.cluster.name.as_str(),
            user: "system:kube-scheduler",
            server: apiserver::LOCAL_URL,
            certificate: &client,
        }
        .file(),
    );
    component
        .reads
        .push(private_file(CONFIG_PATH, configuration(view)));
    component.shared = vec![
        authority_id(AuthorityName::Kubernetes),
        authority_id(AuthorityName::FrontProxy),
    ];

    let mut arguments = Arguments::new([
        ("config", CONFIG_PATH),
        ("authentication-kubeconfig", KUBECONFIG),
        ("authorization-kubeconfig", KUBECONFIG),
        ("authentication-tolerate-lookup-failure", "true"),
        ("client-ca-file", AuthorityName::Kubernetes.certificate_path()),
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
        // The file decides; auditors look at the process list.
        ("profiling", "false"),
    ]);
    if let Some(overrides) = view.overrides(ComponentName::KubeScheduler) {
        arguments.set_all(&overrides.extra_args);
    }

    let mut process = Process::new("the Kubernetes scheduler", Stage::ControlPlane);
    process.program = Some(view.binary("kube-scheduler").path);
    process.arguments = arguments;
    process.start = Start::Ask;
    process.starts_after = vec!["kube-apiserver"];
    process.confinement = Confinement::Strict { writable: Vec::new() };
    process.ports = vec![Port {
        name: "https",
        number: 10259,
        address: Some([127, 0, 0, 1].into()),
    }];
    process.probe = Some(Probe {
        url: "https://127.0.0.1:10259/healthz".to_owned(),
    });
    component.process = Some(process);
    component.rereads = [client, serving].map(Resource::Certificate).into();
    component
}

fn configuration(view: &View) -> String {
    let (lease, renew, retry) = LEASE_SECONDS;
    let mut value = json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": KUBECONFIG},
        "enableProfiling": false,
        "leaderElection": {
            "leaderElect": true,
            "leaseDuration": format!("{lease}s"),
            "renewDeadline": format!("{renew}s"),
            "retryPeriod": format!("{retry}s"),
        },
    });
    if let Some(overrides) = view.overrides(ComponentName::KubeScheduler) {
        merge(&mut value, &overrides.extra_config);
    }
    to_yaml(&value)
}
