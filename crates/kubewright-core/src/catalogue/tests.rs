use super::*;
use crate::component;
use crate::value::Version;
use std::fmt::Write as _;

#[test]
fn the_newest_version_is_on_offer_and_so_is_every_patch_below_it() {
    assert_eq!(newest(), versions()[0]);
    assert!(release(&Version::new(1, 36, 3)).is_some());
    assert!(release(&Version::new(1, 35, 8)).is_some());
    for absent in [
        Version::new(1, 37, 3),
        Version::new(1, 36, 5),
        Version::new(1, 34, 0),
        Version::new(1, 38, 0),
        Version::new(2, 36, 0),
    ] {
        assert_eq!(release(&absent), None, "{absent}");
    }
    assert_eq!(supported_minors(), ["1.37", "1.36", "1.35"]);
}

#[test]
fn kubelet_and_kubectl_of_every_version_are_checked_by_a_sum() {
    for version in versions() {
        for platform in Platform::ALL {
            for name in ["kubelet", "kubectl"] {
                let artifact = release(&version).unwrap().artifact(name, platform).unwrap();
                match &artifact.checksum {
                    Checksum::Known(sum) => assert!(
                        sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit()),
                        "{sum}"
                    ),
                    Checksum::Published(url) => assert_eq!(*url, format!("{}.sha256", artifact.url)),
                    Checksum::Unpublished => panic!("{name} {version} {platform}"),
                }
            }
        }
    }
}

#[test]
fn every_sum_is_of_a_version_on_offer() {
    let offered: Vec<Artifact> = versions()
        .iter()
        .flat_map(|version| Platform::ALL.map(|platform| (*version, platform)))
        .flat_map(|(version, platform)| release(&version).unwrap().artifacts(platform))
        .collect();
    let lines = include_str!("digests.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(
            offered.iter().any(|artifact| {
                [artifact.name, artifact.platform.arch(), &artifact.version] == words[..3]
                    && artifact.sha256() == Some(words[3])
            }),
            "{line}"
        );
    }
}

#[test]
fn each_minor_has_its_own_crictl() {
    for version in versions() {
        let crictl = release(&version).unwrap().crictl;
        assert!(crictl.is_same_minor(version), "{version} has crictl {crictl}");
    }
}

#[test]
fn sums_differ_between_artifacts() {
    let release = release(&newest()).unwrap();
    let mut sums: Vec<String> = Platform::ALL
        .iter()
        .flat_map(|platform| release.artifacts(*platform))
        .filter_map(|artifact| artifact.sha256().map(str::to_owned))
        .collect();
    let count = sums.len();
    sums.sort();
    sums.dedup();
    assert_eq!(sums.len(), count);
}

#[test]
fn every_program_of_a_component_has_a_download() {
    let release = release(&newest()).unwrap();
    for platform in Platform::ALL {
        for name in component::ALL.iter().flat_map(|component| component.binaries) {
            assert!(release.binary(name, platform).is_some(), "{name} {platform}");
        }
    }
}

#[test]
fn addresses_are_upstreams() {
    let release = release(&Version::new(1, 36, 3)).unwrap();
    let mut lines = String::new();
    for artifact in release.artifacts(Platform::Arm64) {
        let sum = match &artifact.checksum {
            Checksum::Known(sum) => &sum[..8],
            Checksum::Published(url) => url.rsplit('/').next().unwrap(),
            Checksum::Unpublished => "unpublished",
        };
        let _ = writeln!(lines, "{} {} {sum}", artifact.name, artifact.url);
    }
    insta::assert_snapshot!(lines, @r"
    kube-apiserver https://dl.k8s.io/release/v1.36.3/bin/linux/arm64/kube-apiserver kube-apiserver.sha256
    kube-controller-manager https://dl.k8s.io/release/v1.36.3/bin/linux/arm64/kube-controller-manager kube-controller-manager.sha256
    kube-scheduler https://dl.k8s.io/release/v1.36.3/bin/linux/arm64/kube-scheduler kube-scheduler.sha256
    kubelet https://dl.k8s.io/release/v1.36.3/bin/linux/arm64/kubelet 57205a5d
    kube-proxy https://dl.k8s.io/release/v1.36.3/bin/linux/arm64/kube-proxy kube-proxy.sha256
    kubectl https://dl.k8s.io/release/v1.36.3/bin/linux/arm64/kubectl 3d86f244
    etcd https://github.com/etcd-io/etcd/releases/download/v3.6.16/etcd-v3.6.16-linux-arm64.tar.gz SHA256SUMS
    containerd https://github.com/containerd/containerd/releases/download/v2.3.7/containerd-2.3.7-linux-arm64.tar.gz containerd-2.3.7-linux-arm64.tar.gz.sha256sum
    runc https://github.com/opencontainers/runc/releases/download/v1.5.2/runc.arm64 runc.sha256sum
    cni-plugins https://github.com/containernetworking/plugins/releases/download/v1.9.1/cni-plugins-linux-arm64-v1.9.1.tgz 56171987
    crictl https://github.com/kubernetes-sigs/cri-tools/releases/download/v1.36.0/crictl-v1.36.0-linux-arm64.tar.gz 68328594
    flanneld https://github.com/flannel-io/flannel/releases/download/v0.28.4/flanneld-arm64 unpublished
    flannel-cni https://github.com/flannel-io/cni-plugin/releases/download/v1.9.1-flannel1/flannel-arm64 unpublished
    ");
}

#[test]
fn images_are_upstreams() {
    let release = release(&newest()).unwrap();
    let references: Vec<String> = release
        .images()
        .into_iter()
        .map(|image| image.reference)
        .collect();
    assert_eq!(
        references,
        [
            "registry.k8s.io/pause:3.10.1",
            "registry.k8s.io/coredns/coredns:v1.14.7",
            "registry.k8s.io/metrics-server/metrics-server:v0.9.0",
            "ghcr.io/flannel-io/flannel:v0.28.4",
        ]
    );
}

#[test]
fn archive_members_carry_the_version_where_upstream_does() {
    let (artifact, file) = release(&newest())
        .unwrap()
        .binary("etcdctl", Platform::Amd64)
        .unwrap();
    assert_eq!(artifact.file_name(), "etcd-v3.6.16-linux-amd64.tar.gz");
    assert_eq!(file.member.as_deref(), Some("etcd-v3.6.16-linux-amd64/etcdctl"));
    assert!(artifact.url.starts_with("https://github.com/etcd-io/"));
}

#[test]
fn kubelets_may_be_older_but_never_newer() {
    let apiserver = Version::new(1, 36, 3);
    assert_eq!(check_kubelet(Version::new(1, 36, 4), apiserver), Ok(()));
    assert_eq!(check_kubelet(Version::new(1, 33, 0), apiserver), Ok(()));
    assert!(matches!(
        check_kubelet(Version::new(1, 32, 0), apiserver),
        Err(SkewError::KubeletTooOld { .. })
    ));
    assert!(matches!(
        check_kubelet(Version::new(1, 37, 0), apiserver),
        Err(SkewError::KubeletNewer { .. })
    ));
}

#[test]
fn upgrades_go_forward_one_minor_at_a_time() {
    let from = Version::new(1, 34, 11);
    assert_eq!(check_upgrade(from, Version::new(1, 35, 0)), Ok(()));
    assert_eq!(check_upgrade(from, from), Ok(()));
    assert_eq!(
        check_upgrade(from, Version::new(1, 36, 3))
            .unwrap_err()
            .to_string(),
        "kubernetes cannot go from 1.34.11 to 1.36.3 in one step; go to 1.35 first"
    );
    assert!(matches!(
        check_upgrade(from, Version::new(1, 34, 1)),
        Err(SkewError::Downgrade { .. })
    ));
    assert!(matches!(
        check_etcd_upgrade(Version::new(3, 4, 0), Version::new(3, 6, 16)),
        Err(SkewError::SkipsMinor { .. })
    ));
}
