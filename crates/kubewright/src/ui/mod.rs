//! The only place that prints: data to standard output, talk to standard error.
//!
//! Whatever was repeated from a node or an API, no text for people leaves here that could move the operator's cursor.

// Printing takes a printer in hand, also where the printer has no choice.
#![allow(clippy::unused_self)]

mod progress;
mod table;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

pub(crate) use progress::Progress;
pub(crate) use table::table;

use kubewright_core::secret::Secret;
use kubewright_core::shown;

use crate::cli::Person;
use crate::failure::{ErrorId, Failure, Kind};
use crate::settings::{GlobalFlags, Output};

/// Where everything the operator sees goes through.
#[derive(Clone, Debug)]
pub(crate) struct Ui {
    quiet: bool,
    fancy: bool,
    output: Output,
}

impl Ui {
    /// A printer that follows the flags.
    pub(crate) fn new(flags: &GlobalFlags) -> Self {
        Self {
            quiet: flags.quiet,
            fancy: flags.is_fancy(),
            output: flags.output,
        }
    }

    /// Prints a result; nobody reading any more is no error.
    pub(crate) fn data(&self, text: &str) {
        let mut out = io::stdout().lock();
        let newline = if text.ends_with('\n') || text.is_empty() {
            ""
        } else {
            "\n"
        };
        let _ = write!(out, "{text}{newline}").and_then(|()| out.flush());
    }

    /// Prints a secret that was asked for.
    pub(crate) fn secret(&self, secret: &Secret) {
        self.data(&String::from_utf8_lossy(secret.expose()));
    }

    /// Prints a result in the form that was asked for; `text` makes the form for people.
    pub(crate) fn result<T: serde::Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let bug =
            |error: &dyn std::fmt::Display| Failure::new(Kind::Bug, format!("write the result: {error}"));
        match self.output {
            Output::Text => self.data(&shown::lines(&text())),
            Output::Json => self.data(&json(value).map_err(|error| bug(&error))?),
            Output::Yaml => self.data(&serde_saphyr::to_string(value).map_err(|error| bug(&error))?),
        }
        Ok(())
    }

    /// Says something to the operator.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.error_line(text);
        }
    }

    /// Says something even when asked to be quiet.
    pub(crate) fn error_line(&self, text: &str) {
        self.harmless_line(&shown::lines(text));
    }

    fn harmless_line(&self, text: &str) {
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        let _ = write!(io::stderr().lock(), "{text}{newline}");
    }

    /// Shows a failure: as text, or for programs as one line of JSON.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.output != Output::Text {
            self.harmless_line(&harmless_json(failure.json()));
            return;
        }
        let text = shown::lines(&failure.render());
        if self.fancy {
            self.harmless_line(&text.replacen("error:", "\u{1b}[1;31merror:\u{1b}[0m", 1));
        } else {
            self.harmless_line(&text);
        }
    }

    /// Live lines for a run.
    pub(crate) fn progress(&self) -> Progress {
        Progress::new(self.quiet, self.fancy)
    }

    /// Asks for a line.
    pub(crate) fn line(&self, question: &str) -> Result<String, Failure> {
        self.answer(question)
    }

    /// Asks a question that needs a plain yes.
    pub(crate) fn confirm(&self, question: &str) -> Result<bool, Failure> {
        let answer = self.answer(&format!("{question} [yes/no]"))?;
        Ok(matches!(answer.trim(), "yes" | "y"))
    }

    /// Asks a question and gives the line that is answered.
    ///
    /// Without a terminal nobody can answer, so that is a failure that names the flag.
    fn answer(&self, question: &str) -> Result<String, Failure> {
        if !io::stdin().is_terminal() {
            return Err(Failure::named(
                ErrorId::NobodyToAnswer,
                "confirmation required, but standard input is not a terminal",
            )
            .hint("run the command in a terminal; or read the plan (kubewright plan) and add --yes"));
        }
        let _ = write!(io::stderr().lock(), "{question} ");
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Failure::new(Kind::User, format!("read the answer: {error}")))?;
        Ok(answer)
    }
}

impl Person for Ui {
    fn show(&self, text: &str) {
        self.error_line(text);
    }

    fn ask(&self, question: &str) -> Result<String, Failure> {
        self.answer(question)
    }
}

/// JSON in which also what JSON allows in text, but a terminal obeys, is escaped.
fn json<T: serde::Serialize>(value: &T) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(harmless_json)
}

fn harmless_json(text: String) -> String {
    if !text.contains(|letter| letter != '\n' && shown::is_harmful(letter)) {
        return text;
    }
    // Outside of strings there is none of them, and none is beyond the first 65536.
    let escaped = |letter: char| match letter {
        '\n' => "\n".to_owned(),
        harmful if shown::is_harmful(harmful) => format!("\\u{:04x}", u32::from(harmful)),
        harmless => harmless.to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::json;

    #[test]
    fn json_shows_nothing_a_terminal_obeys_and_says_the_same() {
        let said = "\u{1b}[2J \u{9b}2J \u{7f} \u{202e} \u{feff} ü\n";
        let text = json(&[said]).unwrap();
        assert_eq!(
            text,
            "[\n  \"\\u001b[2J \\u009b2J \\u007f \\u202e \\ufeff ü\\n\"\n]"
        );
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).unwrap(), [said]);
    }
}
