//! Why a condition of a node does not hold yet: what one look at it sees, and how the unit is that it depends on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::shown::{count, sentence};

/// Systemd has restarted a unit so often that what it is at the moment means nothing.
const LOOP_RESTARTS: u32 = 2;

/// Answers why a condition does not hold yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What the look saw; `None` when the condition holds by now.
    pub seen: Option<String>,
    /// The unit it depends on, if there is one.
    pub unit: Option<UnitReport>,
}

/// How a unit is, with the last word of its own process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitReport {
    /// The unit.
    pub unit: String,
    /// `ActiveState`.
    pub active: String,
    /// `SubState`.
    pub sub: String,
    /// How often systemd has restarted it since it was last started by a command.
    pub restarts: u32,
    /// What its process wrote last, see [`last_word`].
    pub last_line: Option<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.seen, &self.unit) {
            (Some(seen), None) => formatter.write_str(&sentence(seen)),
            (Some(seen), Some(unit)) => write!(formatter, "{}; {unit}", sentence(seen)),
            (None, Some(unit)) => unit.fmt(formatter),
            (None, None) => formatter.write_str("it holds now"),
        }
    }
}

impl fmt::Display for UnitReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = sentence(&self.unit);
        if self.restarts >= LOOP_RESTARTS {
            let times = count(self.restarts as usize, "time");
            write!(formatter, "{unit} ends again and again: restarted {times}")?;
        } else if self.active.is_empty() {
            write!(formatter, "{unit} is unknown to systemd")?;
        } else {
            let (active, sub) = (sentence(&self.active), sentence(&self.sub));
            write!(formatter, "{unit} is {active} ({sub})")?;
        }
        match &self.last_line {
            Some(line) => write!(formatter, "; its last line: {}", sentence(line)),
            None => Ok(()),
        }
    }
}

/// Returns the line of a program's output that tells most of its end: the last one that Kubernetes' or Go's own words
/// mark as an error (`E1129 …`, `F1129 …`, `panic: …`, `fatal error: …`), or else the last one at all.
///
/// A Go program that panics ends with a trace, whose last line is the name of a source file.
pub fn last_word<'a>(lines: impl DoubleEndedIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let mut backwards = lines.map(str::trim).filter(|line| !line.is_empty()).rev();
    let last = backwards.clone().next();
    backwards.find(|line| is_marked(line)).or(last)
}

fn is_marked(line: &str) -> bool {
    let klog = line
        .strip_prefix(['E', 'F'])
        .and_then(|rest| rest.split_once(' '))
        .is_some_and(|(date, _)| date.len() == 4 && date.bytes().all(|byte| byte.is_ascii_digit()));
    klog || line.starts_with("panic: ") || line.starts_with("fatal error: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubelet() -> UnitReport {
        UnitReport {
            unit: "kubelet.service".to_owned(),
            active: "activating".to_owned(),
            sub: "auto-restart".to_owned(),
            restarts: 46,
            last_line: Some("could not detect clock speed".to_owned()),
        }
    }

    #[test]
    fn a_unit_in_a_crash_loop_is_told_with_its_restarts_and_last_line() {
        let explanation = Explanation {
            seen: None,
            unit: Some(kubelet()),
        };
        assert_eq!(
            explanation.to_string(),
            "kubelet.service ends again and again: restarted 46 times; its last line: could not detect clock speed"
        );
    }

    #[test]
    fn what_a_look_saw_comes_first() {
        let explanation = Explanation {
            seen: Some("it answers 500: etcd failed".to_owned()),
            unit: Some(UnitReport {
                unit: "kube-apiserver.service".to_owned(),
                active: "active".to_owned(),
                sub: "running".to_owned(),
                ..UnitReport::default()
            }),
        };
        assert_eq!(
            explanation.to_string(),
            "it answers 500: etcd failed; kube-apiserver.service is active (running)"
        );
    }

    #[test]
    fn the_last_word_is_the_last_line_that_is_marked_as_an_error() {
        let trace = [
            "starting",
            "panic: no clock",
            "",
            "goroutine 1 [running]:",
            "main.go:10 +0x1d",
        ];
        assert_eq!(last_word(trace.into_iter()), Some("panic: no clock"));
        let kubelet = [
            "E1129 06:03:35.1 run.go:72] \"command failed\"",
            "I1129 06:03:36.0 bye",
        ];
        assert_eq!(last_word(kubelet.into_iter()), Some(kubelet[0]));
        assert_eq!(
            last_word(["Error: x", "[FATAL] y", " "].into_iter()),
            Some("[FATAL] y")
        );
        assert_eq!(last_word([" "].into_iter()), None);
    }
}
