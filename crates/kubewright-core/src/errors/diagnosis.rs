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

const TABLE: [Diagnosis; 24] = [
    Diagnosis {
        id: "disk-full",
        cause: "a file system of the node is full",
        next: "on NODE: df -h; df -i; free space there, then run the same command again",
        signs: &[&["no space left on device"], &["disk quota exceeded"]],
    },
    Diagnosis {
        id: "disk-read-only",
        cause: "a file system of the node is mounted read-only, as the kernel does after a disk error",
        next: "on NODE: dmesg | tail; repair or replace the disk, remount it, then run the same command again",
        signs: &[&["read-only file system"]],
    },
    Diagnosis {
        id: "out-of-memory",
        cause: "the kernel killed it because the node has no memory left",
        next: "on NODE: free -m; give the machine more memory or less to do, then run the same command again",
        signs: &[
            &["oom-kill"],
            &["oom_kill"],
            &["out of memory"],
            &["cannot allocate memory"],
        ],
    },
    Diagnosis {
        id: "port-taken",
        cause: "another program listens on a port it needs",
        next: "on NODE: ss -ltnp shows which program; stop it, then run the same command again (kubewright check looks \
               for this before a first apply)",
        signs: &[&["address already in use"]],
    },
    Diagnosis {
        id: "unknown-argument",
        cause: "it was given an argument or setting that this version does not know",
        next: "correct extraArgs or extraConfig of this component under spec.components in cluster.yaml, then run the \
               same command again",
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
        cause: "etcd's data is gone from the node, while the other members still know this one",
        next: "restore /var/lib/etcd of NODE from its disk; do not start it as a new cluster (kubewright plan says what \
               it would do)",
        signs: &[&["has already been bootstrapped"]],
    },
    Diagnosis {
        id: "etcd-other-cluster",
        cause: "another etcd cluster answers at an address of this one, or the data directory is another cluster's",
        next: "compare the addresses in cluster.yaml with the machines; on NODE: ls -l /var/lib/etcd",
        signs: &[
            &["cluster id mismatch"],
            &["cluster id doesn't match"],
            &["member id mismatch"],
        ],
    },
    Diagnosis {
        id: "etcd-member-removed",
        cause: "this member was removed from the etcd cluster, and its data is of no more use",
        next: "take NODE out of cluster.yaml; joining it again is not built yet",
        signs: &[
            &["permanently removed from the cluster"],
            &["member has been removed"],
        ],
    },
    Diagnosis {
        id: "etcd-data-damaged",
        cause: "etcd's data on this node is damaged",
        next: "move /var/lib/etcd of NODE aside (do not delete it); the other members have the data as long as they are \
               more than half",
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
        cause: "etcd's database has reached its quota and takes no more writes",
        next: "on NODE: etcdctl alarm list; compact and defragment, then etcdctl alarm disarm",
        signs: &[
            &["database space exceeded"],
            &["alarm:nospace"],
            &["alarm nospace"],
        ],
    },
    Diagnosis {
        id: "clock",
        cause: "a certificate is not valid at the time a clock shows: a clock is wrong, or the certificate expired",
        next: "on NODE: timedatectl; if the clock is right: kubewright plan shows which certificates it will renew",
        signs: &[
            &["certificate has expired"],
            &["certificate is not yet valid"],
            &["not yet valid"],
        ],
    },
    Diagnosis {
        id: "other-authority",
        cause: "the other side's certificate comes from another authority: a machine or file of another cluster",
        next: "kubewright check compares the authorities of all nodes (authority-mismatch)",
        signs: &[
            &["certificate signed by unknown authority"],
            &["unknown certificate authority"],
            &["bad certificate"],
        ],
    },
    Diagnosis {
        id: "certificate-name",
        cause: "a certificate does not name the address it is used at",
        next: "kubewright plan shows which certificates it will issue again; compare the addresses in cluster.yaml",
        signs: &[
            &["certificate is valid for", "not"],
            &["doesn't contain any ip sans"],
        ],
    },
    Diagnosis {
        id: "encryption-key",
        cause: "Secrets in etcd were encrypted with a key that this API server does not have",
        next: "compare /etc/kubernetes/encryption.yaml of the control planes: sha256sum must say the same",
        signs: &[
            &["no matching prefix found"],
            &["no matching key was found"],
            &["unable to transform key"],
        ],
    },
    Diagnosis {
        id: "etcd-no-leader",
        cause: "etcd has no leader: half of its members or more do not reach each other",
        next: "kubewright status shows the members; see that TCP 2380 is open between the control planes and that etcd \
               runs on them",
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
        cause: "the etcd of this node does not answer",
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
        next: "on NODE: swapoff -a; see what turns it on again (zram, a swap unit)",
        signs: &[&["running with swap on is not supported"]],
    },
    Diagnosis {
        id: "kernel-module",
        cause: "the kernel lacks a module or feature it needs",
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
        id: "wrong-processor",
        cause: "the program was built for another processor",
        next: "on NODE: uname -m; use artifacts for that processor",
        signs: &[&["exec format error"], &["status=203/exec"]],
    },
    Diagnosis {
        id: "too-many-files",
        cause: "too many files are open or watched",
        next: "on NODE: sysctl fs.file-max fs.inotify.max_user_instances; raise what is used up",
        signs: &[&["too many open files"], &["inotify", "limit"]],
    },
    Diagnosis {
        id: "permission",
        cause: "it may not read or write something: an owner, a mode, or SELinux or AppArmor",
        next: "on NODE: the line names the file; compare with kubewright plan, and see ausearch -m avc with SELinux",
        signs: &[&["permission denied"], &["operation not permitted"]],
    },
    Diagnosis {
        id: "no-connection",
        cause: "another node or service it needs does not take its connection",
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
