//! Room: free bytes and inodes where kubewright writes, and what the kubelet wants to stay free afterwards.

use std::collections::BTreeMap;

use super::quantity::Limit;
use super::text::{bytes, list, shown, word};
use super::{Found, Kind, Look, Subject};
use crate::observed::Disk;
use crate::spec::{Cluster, ComponentName};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Below so many times the need there is a warning.
const COMFORT: u64 = 3;
/// A node that is set up already needs this part of it: room to replace what is there, piece by piece.
const PART_ON_OWN_NODE: u64 = 4;
/// Configuration, logs and temporary files.
const SMALL_NEED: u64 = 64 * MIB;
/// Where kubewright puts programs.
const PROGRAMS: [&str; 3] = ["/opt/cni/bin", "/usr/local/bin", "/usr/local/lib"];
/// Ordinary images have some thousands of files each.
const LEAST_INODES: u64 = 10_000;

/// What kubewright fills in a fresh directory, rounded up: the programs of a control plane are 0.7 GiB, the images
/// 0.4 GiB packed and unpacked, etcd preallocates its log and grows to its quota over time.
fn need(directory: &str, is_control_plane: bool) -> u64 {
    match directory {
        "/var/lib/etcd" if is_control_plane => GIB,
        // Not used, or counted with what is above and asked about because it can be a mount of its own.
        "/var/lib/etcd" | "/etc/kubernetes" | "/etc/systemd/system" | "/opt/cni/bin" | "/usr/local/lib" => 0,
        "/usr/local" | "/usr/local/bin" | "/var/lib/containerd" => GIB,
        "/var/lib/kubelet" => 256 * MIB,
        _ => SMALL_NEED,
    }
}

/// One file system, and what of it kubewright uses.
struct Volume<'a> {
    disk: &'a Disk,
    directories: Vec<&'a str>,
    need: u64,
}

impl Volume<'_> {
    /// The directories that need the most; the small ones only where there is no other.
    fn uses(&self, is_control_plane: bool) -> String {
        let is_large = |directory: &&&str| need(directory, is_control_plane) > SMALL_NEED;
        let large: Vec<&&str> = self.directories.iter().filter(is_large).collect();
        if large.is_empty() {
            list(self.directories.iter().map(|directory| shown(directory)))
        } else {
            list(large.iter().map(|directory| shown(directory)))
        }
    }
}

pub(super) fn judge(look: &Look, found: &mut Found) {
    let limits = Limits::of(look.cluster);
    for subject in &look.subjects {
        for volume in volumes(subject).values() {
            judge_volume(subject, volume, found);
            judge_eviction(subject, volume, &limits, found);
        }
    }
}

fn volumes<'a>(subject: &Subject<'a>) -> BTreeMap<(&'a str, u64), Volume<'a>> {
    let mut volumes: BTreeMap<(&str, u64), Volume> = BTreeMap::new();
    for (directory, disk) in &subject.facts.disks {
        let mut need = need(directory, subject.node.is_control_plane());
        if subject.is_own {
            need /= PART_ON_OWN_NODE;
        }
        let volume = volumes
            .entry((disk.mount.as_str(), disk.total_bytes))
            .or_insert_with(|| Volume {
                disk,
                directories: Vec::new(),
                need: 0,
            });
        volume.directories.push(directory);
        volume.need += need;
    }
    volumes
}

fn judge_volume(subject: &Subject, volume: &Volume, found: &mut Found) {
    let Volume { disk, need, .. } = volume;
    let mount = shown(&disk.mount);
    let place = word(&disk.mount, "that file system");
    let uses = volume.uses(subject.node.is_control_plane());
    if disk.read_only {
        found.error(
            Kind::ReadOnly,
            subject.name(),
            format!("{mount} is mounted read-only; kubewright writes to {uses}"),
            format!(
                "read dmesg for the reason, then: mount -o remount,rw {}",
                word(&disk.mount, "MOUNTPOINT")
            ),
        );
        return;
    }
    let programs: Vec<&str> = volume
        .directories
        .iter()
        .copied()
        .filter(|directory| PROGRAMS.contains(directory))
        .collect();
    if disk.no_exec && !programs.is_empty() {
        found.error(
            Kind::NoExec,
            subject.name(),
            format!(
                "{mount} is mounted noexec; the binaries in {} cannot be run there",
                list(&programs)
            ),
            format!(
                "mount -o remount,exec {}, and remove noexec from its line in /etc/fstab",
                word(&disk.mount, "MOUNTPOINT")
            ),
        );
    }
    if let Some(inodes) = disk.free_inodes.filter(|inodes| *inodes < LEAST_INODES) {
        found.error(
            Kind::Inodes,
            subject.name(),
            format!("{mount} has {inodes} free inodes, {LEAST_INODES} are needed for {uses}"),
            format!(
                "remove files; du --inodes -xS {} | sort -n shows where they are",
                word(&disk.mount, "MOUNTPOINT")
            ),
        );
    }
    let room = bytes(disk.free_bytes);
    if disk.free_bytes < *need {
        found.error(
            Kind::DiskSpace,
            subject.name(),
            format!("{mount} has {room} free, {} are needed for {uses}", bytes(*need)),
            format!("free space on {place}, or mount a larger file system at one of these directories"),
        );
    } else if disk.free_bytes < need.saturating_mul(COMFORT) && !subject.is_own {
        found.warning(
            Kind::DiskSpace,
            subject.name(),
            format!(
                "{mount} has {room} free; kubewright needs {} of it ({uses}), which leaves little for your images and data",
                bytes(*need)
            ),
            format!("free space on {place}, or mount a larger file system at one of these directories"),
        );
    }
}

/// After an apply the kubelet must not begin with evicting pods.
fn judge_eviction(subject: &Subject, volume: &Volume, limits: &Limits, found: &mut Found) {
    let disk = volume.disk;
    if disk.read_only || disk.total_bytes == 0 || disk.free_bytes < volume.need {
        return;
    }
    let left = if subject.is_own {
        disk.free_bytes
    } else {
        disk.free_bytes - volume.need
    };
    let strictest = [
        ("/var/lib/kubelet", limits.kubelet),
        ("/var/lib/containerd", limits.images),
    ]
    .into_iter()
    .filter(|(directory, _)| volume.directories.contains(directory))
    .filter_map(|(directory, limit)| Some((directory, limit?, limit?.of(disk.total_bytes))))
    .max_by_key(|(_, _, wanted)| *wanted);
    let Some((directory, limit, wanted)) = strictest.filter(|(_, _, wanted)| left < *wanted) else {
        return;
    };
    let mount = shown(&disk.mount);
    let place = word(&disk.mount, "that file system");
    let when = if subject.is_own { "has" } else { "will have" };
    found.error(
        Kind::DiskSpace,
        subject.name(),
        format!(
            "{mount} {when} {} of {} free; the kubelet evicts pods below {} ({}) for {directory}",
            bytes(left),
            bytes(disk.total_bytes),
            limit.text(),
            bytes(wanted),
        ),
        format!(
            "free space on {place}, or mount a larger file system at {directory}, or set evictionHard under \
             components.kubelet.extraConfig in cluster.yaml"
        ),
    );
}

/// What the kubelet wants free before it evicts pods; `None` where it does not look.
struct Limits {
    kubelet: Option<Limit>,
    images: Option<Limit>,
}

impl Limits {
    /// The kubelet's defaults, unless the user's `evictionHard` replaces them: a signal it does not name has no limit
    /// then, except with `mergeDefaultEvictionSettings`.
    fn of(cluster: &Cluster) -> Self {
        let defaults = Self {
            kubelet: Some(Limit::Percent(10.0)),
            images: Some(Limit::Percent(15.0)),
        };
        let Some(overrides) = cluster.overrides(ComponentName::Kubelet) else {
            return defaults;
        };
        let Some(hard) = overrides.extra_config.get("evictionHard") else {
            return defaults;
        };
        let merged = overrides
            .extra_config
            .get("mergeDefaultEvictionSettings")
            .is_some_and(|value| value == true);
        let limit = |signal: &str, default: Option<Limit>| match hard.get(signal) {
            Some(value) => Limit::parse(value),
            None if merged => default,
            None => None,
        };
        Self {
            kubelet: limit("nodefs.available", defaults.kubelet),
            images: limit("imagefs.available", defaults.images),
        }
    }
}
