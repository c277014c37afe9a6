//! Runs other programs to their end and keeps what they said.

use std::io::{self, ErrorKind};
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How a program ended.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) success: bool,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program with nothing on its standard input; only a program that cannot be started is an error.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let ended = start(command.stdin(Stdio::null()))
        .with_context(|| format!("start {}", command.get_program().display()))?;
    Ok(Output {
        success: ended.status.success(),
        code: ended.status.code(),
        stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&ended.stderr).into_owned(),
    })
}

/// Waits, for half a second at most, until a program that was just written may be executed: a child that another
/// thread starts at the same moment has the file open for writing until it executes something itself.
fn start(command: &mut Command) -> io::Result<process::Output> {
    let mut attempts = 50;
    loop {
        match command.output() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && attempts > 0 => {
                attempts -= 1;
                thread::sleep(Duration::from_millis(10));
            }
            ended => return ended,
        }
    }
}

/// Runs a program that has to succeed; the error has its arguments and the end of what it said.
pub(crate) fn succeed(command: &mut Command) -> Result<Output> {
    let ended = output(command)?;
    if !ended.success {
        bail!(
            "{}\nended with {}:\n{}",
            words(command),
            ended
                .code
                .map_or("a signal".to_owned(), |code| format!("exit code {code}")),
            last_lines(&ended.stderr, 20)
        );
    }
    Ok(ended)
}

/// Says whether a program can be started.
pub(crate) fn is_installed(program: &str) -> bool {
    output(Command::new(program).arg("--version")).is_ok()
}

fn words(command: &Command) -> String {
    let mut words = vec![command.get_program().display().to_string()];
    words.extend(command.get_args().map(|argument| argument.display().to_string()));
    words.join(" ")
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_arguments_and_the_last_lines_of_a_mishap() {
        let mut command = Command::new("sh");
        command.args(["-c", "seq 30 >&2; exit 3"]);
        let error = succeed(&mut command).unwrap_err().to_string();
        assert!(
            error.starts_with("sh -c seq 30 >&2; exit 3\nended with exit code 3:\n11\n"),
            "{error}"
        );
        assert!(error.ends_with("\n30"), "{error}");
    }

    #[test]
    fn sees_that_a_program_is_missing() {
        assert!(is_installed("sh"));
        assert!(!is_installed("kubewright-no-such-program"));
    }
}
