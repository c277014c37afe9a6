//! Gathers findings while a file is decoded and validated, and places each on the key it is about.
//!
//! A value that could not be decoded leaves its path marked as broken, and nothing more is said about that path:
//! one mistake, one finding.

use super::finding::{Finding, MOST_SHOWN, Place, Severity, Snippet};
use super::rule::RULES;
use super::yaml::{Span, Tree, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Which part of `key: value` a finding points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The key.
    Key,
    /// The value.
    Value,
}

#[derive(Debug, Clone, Copy)]
struct Spot {
    key: Option<Span>,
    value: Span,
}

/// The findings so far, and where everything stands.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
    spots: BTreeMap<String, Spot>,
    broken: BTreeSet<String>,
}

/// The most findings that are kept: more do not help, and a hostile file could make millions.
const MOST_FINDINGS: usize = 1000;

/// The deepest level whose places are remembered; findings below point at it. The checks look no deeper.
const DEEPEST_PATH: usize = 12;

/// Returns the path of a key in a map. Keys of absurd length are cut, so that paths cannot exhaust the memory.
pub(super) fn child(path: &str, key: &str) -> String {
    const LONGEST_KEY: usize = 100;
    let key = key
        .char_indices()
        .nth(LONGEST_KEY)
        .map_or(key, |(end, _)| &key[..end]);
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Returns the path of an item in a list.
pub(super) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

impl Report {
    /// Starts a report on a tree.
    pub(super) fn new(root: &Tree) -> Self {
        let mut report = Self::default();
        report.remember(root, String::new(), None, 0);
        report
    }

    fn remember(&mut self, tree: &Tree, path: String, key: Option<Span>, depth: usize) {
        match &tree.value {
            Value::List(_) | Value::Map(_) if depth >= DEEPEST_PATH => {}
            Value::Scalar { .. } => {}
            Value::List(items) => {
                for (index, value) in items.iter().enumerate() {
                    self.remember(value, item(&path, index), None, depth + 1);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    self.remember(
                        &entry.value,
                        child(&path, &entry.key),
                        Some(entry.key_span),
                        depth + 1,
                    );
                }
            }
        }
        self.spots.entry(path).or_insert(Spot {
            key,
            value: tree.span,
        });
    }

    /// Adds an error about a path.
    pub(super) fn error(
        &mut self,
        rule: &'static str,
        path: &str,
        target: Target,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Error, rule, path, target, message.into(), hint.into());
    }

    /// Adds a warning about a path.
    pub(super) fn warning(
        &mut self,
        rule: &'static str,
        path: &str,
        target: Target,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Warning, rule, path, target, message.into(), hint.into());
    }

    /// Adds an error at a place that has no path of its own, such as the second of two equal keys.
    pub(super) fn error_at(
        &mut self,
        rule: &'static str,
        path: &str,
        span: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(
            Severity::Error,
            rule,
            path,
            Some(span),
            message.into(),
            hint.into(),
        );
    }

    fn add(
        &mut self,
        severity: Severity,
        rule: &'static str,
        path: &str,
        target: Target,
        message: String,
        hint: String,
    ) {
        let span = self.nearest_spot(path, target);
        self.push(severity, rule, path, span, message, hint);
    }

    fn push(
        &mut self,
        severity: Severity,
        rule: &'static str,
        path: &str,
        span: Option<Span>,
        message: String,
        hint: String,
    ) {
        // There are few warnings a file can earn, so that what is dropped here is never its only error.
        if self.findings.len() >= MOST_FINDINGS {
            return;
        }
        let place = span.filter(|span| span.line > 0).map(|s| Place {
            line: s.line,
            column: s.column,
            length: s.length,
        });
        self.findings.push(Finding {
            severity,
            rule,
            path: path.to_owned(),
            place,
            message,
            hint,
            snippet: None,
        });
    }

    /// Returns the place of a path, or of the nearest path above it that is in the file.
    fn nearest_spot(&self, path: &str, target: Target) -> Option<Span> {
        if let Some(spot) = self.spots.get(path) {
            return Some(match (target, spot.key) {
                (Target::Key, Some(key)) => key,
                _ => spot.value,
            });
        }
        let cut = path.rfind(['.', '['])?;
        self.nearest_spot(&path[..cut], Target::Key)
    }

    /// Returns whether the path was written in the file.
    pub(super) fn is_written(&self, path: &str) -> bool {
        self.spots.contains_key(path)
    }

    /// Returns the line a path stands on.
    pub(super) fn line_of(&self, path: &str) -> Option<usize> {
        self.spots.get(path).map(|spot| spot.value.line)
    }

    /// Marks a path as not decodable.
    pub(super) fn mark_broken(&mut self, path: &str) {
        self.broken.insert(path.to_owned());
    }

    /// Returns whether nothing at, above or below the path was broken, so that its value is what the user meant.
    pub(super) fn is_sound(&self, path: &str) -> bool {
        let mut above = Some(path);
        while let Some(here) = above {
            if self.broken.contains(here) {
                return false;
            }
            above = match here.rfind(['.', '[']) {
                Some(cut) => Some(&here[..cut]),
                None if here.is_empty() => None,
                None => Some(""),
            };
        }
        let has_broken = |start: String| {
            self.broken
                .range(start.clone()..)
                .next()
                .is_some_and(|broken| broken.starts_with(&start))
        };
        if path.is_empty() {
            self.broken.is_empty()
        } else {
            !has_broken(format!("{path}.")) && !has_broken(format!("{path}["))
        }
    }

    /// Returns whether an error has been found.
    pub(super) fn has_errors(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    /// Ends the report: the findings in the order of the file, each with its line.
    pub(super) fn finish(self, text: &str) -> Vec<Finding> {
        sort_and_quote(self.findings, text)
    }
}

fn is_named(rule: &str) -> bool {
    RULES.iter().any(|(name, _)| *name == rule)
}

/// Sorts findings by place and gives each its line of the text.
pub(super) fn sort_and_quote(mut findings: Vec<Finding>, text: &str) -> Vec<Finding> {
    findings.sort_by(|a, b| {
        let key = |f: &Finding| {
            (
                f.place.map_or((usize::MAX, 0), |p| (p.line, p.column)),
                f.severity,
            )
        };
        key(a).cmp(&key(b))
    });
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().rposition(|line| !line.trim().is_empty());
    debug_assert!(
        findings.iter().all(|finding| is_named(finding.rule)),
        "a rule is not in the list that the reference page is made of"
    );
    for finding in findings.iter_mut().take(MOST_SHOWN) {
        // What is missing at the end of the text is shown at the end of its last line.
        if let (Some(place), Some(last)) = (&mut finding.place, last)
            && place.line > last + 1
        {
            *place = Place {
                line: last + 1,
                column: lines[last].trim_end().chars().count() + 1,
                length: 1,
            };
        }
        finding.snippet = finding
            .place
            .and_then(|place| Some(Snippet::cut(lines.get(place.line.checked_sub(1)?)?, place)));
    }
    findings
}
