//! The cluster a user asks for, as everything else in kubewright sees it: complete, checked, defaults filled in.
//!
//! One struct per part of cluster.yaml. Field docs are user documentation: they end up in the JSON schema and the
//! reference page. `super::parse` is the only way a file becomes a `Cluster`; the serde form here is for plans and
//! for the cluster's own copy, not for reading what people wrote.

mod checks;
mod component;
mod node;
mod outside;
mod queries;
mod ssh;

pub use checks::{Acceptance, Checks};
pub use component::{ComponentName, ComponentOverrides, ExtraVolume};
pub use node::{Node, Role};
pub use outside::{Dns, HttpProxy, Oidc, Registry};
pub use queries::NODE_POD_PREFIX;
pub use ssh::{NodeSsh, Ssh};

use crate::value::{Cidr, ClusterName, DomainName, Endpoint, Interval, NodeCount, SubjectAltName, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The desired cluster: what stands under `spec` in cluster.yaml, and its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ClusterSpec")]
pub struct Cluster {
    /// The cluster's name, `metadata.name` in the file.
    #[schemars(skip)]
    pub name: ClusterName,
    /// The Kubernetes version, such as `1.37.2`. When absent, the newest in the catalogue.
    #[serde(default = "crate::catalogue::newest")]
    pub kubernetes: Version,
    /// How the control plane runs and how it is reached.
    #[serde(default)]
    pub control_plane: ControlPlane,
    /// The cluster's database.
    #[serde(default)]
    pub etcd: Etcd,
    /// Address ranges, the network plug-in and the service proxy.
    #[serde(default)]
    pub network: Network,
    /// What protects the cluster beyond TLS, which is always on.
    #[serde(default)]
    pub security: Security,
    /// Where binaries and images come from.
    #[serde(default)]
    pub artifacts: Artifacts,
    /// The HTTP proxy that images and programs are fetched through.
    #[serde(default, skip_serializing_if = "is_default")]
    pub proxy: HttpProxy,
    /// Mirrors and authorities of image registries, by the registry's name, such as `docker.io`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub registries: BTreeMap<String, Registry>,
    /// How names outside the cluster are resolved.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dns: Dns,
    /// An OIDC issuer whose tokens the API server accepts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub oidc: Option<Oidc>,
    /// How nodes are reached.
    #[serde(default)]
    pub ssh: Ssh,
    /// How many nodes are changed at a time if that restarts something on them.
    #[serde(default)]
    pub rollout: Rollout,
    /// Which findings of `kubewright check` are accepted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub checks: Checks,
    /// Additions to single components, by upstream's name, such as `kube-apiserver`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "enum": ComponentName::WORDS }))]
    pub components: BTreeMap<ComponentName, ComponentOverrides>,
    /// What is installed into the cluster besides the built-in objects.
    #[serde(default)]
    pub addons: Vec<Addon>,
    /// The machines of the cluster; their order means nothing.
    pub nodes: Vec<Node>,
}

/// Whether nothing was said, so that the part is left out where a cluster is written.
fn is_default<T: Default + PartialEq>(part: &T) -> bool {
    *part == T::default()
}

/// How the control plane runs and how it is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlane {
    /// What runs the control plane's components.
    pub mode: ControlPlaneMode,
    /// The name, virtual address or load balancer, with port, for people outside. Nodes do not use it.
    pub endpoint: Option<Endpoint>,
    /// More names and addresses for the API server's certificate.
    pub extra_sans: Vec<SubjectAltName>,
}

/// Declares an enum that is written as one word in cluster.yaml, with its words in one place.
macro_rules! written_as_word {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $type {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+
        }
        impl $type {
            /// Every word the file may hold here, in the order of the documentation.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// Returns the word as it stands in cluster.yaml.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Returns the value for a word of the file.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use written_as_word;

written_as_word! {
    /// What runs the control plane's components.
    #[derive(Default)]
    ControlPlaneMode {
        #[default]
        /// Units of systemd on the control-plane nodes.
        Systemd = "systemd",
        /// Pods that the kubelet starts from files. Not yet.
        StaticPod = "static-pod",
        /// Pods of the cluster itself. Not yet.
        SelfHosted = "self-hosted",
    }
}

/// How many nodes are changed at a time if that restarts something on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// How many nodes are changed first, before any other.
    #[schemars(range(min = 0, max = 1000))]
    pub canary: u32,
    /// How many nodes are changed at a time after that: a number, or a percentage of all nodes; at least one.
    pub max_unavailable: NodeCount,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            canary: 1,
            max_unavailable: NodeCount::Percent(10),
        }
    }
}

/// The cluster's database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Etcd {
    /// Periodic snapshots.
    pub snapshots: Snapshots,
}

/// Periodic etcd snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Snapshots {
    /// Time between two snapshots, such as `6h`.
    pub every: Interval,
    /// How many snapshots are kept.
    #[schemars(range(min = 1, max = 1000))]
    pub keep: u32,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            every: Interval::from_hours(6),
            keep: 20,
        }
    }
}

/// Address ranges, the network plug-in and the service proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Network {
    /// The range pods get their addresses from; each node gets a /24 of it.
    pub pod_cidr: Cidr,
    /// The range services get their addresses from.
    pub service_cidr: Cidr,
    /// The DNS domain of services.
    pub domain: DomainName,
    /// The network plug-in.
    pub cni: Cni,
    /// How kube-proxy forwards service traffic.
    pub proxy: ProxyMode,
    /// The MTU of the path between nodes, where it is smaller than that of their interfaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1280, max = 9216))]
    pub mtu: Option<u32>,
}

impl Default for Network {
    // The texts are constants that parse; a test reads them. There is no `const` parser to prove it by.
    #[allow(clippy::expect_used)]
    fn default() -> Self {
        Self {
            pod_cidr: "10.244.0.0/16".parse().expect("a constant that parses"),
            service_cidr: "10.96.0.0/16".parse().expect("a constant that parses"),
            domain: "cluster.local".parse().expect("a constant that parses"),
            cni: Cni::Flannel,
            proxy: ProxyMode::Nftables,
            mtu: None,
        }
    }
}

written_as_word! {
    /// The network plug-in that connects pods across nodes.
    Cni {
        /// flannel with VXLAN: works on any network between the nodes.
        Flannel = "flannel",
        /// A bridge on each node and plain routes between them: nodes must share one network segment.
        Bridge = "bridge",
        /// Calico. Not yet.
        Calico = "calico",
        /// Cilium. Not yet.
        Cilium = "cilium",
        /// None: pods stay pending until one is installed.
        None = "none",
    }
}

written_as_word! {
    /// How kube-proxy forwards service traffic.
    ProxyMode {
        /// With nftables.
        Nftables = "nftables",
        /// With iptables.
        Iptables = "iptables",
        /// No kube-proxy: the network plug-in does its work.
        None = "none",
    }
}

/// What protects the cluster beyond TLS, which is always on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Security {
    /// How secrets are encrypted in etcd.
    pub encryption: Encryption,
    /// What the API server's audit log records.
    pub audit: Audit,
    /// The Pod Security level that is enforced where a namespace does not choose its own.
    pub pod_security: PodSecurity,
    /// The set of defaults for everything else.
    pub profile: Profile,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            encryption: Encryption::Secretbox,
            audit: Audit::Metadata,
            pod_security: PodSecurity::Baseline,
            profile: Profile::Default,
        }
    }
}

written_as_word! {
    /// How secrets are encrypted in etcd.
    Encryption {
        /// XSalsa20-Poly1305 with a key of the cluster.
        Secretbox = "secretbox",
    }
}

written_as_word! {
    /// What the API server's audit log records.
    Audit {
        /// Who did what to which object, never its content.
        Metadata = "metadata",
        /// Nothing.
        None = "none",
    }
}

written_as_word! {
    /// A Pod Security level.
    PodSecurity {
        /// Everything is allowed.
        Privileged = "privileged",
        /// Known privilege escalations are refused.
        Baseline = "baseline",
        /// Pods must follow the hardening practices.
        Restricted = "restricted",
    }
}

written_as_word! {
    /// A set of security defaults.
    Profile {
        /// Safe defaults that ordinary workloads run under.
        Default = "default",
        /// The letter of the CIS benchmark. Not yet.
        Cis = "cis",
    }
}

/// Where binaries and images come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Artifacts {
    /// The source.
    pub source: ArtifactSource,
}

/// A source of binaries and images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ArtifactSource {
    /// Each project's own release site.
    #[default]
    Upstream,
    /// A web server with upstream's paths: the URL below which each upstream host is a directory.
    Mirror(#[schemars(url)] String),
    /// A directory on this computer, absolute or relative to cluster.yaml.
    Directory(String),
    /// A file made by `kubewright bundle create`. Not yet.
    Bundle(String),
}

/// A value in a map of texts: numbers and booleans are taken as they are written.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)] // Only its schema is used.
pub(crate) enum PlainText {
    /// Text.
    Text(String),
    /// A number, taken as text.
    Number(f64),
    /// A boolean, taken as text.
    Boolean(bool),
}

/// Something installed into the cluster besides the built-in objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Addon {
    /// An add-on of the catalogue, by name.
    Catalogue(String),
    /// Manifests of the user's own.
    Manifests {
        /// A name for plans and reports.
        name: ClusterName,
        /// Files, directories or URLs with manifests, in the order they are applied.
        manifests: Vec<ManifestSource>,
    },
}

/// Where a manifest is: a file or directory, absolute or relative to cluster.yaml, or an https URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ManifestSource(pub String);

impl ManifestSource {
    /// Returns the URL if this is one, and `None` for a path.
    pub fn url(&self) -> Option<&str> {
        (self.0.starts_with("https://") || self.0.starts_with("http://")).then_some(self.0.as_str())
    }

    /// Returns the path if this is one, and `None` for a URL.
    pub fn path(&self) -> Option<&str> {
        self.url().is_none().then_some(self.0.as_str())
    }
}
