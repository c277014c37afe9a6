//! All findings as one value for programs, and as text for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::text::{count, names};
use super::{Finding, Severity};
use crate::spec::Cluster;

/// The outcome of a preflight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`Report::API_VERSION`].
    pub api_version: String,
    /// [`Report::KIND`].
    pub kind: String,
    /// The cluster's name.
    pub cluster: String,
    /// How many nodes were to be looked at.
    pub nodes: usize,
    /// How many connections between nodes were tried.
    pub connections: usize,
    /// How many findings are errors.
    pub errors: usize,
    /// How many findings are warnings.
    pub warnings: usize,
    /// One entry for each node and finding.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Changes when a field changes its meaning; new fields may come without.
    pub const API_VERSION: &str = "kubewright/v1alpha1";
    /// What the value is.
    pub const KIND: &str = "CheckReport";

    /// Makes the report of a cluster.
    pub fn new(cluster: &Cluster, connections: usize, findings: Vec<Finding>) -> Self {
        let errors = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count();
        Self {
            api_version: Self::API_VERSION.to_owned(),
            kind: Self::KIND.to_owned(),
            cluster: cluster.name.to_string(),
            nodes: cluster.nodes.len(),
            connections,
            errors,
            warnings: findings.len() - errors,
            findings,
        }
    }

    /// Whether an apply must not begin.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Returns the text: what is the same on several nodes is said once, and a last line that counts.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (finding, nodes) in self.groups() {
            let _ = write!(text, "{}: ", finding.severity.as_str());
            if !nodes.is_empty() {
                let _ = write!(text, "{}: ", names(&nodes));
            }
            let _ = writeln!(text, "{} [{}]", finding.message, finding.kind.id());
            let _ = writeln!(text, "  fix: {}\n", finding.fix);
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    /// Returns the last line: how much was found where.
    pub fn summary(&self) -> String {
        let looked = match self.connections {
            0 => count(self.nodes, "node"),
            connections => {
                format!(
                    "{}, {} between them",
                    count(self.nodes, "node"),
                    count(connections, "connection")
                )
            }
        };
        if self.findings.is_empty() {
            return format!("nothing found on {looked}");
        }
        let found = match (self.errors, self.warnings) {
            (errors, 0) => count(errors, "error"),
            (0, warnings) => count(warnings, "warning"),
            (errors, warnings) => format!("{} and {}", count(errors, "error"), count(warnings, "warning")),
        };
        let nodes: BTreeSet<&str> = self
            .findings
            .iter()
            .filter_map(|finding| finding.node.as_deref())
            .collect();
        match nodes.len() {
            0 => found,
            some => format!("{found} on {some} of {}", count(self.nodes, "node")),
        }
    }

    /// Findings that read the same, in order of the first of each, with their nodes.
    fn groups(&self) -> Vec<(&Finding, Vec<&str>)> {
        let mut groups: Vec<(&Finding, Vec<&str>)> = Vec::new();
        for finding in &self.findings {
            let same = groups.iter_mut().find(|(other, _)| {
                (other.kind, other.severity, &other.message, &other.fix)
                    == (finding.kind, finding.severity, &finding.message, &finding.fix)
            });
            match same {
                Some((_, nodes)) => nodes.extend(finding.node.as_deref()),
                None => groups.push((finding, finding.node.as_deref().into_iter().collect())),
            }
        }
        groups
    }
}
