//! The closed list of what can differ. Each entry is its own documentation: the reference page is made of it.

use crate::kinds::kinds;

kinds! {
    /// What differs, without the particulars.
    pub enum Kind {
        /// Returns the heading its findings are listed under.
        title = 0,
        /// Returns what is compared with what.
        means = 1,
        /// Returns what fixes it.
        repaired = 2,
    }
    /// No connection with the machine.
    NodeUnreachable = "node-unreachable":
        "unreachable";
        "The machine is unreachable. Only what the API and etcd report about it is compared. At least one control plane must \
         be reachable.";
        "Fix what the message names; `kubewright check` shows more.";
    /// kubewright has not been on the machine.
    NotBuilt = "not-built":
        "not set up yet";
        "kubewright has not set up the machine. The missing resources are counted, not listed.";
        "`kubewright apply`.";
    /// A file is missing.
    FileMissing = "file-missing":
        "missing files";
        "A file, directory, link or user that kubewright puts on the node is not there.";
        "`kubewright apply` puts it back.";
    /// A file's content differs.
    FileChanged = "file-changed":
        "changed files";
        "The content of a file (or the target of a link) differs from what kubewright writes. Shown as a diff if it is text, \
         not large, and does not look like a secret.";
        "`kubewright apply` writes it again and restarts the units that read it.";
    /// Owner or mode differ.
    AccessChanged = "access-changed":
        "changed owners and modes";
        "Owner, group or permission bits of a file or directory differ.";
        "`kubewright apply` sets them.";
    /// A shared secret differs.
    SecretChanged = "secret-changed":
        "changed secrets";
        "A key or the encryption configuration that all control planes share is missing, or differs from that of the others. \
         Its content is never shown.";
        "`kubewright apply` puts it back.";
    /// A certificate has to be issued.
    Certificate = "certificate":
        "certificates";
        "A certificate is missing, expired or about to expire, is signed by another CA, or has other names or usages.";
        "`kubewright apply` issues it again.";
    /// A program differs.
    BinaryChanged = "binary-changed":
        "changed binaries";
        "A binary on disk is missing or has another digest than that of the version in use.";
        "`kubewright apply` replaces it and restarts its units. Find out who replaced it.";
    /// An image is missing.
    ImageMissing = "image-missing":
        "missing images";
        "An image that kubewright imports is missing in containerd, or another image has its name.";
        "`kubewright apply` imports it.";
    /// A kernel setting differs.
    KernelSetting = "kernel-setting":
        "changed kernel settings";
        "A sysctl value, kernel module or the swap state differs, at runtime or in the boot configuration.";
        "`kubewright apply` sets it.";
    /// Routes or masquerading differ.
    Routing = "routing":
        "routes and masquerading";
        "Routes to other nodes' pods are missing or lead elsewhere, or the rule that hides pod addresses from the world outside \
         is not there (`cni: bridge`).";
        "`kubewright-routes.service` sets them within seconds; if they stay away, `journalctl -u kubewright-routes` on the node \
         shows why. `kubewright apply` sets them, too.";
    /// A unit's file differs.
    UnitChanged = "unit-changed":
        "changed units";
        "A unit's file in `/etc/systemd/system` was edited or removed, has another owner or mode, or systemd has not loaded it.";
        "`kubewright apply` writes it again and restarts the unit. Set arguments under `spec.components` instead.";
    /// A drop-in or another override.
    UnitOverridden = "unit-overridden":
        "overridden units";
        "A drop-in or another unit file overrides kubewright's unit (see `systemctl cat UNIT`). Typical origins are \
         `systemctl edit` and `systemctl set-property`.";
        "`kubewright apply` removes it, keeps a copy in the node's journal, and restarts the unit.";
    /// A unit is not enabled.
    UnitDisabled = "unit-disabled":
        "disabled units";
        "A unit would not start after a reboot.";
        "`kubewright apply` enables it.";
    /// A unit does not run.
    UnitStopped = "unit-stopped":
        "stopped units";
        "A unit that should run is not running.";
        "`kubewright apply` starts it; `journalctl -u UNIT` on the node shows why it stopped.";
    /// A process has other arguments.
    ProcessArguments = "process-arguments":
        "processes with other arguments";
        "The main process of a unit runs with other arguments than its unit file has now (`/proc/PID/cmdline` against \
         `ExecStart`). Values of arguments whose name suggests a secret are not shown.";
        "`kubewright apply` restarts the unit.";
    /// A process executes another file.
    ProcessExecutable = "process-executable":
        "processes with another binary";
        "The main process of a unit still runs a binary that was replaced on disk (device and inode of `/proc/PID/exe` \
         against the binary's path).";
        "`kubewright apply` restarts the unit.";
    /// A process runs with old inputs.
    ProcessStale = "process-stale":
        "processes with outdated inputs";
        "Files that a unit reads have changed since kubewright last started it.";
        "`kubewright apply` restarts the unit.";
    /// Something kubewright no longer wants.
    Orphaned = "orphaned":
        "orphaned files and units";
        "kubewright created it on the node, and cluster.yaml no longer needs it.";
        "`kubewright apply` removes it.";
    /// Something in the way.
    InTheWay = "in-the-way":
        "in the way";
        "Something that kubewright does not remove: a masked unit, a link or directory where a file should be, a drop-in that \
         belongs to a package. `apply` refuses to start.";
        "Do what the message says.";
    /// A member is missing, silent, or complains.
    EtcdMember = "etcd-member":
        "etcd";
        "The node's etcd member is not in the member list, has not started, does not vote yet, does not answer, sees no leader \
         or raises an alarm.";
        "A stopped member: `kubewright apply`. A member that is not in the list or has never started: `apply` cannot fix \
         it.";
    /// etcd's database is filling up.
    EtcdDatabase = "etcd-database":
        "etcd's database";
        "The database of an etcd member fills 60 % or more of its quota (`quota-backend-bytes`, 8 GiB unless cluster.yaml says \
         another). At 100 % etcd refuses every write.";
        "Follow the message: delete what fills it, defragment one control plane after the other.";
    /// A component runs in another version.
    RunningVersion = "running-version":
        "running versions";
        "The version that a kubelet or an etcd member reports differs from the one in cluster.yaml.";
        "`kubewright apply` if the binary on disk differs, too; otherwise restart the unit.";
    /// A Node object is missing.
    NodeMissing = "node-missing":
        "not registered";
        "The API has no Node object for the node.";
        "`kubewright apply` registers it.";
    /// A Node object differs.
    NodeChanged = "node-changed":
        "changed Node object";
        "Labels, taints or the pod CIDR of the Node object differ from cluster.yaml.";
        "`kubewright apply` sets them.";
    /// A node is not Ready.
    NodeNotReady = "node-not-ready":
        "not Ready";
        "The node is registered and its kubelet does not report Ready.";
        "Fix the other findings of the node; read `journalctl -u kubelet` there.";
    /// No API server answers.
    ApiUnreachable = "api-unreachable":
        "Kubernetes API";
        "No API server answers, so no API object could be compared.";
        "Run `kubewright status`; read `journalctl -u kube-apiserver` on a control plane.";
    /// The etcd member list is unavailable.
    EtcdUnreachable = "etcd-unreachable":
        "etcd";
        "The etcd member list is unavailable, so the members could not be compared.";
        "Read `journalctl -u etcd` on the control planes. Without quorum, etcd accepts no writes.";
    /// The members are of two clusters.
    EtcdClusters = "etcd-clusters":
        "two etcd clusters";
        "The etcd members of the control planes belong to more than one etcd cluster, each with its own database. The message \
         says what each one is and holds.";
        "See [two-etcd-clusters](errors.md): keep one, reset the machines of the other.";
    /// An unknown member.
    EtcdMemberUnknown = "etcd-member-unknown":
        "unknown etcd members";
        "The etcd member list has a member that matches no control plane in cluster.yaml.";
        "Find out what it is. If it is gone for good: `etcdctl member remove ID` ([with its options](../troubleshooting.md#etcd)).";
    /// An unknown node.
    NodeUnknown = "node-unknown":
        "unknown nodes";
        "The API has a Node object for a node that is not in cluster.yaml.";
        "Add it to cluster.yaml, or `kubectl delete node NAME` when the machine is gone.";
    /// An object is missing.
    ObjectMissing = "object-missing":
        "missing objects";
        "An object that kubewright manages does not exist.";
        "`kubewright apply` creates it.";
    /// An object differs.
    ObjectChanged = "object-changed":
        "changed objects";
        "A field that kubewright owns has another value. Values of Secrets are not shown.";
        "`kubewright apply` sets the fields it owns; other fields stay.";
    /// An object that is no longer wanted.
    OrphanedObject = "orphaned-object":
        "orphaned objects";
        "kubewright created the object, and cluster.yaml no longer needs it.";
        "`kubewright apply` deletes it, unless that would delete objects of others with it; the message names them. Delete \
         those first, or keep the object: remove its label `kubewright.io/cluster`.";
    /// A deployment is not available.
    Unavailable = "deployment-unavailable":
        "not available";
        "A Deployment that kubewright manages has unavailable replicas.";
        "Run `kubectl -n NAMESPACE describe deployment NAME`.";
}
