//! All differences as one value for programs, and as text for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Finding, Kind, Seen, findings};
use crate::check::text::names;
use crate::shown::count;

/// How a cluster differs from cluster.yaml.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`Report::API_VERSION`].
    pub api_version: String,
    /// [`Report::KIND`].
    pub kind: String,
    /// [`Report::SCHEMA`].
    pub schema: u32,
    /// The cluster's name.
    pub cluster: String,
    /// How many differences there are.
    pub differences: usize,
    /// The differences: nodes in the order of cluster.yaml, then the cluster's.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The version all of kubewright's answers have in common.
    pub const API_VERSION: &str = "kubewright/v1alpha1";
    /// What the value is.
    pub const KIND: &str = "DriftReport";
    /// Changes when a field changes its meaning; new fields may come without.
    pub const SCHEMA: u32 = 1;

    /// Makes the report of a look.
    pub fn new(seen: &Seen<'_>) -> Self {
        let findings = findings(seen);
        Self {
            api_version: Self::API_VERSION.to_owned(),
            kind: Self::KIND.to_owned(),
            schema: Self::SCHEMA,
            cluster: seen.cluster.name.to_string(),
            differences: findings.len(),
            findings,
        }
    }

    /// Whether everything is as cluster.yaml says.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// Returns the text: grouped by node and kind, nodes that differ alike together, and a last line that counts.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (nodes, findings) in self.groups() {
            let who = if nodes.is_empty() {
                "cluster".to_owned()
            } else {
                names(&nodes)
            };
            let _ = writeln!(text, "{who}");
            for of_kind in findings.chunk_by(|one, other| one.kind == other.kind) {
                let _ = writeln!(text, "  {} [{}]", of_kind[0].kind.title(), of_kind[0].kind.id());
                for finding in of_kind {
                    let _ = writeln!(text, "    {}: {}", finding.subject, finding.message);
                    text.push_str(&indented(finding.diff.as_deref().unwrap_or_default()));
                }
            }
            text.push('\n');
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    /// Returns the last line: `0 differences`, or how many where.
    pub fn summary(&self) -> String {
        let nodes: BTreeSet<&str> = self
            .findings
            .iter()
            .filter_map(|finding| finding.node.as_deref())
            .collect();
        let differences = count(self.differences, "difference");
        let in_cluster = self.findings.iter().any(|finding| finding.node.is_none());
        match (nodes.len(), in_cluster) {
            (0, false) => differences,
            (0, true) => format!("{differences} in the cluster"),
            (some, false) => format!("{differences} on {}", count(some, "node")),
            (some, true) => format!("{differences} on {} and in the cluster", count(some, "node")),
        }
    }

    /// Nodes whose findings read the same, with these findings; the cluster's own last.
    fn groups(&self) -> Vec<(Vec<&str>, &[Finding])> {
        let mut groups: Vec<(Vec<&str>, &[Finding])> = Vec::new();
        for own in self.findings.chunk_by(|one, other| {
            one.node.is_some() && one.node == other.node || other.node.is_none() && one.node.is_none()
        }) {
            let node = own[0].node.as_deref();
            let alike = groups.iter_mut().find(|(nodes, findings)| {
                node.is_some() && !nodes.is_empty() && likeness(findings) == likeness(own)
            });
            match (alike, node) {
                (Some((nodes, _)), Some(node)) => nodes.push(node),
                _ => groups.push((node.into_iter().collect(), own)),
            }
        }
        groups
    }
}

fn likeness(findings: &[Finding]) -> Vec<(Kind, &str, &str, Option<&str>)> {
    findings
        .iter()
        .map(|finding| {
            let Finding {
                kind,
                subject,
                message,
                diff,
                ..
            } = finding;
            (*kind, subject.as_str(), message.as_str(), diff.as_deref())
        })
        .collect()
}

/// A diff below its finding; what came from a machine is made harmless for a terminal.
fn indented(diff: &str) -> String {
    diff.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "      {}", crate::shown::line(line));
        text
    })
}
