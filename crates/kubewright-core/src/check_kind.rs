//! The closed list of what a preflight can find. Each entry is its own documentation: the reference page is made of it.
//!
//! It lies below the cluster's file, which names findings that a person accepts, and below the checks that make them.

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
        "Error. kubewright cannot work on the node over SSH: no connection, an unknown or changed host key, a refused login, \
         no root rights, or no directory for the agent. The node is not checked further.";
        "Fix what the message names. kubewright never types passwords and never accepts a host key by itself.";
    /// Set up for another cluster.
    OtherCluster = "other-cluster":
        "Error. `/etc/kubernetes/kubewright.json` on the node names another cluster, or a cluster of the same name with \
         another CA. Also rule `node-identity` of `plan` and `apply`.";
        "Correct the node's `address`, or run `kubewright reset` with the cluster.yaml of the cluster it belongs to.";
    /// Set up under another name.
    OtherNode = "other-node":
        "Error. The node was set up under another name in this cluster: addresses in cluster.yaml were swapped, or the node \
         was renamed. Also rule `node-identity`.";
        "Restore its old `name`, or correct its `address`.";
    /// One machine, or two clones.
    DuplicateMachineId = "duplicate-machine-id":
        "Error. Two nodes have the same `/etc/machine-id`: two addresses of one machine, or clones of an image that \
         contains one. Also rule `node-identity`.";
        "Correct the addresses, or on the clone: `rm -f /etc/machine-id /var/lib/dbus/machine-id && \
         systemd-machine-id-setup && reboot`.";
    /// Two nodes call themselves the same.
    DuplicateHostname = "duplicate-hostname":
        "Error. Two nodes have the same host name: typical of a cloned image, and their logs and metrics cannot be told \
         apart. The host name need not be the name in cluster.yaml.";
        "`hostnamectl set-hostname NAME` on one of them.";
    /// One node has the address of another.
    DuplicateAddress = "duplicate-address":
        "Error. An interface of a node has the `address` of another node: packets reach the one that answers first. \
         Interfaces of the pod network are ignored.";
        "Give it an address of its own, or correct the addresses.";
    /// Two network cards with one hardware address.
    DuplicateMac = "duplicate-mac":
        "Error. Two nodes on the same network have the same MAC address (typical of cloned VMs): each receives the \
         other's packets.";
        "Give the clone's network card another MAC address in the hypervisor.";
    /// Two machines with one number in the firmware.
    DuplicateProductUuid = "duplicate-product-uuid":
        "Warning. Two machines have the same SMBIOS product UUID (typical of cloned VMs). Some CSI drivers and cloud \
         controllers identify machines by it. kubewright itself does not use it. Placeholder UUIDs and containers are \
         ignored.";
        "Give the clone a UUID of its own in the hypervisor.";
    /// Different authorities inside one cluster.
    AuthorityMismatch = "authority-mismatch":
        "Error. Nodes of this cluster have different certificates of the same CA, so they do not trust each other.";
        "Find out which node does not belong to this cluster (`openssl x509 -noout -fingerprint -in FILE`). Do not apply \
         before that.";
    /// A member of a bootstrapped etcd has no data.
    MemberWithoutData = "member-without-data":
        "Error. A control plane was a member of etcd and has no etcd data. Also rule `remove-before-add`.";
        "If the old disk is readable, put its `/var/lib/etcd` back (never an older copy). Otherwise `kubewright plan` says \
         what to do.";
    /// In the way, and not kubewright's to remove.
    Blocked = "blocked":
        "Error. A file or symbolic link is where kubewright needs a directory; links are not followed. The opposite (a \
         directory where a file belongs) is found by `plan`: rule `nothing-lost`.";
        "Move it away on the node.";
    /// Traces of another installer.
    Leftovers = "leftovers":
        "Error. Traces of another installer or container runtime (kubeadm, k3s, docker, …) that uses the same files and \
         ports: files, units, kubelet data, pod network interfaces, packet filter rules for services. kubewright neither \
         adopts nor removes them.";
        "Remove them with the uninstaller of that software.";
    /// A run was interrupted.
    UnfinishedRun = "unfinished-run":
        "Warning. An earlier run of kubewright did not finish on this node.";
        "`kubewright apply` continues where it stopped; `kubewright undo --node NAME` rolls it back.";
    /// No artifacts for the processor.
    Architecture = "architecture":
        "Error. The processor is neither amd64 nor arm64, the two supported ones.";
        "Use another machine.";
    /// No systemd, or too old a one.
    Systemd = "systemd":
        "Error. systemd does not run or is older than 244: `Type=exec` needs 240, and runc with cgroup v2 needs 244 for \
         the cpuset controller.";
        "Upgrade the operating system.";
    /// The kernel is too old.
    Kernel = "kernel":
        "Error. Linux is older than 5.4, the oldest kernel that Kubernetes supports (kubeadm's system validators), or \
         older than 5.13 with `network.proxy: nftables` (kube-proxy refuses it). Warning: older than 5.10 with \
         cgroup v2 (upstream's recommendation).";
        "Upgrade the kernel. If only nftables needs it, `network.proxy: iptables` is the alternative.";
    /// The kernel cannot do something.
    KernelModule = "kernel-module":
        "Error. A needed kernel module is neither built in nor loaded, and cannot be loaded: overlay, br_netfilter (flannel and \
         `bridge`), nf_conntrack (kube-proxy), nf_tables (`proxy: nftables`), vxlan (flannel). Possible reasons: the \
         module is not installed, an upgrade replaced the modules of the running kernel, `kernel.modules_disabled` is 1, \
         modprobe's configuration has an `install` line for it, or the node is a container.";
        "Follow the message: install the kernel's extra modules, reboot, or remove what blocks it.";
    /// A kernel setting cannot be set.
    KernelSetting = "kernel-setting":
        "Error. A sysctl that kubewright sets does not exist, or differs and cannot be written (for example in an \
         unprivileged container).";
        "Use the distribution's standard kernel, or set it on the host of the container.";
    /// A kernel setting will not last.
    KernelSettingUndone = "kernel-setting-undone":
        "Error. A file in a sysctl.d directory whose name sorts after `99-kubewright.conf` sets one of these sysctls to \
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
        "Error. One of the cgroup controllers cpu, cpuset, memory, pids is not available (kubeadm's system validators).";
        "Enable it on the kernel's command line, such as `cgroup_enable=memory`.";
    /// Too little memory.
    Memory = "memory":
        "Error. Less than 1700 MiB on a control plane (kubeadm's limit) or 700 MiB on a worker (the system, containerd and \
         the kubelet leave nothing for pods).";
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
         partition that systemd discovers): the kubelet runs until the next reboot. Not checked with \
         `components.kubelet.extraConfig.failSwapOn: false`.";
        "`systemctl mask --now UNIT`.";
    /// No room.
    DiskSpace = "disk-space":
        "Error. A file system has less free space than kubewright needs: 1 GiB each for binaries, images and etcd, 256 MiB for \
         the kubelet, 64 MiB elsewhere; a quarter of that on a node that is set up already; added up where directories \
         share a file system. Also an error: free space would then be below the kubelet's eviction limit (10 % for \
         /var/lib/kubelet, 15 % for /var/lib/containerd, or `evictionHard` of `components.kubelet.extraConfig`). \
         Warning: less than three times the need.";
        "Free space, or mount a larger file system there.";
    /// etcd's database is filling up.
    EtcdDatabase = "etcd-database":
        "Warning. The database of an etcd member fills 60 % or more of its quota (`quota-backend-bytes`, 8 GiB unless \
         cluster.yaml says another); from 80 % on urgently. At 100 % etcd raises the alarm NOSPACE and refuses every write.";
        "Delete what fills it (`etcdctl get / --prefix --keys-only` shows the keys), then `etcdctl defrag` on one control \
         plane after the other, the leader last.";
    /// No inodes.
    Inodes = "inodes":
        "Error. Fewer than 10000 free inodes on a file system that kubewright writes to: one ordinary image has as many files.";
        "Remove files (`df -i` and `du --inodes` show where they are), or re-create the file system with more inodes.";
    /// Not writable.
    ReadOnly = "read-only":
        "Error. A file system that kubewright writes to is mounted read-only. The kernel also does this after a disk error.";
        "Read `dmesg`, then remount it: `mount -o remount,rw MOUNTPOINT`.";
    /// Programs cannot be run.
    NoExec = "no-exec":
        "Error. /usr/local/bin, /usr/local/lib or /opt/cni/bin is on a file system mounted `noexec`. `noexec` on /tmp, \
         /run or /var does no harm, except on /var/lib/kubewright (`node-unreachable`).";
        "`mount -o remount,exec MOUNTPOINT`, and remove `noexec` from its line in /etc/fstab.";
    /// An attribute keeps a path from being changed.
    Immutable = "immutable":
        "Error. A directory that kubewright writes to, one of its files, or a system file that it has to change (/etc/passwd, \
         /etc/group and their shadow files for missing users, /etc/fstab for swap) has the immutable or append-only \
         attribute.";
        "`chattr -i PATH` or `chattr -a PATH`.";
    /// A slow disk for etcd.
    DiskSync = "disk-sync":
        "Error. Of 500 small writes in the file system of /var/lib/etcd, each followed by `fdatasync` as etcd does it, one in \
         a hundred took 50 ms or longer (half of etcd's heartbeat interval): leaders would change whenever the disk is busy. \
         Warning from 10 ms on (etcd's own advice). Measured for 10 s at most, on control planes whose etcd has no \
         member yet.";
        "Give /var/lib/etcd a faster disk (SSD) that nothing else keeps busy.";
    /// A port is taken.
    PortInUse = "port-in-use":
        "Error. Another process listens on a TCP port that a component needs.";
        "Stop that process, or move it to another port.";
    /// Nodes cannot connect.
    UnreachablePort = "unreachable-port":
        "Error. A node cannot open a TCP connection to a port of another node that it will need. The component listens there \
         or, before it exists, the agent during the check. Warning: only metrics need the connection.";
        "Open the port in the firewall between the nodes.";
    /// Nodes cannot send datagrams.
    UnreachableUdp = "unreachable-udp":
        "Error. Datagrams from a node to UDP 8472 (VXLAN, `cni: flannel`) of a node that is not set up yet, where the agent \
         sends them back during the check, do not come back: pods on different nodes would not reach each other.";
        "Open the UDP port in the firewall between the nodes.";
    /// Large packets are lost.
    PathMtu = "path-mtu":
        "Error. Packets as large as the MTU of the sending node's interface do not arrive at another node, small ones do, and \
         nobody tells the sender: connections between the nodes would stop at the first large answer. Tried together \
         with `unreachable-udp`.";
        "Give the interfaces of all nodes the MTU of the network between them.";
    /// The address is not the node's.
    AddressNotOnNode = "address-not-on-node":
        "Error. No interface of the node has the `address` from cluster.yaml, which etcd, the API server and the kubelet \
         bind to. Typical of machines behind NAT.";
        "Use an address of the machine itself, and let ssh_config (`HostName`, `ProxyJump`) say how to reach it.";
    /// An interface is inside a range of the cluster.
    AddressInRange = "address-in-range":
        "Error. An interface of the node has an address inside `network.podCidr` or `network.serviceCidr`: its traffic would \
         be treated as cluster traffic. Interfaces of the pod network are ignored.";
        "Choose another range before the first apply, or another address for the interface.";
    /// A route is inside a range of the cluster.
    RouteInRange = "route-in-range":
        "Error. A route of the node leads into `network.podCidr` or `network.serviceCidr` through an interface that is not the \
         pod network's: packets to pods or services would leave through it. Not checked on nodes that are set up.";
        "Choose another range before the first apply, or remove the route.";
    /// Forwarded packets are dropped.
    ForwardDrop = "forward-drop":
        "Error. A chain of the packet filter through which all forwarded packets go has the policy drop (as ufw and container \
         engines set it), and no rule of its table accepts a range that holds `network.podCidr`, an interface of the pod network, \
         or everything. Not checked on nodes that are set up, nor with `cni: none`.";
        "Accept packets from and to the pods there ([firewall](../how-to/firewall.md)).";
    /// Packets with another way back are dropped.
    ReversePath = "reverse-path-filter":
        "Warning. The node's address is on another interface than its default route, and `rp_filter` is 1 (strict) there: \
         packets from other networks to that address are dropped. Between nodes of one network it does no harm.";
        "`sysctl -w net.ipv4.conf.INTERFACE.rp_filter=2`, if other networks reach the nodes there.";
    /// No default route.
    NoDefaultRoute = "no-default-route":
        "Error. The node has no default route. Connections from the node to service addresses (API server to webhooks and \
         metrics) are routed before kube-proxy translates them, and fail at once.";
        "Add one. On an isolated network it need not lead anywhere: `ip route add default dev INTERFACE metric 9999`.";
    /// No name server for pods.
    NoNameServer = "no-name-server":
        "Warning. No file of the node names a name server that pods can reach, and `dns.upstream` is empty: neither \
         /etc/resolv.conf nor the lists of systemd-resolved and NetworkManager has an address other than loopback. Where \
         the cluster's DNS runs on such a node, it answers the cluster's own names, and others at once with SERVFAIL.";
        "Give the node a name server, or name one under `dns.upstream`. An isolated network may have none.";
    /// A name server that is in a range of the cluster.
    NameServerInRange = "name-server-in-range":
        "Error. The name server that the kubelet would pass on to pods is inside `network.podCidr` or \
         `network.serviceCidr`: questions to it stay in the cluster.";
        "Choose another range before the first apply, or another name server.";
    /// More name servers or search domains than pods can have.
    ResolverLimits = "resolver-limits":
        "Warning. The file that the kubelet passes on has more than 3 name servers, more than 29 search domains, or more \
         than 1289 characters of them; the kubelet leaves out the rest (`MaxDNSNameservers`, `MaxDNSSearchPaths` and \
         `MaxDNSSearchListChars` of Kubernetes, less the cluster's own three domains).";
        "Remove some of them from the node's resolv.conf.";
    /// Clocks differ.
    ClockOffset = "clock-offset":
        "Error. Clocks of control planes are more than 1 s apart (etcd and leader leases), or a clock differs by more than 4 min \
         from your workstation's (certificates are valid from 5 min before they are issued). Warning: control planes \
         more than 0.2 s apart, workers more than 1 s. The measuring error of the round trip is subtracted.";
        "`timedatectl set-ntp true`; with chrony also `chronyc makestep`.";
    /// An authority is in its last year.
    AuthorityEnds = "authority-ends":
        "Warning. A certificate authority of this cluster ends within a year: everything it signed ends with it, certificates \
         issued from now on earlier than usual. Certificates are renewed until its last day.";
        "Plan its replacement: an authority cannot be rotated by kubewright yet.";
    /// Nobody keeps the clock.
    TimeNotSynchronized = "time-not-synchronized":
        "Warning. No time service synchronizes the node's clock, so it will drift until it becomes `clock-offset`.";
        "Install chrony or systemd-timesyncd, then `timedatectl set-ntp true`.";
    /// A program is missing.
    MissingCommand = "missing-command":
        "Error. A program that kubewright or a component runs on the node is not installed.";
        "Install its package; the message names it. The [list of all](requirements.md#programs) says what runs each.";
    /// SELinux enforces.
    Selinux = "selinux":
        "Warning. SELinux is enforcing. kubewright installs no policy for its units, so SELinux may stop one of them.";
        "If a unit is denied (`ausearch -m avc`): install container-selinux, or `setenforce 0` and `SELINUX=permissive` \
         in /etc/selinux/config.";
}

impl Kind {
    /// Returns why no file can accept it: it would make another cluster's machines or data this one's, or `apply`
    /// cannot do its work there, whatever anybody has judged.
    pub const fn never_accepted(self) -> Option<&'static str> {
        match self {
            Self::NodeUnreachable => Some("nothing can be done on a node that cannot be worked on"),
            Self::OtherCluster | Self::OtherNode | Self::DuplicateMachineId => {
                Some("it protects the machines of other nodes and clusters")
            }
            Self::DuplicateAddress | Self::AddressNotOnNode => {
                Some("nothing can be reached at an address that is another machine's")
            }
            Self::AuthorityMismatch | Self::MemberWithoutData => Some("it protects the cluster's data"),
            Self::Architecture | Self::Blocked | Self::Immutable | Self::ReadOnly => {
                Some("apply cannot put on the node what it has to")
            }
            _ => None,
        }
    }
}
