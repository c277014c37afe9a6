//! What a node has: the closed list of things the agent can inspect, change and undo.
//!
//! A [`Resource`] is desired state as data. It never says *how*: the agent inspects the node, reports a
//! [`crate::observed::Difference`], and converges. Every change to a node is one of these kinds; a tenth kind is a
//! deliberate addition here, and the compiler then shows every place that has to know it.

mod digest;
mod kind;
mod node_state;
mod routing;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use digest::{Digest, ParseDigestError};
pub use kind::ResourceKind;
pub use node_state::{NodeState, Stage, StagedResource};
pub use routing::{PacketFilter, ROUTE_PROTOCOL, Routing};

/// Names one resource on one node, `kind:what`, as in `file:/etc/kubernetes/admin.conf`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ResourceId(String);

impl ResourceId {
    /// Names a resource of `kind` ("file", "unit", …) called `what`.
    pub fn new(kind: &str, what: &str) -> Self {
        Self(format!("{kind}:{what}"))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the colon.
    pub fn kind(&self) -> &str {
        self.0.split_once(':').map_or("", |(kind, _)| kind)
    }

    /// The part after the colon: a path, a unit name, a sysctl key.
    pub fn what(&self) -> &str {
        self.0.split_once(':').map_or(self.0.as_str(), |(_, what)| what)
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Who may do what with a path: owner, group (by name) and the permission bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Owning user's name.
    pub user: String,
    /// Owning group's name.
    pub group: String,
    /// Permission bits, as in `0o600`.
    pub mode: u32,
}

impl Access {
    /// `root:root` with the given permission bits.
    pub fn root(mode: u32) -> Self {
        Self::of("root", mode)
    }

    /// Root's, and readable by the members of one group. A process in it cannot change what it reads; and a process of
    /// root's without any capability, as an earlier version started them, can still read it.
    pub fn readable_by(group: &str) -> Self {
        Self {
            user: "root".to_owned(),
            group: group.to_owned(),
            mode: 0o640,
        }
    }

    /// A user and the group of the same name, with the given permission bits.
    pub fn of(user: &str, mode: u32) -> Self {
        Self {
            user: user.to_owned(),
            group: user.to_owned(),
            mode,
        }
    }
}

/// One thing a node is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Resource {
    /// A system user with a group of the same name.
    User(User),
    /// A directory.
    Directory(Directory),
    /// A file whose whole content is known and may be shown.
    File(File),
    /// A symbolic link.
    Symlink(Symlink),
    /// A file whose content is secret and shared by several nodes; the content is never part of this value.
    SharedSecret(SharedSecret),
    /// A private key made on the node and its certificate, signed by the controller.
    Certificate(Certificate),
    /// A kernel parameter, now and after a reboot.
    Sysctl(Sysctl),
    /// A kernel module, now and after a reboot.
    KernelModule(KernelModule),
    /// Swap off, now and after a reboot.
    SwapOff(SwapOff),
    /// An executable.
    Binary(Binary),
    /// A container image in the runtime's store.
    Image(Image),
    /// Routes to other nodes' pods, and masquerading.
    Routing(Routing),
    /// A systemd unit: its file, whether it is enabled, and that it runs with its present inputs.
    Unit(Unit),
}

/// A system user without a login shell, and the group of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user's and the group's name.
    pub name: String,
    /// The home directory; it is not created.
    pub home: String,
}

/// A directory; its parents are made with mode 0755 when they are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Owner and mode.
    pub access: Access,
}

/// A regular file with known content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// Owner and mode.
    pub access: Access,
    /// The whole content.
    pub content: String,
}

/// A symbolic link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symlink {
    /// Absolute path of the link.
    pub path: String,
    /// What it points to, verbatim.
    pub target: String,
}

/// A secret file that every control plane has alike: a CA key, the service-account key, the encryption key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedSecret {
    /// Absolute path.
    pub path: String,
    /// Owner and mode.
    pub access: Access,
    /// The name the agent asks the controller for, as in `kubernetes-ca-key`.
    pub name: String,
    /// Digest of the content (which has at least 128 bits of entropy); `None` while the secret does not exist yet.
    pub sha256: Option<Digest>,
}

/// Which of the three authorities signs a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthorityName {
    /// The cluster's own: API servers, kubelets, people.
    Kubernetes,
    /// etcd's members and clients.
    Etcd,
    /// The aggregation layer.
    FrontProxy,
}

/// What a certificate may be used for (X.509 extended key usage).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Usage {
    /// TLS server authentication.
    ServerAuth,
    /// TLS client authentication.
    ClientAuth,
}

/// A key pair made on the node and signed by the controller; the private key never leaves the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// A name for people, as in `apiserver` or `etcd-peer`.
    pub name: String,
    /// Who signs it.
    pub authority: AuthorityName,
    /// Subject common name: the user name, for client certificates.
    pub common_name: String,
    /// Subject organisations: the groups, for client certificates.
    pub organizations: Vec<String>,
    /// DNS names, sorted.
    pub dns_names: Vec<String>,
    /// IP addresses, sorted.
    pub addresses: Vec<std::net::IpAddr>,
    /// Extended key usages, sorted.
    pub usages: Vec<Usage>,
    /// Days a new certificate is valid for.
    pub lifetime_days: u32,
    /// A certificate with fewer days left than this is renewed.
    pub renew_before_days: u32,
    /// Where the certificate goes (mode 0644, same owner as the key).
    pub certificate_path: String,
    /// Where the key goes.
    pub key_path: String,
    /// Owner and mode of the key.
    pub key_access: Access,
    /// A combined file its user renews by itself (the kubelet's `kubelet-client-current.pem`): while that one is
    /// valid, nothing is to do here.
    pub superseded_by: Option<String>,
}

/// A kernel parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// Dotted key, as in `net.ipv4.ip_forward`.
    pub key: String,
    /// The value, as the kernel prints it.
    pub value: String,
    /// Whether a kernel without this key is fine.
    pub optional: bool,
}

/// A kernel module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelModule {
    /// Module name.
    pub name: String,
    /// Whether a kernel without it is fine (built in, or a container without modules).
    pub optional: bool,
}

/// Swap is off, and the entries in `/etc/fstab` are commented out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapOff {}

/// An executable, named by what it is and by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binary {
    /// Absolute path.
    pub path: String,
    /// The component, as in `kube-apiserver`.
    pub name: String,
    /// The component's version, as in `1.36.3`.
    pub version: String,
    /// The file's content; `None` in a plan made without artifacts (offline).
    pub blob: Option<Blob>,
}

/// Content known by its digest, sent when a node lacks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Blob {
    /// SHA-256 of the (uncompressed) content.
    pub sha256: Digest,
    /// Size of the (uncompressed) content in bytes.
    pub size_bytes: u64,
}

/// A container image that is imported into the runtime from an OCI archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The name pods use, as in `registry.k8s.io/pause:3.10.1`.
    pub reference: String,
    /// Digest of the image's manifest, as the runtime lists it; `None` in a plan made without artifacts.
    pub manifest: Option<Digest>,
    /// The OCI archive.
    pub blob: Option<Blob>,
}

/// How a unit is brought up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Start {
    /// Wait until systemd says it is up.
    #[default]
    Wait,
    /// Ask for the start and go on; a later step waits for the named condition (etcd is up only with its quorum).
    Ask,
}

/// A systemd unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The unit's name with its suffix, as in `kubelet.service`.
    pub name: String,
    /// The unit file's content, at `/etc/systemd/system/NAME`.
    pub content: String,
    /// How it is brought up.
    pub start: Start,
    /// What it reads: it is restarted when the fingerprint of any of these differs from what it was started with.
    pub inputs: Vec<ResourceId>,
}

impl Resource {
    /// The resource's name on its node.
    pub fn id(&self) -> ResourceId {
        let what = match self {
            Self::User(user) => &user.name,
            Self::Directory(directory) => &directory.path,
            Self::File(file) => &file.path,
            Self::Symlink(link) => &link.path,
            Self::SharedSecret(secret) => &secret.path,
            Self::Certificate(certificate) => &certificate.certificate_path,
            Self::Sysctl(sysctl) => &sysctl.key,
            Self::KernelModule(module) => &module.name,
            Self::SwapOff(_) => "off",
            Self::Binary(binary) => &binary.path,
            Self::Image(image) => &image.reference,
            Self::Routing(_) => "pods",
            Self::Unit(unit) => &unit.name,
        };
        ResourceId::new(self.kind().word(), what)
    }

    /// The content the resource needs sent, if it has any.
    pub fn blob(&self) -> Option<Blob> {
        match self {
            Self::Binary(binary) => binary.blob,
            Self::Image(image) => image.blob,
            _ => None,
        }
    }
}

/// Public certificates of the authorities, PEM, by name.
pub type AuthorityCertificates = BTreeMap<AuthorityName, String>;
