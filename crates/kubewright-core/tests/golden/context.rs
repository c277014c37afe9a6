//! A world to render in that never changes: allocated ranges, authorities and digests as constants.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kubewright_core::catalogue::{Platform, Release, release};
use kubewright_core::founding::{EtcdStart, etcd_starts};
use kubewright_core::observed::Observed;
use kubewright_core::plan::allocate_pod_ranges;
use kubewright_core::render::{Artifacts, NodePlatform, RenderContext};
use kubewright_core::resource::{AuthorityCertificates, AuthorityName, Blob, Digest};
use kubewright_core::spec::{Cidr, Cluster, parse};

/// Owns what a [`RenderContext`] borrows.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) artifacts: Artifacts,
    pub(crate) etcd: BTreeMap<String, EtcdStart>,
    release: Release,
    cluster_id: String,
    agents: BTreeMap<Platform, Blob>,
    platforms: BTreeMap<String, NodePlatform>,
    pod_cidrs: BTreeMap<String, Cidr>,
    authorities: AuthorityCertificates,
    secrets: BTreeMap<String, Digest>,
}

impl World {
    pub(crate) fn from_yaml(text: &str) -> Self {
        Self::seen(text, &Observed::default())
    }

    /// The world as it is when this was observed.
    pub(crate) fn seen(text: &str, observed: &Observed) -> Self {
        let cluster = parse(text, "cluster.yaml").unwrap().spec;
        let pod_cidrs = allocate_pod_ranges(&cluster, observed).unwrap();
        let authority = |name: AuthorityName| {
            let text = format!(
                "-----BEGIN CERTIFICATE-----\n({})\n-----END CERTIFICATE-----\n",
                name.common_name()
            );
            (name, text)
        };
        let authorities: AuthorityCertificates = AuthorityName::ALL.map(authority).into();
        // As a cluster of an earlier version has it, and keeps it.
        let cluster_id = Digest::of(authorities[&AuthorityName::Kubernetes].as_bytes()).to_string();
        Self {
            cluster_id,
            release: release(&cluster.kubernetes).unwrap(),
            agents: BTreeMap::new(),
            platforms: BTreeMap::new(),
            pod_cidrs,
            authorities,
            secrets: BTreeMap::new(),
            artifacts: Artifacts::unresolved(),
            etcd: BTreeMap::new(),
            cluster,
        }
    }

    pub(crate) fn set_cgroup_version(&mut self, cgroup_version: u32) {
        for node in &self.cluster.nodes {
            let machine = NodePlatform {
                cgroup_version,
                ..NodePlatform::default()
            };
            self.platforms.insert(node.name.to_string(), machine);
        }
    }

    fn set_size(&mut self, memory_bytes: u64, processors: u32) {
        for node in &self.cluster.nodes {
            let machine = NodePlatform {
                memory_bytes,
                processors,
                ..NodePlatform::default()
            };
            self.platforms.insert(node.name.to_string(), machine);
        }
    }

    #[allow(dead_code)] // each test binary uses what it needs
    pub(crate) fn set_agent(&mut self, blob: Blob) {
        self.agents.insert(Platform::Amd64, blob);
    }

    pub(crate) fn context(&self) -> RenderContext<'_> {
        RenderContext {
            cluster: &self.cluster,
            release: &self.release,
            cluster_id: &self.cluster_id,
            platforms: &self.platforms,
            pod_cidrs: &self.pod_cidrs,
            authorities: &self.authorities,
            service_account_public_key: "-----BEGIN PUBLIC KEY-----\n(service accounts)\n-----END PUBLIC KEY-----\n",
            secrets: &self.secrets,
            artifacts: &self.artifacts,
            agents: &self.agents,
            etcd: &self.etcd,
        }
    }
}

/// Case, and the example it renders; cases without one bring their own `cluster.yaml`.
pub(crate) const CASES: [(&str, Option<&str>); 6] = [
    ("one-node", Some("one-node.yaml")),
    ("three-plus-two", Some("three-plus-two.yaml")),
    ("external-endpoint", Some("external-endpoint.yaml")),
    ("three-combined", None),
    ("bridge", None),
    ("extra-args", None),
];

/// Where the golden trees are.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The world of a case.
pub(crate) fn world(case: &str) -> World {
    let (_, example) = CASES.iter().find(|(name, _)| *name == case).unwrap();
    let path = match example {
        Some(name) => Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../examples")
            .join(name),
        None => directory().join(case).join("cluster.yaml"),
    };
    let mut world = World::from_yaml(&fs::read_to_string(&path).unwrap());
    // The tree of a first apply shows what only that has.
    if case == "three-plus-two" {
        world.etcd = etcd_starts(&world.cluster, &Observed::default());
    }
    // Elsewhere the machines' size is unknown, as in a plan that is made without them.
    if case == "three-plus-two" {
        world.set_size(8 << 30, 4);
    }
    if case == "extra-args" {
        world.set_cgroup_version(1);
    }
    world
}
