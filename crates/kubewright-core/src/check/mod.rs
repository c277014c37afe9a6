//! The preflight: what would make an apply fail, said before anything is changed.
//!
//! [`findings`] judges what is known of the nodes against what cluster.yaml asks of them. Every finding has a stable
//! id, a severity, the node, the cause in figures and the fix. Limits and their sources stand at the kinds
//! ([`Kind::means`]) and make the reference page. On a node that is set up already, what is kubewright's own is no
//! finding: a converged cluster passes.
//!
//! Nothing here looks at a machine. Text that came from one is escaped and cut before it is repeated, and never put
//! into a command that is shown for copying unless it is a plain name.

mod clock;
mod datagrams;
mod disk;
mod forwarding;
mod identity;
mod installers;
mod kernel;
mod machine;
mod measured;
mod needs;
mod network;
mod packages;
mod places;
mod ports;
mod quantity;
mod reference;
mod report;
mod resolvers;
mod right;
mod scope;
mod sync;
pub(crate) mod text;
mod twins;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

pub use crate::check_kind::Kind;
pub use measured::{Clock, LostDatagram, Measured, Silent, Unreachable};
pub use needs::{MODULES, PLACES, setting_keys};
pub use ports::{DatagramProbe, NeededPort, Probe, datagram_probes, needed_ports, probes, udp_ports};
pub use reference::reference;
pub use report::Report;
pub use right::right_machine;
pub use scope::Scope;

use crate::observed::{Facts, Observed, ObservedNode};
use crate::spec::{Cluster, Node};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// An apply would fail, or the cluster would not work.
    Error,
    /// It works; the operator should know.
    Warning,
}

impl Severity {
    /// Returns the word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which kind; its id is stable.
    #[serde(rename = "id")]
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// The node it is about; `None` when it is about this computer.
    pub node: Option<String>,
    /// What is wrong, with figures.
    pub message: String,
    /// What to do: a command or a key.
    pub fix: String,
    /// Why cluster.yaml accepts it (`checks.accept`), if it does: then it keeps nothing from beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

impl Finding {
    /// Whether an apply must not begin because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error && self.accepted.is_none()
    }
}

/// Judges the nodes. Deterministic; errors first, what is accepted last, then by kind, then in the order of cluster.yaml.
pub fn findings(cluster: &Cluster, observed: &Observed, measured: &Measured) -> Vec<Finding> {
    let look = Look::new(cluster, observed, measured);
    let mut found = Found::default();
    identity::judge(&look, &mut found);
    twins::judge(&look, &mut found);
    machine::judge(&look, &mut found);
    kernel::judge(&look, &mut found);
    places::judge(&look, &mut found);
    disk::judge(&look, &mut found);
    sync::judge(&look, &mut found);
    ports::judge(&look, &mut found);
    datagrams::judge(&look, &mut found);
    network::judge(&look, &mut found);
    forwarding::judge(&look, &mut found);
    resolvers::judge(&look, &mut found);
    clock::judge(&look, &mut found);
    found.sorted(cluster)
}

/// The nodes that answered and do not say that they are these nodes of this cluster: what is put on them is put there for
/// the first time.
pub fn new_nodes<'a>(cluster: &'a Cluster, observed: &Observed) -> impl Iterator<Item = &'a Node> {
    cluster.nodes.iter().filter(|node| {
        let seen = observed.nodes.get(node.name.as_str());
        seen.is_some_and(|seen| !is_own(cluster, node, &seen.facts))
    })
}

/// Whether a node says that it is this node of this cluster.
fn is_own(cluster: &Cluster, node: &Node, facts: &Facts) -> bool {
    facts
        .marker
        .as_ref()
        .is_some_and(|marker| marker.cluster == cluster.name.as_str() && marker.node == node.name.as_str())
}

/// Everything a judgement starts from.
struct Look<'a> {
    cluster: &'a Cluster,
    measured: &'a Measured,
    observed: &'a Observed,
    /// The nodes that answered, in the order of cluster.yaml.
    subjects: Vec<Subject<'a>>,
}

/// A node that answered.
struct Subject<'a> {
    node: &'a Node,
    seen: &'a ObservedNode,
    facts: &'a Facts,
    /// The node says it is this node of this cluster: what it runs is kubewright's own.
    is_own: bool,
}

impl<'a> Look<'a> {
    fn new(cluster: &'a Cluster, observed: &'a Observed, measured: &'a Measured) -> Self {
        let subject = |node: &'a Node| {
            let seen = observed.nodes.get(node.name.as_str())?;
            Some(Subject {
                node,
                seen,
                facts: &seen.facts,
                is_own: is_own(cluster, node, &seen.facts),
            })
        };
        Self {
            cluster,
            measured,
            observed,
            subjects: cluster.nodes.iter().filter_map(subject).collect(),
        }
    }
}

impl Subject<'_> {
    fn name(&self) -> &str {
        self.node.name.as_str()
    }
}

/// What was found so far.
#[derive(Default)]
struct Found(Vec<Finding>);

impl Found {
    fn error(&mut self, kind: Kind, node: &str, message: impl Into<String>, fix: impl Into<String>) {
        self.add(kind, Severity::Error, Some(node), message, fix);
    }

    fn warning(&mut self, kind: Kind, node: &str, message: impl Into<String>, fix: impl Into<String>) {
        self.add(kind, Severity::Warning, Some(node), message, fix);
    }

    fn add(
        &mut self,
        kind: Kind,
        severity: Severity,
        node: Option<&str>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.0.push(Finding {
            kind,
            severity,
            node: node.map(str::to_owned),
            message: message.into(),
            fix: fix.into(),
            accepted: None,
        });
    }

    fn sorted(mut self, cluster: &Cluster) -> Vec<Finding> {
        let place = |finding: &Finding| {
            let node = finding.node.as_deref()?;
            cluster.nodes.iter().position(|other| other.name == node)
        };
        for finding in &mut self.0 {
            let reason = cluster.checks.accepts(finding.kind);
            finding.accepted = reason.map(str::to_owned);
        }
        self.0.sort_by(|one, other| {
            (one.accepted.is_some(), one.severity)
                .cmp(&(other.accepted.is_some(), other.severity))
                .then(one.kind.cmp(&other.kind))
                .then(place(one).cmp(&place(other)))
                .then_with(|| one.message.cmp(&other.message))
                .then(Ordering::Equal)
        });
        self.0.dedup();
        self.0
    }
}
