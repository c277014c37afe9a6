//! The reference page of drift, made from the same list that makes findings.

use std::fmt::Write as _;

use super::Kind;

const HEAD: &str = "\
# What `kubewright drift` looks for

`kubewright drift` compares what is there with cluster.yaml, on every machine, in the API and among etcd's members. It
takes no lock and writes nothing. When nothing differs it prints `0 differences` and ends with exit code 0; otherwise it
lists what differs, by node and kind, and ends with exit code 3. In a diff `-` is there now, and `+` is what
`kubewright apply` makes of it. What only follows from a difference (a restart, say) is not listed.

Files are told apart by size, modification and change time, inode and device, and read only when one of these is new; a
digest is remembered by runs that hold the node's lock. `--verify` reads every file. One look costs about as much as
`kubewright plan`, so it can run from a timer:

    kubewright drift -f cluster.yaml -o json > drift.json || notify

With `-o json` the answer is a `DriftReport` of version `kubewright/v1alpha1` with `schema` (the number of the form, now
1; it changes when a field changes its meaning), `cluster`, `differences` (how many) and `findings`: each has `id` (below;
ids do not change between releases), `node` (absent for what is the cluster's), `subject`, `message` and, where there is
text to show, `diff`.
";

/// Returns the page as Markdown.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    for kind in Kind::ALL {
        let _ = write!(
            page,
            "\n## {}\n\n{}\n\nMended by: {}\n",
            kind.id(),
            kind.means(),
            kind.repaired()
        );
    }
    page
}
