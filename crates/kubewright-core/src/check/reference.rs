//! The reference page of the checks, made from the same list that makes findings.

use std::fmt::Write as _;

use super::Kind;

const HEAD: &str = "\
# What `kubewright check` looks for

`kubewright check` changes nothing. Every finding names the node, the cause and the fix; its id, in brackets at the
end, does not change between releases. Errors end the command with exit code 3, and `apply` refuses to begin with one
on machines that are not a cluster yet; warnings alone end it with 0. With `-o json` each finding is one object with
`id`, `severity`, `node`, `message` and `fix`, inside a `CheckReport` of version `kubewright/v1alpha1`.

On a node that belongs to the cluster already, what kubewright put there is no finding.

Connections between nodes are tried for every TCP port another node will need. Where the component does not run yet,
the agent listens on its port for the length of the check. UDP is not tried, because nothing would answer: with
`network.cni: flannel`, UDP 8472 (VXLAN) has to be open between all nodes; `kubewright smoke` proves it afterwards.

## What can go wrong, and what tells of it

| what is wrong | told by |
| --- | --- |
| a node is down, or its SSH server | `node-unreachable`; control planes are needed, [workers can be left out](cli.md) |
| its host key is unknown or changed | `node-unreachable` with both fingerprints; nothing was sent |
| login or sudo is refused, sudo wants a password or a terminal, a password has expired | `node-unreachable` with the line for sudoers or ssh; no password is ever tried, so nothing is locked |
| sudo's lecture | nothing: it does no harm |
| a banner, a message of the day, start files that print, another login shell (fish, csh), any umask, `noexec` on /tmp | nothing: they do no harm, and a banner is not taken for an error |
| a login that runs something else: a forced command, `nologin`, a restricted shell, \"please log in as …\"; start files that wait or print without end | `node-unreachable`, with what it printed |
| `noexec`, no room or a wrong owner where the agent is put | `node-unreachable` |
| MaxSessions, MaxStartups, no agent forwarding, a key with a passphrase | one session per connection and one connection per node, so the first does no harm; the others end as `node-unreachable` |
| text of a node that is hostile or without end | it is escaped and cut; frames too large end as `node-unreachable` |
| full disk, no inodes, read-only or `noexec` file system | `disk-space`, `inodes`, `read-only`, `no-exec`; one that fills up meanwhile leaves the old version running |
| a damaged or wrong download, a hostile archive | not known here: `plan` and `apply` verify before use (`artifact-rejected`) |
| a program that was replaced, an edited unit or file | not looked for here: [drift](drift.md) and `plan` |
| a wrong clock, or none that keeps it | `clock-offset`, `time-not-synchronized` |
| one machine under two names, a clone | `duplicate-machine-id`, `duplicate-hostname`, `duplicate-address`, `duplicate-mac`, `duplicate-product-uuid`; two equal addresses in the file are its own mistake |
| an address that a machine outside the cluster has, too | cannot be known from the nodes; connections that break show as `unreachable-port` |
| swap, also such that comes back | `swap-on`, `swap-returns` |
| cgroups, an old kernel or nft, missing programs | `cgroup-v1`, `cgroup-controllers`, `kernel`, `nft-version`, `missing-command` |
| a kernel without a module that is needed, or one that may not be loaded | `kernel-module` |
| forwarding off, other kernel settings | nothing: `apply` sets them; `kernel-setting` where it cannot, `kernel-setting-undone` where it would not last |
| the stub of systemd-resolved in /etc/resolv.conf | nothing: the kubelet is given the list of real servers |
| another installer's traces, its rules and interfaces, a taken port | `leftovers`, `port-in-use` with the process and its unit |
| a firewall | `unreachable-port` for TCP between nodes; for UDP and what pods send, `kubewright smoke` |
| a link or a file where a directory belongs | `blocked`; where a file belongs: rule `nothing-lost` of `plan` |
| an immutable or append-only attribute | `immutable` |
| strange names in cluster.yaml | refused when the file is read |
| strange names of files on a node | nothing: no name reaches a shell, and what is shown is escaped |
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
