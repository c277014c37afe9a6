//! What a component is: program, arguments, files, certificates, ports, probe, user.
//!
//! Each is described once, in one file, and says nothing about how it runs: a [`crate::carrier`] turns the
//! description into systemd units, or later into pods. [`of_node`] lists what a node has, in the order in which it
//! converges.

pub mod api_proxy;
pub mod apiserver;
mod arguments;
mod beside_apiserver;
mod certificate;
mod configuration;
pub mod containerd;
pub mod controller_manager;
pub mod etcd;
pub mod host;
pub mod kube_proxy;
mod kubeconfig;
pub mod kubelet;
pub mod network;
pub mod scheduler;
pub mod tools;
pub mod trust;
mod view;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use arguments::Arguments;
pub(crate) use certificate::{client_certificate, serving_certificate};
pub(crate) use configuration::{merge, to_json, to_toml, to_yaml};
pub(crate) use kubeconfig::Kubeconfig;
pub use view::{AGENT_PATH, BINARY_DIRECTORY, View};

use crate::context::RenderError;
use crate::resource::{Resource, ResourceId, Stage, Start};
use crate::spec::ProxyMode;

/// TLS 1.2 suites with forward secrecy and authenticated encryption; TLS 1.3 chooses by itself (CIS 1.2.29, 4.2.12).
pub(crate) const CIPHER_SUITES: [&str; 6] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// A component of one node.
#[derive(Clone, Debug)]
pub struct Component {
    /// Upstream's name, such as `kube-apiserver`.
    pub name: &'static str,
    /// When what it needs is put in place.
    pub prepared_in: Stage,
    /// What it needs in place and reads when it starts: a change restarts it.
    pub reads: Vec<Resource>,
    /// What it needs in place and looks at again by itself (renewed certificates, mostly), or never looks at: no
    /// restart.
    pub rereads: Vec<Resource>,
    /// What it reads when it starts although another component has it.
    pub shared: Vec<ResourceId>,
    /// What runs; `None` when the component only puts things in place.
    pub process: Option<Process>,
}

impl Component {
    /// A component that has nothing yet.
    pub fn new(name: &'static str, prepared_in: Stage) -> Self {
        Self {
            name,
            prepared_in,
            reads: Vec::new(),
            rereads: Vec::new(),
            shared: Vec::new(),
            process: None,
        }
    }
}

/// What runs of a component.
#[derive(Clone, Debug)]
pub struct Process {
    /// One line for people.
    pub description: String,
    /// When it is started.
    pub stage: Stage,
    /// The program's path; `None` when there are only the commands in `before_start`.
    pub program: Option<String>,
    /// Words between program and arguments, such as a subcommand.
    pub words: Vec<&'static str>,
    /// The program's arguments.
    pub arguments: Arguments,
    /// Environment variables; never secret.
    pub environment: BTreeMap<String, String>,
    /// A file with more environment variables, which may be missing and is not an input.
    pub environment_file: Option<&'static str>,
    /// The user it runs as; `None` is root.
    pub user: Option<&'static str>,
    /// How it tells that it is up.
    pub readiness: Readiness,
    /// Whether its start is waited for.
    pub start: Start,
    /// Names of the components it starts after, where the node has them.
    pub starts_after: Vec<&'static str>,
    /// Paths of which at least one must exist, or it does not start.
    pub requires_any: Vec<&'static str>,
    /// Commands before it starts.
    pub before_start: Vec<Command>,
    /// Commands once it is up.
    pub after_start: Vec<Command>,
    /// Commands when it is stopped.
    pub on_stop: Vec<Command>,
    /// What it may reach on the node.
    pub confinement: Confinement,
    /// Limits and how it is stopped.
    pub limits: Limits,
    /// Ports it listens on.
    pub ports: Vec<Port>,
    /// Where it tells its health.
    pub probe: Option<Probe>,
}

impl Process {
    /// A program run as root, which is up when it runs.
    pub fn new(description: &str, stage: Stage) -> Self {
        Self {
            description: description.to_owned(),
            stage,
            program: None,
            words: Vec::new(),
            arguments: Arguments::default(),
            environment: BTreeMap::new(),
            environment_file: None,
            user: None,
            readiness: Readiness::Running,
            start: Start::Wait,
            starts_after: Vec::new(),
            requires_any: Vec::new(),
            before_start: Vec::new(),
            after_start: Vec::new(),
            on_stop: Vec::new(),
            confinement: Confinement::None,
            limits: Limits::default(),
            ports: Vec::new(),
            probe: None,
        }
    }
}

/// How a process tells that it is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It tells the service manager.
    Notify {
        /// Seconds it may take.
        timeout_seconds: u32,
    },
    /// It runs.
    Running,
    /// It has run; what it did stays.
    Finished,
}

/// A command that goes with a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; a program without a path is searched in the system's directories.
    pub words: Vec<String>,
    /// Its failure is no failure.
    pub may_fail: bool,
    /// It runs as root and unconfined, whatever the process may do.
    pub privileged: bool,
}

impl Command {
    /// A command from its words.
    pub fn new<const N: usize>(words: [&str; N]) -> Self {
        Self {
            words: words.map(str::to_owned).to_vec(),
            may_fail: false,
            privileged: false,
        }
    }

    /// The same, whose failure is no failure.
    #[must_use]
    pub fn may_fail(mut self) -> Self {
        self.may_fail = true;
        self
    }

    /// The same, as root and unconfined.
    #[must_use]
    pub fn privileged(mut self) -> Self {
        self.privileged = true;
        self
    }
}

/// What a process may reach on its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Confinement {
    /// Everything: it manages the node (kubelet, runtime, network).
    #[default]
    None,
    /// The network, and the file system read-only but for these directories; no capability, no new privilege.
    Strict {
        /// Directories it writes.
        writable: Vec<&'static str>,
    },
}

/// Limits of a process, and what happens to what it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Open files; the system's limit wins when it is lower.
    pub open_files: Option<u32>,
    /// How eagerly the kernel kills it when memory runs out, -1000 to 1000.
    pub oom_score_adjust: Option<i32>,
    /// It starts containers: they have their own control groups and outlive it.
    pub parent_of_containers: bool,
}

/// A port a process listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// What it is for.
    pub name: &'static str,
    /// The number.
    pub number: u16,
    /// The address it is bound to; `None` is all.
    pub address: Option<IpAddr>,
}

/// Where a process tells its health, by HTTP GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// As in `https://127.0.0.1:6443/readyz`.
    pub url: String,
}

/// Everything a node has, in the order in which it converges within each stage.
///
/// # Errors
/// [`RenderError::Configuration`] when `extraConfig` cannot be merged.
pub fn of_node(view: &View) -> Result<Vec<Component>, RenderError> {
    let mut components = vec![host::component(view), trust::component(view)];
    if view.node.is_control_plane() {
        components.push(etcd::component(view));
        components.push(apiserver::component(view));
        components.push(controller_manager::component(view));
        components.push(scheduler::component(view));
        components.push(tools::component(view));
    }
    components.push(api_proxy::component(view));
    components.push(containerd::component(view)?);
    if view.cluster.network.proxy != ProxyMode::None {
        components.push(kube_proxy::component(view));
    }
    components.extend(network::component(view));
    components.push(kubelet::component(view));
    Ok(components)
}
