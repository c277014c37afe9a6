//! The kubelet: on every node, through the node-local proxy.
//!
//! Both its certificates are there before it starts, so that joining waits for no signing request. The client one is
//! only the first: the kubelet renews it by itself from then on, and the agent leaves it alone as long as the
//! kubelet's own is valid. The serving one is kubewright's to renew, and is picked up without a restart.

use serde_json::{Value, json};

use super::description::everywhere;
use super::reservations::reserve;
use super::trust::authority_id;
use super::view::{AGENT_PATH, View, directory, private_file};
use super::{
    Arguments, CIPHER_SUITES, Call, Command, Component, Description, Kubeconfig, Port, Probe, Process,
    Program, Reach, Rival, Traces, UnitTrace, api_proxy, client_certificate, containerd, merge, network,
    serving_certificate, to_yaml,
};
use crate::resource::{Access, AuthorityName, Certificate, Resource, Stage};
use crate::spec::ComponentName;

/// The component's name.
pub const NAME: &str = "kubelet";
const PORT: u16 = 10250;
/// The kubelet's kubeconfig.
pub const KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";
/// The kubelet's configuration.
pub const CONFIG_PATH: &str = "/var/lib/kubelet/config.yaml";

const HEALTH_PORT: u16 = 10248;
const DIRECTORY: &str = "/var/lib/kubelet";
const PKI_DIRECTORY: &str = "/var/lib/kubelet/pki";
const CURRENT_CLIENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const RUN_DIRECTORY: &str = "/run/kubewright";
/// What pods resolve names with: the file with the real name servers, see [`choose_resolvers`].
const RESOLVERS: &str = "/run/kubewright/resolv.conf";

/// Seconds by pod priority when the machine is shut down: ordinary pods, `system-cluster-critical` and
/// `system-node-critical` ones. As long as an ordinary pod gets by default when it is deleted, and what a network and DNS need.
const SHUTDOWN: [(i64, u32); 3] = [(0, 30), (2_000_000_000, 10), (2_000_001_000, 5)];
/// The kubelet's keys that say it for all pods.
const SHUTDOWN_FOR_ALL: [&str; 2] = ["shutdownGracePeriod", "shutdownGracePeriodCriticalPods"];

/// The kubelet, on every node.
pub const DESCRIPTION: Description = Description {
    title: "the kubelet, which runs this node's pods",
    program: Program::Catalogue(NAME),
    binaries: &[NAME],
    // For the volumes of pods.
    calls: &[Call::always("mount"), Call::always("umount")],
    ports: &[
        Port::local(HEALTH_PORT, "the kubelet's health"),
        Port::tcp(PORT, "the kubelet", Reach::ControlPlanesAndMetrics),
    ],
    probe: Some(Probe::http(HEALTH_PORT, "/healthz")),
    traces: Traces {
        directories: &[DIRECTORY, "/var/log/pods", "/var/log/containers", RUN_DIRECTORY],
        ..Traces::NONE
    },
    rival: Some(Rival {
        unit: Some(UnitTrace::File),
        paths: &[CONFIG_PATH, PKI_DIRECTORY],
        ..Rival::new(
            "another kubelet",
            "remove the kubelet's package or unit file, and move its files away",
        )
    }),
    on_restart: |_| Some("pods keep running".to_owned()),
    ..Description::new(NAME, Stage::Node, everywhere)
};

/// The kubelet of a node.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    let (client, serving) = (client(view), serving(view));
    component.reads.push(Resource::Binary(view.binary(NAME)));
    component.reads.push(directory(DIRECTORY, Access::root(0o750)));
    component
        .reads
        .push(directory(PKI_DIRECTORY, Access::root(0o750)));
    component.reads.push(
        Kubeconfig {
            path: KUBECONFIG,
            cluster: view.cluster.name.as_str(),
            user: "kubelet",
            server: &api_proxy::url(),
            certificate: &client,
        }
        .file(),
    );
    component
        .reads
        .push(private_file(CONFIG_PATH, to_yaml(&configuration(view, &serving))));
    component.shared.push(authority_id(AuthorityName::Kubernetes));
    component.rereads = [client, serving].map(Resource::Certificate).into();
    component.rereads.extend(containerd::images(view));
    component.process = Some(process(view));
    component
}

fn client(view: &View) -> Certificate {
    let mut certificate = client_certificate(
        "kubelet-client",
        AuthorityName::Kubernetes,
        &format!("system:node:{}", view.name()),
        &["system:nodes"],
        "/var/lib/kubelet/pki/kubelet-client",
    );
    certificate.superseded_by = Some(CURRENT_CLIENT.to_owned());
    certificate
}

/// Without loopback names: everything on a node reaches the API at a loopback address, where this certificate would
/// pass for an API server's.
fn serving(view: &View) -> Certificate {
    serving_certificate(
        "kubelet-server",
        AuthorityName::Kubernetes,
        &format!("system:node:{}", view.name()),
        [view.name().to_owned()],
        [view.node.address],
        "/var/lib/kubelet/pki/kubelet",
    )
}

fn process(view: &View) -> Process {
    let mut process = Process::new(&DESCRIPTION);
    process.arguments = Arguments::new([
        ("config", CONFIG_PATH),
        ("kubeconfig", KUBECONFIG),
        ("hostname-override", view.name()),
        ("node-ip", &view.node.address.to_string()),
    ]);
    if let Some(overrides) = view.overrides(ComponentName::Kubelet) {
        process.arguments.set_all(&overrides.extra_args);
    }
    process.starts_after = vec![
        containerd::NAME,
        api_proxy::NAME,
        network::flannel::NAME,
        network::bridge::NAME,
    ];
    process.systemd.before_start = vec![choose_resolvers(view)];
    process.limits.parent_of_containers = true;
    process
}

/// Chooses the file with name servers that pods can ask, by what is in it at that moment.
fn choose_resolvers(view: &View) -> Command {
    let own = view.node.address.to_string();
    Command::new([AGENT_PATH, "choose-resolvers", RESOLVERS, &own])
}

fn configuration(view: &View, serving: &Certificate) -> Value {
    let network = &view.cluster.network;
    let taints: Vec<Value> = view
        .node
        .effective_taints()
        .into_iter()
        .map(|taint| {
            let mut value = json!({"key": taint.key, "effect": taint.effect.as_str()});
            if !taint.value.is_empty() {
                value["value"] = taint.value.into();
            }
            value
        })
        .collect();
    let mut value = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": AuthorityName::Kubernetes.certificate_path()},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "systemd",
        "clusterDNS": [view.cluster.dns_service_ip()],
        "clusterDomain": network.domain.as_str(),
        "containerRuntimeEndpoint": containerd::SOCKET,
        "podPidsLimit": 4096,
        "protectKernelDefaults": true,
        "readOnlyPort": 0,
        "registerNode": true,
        "registerWithTaints": taints,
        "resolvConf": RESOLVERS,
        "rotateCertificates": true,
        "seccompDefault": true,
        "serializeImagePulls": false,
        "maxParallelImagePulls": 5,
        "tlsCertFile": serving.certificate_path,
        "tlsPrivateKeyFile": serving.key_path,
        "tlsMinVersion": "VersionTLS12",
        "tlsCipherSuites": CIPHER_SUITES,
    });
    if view.machine.cgroup_version == 1 {
        value["failCgroupV1"] = false.into();
    }
    reserve(&mut value, &view.machine, view.node.is_control_plane());
    value["shutdownGracePeriodByPodPriority"] = shutdown();
    if let Some(overrides) = view.overrides(ComponentName::Kubelet) {
        // The kubelet takes periods by priority or one for all, and refuses both.
        if overrides
            .extra_config
            .keys()
            .any(|key| SHUTDOWN_FOR_ALL.contains(&key.as_str()))
            && let Some(map) = value.as_object_mut()
        {
            map.remove("shutdownGracePeriodByPodPriority");
        }
        merge(&mut value, &overrides.extra_config);
    }
    value
}

/// How long pods are given when the machine is shut down: one class after the other, the cluster's own last.
fn shutdown() -> Value {
    let classes = SHUTDOWN
        .map(|(priority, seconds)| json!({"priority": priority, "shutdownGracePeriodSeconds": seconds}));
    json!(classes)
}
