//! Everything the world has to say before anything is rendered: allocated pod ranges, the authorities' public certificates,
//! digests of shared secrets, and which bytes the artifacts' names stand for.

use std::collections::BTreeMap;

use crate::catalogue::{Platform, Release};
use crate::founding::EtcdStart;
use crate::resource::{AuthorityCertificates, Blob, Digest};
use crate::spec::{Cidr, Cluster, ComponentName};

/// Everything rendering needs to know of the world.
#[derive(Clone, Copy, Debug)]
pub struct RenderContext<'a> {
    /// The cluster as it is to be.
    pub cluster: &'a Cluster,
    /// The versions that go with its Kubernetes version.
    pub release: &'a Release,
    /// The cluster's id, which every node's marker has; empty before the first apply.
    pub cluster_id: &'a str,
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
    /// How etcd's member starts, by control plane; one that is missing starts from its data.
    pub etcd: &'a BTreeMap<String, EtcdStart>,
}

/// What kind of machine a node is, as far as what it holds depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePlatform {
    /// Operating system and processor.
    pub platform: Platform,
    /// 1 or 2. On 1 the kubelet is told to run all the same; whether that is acceptable is for the checks to say.
    pub cgroup_version: u32,
    /// Its memory; 0 where it is not known.
    pub memory_bytes: u64,
    /// Its processors; 0 where they are not known.
    pub processors: u32,
}

impl Default for NodePlatform {
    fn default() -> Self {
        Self {
            platform: Platform::Amd64,
            cgroup_version: 2,
            memory_bytes: 0,
            processors: 0,
        }
    }
}

/// Which bytes the names of binaries and images stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifacts {
    pub(crate) is_resolved: bool,
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
