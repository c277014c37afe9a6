//! What an apply has to check before it changes anything.

use std::collections::BTreeSet;

use super::{Finding, Kind, new_nodes};
use crate::observed::Observed;
use crate::spec::Cluster;

/// Which nodes a check is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them: the cluster is new.
    All,
    /// Those that something is put on for the first time; the others serve already, and what is wrong with them keeps
    /// nobody from joining them.
    New(BTreeSet<String>),
    /// None.
    Nobody,
}

impl Scope {
    /// Returns what to check before a run that does something on these nodes.
    pub fn of_run<'a>(
        cluster: &Cluster,
        observed: &Observed,
        touched: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        if !observed.is_bootstrapped() {
            return Self::All;
        }
        let touched: BTreeSet<&str> = touched.into_iter().collect();
        let new = new_nodes(cluster, observed).map(|node| node.name.to_string());
        let new: BTreeSet<String> = new.filter(|name| touched.contains(name.as_str())).collect();
        if new.is_empty() {
            Self::Nobody
        } else {
            Self::New(new)
        }
    }

    /// The nodes that are to be checked, if not all.
    pub const fn only(&self) -> Option<&BTreeSet<String>> {
        match self {
            Self::New(nodes) => Some(nodes),
            Self::All | Self::Nobody => None,
        }
    }

    /// Whether a finding of a check of this scope counts: a connection was tried because it concerns one of the nodes.
    pub fn covers(&self, finding: &Finding) -> bool {
        let is_of_a_way = matches!(
            finding.kind,
            Kind::UnreachablePort | Kind::UnreachableUdp | Kind::PathMtu
        );
        match self {
            Self::All => true,
            Self::New(nodes) => is_of_a_way || finding.node.as_ref().is_some_and(|node| nodes.contains(node)),
            Self::Nobody => false,
        }
    }
}
