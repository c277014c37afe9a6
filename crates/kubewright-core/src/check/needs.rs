//! What the agent looks at because an apply will need it: places it writes to, and what the kernel can do.

/// Directories kubewright makes or writes into, and those above them. The agent follows no link in any of them.
pub const PLACES: [&str; 36] = [
    "/etc",
    "/etc/cni",
    "/etc/containerd",
    "/etc/containerd/certs.d",
    "/etc/kubernetes",
    "/etc/kubernetes/pki",
    "/etc/kubernetes/pki/etcd",
    "/etc/kubewright",
    "/etc/kubewright/bridge",
    "/etc/kubewright/cni",
    "/etc/kubewright/flannel",
    "/etc/modules-load.d",
    "/etc/sysctl.d",
    "/etc/systemd",
    "/etc/systemd/journald.conf.d",
    "/etc/systemd/system",
    "/etc/systemd/system/multi-user.target.wants",
    "/opt",
    "/opt/cni",
    "/opt/cni/bin",
    "/usr",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/local/lib/kubewright",
    "/usr/local/lib/kubewright/stand-ins",
    "/var",
    "/var/lib",
    "/var/lib/etcd",
    "/var/lib/kube-proxy",
    "/var/lib/kubelet",
    "/var/lib/kubelet/pki",
    "/var/lib/kubewright",
    "/var/lib/kubewright-proxy",
    "/var/log",
    "/var/log/kubernetes",
];

/// What some configuration of a node needs of its kernel, by the name of the module that brings it.
pub const MODULES: [&str; 5] = ["br_netfilter", "nf_conntrack", "nf_tables", "overlay", "vxlan"];

/// The kernel settings that some configuration of a node needs.
pub fn setting_keys() -> impl Iterator<Item = &'static str> {
    crate::component::host::REQUIRED
        .iter()
        .chain(&crate::component::host::FORWARDING)
        .chain(&crate::component::host::BRIDGED)
        .map(|(key, _)| *key)
}
