//! The reference page of the checks, made from the same list that makes findings.

use std::fmt::Write as _;

use super::Kind;

const HEAD: &str = "\
# What `kubewright check` looks for

`kubewright check` changes nothing. Every finding names the node, the cause and the fix; its id, in brackets at the
end, does not change between releases. Errors end the command with exit code 3, and `apply` refuses to begin with one
on machines that are not part of a cluster yet, also when it adds them to a cluster that lives; with warnings only it ends with 0. With `-o json` each finding is one object with
`id`, `severity`, `node`, `message` and `fix`, inside a `CheckReport` of version `kubewright/v1alpha1`.

On a node that belongs to the cluster already, what kubewright put there is not a finding.

Every node opens a TCP connection to every port of the other nodes that it will need. Where the component does not run
yet, the agent listens on its port during the check. With `network.cni: flannel` the nodes also send datagrams, small ones and
ones as large as the interface takes, to UDP 8472 (VXLAN) of each node that is not set up yet, where the agent sends them back;
on nodes that are set up the kernel has that port, and `kubewright smoke` tests it.

On control planes whose etcd has no member yet, 500 small writes are made durable one after the other in a file without a
name, for 10 s at most. Nothing is left of them.

What you have judged to be right for your machines is listed under `checks.accept` in cluster.yaml, by its id and with the
reason: it is shown by every `check` and `plan` and keeps nothing from beginning. What protects other machines or the
cluster's data, or would make `apply` fail in any case, cannot be accepted.

## What can go wrong, and which finding reports it

| what is wrong | result |
| --- | --- |
| a node is down, or its SSH server | `node-unreachable`; control planes are needed, [workers can be skipped](cli.md) |
| its host key is unknown or changed | `node-unreachable` with both fingerprints; kubewright did not log in |
| login or sudo is refused, sudo wants a password or a terminal, a password has expired | `node-unreachable` with the line for sudoers or ssh; no password is ever tried, so nothing is locked |
| sudo's lecture | no effect |
| a banner, a message of the day, start files that print, another login shell (fish, csh), any umask, `noexec` on /tmp | no effect |
| the login shell runs another program: a forced command, `nologin`, a restricted shell, \"please log in as …\"; start files that wait or print without end | `node-unreachable`, with what it printed |
| `noexec`, no free space or a wrong owner in the agent's directory | `node-unreachable` |
| MaxSessions of the SSH server | no effect: one session per node |
| MaxStartups of the SSH server is reached | `node-unreachable` |
| agent forwarding is off | no effect: kubewright does not use it |
| a key with a passphrase, and no ssh-agent | `node-unreachable`: login refused |
| hostile or endless output of a node | escaped and cut; frames that are too large end as `node-unreachable` |
| full disk, no inodes, read-only or `noexec` file system | `disk-space`, `inodes`, `read-only`, `no-exec`; if one fills up during a run, the old version keeps running |
| a damaged or wrong download, a hostile archive | not checked here: `apply` verifies before use (`artifact-rejected`) |
| a binary that was replaced, an edited unit or file | not checked here: [drift](drift.md) and `plan` |
| a wrong clock, or no time service | `clock-offset`, `time-not-synchronized` |
| one machine under two names, a clone | `duplicate-machine-id`, `duplicate-hostname`, `duplicate-address`, `duplicate-mac`, `duplicate-product-uuid`; two equal addresses in cluster.yaml are an error of the file |
| a machine outside the cluster has the same address | cannot be seen from the nodes; broken connections show as `unreachable-port` |
| swap, also if a unit turns it on again at boot | `swap-on`, `swap-returns` |
| cgroups, an old kernel or nft, missing programs | `cgroup-v1`, `cgroup-controllers`, `kernel`, `nft-version`, `missing-command` |
| a needed kernel module is missing or cannot be loaded | `kernel-module` |
| forwarding off (`net.ipv4.ip_forward`, `net.ipv4.conf.all.forwarding`), other sysctls | `apply` sets them; `kernel-setting` where it cannot, `kernel-setting-undone` where a file would undo it at boot |
| a stub resolver in /etc/resolv.conf (systemd-resolved, NetworkManager) | no effect: the kubelet gets the list of real servers |
| no name server, or only one on the loopback address; one inside a range of the cluster; too many of them | `no-name-server`, `name-server-in-range`, `resolver-limits` |
| traces of another installer, its rules and interfaces, a port in use | `leftovers`, `port-in-use` with the process and its unit |
| a firewall | `unreachable-port`, `unreachable-udp` between nodes; `forward-drop` for what is forwarded; pod traffic: `kubewright smoke` |
| a smaller MTU between nodes than on their interfaces | `path-mtu` |
| an interface or a route inside a range of the cluster | `address-in-range`, `route-in-range` |
| strict `rp_filter` and two networks | `reverse-path-filter` |
| a disk too slow for etcd | `disk-sync` |
| a link or a file where a directory belongs | `blocked`; where a file belongs: rule `nothing-lost` of `plan` |
| an immutable or append-only attribute | `immutable` |
| invalid names in cluster.yaml | an error of the file |
| strange file names on a node | no effect: no name reaches a shell, and output is escaped |
";

/// Returns the page as Markdown.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    for kind in Kind::ALL {
        let _ = write!(
            page,
            "\n## {}\n\n{}\n\nFix: {}\n",
            kind.id(),
            kind.means(),
            kind.remedy()
        );
    }
    page
}
