//! What a component may see: one node, the cluster it belongs to, and the questions that more than one component asks.

use std::net::IpAddr;

use crate::context::{NodePlatform, RenderContext, RenderError};
use crate::resource::{Access, AuthorityCertificates, AuthorityName, Binary, Image, Resource};
use crate::spec::{Cidr, Cluster, ComponentName, ComponentOverrides, Node};

/// Where programs live on nodes.
pub const BINARY_DIRECTORY: &str = "/usr/local/bin";
/// Where kubewright's own program lives on nodes, for its units.
pub const AGENT_PATH: &str = "/usr/local/lib/kubewright/agent";
/// Stands in a file where an authority's certificate will be, in a plan made before the first apply.
const NO_AUTHORITY: &str = "# the authority is made by the first apply\n";

/// One node of the context, and the questions components ask about it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The whole.
    pub context: &'a RenderContext<'a>,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The node.
    pub node: &'a Node,
    /// What kind of machine the node is.
    pub machine: NodePlatform,
    /// The node's pod range.
    pub pod_cidr: Cidr,
}

impl<'a> View<'a> {
    pub(crate) fn new(context: &'a RenderContext<'a>, node: &str) -> Result<Self, RenderError> {
        let unknown = || RenderError::UnknownNode {
            node: node.to_owned(),
        };
        let no_range = || RenderError::NoPodRange {
            node: node.to_owned(),
        };
        Ok(Self {
            context,
            cluster: context.cluster,
            node: context.cluster.node(node).ok_or_else(unknown)?,
            machine: context.platforms.get(node).copied().unwrap_or_default(),
            pod_cidr: context.pod_cidrs.get(node).copied().ok_or_else(no_range)?,
        })
    }

    /// The node's name.
    pub fn name(&self) -> &'a str {
        self.node.name.as_str()
    }

    /// The node's address with a port, as a socket address is written.
    pub fn socket(&self, port: u16) -> String {
        socket(self.node.address, port)
    }

    /// A program at the usual place, with its version and the bytes for this node's platform.
    pub fn binary(&self, name: &str) -> Binary {
        self.binary_at(&format!("{BINARY_DIRECTORY}/{name}"), name)
    }

    /// The same, elsewhere.
    pub fn binary_at(&self, path: &str, name: &str) -> Binary {
        let platform = self.machine.platform;
        let version = self
            .context
            .release
            .binary(name, platform)
            .map(|(artifact, _)| artifact.version);
        Binary {
            path: path.to_owned(),
            name: name.to_owned(),
            version: version.unwrap_or_default(),
            blob: self.context.artifacts.binary(name, platform),
        }
    }

    /// kubewright's own program, for the units that run it.
    pub fn agent_binary(&self) -> Binary {
        Binary {
            path: AGENT_PATH.to_owned(),
            name: "kubewright-agent".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            blob: self.context.agents.get(&self.machine.platform).copied(),
        }
    }

    /// An image of the catalogue as a resource; `None` when the runtime pulls it by itself.
    pub fn image(&self, name: &str) -> Option<Image> {
        let reference = self.context.release.image(name)?.reference;
        let archive = self.context.artifacts.image(&reference, self.machine.platform);
        (archive.is_some() || !self.context.artifacts.is_resolved).then(|| Image {
            reference,
            manifest: archive.map(|archive| archive.manifest),
            blob: archive.map(|archive| archive.blob),
        })
    }

    /// What the user added to a component.
    pub fn overrides(&self, component: ComponentName) -> Option<&'a ComponentOverrides> {
        self.cluster.overrides(component)
    }

    /// An authority's certificate, or a remark when there is none yet.
    pub fn authority(&self, name: AuthorityName) -> &'a str {
        self.context
            .authorities
            .get(&name)
            .map_or(NO_AUTHORITY, String::as_str)
    }

    /// The authorities this node has business with: workers know only the cluster's own.
    pub(crate) fn authorities(&self) -> AuthorityCertificates {
        AuthorityName::ALL
            .into_iter()
            .filter(|name| self.node.is_control_plane() || *name == AuthorityName::Kubernetes)
            .filter_map(|name| Some((name, self.context.authorities.get(&name)?.clone())))
            .collect()
    }

    /// Whether this node runs the cluster's own pods (DNS, metrics): the workers, or all nodes when there are none.
    pub fn runs_system_pods(&self) -> bool {
        self.node.is_worker() || self.cluster.workers().next().is_none()
    }
}

/// Writes an address and a port, with brackets around IPv6.
pub(crate) fn socket(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

/// A file of root's that everyone may read.
pub(crate) fn public_file(path: &str, content: impl Into<String>) -> Resource {
    file(path, Access::root(0o644), content)
}

/// A program of a few lines.
pub(crate) fn executable(path: &str, content: impl Into<String>) -> Resource {
    file(path, Access::root(0o755), content)
}

/// A file of root's that only root may read.
pub(crate) fn private_file(path: &str, content: impl Into<String>) -> Resource {
    file(path, Access::root(0o600), content)
}

/// A file of root's that one group may read, too.
pub(crate) fn file_for(group: &str, path: &str, content: impl Into<String>) -> Resource {
    file(path, Access::readable_by(group), content)
}

fn file(path: &str, access: Access, content: impl Into<String>) -> Resource {
    Resource::File(crate::resource::File {
        path: path.to_owned(),
        access,
        content: content.into(),
    })
}

/// A directory.
pub(crate) fn directory(path: &str, access: Access) -> Resource {
    Resource::Directory(crate::resource::Directory {
        path: path.to_owned(),
        access,
    })
}
