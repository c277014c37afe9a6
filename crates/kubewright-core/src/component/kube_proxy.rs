//! kube-proxy: service addresses become pod addresses, by nftables or iptables.
//!
//! It starts only when the API answers: started before, its first list fails and the second comes so late that
//! services stay dead for twenty seconds after a power cut.

use serde_json::json;

use super::port::local;
use super::trust::authority_id;
use super::view::{View, directory, private_file};
use super::{
    Arguments, Call, Component, Description, Kubeconfig, Port, Probe, Process, Program, Reach, Rival, Traces,
    api_proxy, client_certificate, merge, to_yaml,
};
use crate::resource::{Access, AuthorityName, Resource, Stage, Start};
use crate::spec::{ComponentName, ProxyMode};

const NAME: &str = "kube-proxy";
const METRICS_PORT: u16 = 10249;
const HEALTH_PORT: u16 = 10256;
const KUBECONFIG: &str = "/etc/kubernetes/kube-proxy.conf";
const CONFIG_PATH: &str = "/var/lib/kube-proxy/config.yaml";

/// kube-proxy, where it is wanted.
pub const DESCRIPTION: Description = Description {
    title: "kube-proxy, the way to services",
    program: Program::Catalogue(NAME),
    binaries: &[NAME],
    calls: &[
        Call::for_nftables("nft"),
        Call::for_iptables("ip6tables"),
        Call::for_iptables("ip6tables-restore"),
        Call::for_iptables("ip6tables-save"),
        Call::for_iptables("iptables"),
        Call::for_iptables("iptables-restore"),
        Call::for_iptables("iptables-save"),
    ],
    ports: &[
        Port::local(METRICS_PORT, "kube-proxy's metrics"),
        Port::tcp(HEALTH_PORT, "kube-proxy's health", Reach::Itself),
    ],
    probe: Some(Probe::http(HEALTH_PORT, "/healthz")),
    traces: Traces {
        tables: &["kube-proxy"],
        chains: &["KUBE-"],
        ..Traces::NONE
    },
    rival: Some(Rival {
        chains: &["KUBE-SERVICES"],
        ..Rival::new(
            "another cluster's packet filter",
            "remove the software that created these rules, then reboot the node to clear them",
        )
    }),
    on_restart: |_| Some("the rules for services stay in place meanwhile".to_owned()),
    ..Description::new(NAME, Stage::Node, |cluster, _| {
        cluster.network.proxy != ProxyMode::None
    })
};

/// kube-proxy of a node.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    let client = client_certificate(
        "kube-proxy",
        AuthorityName::Kubernetes,
        "system:kube-proxy",
        &[],
        "/etc/kubernetes/pki/kube-proxy",
    );
    component.reads.push(Resource::Binary(view.binary(NAME)));
    component
        .reads
        .push(directory("/var/lib/kube-proxy", Access::root(0o755)));
    component.reads.push(
        Kubeconfig {
            path: KUBECONFIG,
            cluster: view.cluster.name.as_str(),
            user: "system:kube-proxy",
            server: &api_proxy::url(),
            certificate: &client,
        }
        .file(),
    );
    component
        .reads
        .push(private_file(CONFIG_PATH, configuration(view)));
    component.shared.push(authority_id(AuthorityName::Kubernetes));
    component.rereads.push(Resource::Certificate(client));

    let mut process = Process::new(&DESCRIPTION);
    process.arguments = Arguments::new([("config", CONFIG_PATH)]);
    if let Some(overrides) = view.overrides(ComponentName::KubeProxy) {
        process.arguments.set_all(&overrides.extra_args);
    }
    process.systemd.start = Start::Ask;
    process.starts_after = vec![api_proxy::NAME];
    process.systemd.before_start = vec![api_proxy::wait_for_api()];
    process.limits.oom_score_adjust = Some(-999);
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
        "metricsBindAddress": local(METRICS_PORT),
        "mode": network.proxy.as_str(),
        "nodePortAddresses": ["primary"],
    });
    if let Some(overrides) = view.overrides(ComponentName::KubeProxy) {
        merge(&mut value, &overrides.extra_config);
    }
    to_yaml(&value)
}
