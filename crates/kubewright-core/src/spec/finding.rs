//! What was found in a cluster.yaml, and how it is shown.
//!
//! A finding is data first (for `-o json`) and text second; both say the same. The text form is plain: no colour, so
//! that it reads the same in a log.

use super::Cluster;
use serde::Serialize;
use std::fmt::{self, Write as _};

/// The most findings that are shown as text.
pub(super) const MOST_SHOWN: usize = 100;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used; the user should know something.
    Warning,
}

/// Where in the file something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters are meant, at least 1, within the line.
    pub length: usize,
}

/// One thing found in a cluster.yaml.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name of the rule, such as `unknown-key`.
    pub rule: &'static str,
    /// The key it is about, such as `spec.nodes[2].address`; empty for the whole file.
    pub path: String,
    /// Where it is; `None` when it is about something that is not in the file.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// The line of the file, cut around the place if it is very long.
    #[serde(skip)]
    pub snippet: Option<Snippet>,
}

/// A line of the file as it is shown, and where in it the marks go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    pub(crate) text: String,
    pub(crate) marks_from: usize,
    pub(crate) marks: usize,
}

impl Snippet {
    /// Cuts the part around a place out of a line, so that a line of megabytes shows as one of a terminal's width.
    pub fn cut(line: &str, place: Place) -> Self {
        const WIDEST: usize = 100;
        let start = place.column.saturating_sub(1);
        let skipped = if start > WIDEST / 2 && line.chars().nth(WIDEST).is_some() {
            start - WIDEST / 2
        } else {
            0
        };
        let clean = |c: char| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        };
        let mut text: String = if skipped > 0 {
            "…".to_owned()
        } else {
            String::new()
        };
        let mut shown = text.chars().count();
        let marks_from = start - skipped + shown;
        let mut rest = line.chars().skip(skipped);
        for c in rest.by_ref() {
            text.push(clean(c));
            shown += 1;
            if shown >= WIDEST {
                break;
            }
        }
        if rest.next().is_some() {
            text.push('…');
        }
        let marks = place.length.clamp(1, shown.saturating_sub(marks_from).max(1));
        Self {
            text: text.trim_end().to_owned(),
            marks_from,
            marks,
        }
    }
}

impl Finding {
    /// Returns the finding as text: place, message, rule, the line with marks, the remedy. Ends with a line break.
    pub fn render(&self, file_name: &str) -> String {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut text = match self.place {
            Some(place) => {
                format!(
                    "{severity}: {file_name}:{}:{}: {} [{}]\n",
                    place.line, place.column, self.message, self.rule
                )
            }
            None => format!("{severity}: {file_name}: {} [{}]\n", self.message, self.rule),
        };
        let number = self.place.map(|place| place.line.to_string()).unwrap_or_default();
        let margin = " ".repeat(number.len());
        if let Some(snippet) = &self.snippet {
            let indent = " ".repeat(snippet.marks_from);
            let marks = "^".repeat(snippet.marks);
            let _ = writeln!(
                text,
                " {number} | {}
 {margin} | {indent}{marks}",
                snippet.text
            );
        }
        if !self.hint.is_empty() {
            let _ = writeln!(text, " {margin} = {}", self.hint);
        }
        text
    }
}

/// A cluster.yaml that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The cluster it asks for.
    pub spec: Cluster,
    /// What the user should know; never errors.
    pub warnings: Vec<Finding>,
}

/// A cluster.yaml that cannot be used, and everything that was found in it. Displays as complete text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecErrors {
    /// The file's name as the user gave it.
    pub file_name: String,
    /// Errors and warnings in the order of the file; at least one error.
    pub findings: Vec<Finding>,
}

impl SpecErrors {
    /// Returns how many of the findings are errors.
    pub fn error_count(&self) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count()
    }
}

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.findings.iter().take(MOST_SHOWN) {
            writeln!(f, "{}", finding.render(&self.file_name))?;
        }
        if let Some(more) = self
            .findings
            .len()
            .checked_sub(MOST_SHOWN)
            .filter(|more| *more > 0)
        {
            writeln!(f, "… and {more} more\n")?;
        }
        let errors = self.error_count();
        let plural = if errors == 1 { "" } else { "s" };
        write!(f, "{errors} error{plural} in {}", self.file_name)
    }
}

impl std::error::Error for SpecErrors {}
