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
| a node is down; its host key is unknown or changed; login or sudo is refused, or sudo wants a terminal; the login shell prints without end; no place for the agent | `node-unreachable`, with the words of the [error](errors.md) |
| a banner, start files that print, another login shell, any umask | nothing: they do no harm |
| MaxSessions, MaxStartups | nothing: one session per node; too many connections at once end as `node-unreachable` |
| text of a node that is hostile or without end | it is escaped and cut; frames too large end as `node-unreachable` |
| full disk, no inodes, read-only file system | `disk-space`, `inodes`, `read-only` |
| a damaged or wrong download, a hostile archive | not `check`: `plan` and `apply` verify before use (`artifact-rejected`) |
| a program that was replaced, an edited unit or file | not `check`: [drift](drift.md) and `plan` |
| a wrong clock, or none that keeps it | `clock-offset`, `time-not-synchronized` |
| one machine under two names, a clone | `duplicate-machine-id`, `duplicate-hostname`; two equal addresses in the file are its own mistake |
| swap, cgroups, an old kernel, missing programs | `swap-on`, `cgroup-v1`, `cgroup-controllers`, `kernel`, `missing-command` |
| a kernel without a module that is needed | not looked for yet: `apply` stops at the module |
| another installer's traces, a taken port | `leftovers`, `port-in-use` |
| a directory, link or device where a file belongs | `blocked` where it is known, else the rule `nothing-lost` of `plan` |
| an immutable attribute | not looked for yet: `apply` stops at that file |
| strange names in cluster.yaml | refused when the file is read |
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
