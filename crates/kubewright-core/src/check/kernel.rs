//! What the kernel has to do for pods: modules, settings that can be set and stay set, nftables' program.

use super::text::{list, shown, word};
use super::{Found, Kind, Look, Subject};
use crate::component::host;
use crate::observed::ModuleState;
use crate::spec::{Cluster, Cni, ComponentName, ProxyMode};

/// knftables, with which kube-proxy writes its rules, refuses older ones.
const OLDEST_NFT: (u32, u32, u32) = (1, 0, 1);

pub(super) fn judge(look: &Look, found: &mut Found) {
    for subject in &look.subjects {
        modules(look.cluster, subject, found);
        settings(look.cluster, subject, found);
        nft(look.cluster, subject, found);
    }
}

/// What needs a module on this cluster's nodes; `None` when nothing does.
fn user_of(cluster: &Cluster, module: &str) -> Option<&'static str> {
    let has_own_network = matches!(cluster.network.cni, Cni::Flannel | Cni::Bridge);
    let is_flannel = cluster.network.cni == Cni::Flannel;
    let proxy = cluster.network.proxy;
    match module {
        "overlay" => Some("containerd, for the file systems of containers"),
        "br_netfilter" if is_flannel => Some("flannel, which does not start without it"),
        "br_netfilter" if has_own_network => Some("services whose pods are on the same node"),
        "nf_conntrack" if proxy != ProxyMode::None => Some("kube-proxy"),
        "nf_tables" if proxy == ProxyMode::Nftables => Some("kube-proxy with nftables"),
        "nf_tables" if proxy == ProxyMode::None && has_own_network => Some("the pod network"),
        "vxlan" if is_flannel => Some("flannel"),
        _ => None,
    }
}

fn modules(cluster: &Cluster, subject: &Subject, found: &mut Found) {
    let mut absent = Vec::new();
    let mut gone: Option<(&str, Vec<&str>)> = None;
    for (module, state) in &subject.facts.modules {
        let Some(user) = user_of(cluster, module) else {
            continue;
        };
        let name = word(module, "MODULE");
        match state {
            ModuleState::Present {} | ModuleState::Loadable {} | ModuleState::Unknown {} => {}
            ModuleState::Absent {} => absent.push(format!("{name} (for {user})")),
            ModuleState::OtherKernel { release } => {
                gone.get_or_insert((release, Vec::new())).1.push(name);
            }
            ModuleState::Locked {} => found.error(
                Kind::KernelModule,
                subject.name(),
                format!(
                    "{name} (for {user}) is not loaded, and kernel.modules_disabled = 1 forbids loading it until the \
                     next boot"
                ),
                format!(
                    "load it at boot, before that is set: echo {name} >> /etc/modules-load.d/kubernetes.conf, then reboot"
                ),
            ),
            ModuleState::Blocked { by } => found.error(
                Kind::KernelModule,
                subject.name(),
                format!("{name} (for {user}) cannot be loaded: {} blocks it", shown(by)),
                format!(
                    "remove the line that begins with `install {name}` from {}",
                    word(by, "that file")
                ),
            ),
            ModuleState::OnHost {} => found.error(
                Kind::KernelModule,
                subject.name(),
                format!("{name} (for {user}) is not loaded, and a container cannot load it"),
                format!("on the host of the container: modprobe {name}"),
            ),
        }
    }
    let release = shown(&subject.facts.kernel);
    if !absent.is_empty() {
        found.error(
            Kind::KernelModule,
            subject.name(),
            format!("the kernel {release} has no {}", list(absent)),
            packages(subject),
        );
    }
    if let Some((other, names)) = gone {
        found.error(
            Kind::KernelModule,
            subject.name(),
            format!(
                "{} cannot be loaded: the modules of the running kernel {release} are gone; those of {} are installed",
                list(names),
                shown(other)
            ),
            "the kernel was upgraded: reboot the node",
        );
    }
}

/// Where a kernel's rarer modules are.
fn packages(subject: &Subject) -> String {
    let release = word(&subject.facts.kernel, "RELEASE");
    match subject.facts.os_id.as_str() {
        "ubuntu" => format!("apt-get install linux-modules-extra-{release}, or boot a kernel that has it"),
        "rhel" | "centos" | "rocky" | "almalinux" | "fedora" | "ol" => {
            format!(
                "dnf install kernel-modules-{release} kernel-modules-extra-{release}, or boot a kernel that has it"
            )
        }
        _ => {
            "install the package with the kernel's extra modules, or boot the distribution's standard kernel"
                .to_owned()
        }
    }
}

fn settings(cluster: &Cluster, subject: &Subject, found: &mut Found) {
    let required = host::REQUIRED.into_iter().chain([host::forwarding(cluster)]);
    for (key, wanted) in required {
        let Some(setting) = subject.facts.settings.get(key) else {
            continue;
        };
        match &setting.value {
            None => found.error(
                Kind::KernelSetting,
                subject.name(),
                format!("this kernel has no sysctl {key}"),
                "use the distribution's standard kernel",
            ),
            Some(value) if value != wanted && !setting.writable => found.error(
                Kind::KernelSetting,
                subject.name(),
                format!(
                    "{key} is {}, must be {wanted}, and cannot be changed here",
                    shown(value)
                ),
                match subject.facts.container {
                    Some(_) => format!("on the host of the container: sysctl -w {key}={wanted}"),
                    None => "find out what makes /proc/sys read-only".to_owned(),
                },
            ),
            Some(_) => {}
        }
    }
    let is_kubelets_own = cluster
        .overrides(ComponentName::Kubelet)
        .and_then(|overrides| overrides.extra_config.get("protectKernelDefaults"))
        .is_some_and(|value| value == false);
    let bridged = host::BRIDGED.into_iter().filter(|(key, _)| !key.contains("ip6"));
    let lasting = host::REQUIRED
        .into_iter()
        .chain([host::forwarding(cluster)])
        .chain(bridged);
    for (key, wanted) in lasting {
        let setting = subject.facts.settings.get(key);
        let Some(later) = setting.and_then(|setting| setting.later.as_ref()) else {
            continue;
        };
        if later.value != wanted {
            let harm = match key.starts_with("net.") {
                true => "pods lose their connections",
                false if is_kubelets_own => continue,
                false => "the kubelet does not start",
            };
            found.error(
                Kind::KernelSettingUndone,
                subject.name(),
                format!(
                    "{} sets {key} = {} after kubewright's file: after the next boot, {harm}",
                    shown(&later.path),
                    shown(&later.value)
                ),
                format!(
                    "remove that line from {}, or set it to {wanted}",
                    word(&later.path, "the file")
                ),
            );
        }
    }
}

fn nft(cluster: &Cluster, subject: &Subject, found: &mut Found) {
    let version = subject.facts.nft_version.as_str();
    if cluster.network.proxy != ProxyMode::Nftables || numbers(version).is_none_or(|has| has >= OLDEST_NFT) {
        return;
    }
    found.error(
        Kind::NftVersion,
        subject.name(),
        format!(
            "nft is {}; kube-proxy with nftables needs 1.0.1 or newer",
            shown(version)
        ),
        "upgrade the package nftables, or set network.proxy: iptables in cluster.yaml",
    );
}

/// `1.0.6` as numbers.
fn numbers(version: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((
        numbers.next()??,
        numbers.next()??,
        numbers.next().flatten().unwrap_or(0),
    ))
}
