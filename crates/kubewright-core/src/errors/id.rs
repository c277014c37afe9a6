//! The closed list of situations an operator can meet. Each entry is its own documentation.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Kind;

/// Declares the situations with their id, whose matter they are, what they mean and the general remedy in one place.
macro_rules! ids {
    ($($name:ident = $id:literal, $kind:ident: $means:literal; $remedy:literal;)+) => {
        /// Which situation an error is; the names are their own documentation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[allow(missing_docs)]
        pub enum ErrorId {
            $(#[serde(rename = $id)] $name,)+
        }

        impl ErrorId {
            /// Every situation, in the order of the reference page.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the stable id.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $id),+ }
            }

            /// Returns whose matter it is; that decides the exit code.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind),+ }
            }

            /// Returns what it means.
            pub const fn means(self) -> &'static str {
                match self { $(Self::$name => $means),+ }
            }

            /// Returns what to do in general; an error says it with the node's own names.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),+ }
            }
        }
    };
}

ids! {
    InvalidRequest = "invalid-request", User:
        "The command line asks for something that is not possible.";
        "The message names the flag, argument or key.";
    FileUnreadable = "file-unreadable", User:
        "cluster.yaml, or another file named on the command line, cannot be read.";
        "Name the file with `--file`, or write one with `kubewright init`.";
    FileInvalid = "file-invalid", User:
        "cluster.yaml has errors. All of them are shown, each with line, column, rule and hint; the rules are listed below.";
        "Correct what is marked. `kubewright schema` prints every key and its allowed values.";
    InventoryInvalid = "inventory-invalid", User:
        "The Ansible inventory given to `kubewright init` cannot become a cluster file. Every reason is shown with a hint.";
        "Correct the inventory, or give the addresses: `kubewright init --control-plane 192.0.2.11,192.0.2.12,192.0.2.13 --worker 192.0.2.21`.";
    FileExists = "file-exists", User:
        "The file to be written exists already. It was not changed.";
        "Write to another path, or move the file away.";
    VersionUnknown = "version-unknown", User:
        "This kubewright does not know the Kubernetes version.";
        "`kubewright version` lists the versions it can install.";
    NotConfirmed = "not-confirmed", User:
        "The question was not answered with yes. Nothing was changed.";
        "Read the plan, then run the command again.";
    NobodyToAnswer = "nobody-to-answer", User:
        "Confirmation is required, but standard input is not a terminal. Nothing was changed.";
        "Run the command in a terminal, or read the plan and add `--yes`.";
    PlanUnreadable = "plan-unreadable", User:
        "A saved plan cannot be written or read, is damaged, or was written by another version of kubewright.";
        "Create it again: `kubewright plan --out FILE`.";
    RunUnknown = "run-unknown", User:
        "No run in the operation log has this id, or several ids begin with it.";
        "`kubewright logs` lists the runs.";
    NoClusterYet = "no-cluster-yet", User:
        "This command needs a cluster. The machines are not part of a cluster yet.";
        "Create the cluster with `kubewright apply`.";
    ManifestInvalid = "manifest-invalid", User:
        "A manifest under `addons` cannot be read or applied.";
        "Correct the file or its path. Relative paths start at the directory of cluster.yaml.";
    ArtifactUnavailable = "artifact-unavailable", User:
        "A binary or image could not be downloaded from the artifact source.";
        "Check the network and HTTPS_PROXY, or use a mirror or a directory (`artifacts.source`).";
    ArtifactRejected = "artifact-rejected", User:
        "Verification of a binary or image failed: wrong SHA-256, unsafe archive, or no trusted checksum. It was not used.";
        "Download it again. If that repeats, the source is broken or was tampered with.";
    LocalFailure = "local-failure", User:
        "Something on your workstation does not work, such as a directory that cannot be written.";
        "The message names the file or address.";
    CheckErrors = "check-errors", Findings:
        "`kubewright check` found errors: an apply would fail. Each finding has its own id, see [checks](checks.md).";
        "Fix every finding marked as error, then check again.";
    ClusterUnhealthy = "cluster-unhealthy", Findings:
        "A part of the cluster is unhealthy.";
        "The report names the parts; `kubewright check` examines the machines.";
    SmokeFailed = "smoke-failed", Findings:
        "One or more smoke tests failed.";
        "The report names each of them. The test objects are removed.";
    Drift = "drift", Findings:
        "Nodes or cluster objects differ from cluster.yaml. Each difference has its own id, see [drift](drift.md).";
        "`kubewright apply` shows what it fixes, and asks before it does; the report says what it cannot fix.";
    NotVerified = "not-verified", Findings:
        "Every step succeeded, but the check afterwards shows that not everything is as it was applied: a process has ended, something else changes the same files, or etcd has other members than cluster.yaml. The error lists all of it.";
        "`kubewright plan` shows what differs now; `kubewright apply` fixes it.";
    Found = "found", Findings:
        "A problem was found.";
        "The report names it.";
    Incomplete = "incomplete", Incomplete:
        "Everything that could be done is done. Nodes that cannot be reached were left out, and what restarts a part of a control plane waits while another control plane is away. The output lists both.";
        "Bring the nodes back, then run the same command again. A worker that is gone for longer: `--skip-unreachable-workers`.";
    Stopped = "stopped", Stopped:
        "The run was interrupted. Finished steps are kept, no further step was started, all locks are released.";
        "Run the same command again: it continues where it stopped.";
    StoppedPartWay = "stopped-part-way", Stopped:
        "Some steps are done and one or more failed. Each failure has its own id in the same output.";
        "Fix what the failed steps name, then run the same command again.";
    NodeFailed = "node-failed", Node:
        "An operation on a node failed.";
        "The message says what was being done and what the system answered. Fix that, then run the same command again.";
    NodeCommand = "node-command", Node:
        "A command on the node ended with an error.";
        "Run that command on the node as root to see more, then run the same kubewright command again.";
    NodeNoSpace = "node-no-space", Node:
        "A file system of the node is full, or its quota is used up. The previous files are unchanged and still in use.";
        "Free space or inodes on the named file system (`df -h`, `df -i`), then run the same command again.";
    NodeReadOnly = "node-read-only", Node:
        "A file system of the node is mounted read-only. The kernel also does this after a disk error.";
        "Read `dmesg` on the node, remount the file system, then run the same command again.";
    NodeTimeout = "node-timeout", Node:
        "Timed out waiting for the node. The result of the operation is unknown; the next run checks it.";
        "Check what keeps the node busy, then run the same command again.";
    UnitFailed = "unit-failed", Node:
        "A systemd unit could not be started, or did not stay up. The error shows the last lines of its journal.";
        "Follow the probable cause. `journalctl -u UNIT` on the node shows everything.";
    CrashLoop = "crash-loop", Node:
        "A unit ends again and again shortly after it is started, so waiting for it would be in vain. The error shows the last lines of its journal.";
        "Follow the probable cause: usually an argument in cluster.yaml, or damaged data. `journalctl -u UNIT` on the node shows everything.";
    WaitTimedOut = "wait-timed-out", Node:
        "Timed out waiting for a condition on a node. The error shows the last state.";
        "Read the log lines and the probable cause, then run the same command again: it waits again.";
    NodeConnection = "node-connection", Node:
        "Connection refused on the node: no process listens on the expected address.";
        "Check on the node whether the unit that owns the port is running.";
    EtcdFailed = "etcd-failed", Etcd:
        "An etcd request failed.";
        "`kubewright status` shows the members; read `journalctl -u etcd` on a control plane.";
    NotJoined = "not-joined", Etcd:
        "A control plane could not be made a voting member of etcd: the members refused it, or it did not have all data in time. Until it votes it does not count for the quorum, so nothing is lost.";
        "Check that port 2380 is open between the control planes, in both directions, then run the same command again.";
    ApiUnreachable = "api-unreachable", Api:
        "No API server of the cluster answers.";
        "`kubewright status` shows which ones are down; read `journalctl -u kube-apiserver` on a control plane.";
    ApiFailed = "api-failed", Api:
        "The Kubernetes API rejected a request or could not complete it.";
        "The error quotes the server's answer; `kubewright status` shows its health.";
    ApiWaitTimedOut = "api-wait-timed-out", Api:
        "Timed out waiting for an object in the cluster to become ready. The error shows its last state.";
        "Look at the object with kubectl, then run the same command again: it waits again.";
    SshFailed = "ssh-failed", Ssh:
        "`ssh` ended with an error that kubewright does not recognize, or the connection failed in another way.";
        "Try `ssh` by hand with the same address and user.";
    SshMissing = "ssh-missing", Ssh:
        "There is no `ssh` program on the PATH of your workstation.";
        "Install an OpenSSH client.";
    SshSetting = "ssh-setting", Ssh:
        "A setting under `ssh` in cluster.yaml, or the `hostKey` of a node, is invalid.";
        "Correct the key that the message names.";
    SshConfiguration = "ssh-configuration", Ssh:
        "`ssh` does not accept its configuration (ssh_config), or its files could not be written.";
        "The message quotes ssh; `ssh -G ADDRESS` tests the configuration.";
    SshHostKeyUnknown = "ssh-host-key-unknown", Ssh:
        "Host key verification failed: the key is not in known_hosts and not set as `hostKey` in cluster.yaml. kubewright did not log in.";
        "Compare the fingerprint with the one on the machine's console, then add the key to known_hosts or set it as `hostKey`.";
    SshHostKeyChanged = "ssh-host-key-changed", Ssh:
        "Host key verification failed: the key has changed. The machine was reinstalled, its address belongs to another machine now, or the connection is intercepted. kubewright did not log in.";
        "Only if you know why the key changed: remove the old one with `ssh-keygen -R ADDRESS` (or change `hostKey`), and add the new one.";
    SshLoginRefused = "ssh-login-refused", Ssh:
        "Permission denied: the node accepts none of your keys.";
        "Load your key into ssh-agent, or set `ssh.identityFile`. kubewright never types passwords.";
    SshNameNotResolved = "ssh-name-not-resolved", Ssh:
        "The name of a node or jump host cannot be resolved.";
        "Use an address, or give the name a `HostName` in ssh_config.";
    SshConnectionRefused = "ssh-connection-refused", Ssh:
        "The machine answers, but no SSH server listens on the port.";
        "Start the SSH server, or set `port` of the node.";
    SshNoAnswer = "ssh-no-answer", Ssh:
        "The machine does not answer: it is down, the address is wrong, or a firewall drops the packets.";
        "Check that the machine is up, that its address is right, and that its SSH port is open.";
    SshClosedEarly = "ssh-closed-early", Ssh:
        "The SSH server closed the connection before the login, for example because of too many connections at once (MaxStartups) or because it banned your address.";
        "Read the SSH server's log on the node, then run the command again.";
    SshNoise = "ssh-noise", Ssh:
        "The login shell prints without end, or never runs the command, so the agent could not be started.";
        "Look at what `ssh ADDRESS true` prints. Start files such as .bashrc must not wait or print without end.";
    SshOtherProgram = "ssh-other-program", Ssh:
        "SSH login works, but the login shell ran another program instead of the command. Usual causes: a forced command (authorized_keys, ForceCommand), `nologin`, or a restricted shell.";
        "Log in as another user (`ssh.user`), give the user an ordinary shell, or remove the forced command.";
    ConnectionLost = "connection-lost", Ssh:
        "The connection to a node broke. The result of the running operation is unknown; the next run checks it.";
        "Run the same command again: it reads the node again and continues.";
    ConnectionFenced = "connection-fenced", Ssh:
        "The connection was silent for so long (for example because your workstation slept) that the node released the lock. Another run may have changed the node since then. This run made no further changes.";
        "Run the same command again: it reads the node again.";
    SudoPassword = "sudo-password", Ssh:
        "The login works, but sudo asks for a password, and kubewright never types one.";
        "Allow sudo without a password: `USER ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d/kubewright.";
    SudoTerminal = "sudo-terminal", Ssh:
        "sudo requires a terminal (`requiretty`).";
        "`Defaults:USER !requiretty` in /etc/sudoers.d/kubewright.";
    SudoRefused = "sudo-refused", Ssh:
        "The user may not use sudo, or only for some commands.";
        "Allow all commands in /etc/sudoers.d, or log in as another user.";
    SudoMissing = "sudo-missing", Ssh:
        "The user is not root, and sudo is not installed on the node.";
        "Install sudo, or log in as root.";
    NotRoot = "not-root", Ssh:
        "The user is not root, and `sudo: false` is set.";
        "Log in as root, or remove `sudo: false`.";
    AgentMissing = "agent-missing", User:
        "This kubewright has no agent for the node's processor.";
        "Use a machine of a supported processor, or build kubewright with `cargo xtask dist`.";
    AgentPlace = "agent-place", Ssh:
        "The agent cannot be installed: /var/lib/kubewright/agent cannot be created or written, is not owned by root, or is mounted `noexec`.";
        "The message says which; fix that directory on the node.";
    AgentDamaged = "agent-damaged", Ssh:
        "The agent was damaged during the transfer, and was not run.";
        "Run the command again. If it repeats, suspect the node's memory or disk.";
    NodeLocked = "node-locked", Refused:
        "The node is locked by another run (the error shows user, host and start time). If that run was killed, its agent did not finish its last operation within 60 s (the error shows the operation).";
        "Wait until that run ends: the lock is released with its connection. If that run was killed, run your command again: it waits again.";
    ClusterLocked = "cluster-locked", Refused:
        "Another run is changing the cluster and holds its Lease, or this run lost the Lease. The error shows user, host and start time.";
        "Wait until that run ends. The Lease of a run that was killed expires by itself.";
    ChecksFailed = "checks-failed", Refused:
        "Preflight checks failed. Nothing was changed.";
        "Fix every finding marked as error; `kubewright check` runs the checks again.";
    AuthoritiesDiffer = "authorities-differ", Refused:
        "A shared secret (CA key, service-account key, encryption key) differs between control planes, or a CA certificate and its key do not match.";
        "Find out which node does not belong to this cluster (compare /etc/kubernetes/pki), and reset it with the cluster.yaml of its own cluster.";
    AuthoritiesMissing = "authorities-missing", Refused:
        "The cluster exists, but no reachable control plane has its CA keys.";
        "Bring back a control plane that has them.";
    NodeIdentity = "node-identity", Refused:
        "Safety rule: kubewright does not change a node that belongs to another cluster, was set up under another name, or has the machine id of another node.";
        "Check the addresses. To take a machine over, reset it with the cluster.yaml of the cluster it belongs to. Give a clone its own `/etc/machine-id`.";
    RemoveBeforeAdd = "remove-before-add", Refused:
        "Safety rule: a control plane that is a member of etcd and has no data is not started: it would vote a second time, for what it has forgotten.";
        "If the old disk is readable, put its `/var/lib/etcd` back (never an older copy). Otherwise remove its old member while the others are healthy (`etcdctl member list`, `etcdctl member remove ID` on another control plane), then run `kubewright apply`: it joins as a new one.";
    Founders = "founders", Refused:
        "Safety rule: an interrupted bootstrap is finished by the control planes that began it. Each of them keeps the names and addresses of all before the first etcd member starts. Other control planes would make a second etcd cluster, or leave voting members that nothing manages.";
        "Put the control planes back into cluster.yaml as the error names them and apply again; or reset with that file and begin with the new one.";
    MemberAddress = "member-address", Refused:
        "Safety rule: a control plane is not changed if its address in cluster.yaml is not the address of its etcd member. The other members would still use the old one.";
        "Put the old address back. This version cannot move a member to another address.";
    TwoEtcdClusters = "two-etcd-clusters", Refused:
        "Safety rule: the etcd members of the control planes belong to more than one etcd cluster, each with its own database. The error says what each one is and holds.";
        "Keep the one that holds what you need (`etcdctl get / --prefix --keys-only`, `etcdctl snapshot save FILE`, [with its options](../troubleshooting.md#etcd)), reset the machines of the other, and continue with a cluster.yaml whose control planes are exactly those of the one you keep.";
    NothingLost = "nothing-lost", Refused:
        "Safety rule: kubewright does not remove what it did not create, such as a directory where a file belongs.";
        "Move it away on the node.";
    StalePlan = "stale-plan", Refused:
        "Safety rule: a saved plan is applied only if nothing has changed since it was made. The error lists the changes.";
        "Create the plan again, read it, and apply that one.";
    LeftOutStep = "left-out-step", Refused:
        "Safety rule: the selected steps depend on steps on other nodes, which `--only` excludes.";
        "Add those nodes to `--only`, or run without `--only`.";
    Quorum = "quorum", Refused:
        "Safety rule: kubewright does not restart a control plane while another one is unhealthy, or if etcd could lose quorum. Only voting members that are in cluster.yaml and answer count as healthy. etcd alarms have to be cleared first, too.";
        "First fix the control plane, member or alarm that the error names. `kubewright status` shows control planes and members; `kubewright drift` shows what is wrong with each member.";
    FixedSetting = "fixed-setting", Refused:
        "Safety rule: some settings (the cluster's name, domain, address ranges and others) are immutable. The error names the key and the reason.";
        "Restore the old value. Another value needs a new cluster.";
    VersionStep = "version-step", Refused:
        "Safety rule: Kubernetes is not moved between these versions. Minor versions are not skipped, and there are no downgrades.";
        "The error names the version to use.";
    NodeRemoval = "node-removal", Refused:
        "Safety rule: a node (or etcd member) that still exists in the cluster cannot be removed only by deleting it from cluster.yaml.";
        "Put the node back into cluster.yaml, or follow the hint of the error.";
    PodRanges = "pod-ranges", Refused:
        "Safety rule: `podCidr` has fewer subnets than the cluster has nodes, and it cannot be changed on an existing cluster.";
        "Use fewer nodes.";
    PodRangeClaim = "pod-range-claim", Refused:
        "Safety rule: the marker of a node claims a pod range that is not a free /24 of `podCidr`.";
        "Run the command again when an API server answers; find out who changed the marker.";
    Refused = "refused", Refused:
        "Refused by a safety rule. Nothing was changed.";
        "The message names the reason.";
    Bug = "bug", Bug:
        "Internal error: this is a bug in kubewright.";
        "Report it with the debug log that the error names.";
}

impl ErrorId {
    /// Returns the situation to name when nothing more is known than whose matter it is.
    pub const fn of_kind(kind: Kind) -> Self {
        match kind {
            Kind::User => Self::InvalidRequest,
            Kind::Findings => Self::Found,
            Kind::Incomplete => Self::Incomplete,
            Kind::Stopped => Self::StoppedPartWay,
            Kind::Node => Self::NodeFailed,
            Kind::Etcd => Self::EtcdFailed,
            Kind::Api => Self::ApiFailed,
            Kind::Ssh => Self::SshFailed,
            Kind::Refused => Self::Refused,
            Kind::Bug => Self::Bug,
        }
    }
}

impl fmt::Display for ErrorId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
