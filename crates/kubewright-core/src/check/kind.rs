//! The closed list of what a preflight can find. Each entry is its own documentation: the reference page is made of it.

use crate::kinds::kinds;

kinds! {
    /// What was found, without the figures. What hides other findings comes first.
    pub enum Kind {
        /// Returns what is looked at, from which figure on it is found, and where that figure comes from.
        means = 0,
        /// Returns what to do in general; a finding says it with the node's own names and figures.
        remedy = 1,
    }
    /// No connection with the node was possible.
    NodeUnreachable = "node-unreachable":
        "Error. The node does not answer over SSH as it should: no connection, an unknown or changed host key, a refused \
         login, no root rights, or no place for the agent. Nothing else is known about the node then.";
        "What the message names; kubewright never types passwords and never accepts a host key by itself.";
    /// Set up for another cluster.
    OtherCluster = "other-cluster":
        "Error. `/etc/kubernetes/kubewright.json` on the node names another cluster, or a cluster of the same name with \
         another CA. Also rule `node-identity` of `plan` and `apply`.";
        "Correct the node's `address`, or run `kubewright reset` with the cluster.yaml of the cluster it belongs to.";
    /// Set up under another name.
    OtherNode = "other-node":
        "Error. The node was set up under another name of this cluster: addresses in cluster.yaml were exchanged, or it \
         was renamed. Also rule `node-identity`.";
        "Give it its old `name`, or correct its `address`.";
    /// One machine, or two clones.
    DuplicateMachineId = "duplicate-machine-id":
        "Error. Two nodes have the same `/etc/machine-id`: two addresses of one machine, or clones of an image that was \
         not made generic. Also rule `node-identity`.";
        "Correct the addresses, or on the clone: `rm -f /etc/machine-id /var/lib/dbus/machine-id && \
         systemd-machine-id-setup && reboot`.";
    /// Two nodes call themselves the same.
    DuplicateHostname = "duplicate-hostname":
        "Error. Two nodes have the same host name: a sign of a cloned image, and their logs and metrics cannot be told \
         apart. It need not be the name in cluster.yaml.";
        "`hostnamectl set-hostname NAME` on one of them.";
    /// One node has the address of another.
    DuplicateAddress = "duplicate-address":
        "Error. A node has, on an interface that is not the pod network's, the `address` of another node: packets reach \
         whichever answers first.";
        "Give it an address of its own, or correct the addresses.";
    /// Two network cards with one hardware address.
    DuplicateMac = "duplicate-mac":
        "Error. The interfaces with the addresses of two nodes have the same hardware address and are on the same network, \
         as clones are: each receives the other's packets.";
        "Give the clone's network card another address in the hypervisor.";
    /// Two machines with one number in the firmware.
    DuplicateProductUuid = "duplicate-product-uuid":
        "Warning. Two machines have the same SMBIOS product UUID, as clones have; drivers for storage and clouds know \
         machines by it. Placeholders of firmware without a number are ignored, and containers, which see that of their \
         computer. No error, because nothing that kubewright installs depends on it and not all firmware lets it be changed.";
        "Give the clone a UUID of its own in the hypervisor.";
    /// Different authorities inside one cluster.
    AuthorityMismatch = "authority-mismatch":
        "Error. Nodes of this cluster hold different certificates of the same authority, so that they cannot trust each \
         other.";
        "Find out which node is the stranger (`openssl x509 -noout -fingerprint -in FILE`); do not apply before that.";
    /// A bootstrapped cluster has a control plane without data.
    MemberWithoutData = "member-without-data":
        "Error. The cluster was bootstrapped before, but a control plane has no etcd data. Also rule \
         `remove-before-add`.";
        "Restore its `/var/lib/etcd`, or take the node out of cluster.yaml.";
    /// In the way, and not kubewright's to remove.
    Blocked = "blocked":
        "Error. Something on the node is where kubewright needs a directory, and it is not one; links are not followed. \
         What is where a file belongs is known to `plan` only: rule `nothing-lost`.";
        "Move it away on the node.";
    /// Traces of another installer.
    Leftovers = "leftovers":
        "Error. Traces of another installer or container runtime (kubeadm, k3s, docker, …) that would fight with \
         kubewright over the same files and ports: its files and units, what a kubelet keeps, interfaces of a pod network, \
         and packet filter rules for services. Nothing is adopted or removed by itself.";
        "Remove it with its own uninstaller.";
    /// A run was interrupted.
    UnfinishedRun = "unfinished-run":
        "Warning. An earlier run of kubewright did not finish on this node.";
        "`kubewright apply` goes on where it stopped.";
    /// No artifacts for the processor.
    Architecture = "architecture":
        "Error. The processor is neither amd64 nor arm64, the two that the catalogue has programs for.";
        "Use another machine.";
    /// No systemd, or too old a one.
    Systemd = "systemd":
        "Error. systemd does not run or is older than 244: `Type=exec` needs 240, and runc's cgroup v2 support needs 244 \
         to give pods the cpuset controller.";
        "Upgrade the operating system.";
    /// The kernel is too old.
    Kernel = "kernel":
        "Error. Linux is older than 5.4, the oldest that Kubernetes 1.36 supports (kubeadm's system validators), or \
         older than 5.13 with `network.proxy: nftables` (kube-proxy refuses it). Warning: older than 5.10 with \
         cgroup v2, which upstream recommends.";
        "Upgrade the kernel, or for nftables: `network.proxy: iptables`.";
    /// The kernel cannot do something.
    KernelModule = "kernel-module":
        "Error. The kernel lacks something it can have as a module: overlay, br_netfilter (with flannel and `bridge`), \
         nf_conntrack (kube-proxy), nf_tables (with `proxy: nftables`), vxlan (flannel). It is neither loaded nor built in, \
         and cannot be loaded: there is no such module, those of the running kernel were replaced by an upgrade, \
         `kernel.modules_disabled` is 1, modprobe's configuration has an `install` line against it, or the node is a \
         container.";
        "What the message names: install the kernel's further modules, reboot, or remove what forbids it.";
    /// A kernel setting cannot be set.
    KernelSetting = "kernel-setting":
        "Error. A kernel setting that kubewright has to set is missing, or differs and cannot be written, as in an \
         unprivileged container.";
        "Use the distribution's ordinary kernel, or set it where the container runs.";
    /// A kernel setting will not last.
    KernelSettingUndone = "kernel-setting-undone":
        "Error. A file in a sysctl.d directory whose name sorts after `99-kubewright.conf` gives one of these settings \
         another value: the node works until it is rebooted.";
        "Remove that line.";
    /// nft is too old.
    NftVersion = "nft-version":
        "Error. `nft` is older than 1.0.1, which kube-proxy with nftables refuses.";
        "Upgrade nftables, or `network.proxy: iptables`.";
    /// The kubelet refuses cgroup v1.
    CgroupV1 = "cgroup-v1":
        "Error. The node uses cgroup v1, on which the kubelet refuses to start since 1.35. Warning, if \
         `components.kubelet.extraConfig.failCgroupV1` is `false`.";
        "Boot with `systemd.unified_cgroup_hierarchy=1` on the kernel's command line.";
    /// A needed cgroup controller is off.
    CgroupControllers = "cgroup-controllers":
        "Error. One of the cgroup controllers cpu, cpuset, memory, pids is not usable (kubeadm's system validators).";
        "Enable it on the kernel's command line, such as `cgroup_enable=memory`.";
    /// Too little memory.
    Memory = "memory":
        "Error. Less than 1700 MiB on a control plane (kubeadm's limit) or 700 MiB on a worker, where the system, containerd \
         and the kubelet alone leave nothing for pods.";
        "Give the machine more memory.";
    /// Too few processors.
    Processors = "processors":
        "Warning. A control plane has one processor; kubeadm asks for two.";
        "Give the machine two processors.";
    /// Swap is on.
    SwapOn = "swap-on":
        "Warning. Swap is on; the kubelet does not start with it. Error in a container, which cannot turn it off.";
        "None needed: `apply` turns swap off and comments it out in /etc/fstab.";
    /// Swap comes back.
    SwapReturns = "swap-returns":
        "Error. A unit that does not come from /etc/fstab turns swap on at each boot (zram, a service with a swap file, a \
         partition that systemd finds by itself): the kubelet starts until the node is rebooted. Not with \
         `components.kubelet.extraConfig.failSwapOn: false`.";
        "`systemctl mask --now UNIT`.";
    /// No room.
    DiskSpace = "disk-space":
        "Error. A file system has less room than kubewright fills (1 GiB each for programs, images and etcd, 256 MiB for \
         the kubelet, 64 MiB elsewhere; a quarter on a node that is set up already; needs add up where directories \
         share a file system), or would then be below the kubelet's eviction limit (10 % for /var/lib/kubelet, 15 % for \
         /var/lib/containerd, or `evictionHard` of `components.kubelet.extraConfig`). Warning: below three times the \
         need, which fills with the first images of your own.";
        "Free space, or mount a larger file system there.";
    /// No inodes.
    Inodes = "inodes":
        "Error. Fewer than 10000 free inodes on a file system that is written: one ordinary image has as many files.";
        "Remove files (`df -i` and `du --inodes` tell where they are), or make the file system again with more inodes.";
    /// Not writable.
    ReadOnly = "read-only":
        "Error. A file system kubewright writes to is mounted read-only; after a disk error the kernel does that too.";
        "Read `dmesg`, then `mount -o remount,rw` it.";
    /// Programs cannot be run.
    NoExec = "no-exec":
        "Error. /usr/local/bin, /usr/local/lib or /opt/cni/bin is on a file system mounted `noexec`. `noexec` on /tmp, \
         /run or /var does no harm, except on /var/lib/kubewright (`node-unreachable`).";
        "`mount -o remount,exec`, and the line in /etc/fstab.";
    /// An attribute keeps a path from being changed.
    Immutable = "immutable":
        "Error. A directory kubewright writes into, one of its files, or a file of the system it has to change (/etc/passwd \
         and its like for users that are missing, /etc/fstab for swap) has the immutable or append-only attribute.";
        "`chattr -i PATH` or `chattr -a PATH`.";
    /// A port is taken.
    PortInUse = "port-in-use":
        "Error. Something that is not kubewright's listens on a TCP port a component needs.";
        "Stop it.";
    /// Nodes cannot connect.
    UnreachablePort = "unreachable-port":
        "Error. A node cannot open a TCP connection to a port of another node that it will need; what listens there is \
         the component or, before it exists, the agent for the length of the check. Warning: for connections only \
         metrics need.";
        "Open the port in the firewall between the nodes.";
    /// The address is not the node's.
    AddressNotOnNode = "address-not-on-node":
        "Error. No interface of the node has the `address` of cluster.yaml, which etcd, the API server and the kubelet \
         bind to; typical of machines behind address translation.";
        "Use an address of the machine itself, and let ssh_config (`HostName`, `ProxyJump`) say how to reach it.";
    /// An interface is inside a range of the cluster.
    AddressInRange = "address-in-range":
        "Error. An interface of the node, which is not the pod network's, has an address inside `network.podCidr` or \
         `network.serviceCidr`; its traffic would be taken for the cluster's.";
        "Choose another range before the first apply, or another address for the interface.";
    /// No default route.
    NoDefaultRoute = "no-default-route":
        "Error. The node has no default route. Connections of the node itself to service addresses (API server to \
         webhooks and metrics) are routed before they are translated, and fail at once.";
        "Add one; on an isolated network it may lead nowhere: `ip route add default dev INTERFACE metric 9999`.";
    /// Clocks differ.
    ClockOffset = "clock-offset":
        "Error. Clocks of control planes are more than 1 s apart (etcd and leader leases), or a clock is more than 4 min \
         off this computer's (certificates are valid from 5 min before they are made). Warning: control planes more \
         than 0.2 s, workers more than 1 s. Measured by round trip; only what exceeds its uncertainty counts.";
        "`timedatectl set-ntp true`; with chrony also `chronyc makestep`.";
    /// Nobody keeps the clock.
    TimeNotSynchronized = "time-not-synchronized":
        "Warning. No time service keeps the node's clock, so that it will drift until it becomes `clock-offset`.";
        "Install chrony or systemd-timesyncd, then `timedatectl set-ntp true`.";
    /// A program is missing.
    MissingCommand = "missing-command":
        "Error. A program that kubewright or a component calls on the node is not installed.";
        "Install the package with the system's package manager.";
    /// SELinux enforces.
    Selinux = "selinux":
        "Warning. SELinux is enforcing; kubewright installs no policy for its units, so a denial may stop one.";
        "If a unit is denied (`ausearch -m avc`): install container-selinux, or `setenforce 0` and `SELINUX=permissive` \
         in /etc/selinux/config.";
}
