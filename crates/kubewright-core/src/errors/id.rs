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
        "What was asked for cannot be done as it was asked.";
        "The message says which flag, argument or key.";
    FileUnreadable = "file-unreadable", User:
        "cluster.yaml, or another file named on the command line, cannot be read.";
        "Name the file with `--file`, or write one with `kubewright init`.";
    FileInvalid = "file-invalid", User:
        "cluster.yaml has mistakes. All of them are shown, each with line, column, rule and remedy; the rules are listed below.";
        "Correct what is marked. `kubewright schema` prints what the file may hold.";
    FileExists = "file-exists", User:
        "A file that would be written is there already; it is left as it is.";
        "Write to another place, or move the file away.";
    VersionUnknown = "version-unknown", User:
        "The Kubernetes version is not in this program's catalogue.";
        "`kubewright version` prints the versions it has.";
    NotConfirmed = "not-confirmed", User:
        "The question was not answered with yes. Nothing was changed.";
        "Run it again when you have read the plan.";
    NobodyToAnswer = "nobody-to-answer", User:
        "A question has to be answered, and standard input is not a terminal. Nothing was changed.";
        "Run it in a terminal, or add `--yes` when you have read the plan.";
    PlanUnreadable = "plan-unreadable", User:
        "A saved plan cannot be written or read, is damaged, or was written by another version.";
        "Make it again: `kubewright plan --out FILE`.";
    RunUnknown = "run-unknown", User:
        "No run of the given id is in the operation log, or several begin with what was given.";
        "`kubewright logs` lists the runs.";
    NoClusterYet = "no-cluster-yet", User:
        "The command needs a cluster, and the machines are none yet.";
        "`kubewright apply` makes it.";
    ManifestInvalid = "manifest-invalid", User:
        "A manifest named under `addons` cannot be read or used.";
        "Correct the file, or its path: relative paths start at the directory of cluster.yaml.";
    ArtifactUnavailable = "artifact-unavailable", User:
        "A program or image cannot be had from the source of artifacts.";
        "Check the network and HTTPS_PROXY, or use a mirror or a directory (`artifacts.source`).";
    ArtifactRejected = "artifact-rejected", User:
        "A program or image is not what it should be: another digest, a damaged or hostile archive, a source nobody vouches for. It was not used.";
        "Get it again; if that repeats, the source is broken or was tampered with.";
    LocalFailure = "local-failure", User:
        "Something on this computer does not work: a directory that cannot be written, a port on loopback.";
        "The message names the file or address.";
    CheckErrors = "check-errors", Findings:
        "`kubewright check` found errors: an apply would not succeed. Each finding has an id of its own, see [checks](checks.md).";
        "Fix what is marked as error, then check again.";
    ClusterUnhealthy = "cluster-unhealthy", Findings:
        "A part of the cluster is not healthy.";
        "The report names the parts; `kubewright check` looks at the machines.";
    SmokeFailed = "smoke-failed", Findings:
        "Something that a working cluster does did not hold in the smoke test.";
        "The report names each; the objects of the test are removed.";
    Drift = "drift", Findings:
        "Nodes or the cluster's objects are not what cluster.yaml says. Each difference has an id of its own, see [drift](drift.md).";
        "`kubewright apply` shows and repairs what it can; the report says what it cannot.";
    Found = "found", Findings:
        "Something was found that is not as it should be.";
        "The report names it.";
    Stopped = "stopped", Stopped:
        "The run was stopped by an interrupt. What was done is done, locks are free, nothing is lost.";
        "Run the same command again: it goes on where it stopped.";
    StoppedPartWay = "stopped-part-way", Stopped:
        "Some steps are done, one or more failed; each has its own id in the same output.";
        "Fix what the failed steps name, then run the same command again.";
    NodeFailed = "node-failed", Node:
        "A node could not do what it was asked to.";
        "The message says what was being done and what the system answered; repair that, then run the same command again.";
    NodeCommand = "node-command", Node:
        "A program of the node's system ended with an error.";
        "Run the command on the node as root to see more, then run the same kubewright command again.";
    NodeNoSpace = "node-no-space", Node:
        "A file system of the node is full, or its quota is used up. What was there before is unchanged and keeps running.";
        "Free space or inodes on the file system named (`df -h`, `df -i`), then run the same command again.";
    NodeReadOnly = "node-read-only", Node:
        "A file system of the node is mounted read-only; after a disk error the kernel does that too.";
        "Read `dmesg` on the node, remount it, then run the same command again.";
    NodeTimeout = "node-timeout", Node:
        "The node did not answer in time; whether it was done is unknown until the next run looks.";
        "See what the node is busy with, then run the same command again.";
    UnitFailed = "unit-failed", Node:
        "A systemd unit could not be started, or did not stay up. The last lines of its journal are in the error.";
        "Follow the probable cause; `journalctl -u UNIT` on the node has the whole story.";
    WaitTimedOut = "wait-timed-out", Node:
        "A condition on a node did not come true in time. The error says what was last seen.";
        "See the log lines and the probable cause, then run the same command again: it waits again.";
    NodeConnection = "node-connection", Node:
        "On the node, nothing takes connections at an address that should be served there.";
        "See on the node whether the unit of that port runs.";
    EtcdFailed = "etcd-failed", Etcd:
        "etcd did not do what was asked.";
        "`kubewright status` shows the members; `journalctl -u etcd` on a control plane.";
    ApiUnreachable = "api-unreachable", Api:
        "No API server of the cluster answers.";
        "`kubewright status` shows which are down; `journalctl -u kube-apiserver` on a control plane.";
    ApiFailed = "api-failed", Api:
        "The Kubernetes API refused a request, or failed at it.";
        "The server's own words are in the error; `kubewright status` shows how it is.";
    ApiWaitTimedOut = "api-wait-timed-out", Api:
        "Something in the cluster did not become ready in time. The error says what was last seen.";
        "Look at it with kubectl, then run the same command again: it waits again.";
    SshFailed = "ssh-failed", Ssh:
        "`ssh` ended with an error kubewright does not know, or the way to the node failed otherwise.";
        "Try `ssh` by hand with the same address and user.";
    SshMissing = "ssh-missing", Ssh:
        "There is no `ssh` program on this computer's PATH.";
        "Install an OpenSSH client.";
    SshSetting = "ssh-setting", Ssh:
        "A setting under `ssh` in cluster.yaml, or a node's `hostKey`, cannot be used.";
        "Correct the key that the message names.";
    SshConfiguration = "ssh-configuration", Ssh:
        "`ssh` does not accept its configuration (ssh_config), or its files could not be written.";
        "The message has ssh's words; `ssh -G ADDRESS` tests the configuration.";
    SshHostKeyUnknown = "ssh-host-key-unknown", Ssh:
        "Nothing vouches for the node's host key: neither known_hosts nor `hostKey` in cluster.yaml. Nothing was sent.";
        "Compare the fingerprint with the machine's console, then add the key to known_hosts or pin it as `hostKey`.";
    SshHostKeyChanged = "ssh-host-key-changed", Ssh:
        "The node shows another host key than the known one: it was reinstalled, its address belongs to another machine now, or somebody is in between. Nothing was sent.";
        "Only if you know why: remove the old key with `ssh-keygen -R ADDRESS` (or change `hostKey`), and add the new one.";
    SshLoginRefused = "ssh-login-refused", Ssh:
        "The node accepts none of your keys.";
        "Load your key into ssh-agent, or set `ssh.identityFile`; kubewright never types passwords.";
    SshNameNotResolved = "ssh-name-not-resolved", Ssh:
        "The name of a node or jump host means nothing to this computer.";
        "Use an address, or give the name a `HostName` in ssh_config.";
    SshConnectionRefused = "ssh-connection-refused", Ssh:
        "The machine answers, but no SSH server listens on the port.";
        "Start the SSH server, or set `port` of the node.";
    SshNoAnswer = "ssh-no-answer", Ssh:
        "The machine does not answer: it is down, the address is wrong, or a firewall drops the packets.";
        "See that the machine is up, its address right, and port 22 open.";
    SshClosedEarly = "ssh-closed-early", Ssh:
        "The SSH server closed the connection before the login, as it does with too many connections at once (MaxStartups) or when it bans an address.";
        "See the SSH server's log on the node, then run it again.";
    SshNoise = "ssh-noise", Ssh:
        "The login shell prints without end, or never reaches the command, so that the agent could not be started.";
        "See what `ssh ADDRESS true` prints; start files such as .bashrc must not wait or print without end.";
    SshOtherProgram = "ssh-other-program", Ssh:
        "The login worked, but the node ran something else than kubewright's command: one forced by authorized_keys or sshd_config, a shell that runs no commands (`nologin`), a restricted one, or a message to log in as somebody else.";
        "Log in as another user (`ssh.user`), give the user an ordinary shell, or remove the forced command.";
    ConnectionLost = "connection-lost", Ssh:
        "The connection with a node ended in the middle. Whether what was running was done is unknown until the next run looks.";
        "Run the same command again: it looks at the node again and goes on from there.";
    ConnectionFenced = "connection-fenced", Ssh:
        "This run was silent for so long, as a computer that slept is, that the node gave its lock free; another run may have changed the node since. Nothing more was changed by this one.";
        "Run the same command again: it looks at the node again.";
    SudoPassword = "sudo-password", Ssh:
        "The login works, but sudo wants a password, which kubewright never types.";
        "Allow sudo without a password: `USER ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d/kubewright.";
    SudoTerminal = "sudo-terminal", Ssh:
        "sudo wants a terminal (`requiretty`).";
        "`Defaults:USER !requiretty` in /etc/sudoers.d/kubewright.";
    SudoRefused = "sudo-refused", Ssh:
        "The user may not use sudo, or not for everything.";
        "Allow it in /etc/sudoers.d, or log in as another user.";
    SudoMissing = "sudo-missing", Ssh:
        "The user is not root, and there is no sudo on the node.";
        "Install sudo, or log in as root.";
    NotRoot = "not-root", Ssh:
        "The user is not root, and `sudo: false` is set.";
        "Log in as root, or remove `sudo: false`.";
    AgentMissing = "agent-missing", User:
        "This kubewright carries no agent for the node's processor.";
        "Use a machine of a supported processor, or build kubewright with `cargo xtask dist`.";
    AgentPlace = "agent-place", Ssh:
        "The agent cannot be kept on the node: /var/lib/kubewright/agent cannot be made or written, is not root's own, or forbids programs (`noexec`).";
        "The message says which; repair that place on the node.";
    AgentDamaged = "agent-damaged", Ssh:
        "The agent arrived on the node damaged, and was not run.";
        "Run it again; if it repeats, suspect the node's memory or disk.";
    NodeLocked = "node-locked", Refused:
        "Somebody else is working on the node: the error says who, from where, and since when. Or a run has died and its agent did not finish the change at hand within 60 s: the error says what it is at, and when its controller was last heard.";
        "Wait until they are done; the lock goes with their connection. After a run that died, run the command again: it waits once more.";
    ClusterLocked = "cluster-locked", Refused:
        "Another run is changing the cluster and holds its lease, or this run lost it. The error says who, from where, and since when.";
        "Wait until that run is done; a lease that nobody renews ends by itself.";
    ChecksFailed = "checks-failed", Refused:
        "A first apply looks before it begins, and found errors. Nothing was changed.";
        "Fix what is marked as error; `kubewright check` looks again.";
    AuthoritiesDiffer = "authorities-differ", Refused:
        "Control planes hold different values of what must be one, or a key and a certificate that do not belong together.";
        "Find out which node is the stranger (compare /etc/kubernetes/pki), and reset that one with its own cluster.yaml.";
    AuthoritiesMissing = "authorities-missing", Refused:
        "The cluster was formed before, but no control plane that answers holds its keys.";
        "Bring back a control plane that has them.";
    NodeIdentity = "node-identity", Refused:
        "Safety rule: a node that belongs to another cluster, was set up under another name, or has the machine id of another node is not touched.";
        "Check the addresses; reset a machine with the cluster.yaml of the cluster it belongs to; give a clone its own `/etc/machine-id`.";
    RemoveBeforeAdd = "remove-before-add", Refused:
        "Safety rule: a control plane without etcd data is not added to a cluster that was formed before; it would have to be joined as a new member.";
        "Restore its `/var/lib/etcd`, or take the node out of cluster.yaml. Joining is not built yet.";
    NothingLost = "nothing-lost", Refused:
        "Safety rule: something on a node is in the way that kubewright did not put there, such as a directory where a file belongs; it is not removed.";
        "Move it away on the node.";
    StalePlan = "stale-plan", Refused:
        "Safety rule: a saved plan is applied only to exactly what it was made from. The error names what has changed since.";
        "Make the plan again, read it, apply that one.";
    LeftOutStep = "left-out-step", Refused:
        "Safety rule: a part of a plan is not applied without the steps on other nodes it comes after.";
        "Name those nodes too, or apply the whole plan.";
    Quorum = "quorum", Refused:
        "Safety rule: a control plane is not disturbed while another one is not well, or when too few voting members of etcd would be left that are known to be healthy; learners and members that cluster.yaml does not know are not. An alarm of etcd has to be ended first, too.";
        "Fix the control plane, the member or the alarm that the error names first; `kubewright status` shows control planes and members, `kubewright drift` every member that is not as it should be.";
    FixedSetting = "fixed-setting", Refused:
        "Safety rule: what a cluster is identified by (its name, domain, ranges and the like) cannot change under a running cluster. The error names the key and the reason.";
        "Put the old value back; a cluster with the new one is a new cluster.";
    VersionStep = "version-step", Refused:
        "Safety rule: Kubernetes is not moved between these versions; minors are not skipped, and nothing goes back.";
        "The error says which version is possible.";
    NodeRemoval = "node-removal", Refused:
        "Safety rule: a node that the cluster has is not silently forgotten because cluster.yaml does not name it any more, and neither is a member of etcd.";
        "Put the node back into cluster.yaml, or do what the error names.";
    PodRanges = "pod-ranges", Refused:
        "Safety rule: there are more nodes than parts of the pod range, which cannot grow under a running cluster.";
        "Use fewer nodes.";
    Refused = "refused", Refused:
        "Refused for safety. Nothing was changed.";
        "The message says why.";
    Bug = "bug", Bug:
        "kubewright itself is wrong.";
        "Report it with the debug log that the error names.";
}

impl ErrorId {
    /// Returns the situation to name when nothing more is known than whose matter it is.
    pub const fn of_kind(kind: Kind) -> Self {
        match kind {
            Kind::User => Self::InvalidRequest,
            Kind::Findings => Self::Found,
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
