//! The closed list of what can differ. Each entry is its own documentation: the reference page is made of it.

use crate::kinds::kinds;

kinds! {
    /// What differs, without the particulars.
    pub enum Kind {
        /// Returns the heading its findings are listed under.
        title = 0,
        /// Returns what is compared with what.
        means = 1,
        /// Returns what repairs it.
        repaired = 2,
    }
    /// No connection with the machine.
    NodeUnreachable = "node-unreachable":
        "not reached";
        "The machine could not be looked at. What API and etcd say of it is told all the same. One control plane at least \
         has to answer.";
        "What the message names; `kubewright check` tells more.";
    /// kubewright has not been on the machine.
    NotBuilt = "not-built":
        "not set up yet";
        "The machine has no mark of kubewright; what it lacks is counted, not listed.";
        "`kubewright apply`.";
    /// A file is missing.
    FileMissing = "file-missing":
        "missing files";
        "A file, directory, link or user that kubewright puts on the node is not there.";
        "`kubewright apply` puts it back.";
    /// A file's content differs.
    FileChanged = "file-changed":
        "changed files";
        "The content of a file (or the target of a link) is not what cluster.yaml makes of it. Shown as a diff when it is \
         text, not large and looks like no secret.";
        "`kubewright apply` writes it again and restarts the units that read it.";
    /// Owner or mode differ.
    AccessChanged = "access-changed":
        "changed owners and modes";
        "Owner, group or permission bits of a file or directory differ.";
        "`kubewright apply` sets them.";
    /// A shared secret differs.
    SecretChanged = "secret-changed":
        "changed secrets";
        "A key or the encryption configuration that control planes share differs from what the others hold, or is \
         missing. Its content is never shown.";
        "`kubewright apply` puts it back.";
    /// A certificate has to be issued.
    Certificate = "certificate":
        "certificates";
        "A certificate is missing, expired or about to expire, is of another authority, or has other names or usages.";
        "`kubewright apply` issues it again.";
    /// A program differs.
    BinaryChanged = "binary-changed":
        "changed programs";
        "A program on disk is missing or has another digest than the version in use.";
        "`kubewright apply` replaces it and restarts its units. Find out who replaced it.";
    /// An image is missing.
    ImageMissing = "image-missing":
        "missing images";
        "An image that kubewright imports is not in the runtime, or is another one under that name.";
        "`kubewright apply` imports it.";
    /// A kernel setting differs.
    KernelSetting = "kernel-setting":
        "changed kernel settings";
        "A kernel parameter or module, or that swap is off, is not as it should be, now or after a reboot.";
        "`kubewright apply` sets it.";
    /// A unit's file differs.
    UnitChanged = "unit-changed":
        "changed units";
        "A unit's file in `/etc/systemd/system` was edited or removed, has another owner or mode, or systemd has not read it.";
        "`kubewright apply` writes it again and restarts the unit. Arguments belong into `spec.components`.";
    /// A drop-in or another override.
    UnitOverridden = "unit-overridden":
        "overridden units";
        "A drop-in or a unit file that goes before kubewright's, in any directory systemd reads them from (`systemctl edit`, \
         `systemctl set-property`, `/run/systemd/system`).";
        "`kubewright apply` removes it, keeps its bytes in the node's journal, and restarts the unit.";
    /// A unit is not enabled.
    UnitDisabled = "unit-disabled":
        "disabled units";
        "A unit would not start after a reboot.";
        "`kubewright apply` enables it.";
    /// A unit does not run.
    UnitStopped = "unit-stopped":
        "stopped units";
        "A unit that should run does not.";
        "`kubewright apply` starts it; `journalctl -u UNIT` on the node says why it stopped.";
    /// A process has other arguments.
    ProcessArguments = "process-arguments":
        "processes with other arguments";
        "The running main process of a unit was given other arguments than its unit file has now \
         (`/proc/PID/cmdline` against `ExecStart`). Values of arguments whose name suggests a secret are not shown.";
        "`kubewright apply` restarts the unit.";
    /// A process executes another file.
    ProcessExecutable = "process-executable":
        "processes of another program";
        "The running main process of a unit executes another file (device and inode of `/proc/PID/exe`) than is at its \
         program's path now: one that was replaced while it ran.";
        "`kubewright apply` restarts the unit.";
    /// A process runs with old inputs.
    ProcessStale = "process-stale":
        "processes with outdated inputs";
        "A unit was last started by kubewright with other files than are on disk now.";
        "`kubewright apply` restarts the unit.";
    /// Something kubewright no longer wants.
    Orphaned = "orphaned":
        "left over";
        "kubewright put it on the node and cluster.yaml no longer asks for it.";
        "`kubewright apply` removes it.";
    /// Something in the way.
    InTheWay = "in-the-way":
        "in the way";
        "Something that kubewright does not remove by itself: a masked unit, a link or directory where a file should be, \
         a drop-in that a package brought. `apply` refuses to begin.";
        "What the message says.";
    /// A member is missing, silent, or complains.
    EtcdMember = "etcd-member":
        "etcd";
        "The node's member is not in the member list, has not started, does not vote yet, does not answer, sees no leader or \
         raises an alarm.";
        "A stopped member: `kubewright apply`. One that is missing or has not started is no work of `apply`.";
    /// A component runs in another version.
    RunningVersion = "running-version":
        "running versions";
        "The kubelet's version in its Node object, or the one etcd answers with, is not the one cluster.yaml asks for.";
        "`kubewright apply`, when the program on disk differs too; otherwise restart the unit.";
    /// A Node object is missing.
    NodeMissing = "node-missing":
        "not registered";
        "The API has no Node object for the node.";
        "`kubewright apply` registers it.";
    /// A Node object differs.
    NodeChanged = "node-changed":
        "changed Node object";
        "Labels, taints or the pod range of the Node object are not what cluster.yaml says.";
        "`kubewright apply` sets them.";
    /// A node is not Ready.
    NodeNotReady = "node-not-ready":
        "not Ready";
        "The node is registered and its kubelet does not report Ready.";
        "Whatever else is found on the node; `journalctl -u kubelet` there.";
    /// No API server answers.
    ApiUnreachable = "api-unreachable":
        "Kubernetes API";
        "No API server answers, so that nothing in the cluster could be compared.";
        "`kubewright status`; `journalctl -u kube-apiserver` on a control plane.";
    /// No member told the member list.
    EtcdUnreachable = "etcd-unreachable":
        "etcd";
        "No etcd member could tell which members there are, so that they could not be compared.";
        "`journalctl -u etcd` on the control planes; without a quorum nothing can be written.";
    /// A member nobody knows.
    EtcdMemberUnknown = "etcd-member-unknown":
        "unknown etcd members";
        "The member list has a member that is no control plane of cluster.yaml.";
        "Find out what it is; `etcdctl member remove` takes it out.";
    /// A node nobody knows.
    NodeUnknown = "node-unknown":
        "unknown nodes";
        "The API has a Node object that cluster.yaml does not have.";
        "Add it to cluster.yaml, or `kubectl delete node NAME` when the machine is gone.";
    /// An object is missing.
    ObjectMissing = "object-missing":
        "missing objects";
        "An object kubewright keeps in the cluster is not there.";
        "`kubewright apply` creates it.";
    /// An object differs.
    ObjectChanged = "object-changed":
        "changed objects";
        "Applying an object would change it: a field kubewright owns has another value. Values of Secrets are not shown.";
        "`kubewright apply` sets the fields it owns; fields of others stay.";
    /// An object that is no longer wanted.
    OrphanedObject = "orphaned-object":
        "objects left over";
        "kubewright applied the object and cluster.yaml no longer asks for it.";
        "`kubewright apply` deletes it, unless that would take along what is not kubewright's; the message says what. Delete that, \
         or keep the object for yourself: take its label `kubewright.io/cluster` off.";
    /// A deployment is not available.
    Unavailable = "deployment-unavailable":
        "not available";
        "A Deployment of kubewright's has not all its replicas available.";
        "`kubectl -n NAMESPACE describe deployment NAME`.";
}
