//! An error at the edge: what happened, why, what to do next, and the exit code.
//!
//! Whoever catches an error turns it into a [`Failure`]; one renderer prints it. The chain reads downward: what was
//! being done, then why it did not work.

use std::error::Error;
use std::fmt::Write as _;

/// Whose matter it is; decides the exit code, which is part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The file or the request is wrong.
    User,
    /// Something differs or was found.
    Findings,
    /// A run stopped part-way and can be continued.
    Stopped,
    /// etcd.
    Etcd,
    /// The Kubernetes API.
    Api,
    /// SSH.
    Ssh,
    /// A safety rule said no.
    Refused,
    /// kubewright itself is wrong.
    Bug,
}

impl Kind {
    /// The process' exit code.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Findings => 3,
            Self::Stopped => 10,
            Self::Etcd => 11,
            Self::Api => 12,
            Self::Ssh => 13,
            Self::Refused => 20,
            Self::Bug => 70,
        }
    }
}

/// An error, ready to be shown.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    what: String,
    details: Vec<String>,
    causes: Vec<String>,
    hints: Vec<String>,
    log: Vec<String>,
    others: Vec<Failure>,
}

impl Failure {
    /// A failure in one sentence.
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            details: Vec::new(),
            causes: Vec::new(),
            hints: Vec::new(),
            log: Vec::new(),
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

    /// Adds another failure, told in full after this one; the kind is the first one's.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.others.push(other);
        self
    }

    /// The same as the outcome of a run that can be continued.
    pub(crate) fn stopping(mut self) -> Self {
        if self.kind != Kind::Bug {
            self.kind = Kind::Stopped;
        }
        self
    }

    /// Adds the last lines of a log.
    pub(crate) fn log(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.log.extend(lines);
        self
    }

    /// The exit code.
    pub(crate) const fn exit_code(&self) -> u8 {
        self.kind.exit_code()
    }

    /// The text, without colour.
    pub(crate) fn render(&self) -> String {
        let mut text = format!("error: {}\n", self.what);
        for detail in &self.details {
            let _ = writeln!(text, "  {detail}");
        }
        for cause in &self.causes {
            let _ = writeln!(text, "  because: {cause}");
        }
        if !self.log.is_empty() {
            let _ = writeln!(text, "  last log lines:");
            for line in &self.log {
                let _ = writeln!(text, "    | {}", line.escape_debug());
            }
        }
        for hint in &self.hints {
            let _ = writeln!(text, "  hint: {hint}");
        }
        for other in &self.others {
            text.push_str(&other.render());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Kind};

    #[test]
    fn reads_downward_from_what_to_why_to_what_next() {
        let failure = Failure::new(Kind::Ssh, "connect to node cp-1")
            .because("connection refused")
            .hint("start sshd on 192.0.2.11");
        insta::assert_snapshot!(failure.render(), @r"
        error: connect to node cp-1
          because: connection refused
          hint: start sshd on 192.0.2.11
        ");
    }

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let codes = [
            Kind::User,
            Kind::Findings,
            Kind::Stopped,
            Kind::Etcd,
            Kind::Api,
            Kind::Ssh,
            Kind::Refused,
            Kind::Bug,
        ]
        .map(Kind::exit_code);
        assert_eq!(codes, [1, 3, 10, 11, 12, 13, 20, 70]);
    }
}
