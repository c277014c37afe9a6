//! An error at the edge: what happened, why, what to do next, and the exit code.
//!
//! Whoever catches an error turns it into a [`Failure`]; it is shown as text, or as one line of JSON. The text reads
//! downward: what was being done, then why it did not work, then what to do. What came from a node is cut and escaped.

mod document;

use std::error::Error;
use std::fmt::Write as _;

use kubewright_core::errors::Diagnosis;
pub(crate) use kubewright_core::errors::{ErrorId, Kind};
use kubewright_core::shown::{paragraph, sentence};

/// Log lines that are repeated.
const LOG_LINES: usize = 40;

/// What was found, in both forms.
#[derive(Debug)]
struct Findings {
    text: String,
    values: Vec<serde_json::Value>,
}

/// An error, ready to be shown.
#[derive(Debug)]
pub(crate) struct Failure {
    id: ErrorId,
    is_stopped: bool,
    node: Option<String>,
    step: Option<(String, String)>,
    what: String,
    details: Vec<String>,
    command: Option<String>,
    causes: Vec<String>,
    unit: Option<String>,
    log: Vec<String>,
    diagnosis: Option<&'static Diagnosis>,
    hints: Vec<String>,
    findings: Option<Findings>,
    others: Vec<Failure>,
}

impl Failure {
    /// A failure in one sentence, of which no more is known than whose matter it is.
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self::named(ErrorId::of_kind(kind), what)
    }

    /// A failure that is a known situation.
    pub(crate) fn named(id: ErrorId, what: impl Into<String>) -> Self {
        Self {
            id,
            is_stopped: false,
            node: None,
            step: None,
            what: what.into(),
            details: Vec::new(),
            command: None,
            causes: Vec::new(),
            unit: None,
            log: Vec::new(),
            diagnosis: None,
            hints: Vec::new(),
            findings: None,
            others: Vec::new(),
        }
    }

    /// A failure with everything an error says of its causes.
    pub(crate) fn from_error(kind: Kind, error: &dyn Error) -> Self {
        let mut failure = Self::new(kind, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !failure.what.ends_with(&text) && failure.causes.last() != Some(&text) {
                failure.causes.push(text);
            }
            source = cause.source();
        }
        failure
    }

    /// An error of the machines' side.
    pub(crate) fn of_machines(error: &kubewright_control::error::Error) -> Self {
        let mut failure = Self::named(error.id, error.doing.clone());
        failure.node.clone_from(&error.node);
        failure.command.clone_from(&error.command);
        failure.causes.clone_from(&error.causes);
        failure.unit.clone_from(&error.unit);
        failure.log.clone_from(&error.log);
        failure.diagnosis = error.diagnosis();
        if let Some(diagnosis) = failure.diagnosis {
            let next = diagnosis.next(error.node.as_deref(), error.unit.as_deref());
            failure.hints.push(next);
        }
        failure.hints.extend(error.hint.clone());
        failure
    }

    /// Names the situation.
    pub(crate) const fn id(mut self, id: ErrorId) -> Self {
        self.id = id;
        self
    }

    /// Adds what the operator can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds a line that says more of what happened.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// Adds a cause.
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Names the step of the plan it happened in, and what that was to do.
    pub(crate) fn in_step(mut self, id: &str, title: &str) -> Self {
        self.step = Some((id.to_owned(), title.to_owned()));
        self
    }

    /// Adds what was found in a file or on machines: as text, shown before everything else, and for programs.
    pub(crate) fn findings<T: serde::Serialize>(mut self, text: String, findings: &[T]) -> Self {
        let values = findings
            .iter()
            .filter_map(|finding| serde_json::to_value(finding).ok())
            .collect();
        self.findings = Some(Findings { text, values });
        self
    }

    /// Adds another failure, told in full after this one; the exit code is the first one's.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.others.push(other);
        self
    }

    /// The same as the outcome of a run that can be continued.
    pub(crate) fn stopping(mut self) -> Self {
        self.is_stopped = true;
        self
    }

    /// The exit code.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self.id.kind() {
            // A rule that stops a run is told apart from what went wrong with one.
            kind @ (Kind::Bug | Kind::Refused) => kind.exit_code(),
            _ if self.is_stopped => Kind::Stopped.exit_code(),
            kind => kind.exit_code(),
        }
    }

    /// What was being done and where.
    fn message(&self) -> String {
        let what = paragraph(&self.what);
        match &self.node {
            Some(node) => format!("node {node}: {what}"),
            None => what,
        }
    }

    /// The lines of the log that are shown.
    fn shown_log(&self) -> impl Iterator<Item = String> {
        let orphaned = self.log.len().saturating_sub(LOG_LINES);
        self.log[orphaned..].iter().map(|said| sentence(said))
    }

    /// The text, without colour.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        if let Some(findings) = &self.findings {
            text.push_str(&findings.text);
        }
        let message = self.message();
        let (first, more) = message.split_once('\n').unwrap_or((&message, ""));
        let _ = writeln!(text, "error: {first} [{}]", self.id);
        if !more.is_empty() {
            let _ = writeln!(text, "    {}", indented(more));
        }
        for detail in &self.details {
            let _ = writeln!(text, "  {}", indented(detail));
        }
        if let Some((id, title)) = &self.step {
            let _ = writeln!(text, "  step: {id}: {title}");
        }
        if let Some(command) = &self.command {
            let _ = writeln!(text, "  command: {}", sentence(command));
        }
        for cause in &self.causes {
            let _ = writeln!(text, "  because: {}", indented(cause));
        }
        if !self.log.is_empty() {
            match &self.unit {
                Some(unit) => {
                    let _ = writeln!(text, "  last log lines of {}:", sentence(unit));
                }
                None => text.push_str("  last log lines:\n"),
            }
            for said in self.shown_log() {
                let _ = writeln!(text, "    | {said}");
            }
        }
        if let Some(diagnosis) = self.diagnosis {
            let _ = writeln!(text, "  probably: {} [{}]", diagnosis.cause, diagnosis.id);
        }
        for hint in &self.hints {
            let _ = writeln!(text, "  hint: {}", indented(hint));
        }
        for other in &self.others {
            text.push_str(&other.render());
        }
        text
    }
}

/// A text below a label: its further lines are indented, so that none can pass for a line of this program.
fn indented(text: &str) -> String {
    paragraph(text).replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use kubewright_control::error::Error;

    use super::{ErrorId, Failure, Kind};

    fn unit_failed() -> Error {
        let mut error = Error::named(ErrorId::UnitFailed, "start etcd.service")
            .on("cp-1")
            .because("it is failed (exit-code)")
            .hint("the whole story is in `journalctl -u etcd.service` on the node");
        error.command = Some("systemctl start --no-block -- etcd.service".to_owned());
        error.unit = Some("etcd.service".to_owned());
        error.log = vec![
            "starting\u{1b}[2J etcd".to_owned(),
            "listen tcp 192.0.2.11:2380: bind: address already in use".to_owned(),
        ];
        error
    }

    #[test]
    fn reads_downward_from_what_to_why_to_what_next() {
        let failure = Failure::of_machines(&unit_failed()).in_step("cp-1/etcd", "etcd (9 changes)");
        insta::assert_snapshot!(failure.render(), @r"
        error: node cp-1: start etcd.service [unit-failed]
          step: cp-1/etcd: etcd (9 changes)
          command: systemctl start --no-block -- etcd.service
          because: it is failed (exit-code)
          last log lines of etcd.service:
            | starting\u{1b}[2J etcd
            | listen tcp 192.0.2.11:2380: bind: address already in use
          probably: another process listens on a port that this unit needs [port-taken]
          hint: on cp-1: ss -ltnp shows which process; stop it, then run the same command again (kubewright check looks for this before a first apply)
          hint: the whole story is in `journalctl -u etcd.service` on the node
        ");
    }

    #[test]
    fn says_the_same_in_json() {
        let failure = Failure::of_machines(&unit_failed())
            .in_step("cp-1/etcd", "etcd (9 changes)")
            .stopping()
            .and(Failure::named(ErrorId::StoppedPartWay, "stopped part-way").hint("run it again"));
        let json: serde_json::Value = serde_json::from_str(&failure.json()).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap(), @r#"
        {
          "also": [
            {
              "exitCode": 10,
              "id": "stopped-part-way",
              "message": "stopped part-way",
              "next": [
                "run it again"
              ]
            }
          ],
          "apiVersion": "kubewright/v1alpha1",
          "causes": [
            "it is failed (exit-code)"
          ],
          "command": "systemctl start --no-block -- etcd.service",
          "exitCode": 10,
          "id": "unit-failed",
          "kind": "Error",
          "log": {
            "lines": [
              "starting\\u{1b}[2J etcd",
              "listen tcp 192.0.2.11:2380: bind: address already in use"
            ],
            "unit": "etcd.service"
          },
          "message": "node cp-1: start etcd.service",
          "next": [
            "on cp-1: ss -ltnp shows which process; stop it, then run the same command again (kubewright check looks for this before a first apply)",
            "the whole story is in `journalctl -u etcd.service` on the node"
          ],
          "node": "cp-1",
          "probableCause": {
            "id": "port-taken",
            "text": "another process listens on a port that this unit needs"
          },
          "step": {
            "id": "cp-1/etcd",
            "title": "etcd (9 changes)"
          }
        }
        "#);
    }

    #[test]
    fn lines_stay_lines_and_none_passes_for_one_of_ours() {
        let failure = Failure::new(Kind::Api, "apply\nwidgets")
            .because("apply 2 of 9 objects:\r\n  Widget a: denied\nerror: Widget b: \u{1b}[2J");
        insta::assert_snapshot!(failure.render(), @r"
        error: apply [api-failed]
            widgets
          because: apply 2 of 9 objects:
              Widget a: denied
            error: Widget b: \u{1b}[2J
        ");
        let json: serde_json::Value = serde_json::from_str(&failure.json()).unwrap();
        assert_eq!(json["message"], "apply\nwidgets");
        assert_eq!(json["causes"][0].as_str().unwrap().lines().count(), 3);
    }

    #[test]
    fn what_a_node_says_without_end_is_cut() {
        let mut error = unit_failed();
        error.log = vec!["x".repeat(64 << 10); 200];
        error.causes = vec!["y".repeat(1 << 20)];
        let failure = Failure::of_machines(&error);
        assert!(failure.render().len() < 32 << 10);
        assert!(failure.json().len() < 32 << 10);
    }

    #[test]
    fn a_run_that_began_exits_with_ten_unless_a_rule_stopped_it_and_a_bug_always_with_seventy() {
        let code = |kind| Failure::new(kind, "x").stopping().exit_code();
        assert_eq!([Kind::Ssh, Kind::Api, Kind::Refused].map(code), [10, 10, 20]);
        assert_eq!(code(Kind::Bug), 70);
    }

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let codes = [
            Kind::User,
            Kind::Findings,
            Kind::Incomplete,
            Kind::Stopped,
            Kind::Node,
            Kind::Etcd,
            Kind::Api,
            Kind::Ssh,
            Kind::Refused,
            Kind::Bug,
        ]
        .map(|kind| Failure::new(kind, "x").exit_code());
        assert_eq!(codes, [1, 3, 4, 10, 10, 11, 12, 13, 20, 70]);
    }
}
