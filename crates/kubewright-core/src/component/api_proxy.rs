//! The node-local way to the API: a small proxy on every node, part of kubewright's own program.
//!
//! It checks API servers by `/readyz`, prefers the one of its own node, and moves on to the next one within the same
//! connection attempt. Its list is only where it begins: it learns and remembers the membership by itself, with an
//! identity that may read the API's endpoints and nothing else.

use serde_json::json;

use super::description::everywhere;
use super::port::local;
use super::view::{AGENT_PATH, View, directory, public_file, socket};
use super::{
    Account, Command, Component, Confinement, Description, Port, Probe, Process, Program, Readiness, Traces,
    apiserver, client_certificate, to_json,
};
use crate::manifest::API_PROXY_GROUP;
use crate::resource::{Access, AuthorityName, Resource, Stage};

/// The component's name.
pub const NAME: &str = "kubewright-api-proxy";
/// Where it answers for the API.
pub const PROBE: Probe = Probe::https(PORT, "/readyz").named(apiserver::SERVER_NAME);

const USER: &str = "kubewright-proxy";
const PORT: u16 = 7443;
const ADMIN_PORT: u16 = 7445;
const CONFIG_PATH: &str = "/etc/kubernetes/api-proxy.json";
const STATE_DIRECTORY: &str = "/var/lib/kubewright-proxy";

/// The proxy, on every node.
pub const DESCRIPTION: Description = Description {
    title: "the way to the API servers",
    program: Program::Agent,
    account: Some(Account {
        name: USER,
        home: STATE_DIRECTORY,
    }),
    ports: &[
        Port::local(PORT, "the API proxy"),
        Port::local(ADMIN_PORT, "the API proxy's state"),
    ],
    probe: Some(PROBE),
    traces: Traces {
        directories: &[STATE_DIRECTORY],
        ..Traces::NONE
    },
    on_restart: |_| Some("the node connects to the API again".to_owned()),
    ..Description::new(NAME, Stage::Runtime, everywhere)
};

/// Where everything on a node reaches the API.
pub(super) fn url() -> String {
    format!("https://{}", local(PORT))
}

/// The proxy of a node.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    let mut certificate = client_certificate(
        "api-proxy",
        AuthorityName::Kubernetes,
        &format!("kubewright:api-proxy:{}", view.name()),
        &[API_PROXY_GROUP],
        "/etc/kubernetes/pki/api-proxy",
    );
    certificate.key_access = Access::of(USER, 0o600);
    let backends: Vec<String> = view
        .cluster
        .control_planes()
        .map(|node| socket(node.address, apiserver::PORT))
        .collect();
    let mut config = json!({
        "listen": local(PORT),
        "admin": local(ADMIN_PORT),
        "backends": backends,
        "caFile": AuthorityName::Kubernetes.certificate_path(),
        "serverName": apiserver::SERVER_NAME,
        "clientCertFile": certificate.certificate_path,
        "clientKeyFile": certificate.key_path,
        "stateFile": format!("{STATE_DIRECTORY}/members.json"),
    });
    if view.node.is_control_plane() {
        config["local"] = view.socket(apiserver::PORT).into();
    }
    component
        .reads
        .push(directory(STATE_DIRECTORY, Access::of(USER, 0o700)));
    component
        .reads
        .push(directory("/usr/local/lib/kubewright", Access::root(0o755)));
    component.reads.push(Resource::Binary(view.agent_binary()));
    component.reads.push(public_file(CONFIG_PATH, to_json(&config)));
    component.rereads.push(Resource::Certificate(certificate));

    let mut process = Process::new(&DESCRIPTION);
    process.words = vec!["api-proxy", "--config", CONFIG_PATH];
    process.systemd.readiness = Readiness::Notify { timeout_seconds: 30 };
    process.confinement = Confinement::Strict {
        writable: vec![STATE_DIRECTORY],
    };
    process.limits.open_files = Some(65536);
    process.limits.oom_score_adjust = Some(-900);
    component.process = Some(process);
    component
}

/// Waits until the API answers through the proxy. What starts before it lists nothing and tries again ever later.
pub(super) fn wait_for_api() -> Command {
    Command::new([
        AGENT_PATH,
        "wait-url",
        &PROBE.url(),
        "--ca",
        AuthorityName::Kubernetes.certificate_path(),
        "--server-name",
        apiserver::SERVER_NAME,
        "--timeout-seconds",
        "300",
    ])
}
