//! What a component is: program, arguments, files, certificates, ports, probe, user.
//!
//! Each is described once, in one file: a [`Description`] of what holds on every node, and a function that says what
//! one node has of it. How it runs is not said there: a [`crate::carrier`] turns it into systemd units, or later into
//! pods. A new component is a file here, a line in the list below, and its program in the catalogue.

pub mod api_proxy;
pub mod apiserver;
mod arguments;
mod beside_apiserver;
mod call;
mod certificate;
mod configuration;
pub mod containerd;
pub mod controller_manager;
mod description;
pub mod etcd;
#[cfg(test)]
pub(crate) mod example;
pub mod host;
pub mod kube_proxy;
mod kubeconfig;
pub mod kubelet;
pub mod network;
mod port;
mod process;
mod reservations;
pub mod scheduler;
mod systemd;
pub mod tools;
mod traces;
pub mod trust;
mod view;

use std::collections::BTreeSet;

pub use arguments::Arguments;
pub use call::{Call, When};
pub(crate) use certificate::{client_certificate, local_serving_certificate, serving_certificate};
pub(crate) use configuration::{merge, to_json, to_toml, to_yaml};
pub use description::{Account, Description, Probe, Program};
pub(crate) use kubeconfig::Kubeconfig;
pub use port::{Port, Protocol, Reach};
pub use process::{Confinement, Limits, Process};
pub use systemd::{Command, Readiness, Systemd};
pub use traces::{Rival, Traces, UnitTrace};
pub use view::{AGENT_PATH, BINARY_DIRECTORY, View};

use crate::context::RenderError;
use crate::resource::{Resource, ResourceId};
use crate::spec::{Cluster, Node};

/// TLS 1.2 suites with forward secrecy and authenticated encryption; TLS 1.3 chooses by itself (CIS 1.2.29, 4.2.12).
pub(crate) const CIPHER_SUITES: [&str; 6] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

type Rendered = Result<Component, RenderError>;

/// Most components cannot fail to be rendered.
impl From<Component> for Rendered {
    fn from(component: Component) -> Self {
        Ok(component)
    }
}

/// Lists the components, in the order in which they converge within each stage.
macro_rules! components {
    ($($(#[$attribute:meta])* $($module:ident)::+,)+) => {
        /// Every component there is.
        pub const ALL: &[&Description] = &[$($(#[$attribute])* &$($module)::+::DESCRIPTION,)+];

        /// Renders everything a node has, in the order in which it converges within each stage.
        ///
        /// # Errors
        /// [`RenderError::Configuration`] when `extraConfig` cannot be merged.
        pub fn of_node(view: &View) -> Result<Vec<Component>, RenderError> {
            let mut components = Vec::new();
            $($(#[$attribute])*
            if ($($module)::+::DESCRIPTION.is_on)(view.cluster, view.node) {
                components.push(Rendered::from($($module)::+::component(view))?);
            })+
            Ok(components)
        }
    };
}

components! {
    host,
    trust,
    etcd,
    apiserver,
    controller_manager,
    scheduler,
    tools,
    api_proxy,
    containerd,
    kube_proxy,
    network::flannel,
    network::bridge,
    network::plugins,
    kubelet,
    #[cfg(test)]
    example,
}

/// Returns what the components of a node say of themselves.
pub fn on_node<'a>(cluster: &'a Cluster, node: &'a Node) -> impl Iterator<Item = &'static Description> + 'a {
    ALL.iter()
        .copied()
        .filter(|description| (description.is_on)(cluster, node))
}

/// Returns the programs that some node of a cluster needs.
pub fn binaries(cluster: &Cluster) -> BTreeSet<&'static str> {
    let components = cluster.nodes.iter().flat_map(|node| on_node(cluster, node));
    components
        .flat_map(|description| description.binaries.iter().copied())
        .collect()
}

/// Returns every program of the operating system that some component runs in some cluster, sorted.
pub fn programs() -> BTreeSet<&'static str> {
    let calls = ALL.iter().flat_map(|description| description.calls);
    calls.map(|call| call.program).collect()
}

/// Returns the components of a node that run a program of the operating system.
pub fn callers_of<'a>(cluster: &'a Cluster, node: &'a Node, program: &'a str) -> Vec<&'static str> {
    on_node(cluster, node)
        .filter(|description| {
            let mut calls = description.calls.iter();
            calls.any(|call| call.program == program && call.is_for(cluster))
        })
        .map(|description| description.name)
        .collect()
}

/// Returns the component of that name.
pub fn named(name: &str) -> Option<&'static Description> {
    ALL.iter().copied().find(|description| description.name == name)
}

#[cfg(test)]
mod tests;

/// A component of one node.
#[derive(Clone, Debug)]
pub struct Component {
    /// What holds on every node that has it.
    pub description: &'static Description,
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
    /// A component that has nothing yet but the user it runs as.
    pub fn new(description: &'static Description) -> Self {
        let account = description.account.map(Account::resource);
        Self {
            description,
            reads: account.into_iter().collect(),
            rereads: Vec::new(),
            shared: Vec::new(),
            process: None,
        }
    }
}
