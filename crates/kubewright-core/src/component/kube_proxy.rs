//! kube-proxy: service addresses become pod addresses, by nftables or iptables.
//!
//! It starts only when the API answers: started before, its first list fails and the second comes so late that
//! services stay dead for twenty seconds after a power cut.

use serde_json::json;

use super::trust::authority_id;
use super::view::{View, directory, private_file};
use super::{
    Arguments, Component, Kubeconfig, Port, Probe, Process, api_proxy, client_certificate, merge, to_yaml,
};
use crate::resource::{Access, AuthorityName, Resource, Stage, Start};
use crate::spec::ComponentName;

const KUBECONFIG: &str = "/etc/kubernetes/kube-proxy.conf";
const CONFIG_PATH: &str = "/var/lib/kube-proxy/config.yaml";

/// kube-proxy of a node.
pub fn component(view: &View) -> Component {
    let mut component = Component::new("kube-proxy", Stage::Runtime);
    let client = client_certificate(
        "kube-proxy",
        AuthorityName::Kubernetes,
        "system:kube-proxy",
        &[],
        "/etc/kubernetes/pki/kube-proxy",
    );
    component.reads.push(Resource::Binary(view.binary("kube-proxy")));
    component
        .reads
        .push(directory("/var/lib/kube-proxy", Access::root(0o755)));
    component.reads.push(
        Kubeconfig {
            path: KUBECONFIG,
            cluster: view.cluster.name.as_str(),
            user: "system:kube-proxy",
            server: api_proxy::URL,
            certificate: &client,
        }
        .file(),
    );
    component
        .reads
        .push(private_file(CONFIG_PATH, configuration(view)));
    component.shared.push(authority_id(AuthorityName::Kubernetes));
    component.rereads.push(Resource::Certificate(client));

    let mut process = Process::new("kube-proxy, the way to services", Stage::Node);
    process.program = Some(view.binary("kube-proxy").path);
    process.arguments = Arguments::new([("config", CONFIG_PATH)]);
    if let Some(overrides) = view.overrides(ComponentName::KubeProxy) {
        process.arguments.set_all(&overrides.extra_args);
    }
    process.start = Start::Ask;
    process.starts_after = vec![api_proxy::NAME];
    process.before_start = vec![api_proxy::wait_for_api()];
    process.limits.oom_score_adjust = Some(-999);
    process.ports = vec![
        Port {
            name: "metrics",
            number: 10249,
            address: Some([127, 0, 0, 1].into()),
        },
        Port {
            name: "health",
            number: 10256,
            address: None,
        },
    ];
    process.probe = Some(Probe {
        url: "http://127.0.0.1:10256/healthz".to_owned(),
    });
    component.process = Some(process);
    component
}

fn configuration(view: &View) -> String {
    let network = &view.cluster.network;
    let mut value = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": KUBECONFIG},
        "clusterCIDR": network.pod_cidr,
        "detectLocalMode": "ClusterCIDR",
        "hostnameOverride": view.name(),
        "metricsBindAddress": "127.0.0.1:10249",
        "mode": network.proxy.as_str(),
        "nodePortAddresses": ["primary"],
    });
    if let Some(overrides) = view.overrides(ComponentName::KubeProxy) {
        merge(&mut value, &overrides.extra_config);
    }
    to_yaml(&value)
}
