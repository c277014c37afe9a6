//! What one node is to have, from the cluster as it is to be: the same values give the same bytes.
//!
//! Everything the world has to say comes in as a [`RenderContext`]: allocated pod ranges, the authorities' public
//! certificates, digests of shared secrets, and which bytes the artifacts' names stand for. Nothing here decides
//! whether a change is allowed; that is the plan's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::carrier::systemd;
use crate::catalogue::{Platform, Release};
use crate::component::{self, Component};
use crate::resource::{
    Access, AuthorityCertificates, AuthorityName, Binary, Blob, Digest, Image, NodeState, Resource,
};
use crate::spec::{Cidr, Cluster, ComponentName, ComponentOverrides, Node};

/// Where programs live on nodes.
pub const BINARY_DIRECTORY: &str = "/usr/local/bin";
/// Where kubewright's own program lives on nodes, for its units.
pub const AGENT_PATH: &str = "/usr/local/lib/kubewright/agent";
/// Stands in a file where an authority's certificate will be, in a plan made before the first apply.
const NO_AUTHORITY: &str = "# the authority is made by the first apply\n";

/// Everything rendering needs to know of the world.
#[derive(Clone, Copy, Debug)]
pub struct RenderContext<'a> {
    /// The cluster as it is to be.
    pub cluster: &'a Cluster,
    /// The versions that go with its Kubernetes version.
    pub release: &'a Release,
    /// What kind of machine each node is, by name; a missing one counts as [`NodePlatform::default`].
    pub platforms: &'a BTreeMap<String, NodePlatform>,
    /// Each node's pod range, by name.
    pub pod_cidrs: &'a BTreeMap<String, Cidr>,
    /// The authorities' certificates; missing ones are rendered as a remark.
    pub authorities: &'a AuthorityCertificates,
    /// The service accounts' public key, PEM; empty before the first apply.
    pub service_account_public_key: &'a str,
    /// Digests of the shared secrets, by name; missing ones do not exist yet.
    pub secrets: &'a BTreeMap<String, Digest>,
    /// Which bytes binaries and images are.
    pub artifacts: &'a Artifacts,
    /// kubewright's own program for nodes, by platform.
    pub agents: &'a BTreeMap<Platform, Blob>,
    /// The etcd cluster has never been formed: members without data may start a new one (see
    /// [`crate::component::etcd`]).
    pub etcd_bootstrap: bool,
}

/// What kind of machine a node is, as far as what it holds depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePlatform {
    /// Operating system and processor.
    pub platform: Platform,
    /// 1 or 2. On 1 the kubelet is told to run all the same; whether that is acceptable is for the checks to say.
    pub cgroup_version: u32,
}

impl Default for NodePlatform {
    fn default() -> Self {
        Self {
            platform: Platform::Amd64,
            cgroup_version: 2,
        }
    }
}

/// Which bytes the names of binaries and images stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifacts {
    is_resolved: bool,
    binaries: BTreeMap<(String, Platform), Blob>,
    images: BTreeMap<(String, Platform), ImageArchive>,
}

/// An image as an OCI archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageArchive {
    /// Digest of the image's manifest, as the runtime lists it.
    pub manifest: Digest,
    /// The archive.
    pub blob: Blob,
}

impl Artifacts {
    /// Knows no bytes at all: binaries and images are rendered by name and version only.
    pub fn unresolved() -> Self {
        Self::default()
    }

    /// Knows every binary by name (such as `kubelet`), and the images that are sent, by reference. An image that is
    /// not among them is pulled by the nodes' runtime.
    pub fn resolved(
        binaries: BTreeMap<(String, Platform), Blob>,
        images: BTreeMap<(String, Platform), ImageArchive>,
    ) -> Self {
        Self {
            is_resolved: true,
            binaries,
            images,
        }
    }

    /// The bytes of a binary, if known.
    pub fn binary(&self, name: &str, platform: Platform) -> Option<Blob> {
        self.binaries.get(&(name.to_owned(), platform)).copied()
    }

    /// The archive of an image, if known.
    pub fn image(&self, reference: &str, platform: Platform) -> Option<ImageArchive> {
        self.images.get(&(reference.to_owned(), platform)).copied()
    }
}

/// Why a node cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The cluster has no such node.
    #[error("render {node}: no such node in the cluster")]
    UnknownNode {
        /// The node.
        node: String,
    },
    /// No pod range was allocated.
    #[error("render {node}: no pod range allocated")]
    NoPodRange {
        /// The node.
        node: String,
    },
    /// The artifacts are known, and one that is needed is not among them.
    #[error("render {node}: no binary {binary} for {platform}")]
    NoBinary {
        /// The node.
        node: String,
        /// The binary, as in `kubelet`.
        binary: String,
        /// The node's platform.
        platform: Platform,
    },
    /// `extraConfig` has a value the component's configuration file cannot hold.
    #[error("render {node}: {component} extraConfig: {problem}")]
    Configuration {
        /// The node.
        node: String,
        /// The component.
        component: ComponentName,
        /// What is wrong.
        problem: String,
    },
}

/// Renders everything one node is to have.
///
/// # Errors
/// [`RenderError`] when the context lacks something the node needs.
pub fn render(context: &RenderContext, node: &str) -> Result<NodeState, RenderError> {
    let view = View::new(context, node)?;
    let components = component::of_node(&view)?;
    view.check_binaries(&components)?;
    let mut state = NodeState {
        authorities: view.authorities(),
        resources: Vec::new(),
    };
    for (stage, resource) in systemd::resources(&components) {
        state.extend(stage, [resource]);
    }
    Ok(state)
}

/// Describes the components of one node: their ports and probes, for those who check a node before anything runs.
///
/// # Errors
/// [`RenderError`] when the context lacks something the node needs.
pub fn components(context: &RenderContext, node: &str) -> Result<Vec<Component>, RenderError> {
    component::of_node(&View::new(context, node)?)
}

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
    fn new(context: &'a RenderContext<'a>, node: &str) -> Result<Self, RenderError> {
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
    fn authorities(&self) -> AuthorityCertificates {
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

    fn check_binaries(&self, components: &[Component]) -> Result<(), RenderError> {
        if !self.context.artifacts.is_resolved {
            return Ok(());
        }
        let missing = components
            .iter()
            .flat_map(|component| component.reads.iter().chain(&component.rereads))
            .find_map(|resource| match resource {
                Resource::Binary(binary) if binary.blob.is_none() => Some(binary.name.clone()),
                _ => None,
            });
        match missing {
            None => Ok(()),
            Some(binary) => Err(RenderError::NoBinary {
                node: self.name().to_owned(),
                binary,
                platform: self.machine.platform,
            }),
        }
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

/// A file of root's that only root may read.
pub(crate) fn private_file(path: &str, content: impl Into<String>) -> Resource {
    file(path, Access::root(0o600), content)
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
