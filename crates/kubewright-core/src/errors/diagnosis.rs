//! From the last lines of a service's journal to the probable cause and the next command.
//!
//! A table of words that upstream's programs, systemd and the kernel are known to say, and of what they mean on a
//! machine that kubewright set up. It is a guess and shown as one: the lines themselves are shown, too.

/// What log lines point to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Its stable id, in the reference page.
    pub id: &'static str,
    /// The probable cause.
    pub cause: &'static str,
    /// What to do; `NODE` and `UNIT` stand for their names.
    next: &'static str,
    /// Any of these, in lower case, each a list of words that one line must have.
    signs: &'static [&'static [&'static str]],
}

impl Diagnosis {
    /// Every diagnosis, the ones that explain others first.
    pub const ALL: &'static [Self] = &TABLE;

    /// Returns what to do, with the node and the unit named.
    pub fn next(&self, node: Option<&str>, unit: Option<&str>) -> String {
        self.next
            .replace("NODE", node.unwrap_or("the node"))
            .replace("UNIT", unit.unwrap_or("the unit"))
    }

    /// Returns what is looked for, for the reference page.
    pub fn signs(&self) -> impl Iterator<Item = String> {
        self.signs.iter().map(|words| words.join(" … "))
    }

    fn fits(&self, line: &str) -> bool {
        self.signs
            .iter()
            .any(|words| words.iter().all(|word| line.contains(word)))
    }
}

const TABLE: [Diagnosis; 25] = [
    Diagnosis {
        id: "disk-full",
        cause: "a file system of the node is full",
        next: "on NODE: df -h; df -i; free space there, then run the same command again",
        signs: &[&["no space left on device"], &["disk quota exceeded"]],
    },
    Diagnosis {
        id: "disk-read-only",
        cause: "a file system of the node is mounted read-only, as the kernel does after a disk error",
        next: "on NODE: dmesg | tail; replace the disk if it is failing, remount it, then run the same command again",
        signs: &[&["read-only file system"]],
    },
    Diagnosis {
        id: "out-of-memory",
        cause: "the kernel killed the process because the node has no memory left",
        next: "on NODE: free -m; give the machine more memory or fewer pods, then run the same command again",
        signs: &[
            &["oom-kill"],
            &["oom_kill"],
            &["out of memory"],
            &["cannot allocate memory"],
        ],
    },
    Diagnosis {
        id: "port-taken",
        cause: "another process listens on a port that this unit needs",
        next: "on NODE: ss -ltnp shows which process; stop it, then run the same command again (kubewright check looks \
               for this before a first apply)",
        signs: &[&["address already in use"]],
    },
    Diagnosis {
        id: "unknown-argument",
        cause: "an argument or setting is unknown to this version of the component",
        next: "correct the component's extraArgs or extraConfig under spec.components in cluster.yaml, then run the same \
               command again",
        signs: &[
            &["unknown flag"],
            &["unknown shorthand flag"],
            &["flag provided but not defined"],
            &["unknown field", "strict decoding"],
            &["unrecognized feature gate"],
            &["invalid argument", "for \"--"],
        ],
    },
    Diagnosis {
        id: "etcd-data-lost",
        cause: "the etcd data of this node is gone, while the other members still list it as a member",
        next: "if the old disk is readable, put its /var/lib/etcd back on NODE (never an older copy); do not start it as a \
               new cluster. The other members keep the cluster running",
        signs: &[&["has already been bootstrapped"]],
    },
    Diagnosis {
        id: "etcd-other-cluster",
        cause: "another etcd cluster answers at an address of this one, or the data directory belongs to another cluster",
        next: "compare the addresses in cluster.yaml with the machines; on NODE: ls -l /var/lib/etcd",
        signs: &[
            &["cluster id mismatch"],
            &["cluster id doesn't match"],
            &["member id mismatch"],
        ],
    },
    Diagnosis {
        id: "etcd-member-removed",
        cause: "this member was removed from the etcd cluster, and its data can no longer be used",
        next: "keep NODE in cluster.yaml and its data where it is; this version of kubewright cannot join it again. The \
               other members keep the cluster running",
        signs: &[
            &["permanently removed from the cluster"],
            &["member has been removed"],
        ],
    },
    Diagnosis {
        id: "etcd-data-damaged",
        cause: "the etcd data on this node is damaged",
        next: "on NODE: systemctl stop etcd, and keep /var/lib/etcd (do not delete it). The other members have the same \
               data; they keep the cluster running as long as they are more than half",
        signs: &[
            &["crc mismatch"],
            &["failed to find database snapshot file"],
            &["freepages:"],
            &["checksum mismatch", "etcd"],
            &["failed to recover v3 backend"],
        ],
    },
    Diagnosis {
        id: "etcd-space",
        cause: "the etcd database has reached its quota and accepts no more writes",
        next: "on NODE, as root, each with the options below: etcdctl endpoint status -w json (tells the revision), etcdctl \
               compact REVISION, etcdctl defrag --cluster, etcdctl alarm disarm; --endpoints https://127.0.0.1:2379 --cacert \
               /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key \
               /etc/kubernetes/pki/etcd/healthcheck-client.key",
        signs: &[
            &["database space exceeded"],
            &["alarm:nospace"],
            &["alarm nospace"],
        ],
    },
    Diagnosis {
        id: "clock",
        cause: "a certificate is not valid at the time the clock shows: the clock is wrong, or the certificate expired",
        next: "on NODE: timedatectl; if the clock is right: kubewright plan shows which certificates apply will renew",
        signs: &[
            &["certificate has expired"],
            &["certificate is not yet valid"],
            &["not yet valid"],
        ],
    },
    Diagnosis {
        id: "other-authority",
        cause: "the peer's certificate is signed by another CA: a machine or file of another cluster",
        next: "kubewright check compares the CA certificates of all nodes (authority-mismatch)",
        signs: &[
            &["certificate signed by unknown authority"],
            &["unknown certificate authority"],
            &["bad certificate"],
        ],
    },
    Diagnosis {
        id: "certificate-name",
        cause: "a certificate does not contain the address it is used at",
        next: "kubewright plan shows which certificates apply will issue again; compare the addresses in cluster.yaml",
        signs: &[
            &["certificate is valid for", "not"],
            &["doesn't contain any ip sans"],
        ],
    },
    Diagnosis {
        id: "encryption-key",
        cause: "Secrets in etcd were encrypted with a key that this API server does not have",
        next: "on every control plane: sha256sum /etc/kubernetes/encryption.yaml must print the same",
        signs: &[
            &["no matching prefix found"],
            &["no matching key was found"],
            &["unable to transform key"],
        ],
    },
    Diagnosis {
        id: "etcd-no-leader",
        cause: "etcd has no leader: at least half of its members are down or cannot reach each other",
        next: "kubewright status shows the members; check that etcd runs on the control planes and that TCP 2380 is open \
               between them",
        signs: &[
            &["etcdserver: no leader"],
            &["raft no leader"],
            &["etcdserver: leader changed"],
            &["etcdserver: request timed out"],
            &["no leader at term"],
            &["is starting a new election at term"],
            &["prober detected unhealthy status"],
        ],
    },
    Diagnosis {
        id: "etcd-unreachable",
        cause: "the etcd member on this node does not answer",
        next: "on NODE: journalctl -u etcd -n 50",
        signs: &[
            &[":2379", "connection refused"],
            &["context deadline exceeded", "etcd"],
        ],
    },
    Diagnosis {
        id: "runtime-unreachable",
        cause: "containerd does not answer",
        next: "on NODE: journalctl -u containerd -n 50",
        signs: &[
            &["containerd.sock", "no such file"],
            &["containerd.sock", "connection refused"],
        ],
    },
    Diagnosis {
        id: "cgroup-v1",
        cause: "the node uses cgroup v1, on which this kubelet does not start",
        next: "boot NODE with systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
        signs: &[&["host using cgroup v1"], &["cgroup v1 support is"]],
    },
    Diagnosis {
        id: "swap",
        cause: "swap is on, and the kubelet does not start with it",
        next: "on NODE: swapoff -a; find what turns it on again (zram, a swap unit)",
        signs: &[&["running with swap on is not supported"]],
    },
    Diagnosis {
        id: "kernel-module",
        cause: "the kernel lacks a module or feature that the component needs",
        next: "on NODE: install the package with the kernel's extra modules, or boot the kernel whose modules are \
               installed (uname -r; ls /lib/modules)",
        signs: &[
            &["module", "not found in directory"],
            &["could not find kernel module"],
            &["operation not supported", "netlink"],
            &["protocol not supported"],
        ],
    },
    Diagnosis {
        id: "library-damaged",
        cause: "a shared library of the node is missing or damaged, such as an empty file after a power cut",
        next: "on NODE: the log line names the library, dpkg -S or rpm -qf its package: install that again",
        signs: &[&["error while loading shared libraries"], &["file too short"]],
    },
    Diagnosis {
        id: "wrong-processor",
        cause: "the program cannot be executed: it was built for another processor, or it or its loader is damaged",
        next: "on NODE: uname -m tells the processor; kubewright drift --verify shows a damaged program of kubewright's",
        signs: &[&["exec format error"]],
    },
    Diagnosis {
        id: "too-many-files",
        cause: "too many files are open or watched",
        next: "on NODE: sysctl fs.file-max fs.inotify.max_user_instances; raise what is used up",
        signs: &[&["too many open files"], &["inotify", "limit"]],
    },
    Diagnosis {
        id: "permission",
        cause: "permission denied: wrong owner or mode of a file, or SELinux or AppArmor",
        next: "on NODE: the log line names the file; kubewright plan shows changed owners and modes; with SELinux: ausearch -m avc",
        signs: &[&["permission denied"], &["operation not permitted"]],
    },
    Diagnosis {
        id: "no-connection",
        cause: "another node or service does not accept the connection",
        next: "kubewright check tries every connection between the nodes (unreachable-port)",
        signs: &[
            &["no route to host"],
            &["i/o timeout"],
            &["connection refused"],
            &["connection timed out"],
        ],
    },
];

/// Says what lines of a log, or causes of an error, point to; of several, the one that explains the others.
pub fn diagnose<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<&'static Diagnosis> {
    let lines: Vec<String> = lines.into_iter().map(str::to_lowercase).collect();
    Diagnosis::ALL
        .iter()
        .find(|diagnosis| lines.iter().any(|line| diagnosis.fits(line)))
}
