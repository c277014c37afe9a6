//! All findings as one value for programs, and as text for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::text::{count, names, sentence};
use super::{Finding, Measured, sync};
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
    /// How many findings cluster.yaml accepts; they are neither.
    #[serde(default)]
    pub accepted: usize,
    /// What else whoever reads it should know, as sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// One entry for each node and finding.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Changes when a field changes its meaning; new fields may come without.
    pub const API_VERSION: &str = "kubewright/v1alpha1";
    /// What the value is.
    pub const KIND: &str = "CheckReport";

    /// Makes the report of a cluster.
    pub fn new(cluster: &Cluster, connections: usize, measured: &Measured, findings: Vec<Finding>) -> Self {
        let mut report = Self {
            api_version: Self::API_VERSION.to_owned(),
            kind: Self::KIND.to_owned(),
            cluster: cluster.name.to_string(),
            nodes: cluster.nodes.len(),
            connections,
            errors: 0,
            warnings: 0,
            accepted: 0,
            notes: sync::notes(&measured.unmeasured).into_iter().collect(),
            findings,
        };
        report.keep(|_| true);
        report
    }

    /// Keeps some of the findings, and counts them.
    pub fn keep(&mut self, is_kept: impl FnMut(&Finding) -> bool) {
        self.findings.retain(is_kept);
        let count = |is: fn(&&Finding) -> bool| self.findings.iter().filter(is).count();
        self.errors = count(|finding| finding.is_error());
        self.accepted = count(|finding| finding.accepted.is_some());
        self.warnings = self.findings.len() - self.errors - self.accepted;
    }

    /// Whether an apply must not begin.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Returns the text: what is the same on several nodes is said once, and a last line that counts.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (finding, nodes) in self.groups() {
            match finding.accepted {
                None => text.push_str(finding.severity.as_str()),
                Some(_) => text.push_str("accepted"),
            }
            text.push_str(": ");
            if !nodes.is_empty() {
                let _ = write!(text, "{}: ", names(&nodes));
            }
            let _ = writeln!(text, "{} [{}]", finding.message, finding.kind.id());
            let _ = match &finding.accepted {
                None => writeln!(text, "  fix: {}\n", finding.fix),
                Some(reason) => writeln!(text, "  reason: {}\n", sentence(reason)),
            };
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {}", sentence(note));
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
        let counted = [
            (self.errors, count(self.errors, "error")),
            (self.warnings, count(self.warnings, "warning")),
            (self.accepted, format!("{} accepted", self.accepted)),
        ];
        let counted: Vec<String> = counted
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(_, text)| text)
            .collect();
        let found = match counted.as_slice() {
            [one, two, three] => format!("{one}, {two} and {three}"),
            some => some.join(" and "),
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
