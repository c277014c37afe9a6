//! The operating system below: kernel settings, modules, swap, the journal.
//!
//! The kernel settings are those the kubelet checks with `protectKernelDefaults`, forwarding, and a bound on TCP's
//! retransmission back-off: without it, connections between etcd members that were cut silently come back only tens
//! of seconds after the network (the key exists from Linux 6.15 and counts for sockets opened later, so it is set
//! before etcd starts).

use super::description::everywhere;
use super::view::{View, directory, public_file};
use super::{Call, Component, Description, Traces};
use crate::resource::{Access, KernelModule, Resource, Stage, SwapOff, Sysctl};
use crate::spec::Cluster;

/// Required kernel settings.
pub(crate) const REQUIRED: [(&str, &str); 6] = [
    ("kernel.keys.root_maxbytes", "25000000"),
    ("kernel.keys.root_maxkeys", "1000000"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
    ("vm.overcommit_memory", "1"),
    ("vm.panic_on_oom", "0"),
];

/// Forwarding between interfaces, for pods with IPv4 and IPv6 addresses.
pub(crate) const FORWARDING: [(&str, &str); 2] = [
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv6.conf.all.forwarding", "1"),
];

/// Packets on a bridge pass the rules for services. The settings exist while the module is loaded.
pub(crate) const BRIDGED: [(&str, &str); 2] = [
    ("net.bridge.bridge-nf-call-ip6tables", "1"),
    ("net.bridge.bridge-nf-call-iptables", "1"),
];

/// Other kernel settings that not every kernel has.
const OPTIONAL_SYSCTLS: [(&str, &str); 3] = [
    ("fs.inotify.max_user_instances", "8192"),
    ("fs.inotify.max_user_watches", "524288"),
    ("net.ipv4.tcp_rto_max_ms", "2000"),
];

/// Modules; all may be built in, and a kernel that lacks one fails the checks before this.
const MODULES: [&str; 4] = ["br_netfilter", "nf_conntrack", "overlay", "vxlan"];

const JOURNAL: &str = "\
# Written by kubewright. The journal survives a reboot, so that what led to one can be read after it.
[Journal]
Storage=persistent
SystemMaxUse=2G
";

/// The operating system, on every node.
pub const DESCRIPTION: Description = Description {
    // What kubewright's agent runs on every node, whatever is on it; the carrier's own programs are said there.
    calls: &[
        Call::always("groupadd"),
        Call::always("kill"),
        Call::always("modprobe"),
        Call::always("swapoff"),
        Call::always("umount"),
        Call::always("useradd"),
        Call::always("userdel"),
        Call::always("usermod"),
    ],
    traces: Traces {
        directories: &["/etc/kubernetes"],
        ..Traces::NONE
    },
    ..Description::new("host", Stage::Host, everywhere)
};

/// The operating system of a node.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    let resources = &mut component.reads;
    resources.push(directory("/etc/kubernetes", Access::root(0o755)));
    for name in MODULES {
        resources.push(Resource::KernelModule(KernelModule {
            name: name.to_owned(),
            optional: true,
        }));
    }
    let (key, value) = forwarding(view.cluster);
    resources.push(sysctl(key, value, false));
    resources.extend(REQUIRED.map(|(key, value)| sysctl(key, value, false)));
    let mut optional = [&OPTIONAL_SYSCTLS[..], &BRIDGED].concat();
    optional.sort_unstable();
    resources.extend(optional.into_iter().map(|(key, value)| sysctl(key, value, true)));
    resources.push(Resource::SwapOff(SwapOff {}));
    resources.push(directory("/etc/systemd/journald.conf.d", Access::root(0o755)));
    resources.push(public_file(
        "/etc/systemd/journald.conf.d/50-kubewright.conf",
        JOURNAL,
    ));
    component
}

/// What forwards packets of a cluster's pods.
pub(crate) fn forwarding(cluster: &Cluster) -> (&'static str, &'static str) {
    let [four, six] = FORWARDING;
    if cluster.network.pod_cidr.is_ipv4() {
        four
    } else {
        six
    }
}

fn sysctl(key: &str, value: &str, optional: bool) -> Resource {
    Resource::Sysctl(Sysctl {
        key: key.to_owned(),
        value: value.to_owned(),
        optional,
    })
}
