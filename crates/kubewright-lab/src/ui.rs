//! The lab's only printer: data on stdout, talk on stderr.
//!
//! A closed pipe is not an error here: the reader has seen enough.

use std::fmt::Display;
use std::io::Write;

/// Prints one line of talk.
pub(crate) fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints one line of data.
pub(crate) fn data(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints an error with its causes, outermost first.
pub(crate) fn error(error: &anyhow::Error) {
    say(format_args!("error: {error:#}"));
}
