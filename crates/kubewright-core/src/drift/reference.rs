//! The reference page of drift, made from the same list that makes findings.

use std::fmt::Write as _;

use super::Kind;

const HEAD: &str = "\
# What `kubewright drift` looks for

`kubewright drift` compares nodes, API objects and etcd members with cluster.yaml. It takes no lock and changes nothing;
like every command that connects to a node, it installs the agent if this version of it is not there yet. Without a
difference it prints `0 differences` and ends with exit code 0; otherwise it lists the differences by node and kind and
ends with exit code 3. In a diff, `-` is the current state and `+` is what `kubewright apply` would write. Consequences
of a difference (a restart, for example) are not listed.

A file is read only if its size, modification or change time, inode or device is new; digests are stored by runs that
hold the node's lock. `--verify` reads every file. One run costs about as much as `kubewright plan`, so it can run from
a timer:

    kubewright drift -f cluster.yaml -o json > drift.json || notify

With `-o json` the answer is a `DriftReport` of version `kubewright/v1alpha1` with `schema` (now 1; it changes when a field changes its meaning), `cluster`, `differences` (their number) and `findings`: each has
`id` (below; ids do not change between releases), `node` (absent for cluster-wide findings), `subject`, `message` and,
where there is text to show, `diff`.
";

/// Returns the page as Markdown.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    for kind in Kind::ALL {
        let _ = write!(
            page,
            "\n## {}\n\n{}\n\nFixed by: {}\n",
            kind.id(),
            kind.means(),
            kind.repaired()
        );
    }
    page
}
