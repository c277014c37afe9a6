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
