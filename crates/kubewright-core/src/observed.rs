//! What was seen: facts of a node, and how it differs from what it is to be.
//!
//! Everything here comes from another machine. Readers treat it as hostile: sizes are bounded by the frame, text is
//! escaped before it is shown.

mod certificate;
mod change;
mod etcd;
mod founders;
mod machine;
mod network;
mod resolvers;

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::certificate::{CertificatePart, CertificateProblem};
pub use self::change::{Change, Difference, UnitAction, UnitFileProblem, UnitFinding, unit_reasons};
pub use self::etcd::{AlarmKind, EtcdAlarm, EtcdCluster, EtcdMember, EtcdStatus, Membership, ObservedEtcd};
pub use self::founders::{Founders, PEER_PORT, peer_url};
pub use self::machine::{LaterSetting, Link, ModuleState, PathObstacle, PathObstacleKind, Setting};
pub use self::network::{Datagrams, ForwardDrop, Route, SyncSpeed};
pub use self::resolvers::{RESOLVER_FILES, ResolverFile, Resolvers, choose_resolvers};

use crate::spec::Cluster;

/// What the agent tells about its node in one go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// Host name as the kernel has it.
    pub hostname: String,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// Changes at each boot.
    pub boot_id: String,
    /// The machine's own number in its firmware; empty where it tells none, or only that of a computer it shares.
    pub product_uuid: String,
    /// What contains the node, as systemd names it (`systemd-nspawn`, `lxc`); `None` for a machine of its own.
    pub container: Option<String>,
    /// `ID` of os-release, as in `debian`.
    pub os_id: String,
    /// `PRETTY_NAME` of os-release.
    pub os_name: String,
    /// Kernel release, as in `6.1.0-18-amd64`.
    pub kernel: String,
    /// `amd64` or `arm64` (Go's names, as the artifacts use them), or what the kernel said.
    pub architecture: String,
    /// systemd's version; 0 when systemd does not run.
    pub systemd: u32,
    /// Processors online.
    pub processors: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Active swap areas.
    pub swaps: Vec<String>,
    /// Units other than those of `/etc/fstab` that turn swap on at boot.
    pub swap_units: Vec<String>,
    /// Whether the kernel has what it can have as a module, by the module's name.
    pub modules: BTreeMap<String, ModuleState>,
    /// Kernel settings kubewright needs, by key.
    pub settings: BTreeMap<String, Setting>,
    /// 1 or 2.
    pub cgroup_version: u32,
    /// cgroup controllers usable.
    pub cgroup_controllers: Vec<String>,
    /// Free space, by the directory asked about.
    pub disks: BTreeMap<String, Disk>,
    /// The node's clock when it answered, milliseconds since the epoch.
    pub clock_ms: i64,
    /// Whether the clock is kept by a time service; `None` when nobody knows.
    pub clock_synchronized: Option<bool>,
    /// Addresses on interfaces, without loopback.
    pub addresses: BTreeMap<String, Vec<IpAddr>>,
    /// Interfaces that have an address.
    pub links: BTreeMap<String, Link>,
    /// Whether there is a default route (ClusterIP connections of the node itself need one).
    pub has_default_route: bool,
    /// Its IPv4 routes, without default ones.
    pub routes: Vec<Route>,
    /// The interface of its default route.
    pub default_interface: Option<String>,
    /// Interfaces on which a packet is dropped when the way back to its sender leads through another one.
    pub strict_interfaces: Vec<String>,
    /// Chains that drop forwarded packets; nobody asked on a node that has something of kubewright's.
    pub forward_drops: Vec<ForwardDrop>,
    /// The files that may have its name servers, those that are there, in the order they count.
    pub resolvers: Vec<ResolverFile>,
    /// TCP ports something listens on, and who.
    pub listening: Vec<Listener>,
    /// SELinux mode, when there is SELinux.
    pub selinux: Option<String>,
    /// Programs kubewright needs that the node lacks.
    pub missing_commands: Vec<String>,
    /// `nft`'s version, as in `1.0.6`; empty where nobody asked.
    pub nft_version: String,
    /// What keeps kubewright from writing where it has to.
    pub obstacles: Vec<PathObstacle>,
    /// Traces of other installers and runtimes: path or unit, and what it is of.
    pub leftovers: Vec<Leftover>,
    /// The mark an earlier kubewright run left.
    pub marker: Option<Marker>,
    /// Public certificates found on the node (`/etc/kubernetes/pki/ca.crt`, …), PEM, by path.
    pub authority_certificates: BTreeMap<String, String>,
    /// Certificates kubewright put on the node, and those that replaced them, by path.
    pub certificates: Vec<CertificateFact>,
    /// etcd's data directory holds a member.
    pub has_etcd_data: bool,
    /// The size of the member's database, bytes; 0 when there is none.
    pub etcd_database_bytes: u64,
    /// The node remembers a finished bootstrap ([`crate::wire::Request::MarkBootstrapped`]).
    pub is_bootstrapped: bool,
    /// The founders of etcd, as the node keeps them ([`crate::wire::Request::RecordFounders`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub founders: Option<Founders>,
    /// How the node's etcd member is; `None` when nobody asked.
    pub etcd: Option<Health>,
    /// How the node's API server is; `None` when nobody asked.
    pub api_server: Option<Health>,
    /// A last run that did not finish, by its id.
    pub unfinished_run: Option<String>,
}

/// A certificate on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateFact {
    /// Where it is.
    pub path: String,
    /// Whose it is.
    pub common_name: String,
    /// When it ends, seconds since the epoch.
    pub not_after: i64,
}

/// How a server on a node is, as it answered itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// It says that it can serve.
    Ready,
    /// It does not say so yet; its process has just begun.
    Starting,
    /// It is not there, or its process has run for a while without being able to serve.
    Down,
}

/// Free space where a directory lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Disk {
    /// Mount point.
    pub mount: String,
    /// Bytes available to the agent.
    pub free_bytes: u64,
    /// Size in bytes.
    pub total_bytes: u64,
    /// Inodes available; `None` where the file system does not count them.
    pub free_inodes: Option<u64>,
    /// Mounted read-only.
    pub read_only: bool,
    /// Mounted so that no program in it can be executed.
    pub no_exec: bool,
}

/// A listening TCP port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// The process' name, where it could be found out.
    pub process: String,
    /// The systemd unit the process belongs to, where it could be found out.
    pub unit: String,
}

/// A trace of something else that would get in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Path or unit.
    pub what: String,
    /// Whose it is, as in `kubeadm`, `k3s`, `docker`.
    pub of: String,
}

/// What a node says about whom it belongs to; kept at `/etc/kubernetes/kubewright.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Marker {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's id, made once at random: two clusters of one name differ here.
    pub cluster_id: String,
    /// The node's name in cluster.yaml.
    pub node: String,
    /// The node's pod range, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_cidr: Option<String>,
    /// The Kubernetes version the node was last to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<String>,
    /// What the cluster was made with and cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<FixedSettings>,
}

/// Settings of a cluster that cannot change while it lives, as cluster.yaml writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FixedSettings {
    /// `spec.network.domain`.
    pub domain: String,
    /// `spec.network.podCidr`.
    pub pod_cidr: String,
    /// `spec.network.serviceCidr`.
    pub service_cidr: String,
    /// `spec.network.cni`.
    pub cni: String,
}

impl FixedSettings {
    /// Returns the settings of a cluster that its nodes remember.
    pub fn of(cluster: &Cluster) -> Self {
        Self {
            domain: cluster.network.domain.to_string(),
            pod_cidr: cluster.network.pod_cidr.to_string(),
            service_cidr: cluster.network.service_cidr.to_string(),
            cni: cluster.network.cni.to_string(),
        }
    }
}

impl Marker {
    /// Where the marker lives on a node.
    pub const PATH: &str = "/etc/kubernetes/kubewright.json";
}

/// What an agent did, counted: the proof that a second run wrote nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Resources changed.
    pub changed: u64,
    /// Files written (journal included).
    pub files_written: u64,
    /// Units started, stopped or restarted.
    pub unit_actions: u64,
    /// Bytes of blobs received, compressed.
    pub blob_bytes: u64,
    /// Files hashed because the cache did not know them.
    pub files_hashed: u64,
}

impl std::iter::Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |one, other| Self {
            changed: one.changed + other.changed,
            files_written: one.files_written + other.files_written,
            unit_actions: one.unit_actions + other.unit_actions,
            blob_bytes: one.blob_bytes + other.blob_bytes,
            files_hashed: one.files_hashed + other.files_hashed,
        })
    }
}

/// Everything seen before planning: every node, and the API if it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Observed {
    /// The nodes, by name.
    pub nodes: BTreeMap<String, ObservedNode>,
    /// The cluster's API; `None` when no API server answers.
    pub api: Option<ObservedApi>,
    /// etcd's members; `None` while no control plane has a member's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etcd: Option<ObservedEtcd>,
    /// Nodes of cluster.yaml that were not seen, and why: nothing is planned for them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unreachable: BTreeMap<String, String>,
}

impl Observed {
    /// The cluster's id, as its control planes keep it: that of most of them. What workers keep does not count: theirs
    /// may be another cluster's.
    pub fn cluster_id(&self, cluster: &Cluster) -> Option<&str> {
        let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
        for node in cluster.control_planes() {
            let seen = self.nodes.get(node.name.as_str());
            let marker = seen.and_then(|seen| seen.facts.marker.as_ref());
            if let Some(marker) = marker.filter(|marker| !marker.cluster_id.is_empty()) {
                *kept.entry(&marker.cluster_id).or_default() += 1;
            }
        }
        let most = kept.into_iter().max_by_key(|(_, count)| *count)?;
        Some(most.0)
    }

    /// The control planes of cluster.yaml that were not seen.
    pub fn unreachable_control_planes<'c>(&self, cluster: &'c Cluster) -> Vec<&'c str> {
        let names = cluster.control_planes().map(|node| node.name.as_str());
        names
            .filter(|name| self.unreachable.contains_key(*name))
            .collect()
    }

    /// Whether etcd's bootstrap was finished once: any node that remembers it is enough.
    pub fn is_bootstrapped(&self) -> bool {
        self.nodes.values().any(|node| node.facts.is_bootstrapped)
    }
}

/// One node as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedNode {
    /// What the agent told.
    pub facts: Facts,
    /// How the node differs from its desired state.
    pub differences: Vec<Difference>,
}

/// The cluster's API as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedApi {
    /// Node objects that are missing or differ in labels, taints or pod range.
    pub nodes_to_register: Vec<String>,
    /// Nodes that are not Ready.
    pub nodes_not_ready: Vec<String>,
    /// Node objects that cluster.yaml does not know.
    pub unknown_nodes: Vec<String>,
    /// Pod ranges that nodes have, by name.
    pub pod_cidrs: BTreeMap<String, String>,
    /// `Kind namespace/name` of the objects that are missing or differ, with the difference as a unified diff.
    pub objects: BTreeMap<String, Option<String>>,
    /// Versions that kubelets report, by node, as in `v1.36.3`; empty for one that has not reported.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kubelet_versions: BTreeMap<String, String>,
    /// `Kind namespace/name` of objects kubewright applied and no longer wants, which applying deletes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orphaned: Vec<String>,
    /// Objects kubewright no longer wants and does not delete, and what it would take along.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, String>,
    /// Deployments of ours that are not available, as `namespace/name`.
    pub deployments_unavailable: Vec<String>,
}
