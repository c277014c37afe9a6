//! One line per event on standard error, as `key=value` pairs; the journal adds time and unit.
//!
//! Lines begin with the priority prefix journald understands (sd-daemon(3)). Addresses, counts and reasons only: nothing
//! of what passes through the proxy is ever written.

use std::fmt::{Display, Write as _};
use std::io::Write as _;

/// How much an event matters.
#[derive(Debug, Clone, Copy)]
pub(super) enum Level {
    /// Normal life.
    Info,
    /// Something the operator may want to know.
    Warn,
}

/// Writes one event with its fields; a closed standard error is not an error.
pub(super) fn event(level: Level, message: &str, fields: &[(&str, &dyn Display)]) {
    // The test harness cannot capture what is written to the stream itself.
    if cfg!(test) {
        return;
    }
    let _ = std::io::stderr().write_all(line(level, message, fields).as_bytes());
}

/// An error with all its causes, outermost first.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

fn line(level: Level, message: &str, fields: &[(&str, &dyn Display)]) -> String {
    let (prefix, level) = match level {
        Level::Info => ("<6>", "info"),
        Level::Warn => ("<4>", "warn"),
    };
    let mut line = format!("{prefix}level={level} event={message:?}");
    for (key, value) in fields {
        let value = value.to_string();
        let is_plain = !value.is_empty()
            && value
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\'));
        let _ = if is_plain {
            write!(line, " {key}={value}")
        } else {
            write!(line, " {key}={value:?}")
        };
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_would_break_the_line() {
        let text = line(
            Level::Warn,
            "backend down",
            &[("backend", &"[::1]:6443"), ("reason", &"a \"b\"\nc")],
        );
        assert_eq!(
            text,
            "<4>level=warn event=\"backend down\" backend=[::1]:6443 reason=\"a \\\"b\\\"\\nc\"\n"
        );
    }
}
