//! Which versions there are, and what goes with each Kubernetes version.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::artifact::{Artifact, ArtifactFile, Checksum, Format, Image, Platform};
use crate::value::Version;

/// What holds for one minor of Kubernetes and not for the others.
struct Minor {
    /// The 36 of 1.36.
    number: u32,
    /// Its newest patch; all from 0 on are on offer.
    newest_patch: u32,
    /// crictl, which is released with each minor.
    crictl: Version,
}

/// The Kubernetes minors on offer, newest first. This is all that differs between them: arguments and configurations
/// are the same for all three. A line comes with its minor and goes with it.
const MINORS: [Minor; 3] = [
    Minor {
        number: 37,
        newest_patch: 2,
        crictl: Version::new(1, 37, 0),
    },
    Minor {
        number: 36,
        newest_patch: 4,
        crictl: Version::new(1, 36, 0),
    },
    Minor {
        number: 35,
        newest_patch: 8,
        crictl: Version::new(1, 35, 0),
    },
];

impl Minor {
    /// Returns its newest version.
    const fn newest(&self) -> Version {
        Version::new(1, self.number, self.newest_patch)
    }

    /// Returns whether a version is one of its own on offer.
    fn has(&self, version: &Version) -> bool {
        version.is_same_minor(self.newest()) && version.patch <= self.newest_patch
    }
}

/// Upstream's sums by artifact, architecture and version: they are asked for with every file of every node.
static DIGESTS: LazyLock<BTreeMap<[&str; 3], &str>> = LazyLock::new(|| {
    let lines = include_str!("digests.txt").lines();
    lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            let name = [words.next()?, words.next()?, words.next()?];
            Some((name, words.next()?))
        })
        .collect()
});

/// One Kubernetes version and the versions of everything that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Kubernetes: control plane, kubelet, kube-proxy, kubectl.
    pub kubernetes: Version,
    /// etcd with etcdctl and etcdutl.
    pub etcd: Version,
    /// containerd.
    pub containerd: Version,
    /// runc.
    pub runc: Version,
    /// The reference CNI plug-ins.
    pub cni_plugins: Version,
    /// flannel's daemon.
    pub flannel: Version,
    /// flannel's CNI plug-in; upstream adds `-flannel1` to it.
    pub flannel_cni: Version,
    /// crictl.
    pub crictl: Version,
    /// The image that holds a pod's namespaces.
    pub pause: Version,
    /// The cluster's DNS server.
    pub coredns: Version,
    /// The resource metrics API.
    pub metrics_server: Version,
}

/// Returns the newest Kubernetes version on offer, the default of cluster.yaml.
pub fn newest() -> Version {
    MINORS[0].newest()
}

/// Returns the supported minors as text, newest first, such as `1.36`.
pub fn supported_minors() -> Vec<String> {
    MINORS.iter().map(|of| format!("1.{}", of.number)).collect()
}

/// Returns every Kubernetes version on offer, newest first.
pub fn versions() -> Vec<Version> {
    MINORS
        .iter()
        .flat_map(|of| {
            (0..=of.newest_patch)
                .rev()
                .map(|patch| Version::new(1, of.number, patch))
        })
        .collect()
}

/// Returns what goes with a Kubernetes version; `None` when it is not on offer.
pub fn release(kubernetes: &Version) -> Option<Release> {
    let minor = MINORS.iter().find(|minor| minor.has(kubernetes))?;
    Some(Release {
        kubernetes: *kubernetes,
        // Not below 3.6.12: older ones promote a learner on `member update` and refuse safe additions. The same for all
        // minors: an upgrade of Kubernetes is not one of etcd at the same time.
        etcd: Version::new(3, 6, 16),
        containerd: Version::new(2, 3, 7),
        runc: Version::new(1, 5, 2),
        cni_plugins: Version::new(1, 9, 1),
        flannel: Version::new(0, 28, 4),
        flannel_cni: Version::new(1, 9, 1),
        crictl: minor.crictl,
        pause: Version::new(3, 10, 1),
        coredns: Version::new(1, 14, 7),
        metrics_server: Version::new(0, 9, 0),
    })
}

const KUBERNETES_BINARIES: [&str; 6] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
];

impl Release {
    /// Returns every download of the release for a platform, in a fixed order.
    pub fn artifacts(&self, platform: Platform) -> Vec<Artifact> {
        let arch = platform.arch();
        let mut all: Vec<Artifact> = KUBERNETES_BINARIES
            .iter()
            .map(|name| {
                let url = format!(
                    "https://dl.k8s.io/release/v{}/bin/linux/{arch}/{name}",
                    self.kubernetes
                );
                let published = Checksum::Published(format!("{url}.sha256"));
                plain(name, self.kubernetes.to_string(), platform, url, name, published)
            })
            .collect();
        all.push(self.etcd_artifact(platform));
        all.push(self.containerd_artifact(platform));

        let runc = format!(
            "https://github.com/opencontainers/runc/releases/download/v{}",
            self.runc
        );
        let published = Checksum::Published(format!("{runc}/runc.sha256sum"));
        all.push(plain(
            "runc",
            self.runc.to_string(),
            platform,
            format!("{runc}/runc.{arch}"),
            "runc",
            published,
        ));

        let version = self.cni_plugins.to_string();
        let url = format!(
            "https://github.com/containernetworking/plugins/releases/download/v{version}/cni-plugins-linux-{arch}-v{version}.tgz"
        );
        let published = Checksum::Published(format!("{url}.sha256"));
        let members = ["bridge", "host-local", "loopback", "portmap"].map(|name| (name, format!("./{name}")));
        all.push(archive("cni-plugins", version, platform, url, published, members));

        let version = self.crictl.to_string();
        let url = format!(
            "https://github.com/kubernetes-sigs/cri-tools/releases/download/v{version}/crictl-v{version}-linux-{arch}.tar.gz"
        );
        let published = Checksum::Published(format!("{url}.sha256"));
        all.push(archive(
            "crictl",
            version,
            platform,
            url,
            published,
            [("crictl", "crictl".to_owned())],
        ));

        let flannel = format!(
            "https://github.com/flannel-io/flannel/releases/download/v{}",
            self.flannel
        );
        let url = format!("{flannel}/flanneld-{arch}");
        all.push(plain(
            "flanneld",
            self.flannel.to_string(),
            platform,
            url,
            "flanneld",
            Checksum::Unpublished,
        ));

        let version = format!("{}-flannel1", self.flannel_cni);
        let url =
            format!("https://github.com/flannel-io/cni-plugin/releases/download/v{version}/flannel-{arch}");
        all.push(plain(
            "flannel-cni",
            version,
            platform,
            url,
            "flannel",
            Checksum::Unpublished,
        ));
        all
    }

    fn etcd_artifact(&self, platform: Platform) -> Artifact {
        let (version, arch) = (self.etcd.to_string(), platform.arch());
        let base = format!("https://github.com/etcd-io/etcd/releases/download/v{version}");
        let directory = format!("etcd-v{version}-linux-{arch}");
        let url = format!("{base}/{directory}.tar.gz");
        let members = ["etcd", "etcdctl", "etcdutl"].map(|name| (name, format!("{directory}/{name}")));
        archive(
            "etcd",
            version,
            platform,
            url,
            Checksum::Published(format!("{base}/SHA256SUMS")),
            members,
        )
    }

    fn containerd_artifact(&self, platform: Platform) -> Artifact {
        let (version, arch) = (self.containerd.to_string(), platform.arch());
        let url = format!(
            "https://github.com/containerd/containerd/releases/download/v{version}/containerd-{version}-linux-{arch}.tar.gz"
        );
        let published = Checksum::Published(format!("{url}.sha256sum"));
        let members =
            ["containerd", "containerd-shim-runc-v2", "ctr"].map(|name| (name, format!("bin/{name}")));
        archive("containerd", version, platform, url, published, members)
    }

    /// Returns the download of that name, such as `containerd`.
    pub fn artifact(&self, name: &str, platform: Platform) -> Option<Artifact> {
        self.artifacts(platform)
            .into_iter()
            .find(|artifact| artifact.name == name)
    }

    /// Returns the download that has a binary, such as `containerd-shim-runc-v2`, and the binary's place in it.
    pub fn binary(&self, name: &str, platform: Platform) -> Option<(Artifact, ArtifactFile)> {
        self.artifacts(platform).into_iter().find_map(|artifact| {
            let file = artifact.files.iter().find(|file| file.name == name)?.clone();
            Some((artifact, file))
        })
    }

    /// Returns the images of the cluster's own objects, in a fixed order.
    pub fn images(&self) -> Vec<Image> {
        [
            (
                "pause",
                self.pause,
                format!("registry.k8s.io/pause:{}", self.pause),
            ),
            (
                "coredns",
                self.coredns,
                format!("registry.k8s.io/coredns/coredns:v{}", self.coredns),
            ),
            (
                "metrics-server",
                self.metrics_server,
                format!(
                    "registry.k8s.io/metrics-server/metrics-server:v{}",
                    self.metrics_server
                ),
            ),
            (
                "flannel",
                self.flannel,
                format!("ghcr.io/flannel-io/flannel:v{}", self.flannel),
            ),
        ]
        .into_iter()
        .map(|(name, version, reference)| Image {
            name,
            version: version.to_string(),
            reference,
        })
        .collect()
    }

    /// Returns the image of that name, such as `pause`.
    pub fn image(&self, name: &str) -> Option<Image> {
        self.images().into_iter().find(|image| image.name == name)
    }
}

/// Returns upstream's sum if the catalogue knows it, and `otherwise` if not.
fn checksum(name: &str, platform: Platform, version: &str, otherwise: Checksum) -> Checksum {
    DIGESTS
        .get(&[name, platform.arch(), version])
        .map_or(otherwise, |sum| Checksum::Known((*sum).to_owned()))
}

fn plain(
    name: &'static str,
    version: String,
    platform: Platform,
    url: String,
    file: &str,
    otherwise: Checksum,
) -> Artifact {
    let checksum = checksum(name, platform, &version, otherwise);
    let files = vec![ArtifactFile {
        name: file.to_owned(),
        member: None,
    }];
    Artifact {
        name,
        version,
        platform,
        url,
        format: Format::Plain,
        checksum,
        files,
    }
}

fn archive<const N: usize>(
    name: &'static str,
    version: String,
    platform: Platform,
    url: String,
    otherwise: Checksum,
    members: [(&str, String); N],
) -> Artifact {
    let checksum = checksum(name, platform, &version, otherwise);
    let files = members
        .into_iter()
        .map(|(file, member)| ArtifactFile {
            name: file.to_owned(),
            member: Some(member),
        })
        .collect();
    Artifact {
        name,
        version,
        platform,
        url,
        format: Format::TarGz,
        checksum,
        files,
    }
}
