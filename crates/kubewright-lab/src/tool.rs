//! Programs of this computer that the lab calls, and what to install when one is missing.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Programs the lab cannot do without, each with the Debian package that has it.
const PACKAGES: &[(&str, &str)] = &[
    ("debootstrap", "debootstrap"),
    ("faketime", "faketime"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("systemd-nspawn", "systemd-container"),
];

/// Refuses to go on unless this process is root.
pub(crate) fn require_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!("machines, bridges and mounts need root: run this with sudo");
}

/// Refuses to go on unless all named programs can be found, naming the packages to install.
pub(crate) fn require(programs: &[&str]) -> Result<()> {
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|program| !is_installed(program))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|program| package_of(program)).collect();
    packages.sort_unstable();
    packages.dedup();
    bail!(
        "{} not found: apt-get install {}",
        missing.join(", "),
        packages.join(" ")
    );
}

fn package_of(program: &str) -> &str {
    PACKAGES
        .iter()
        .find(|(name, _)| *name == program)
        .map_or(program, |(_, package)| package)
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(program).is_file())
}

/// Makes a command that also finds programs in the system directories, without standard input.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env(
            "PATH",
            format!("{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"),
        )
        .stdin(Stdio::null());
    command
}

/// Runs a program to its end and returns its standard output; an unsuccessful end is an error with what it said.
pub(crate) fn run<I, S>(program: &str, arguments: I) -> Result<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = command(program);
    command.args(arguments);
    finish(command, program)
}

/// Runs a program like [`run`], with a standard input.
pub(crate) fn run_with_input(input: Stdio, program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = command(program);
    command.args(arguments).stdin(input);
    finish(command, program)
}

fn finish(mut command: Command, program: &str) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("start {program} (package {})", package_of(program)))?;
    check(&command, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Turns an unsuccessful end into an error that shows the command and its last words.
pub(crate) fn check(command: &Command, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.trim().lines().rev().take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    bail!("{}: {}: {}", show(command), output.status, last.join("; "));
}

/// Shows a command as a person would type it.
pub(crate) fn show(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_programs_are_named_with_their_package() {
        let error = require(&["systemd-nspawn-of-another-world"])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "systemd-nspawn-of-another-world not found: apt-get install systemd-nspawn-of-another-world"
        );
        assert_eq!(package_of("systemd-nspawn"), "systemd-container");
    }

    #[test]
    fn an_unsuccessful_end_shows_command_and_last_words() {
        let error = run("sh", ["-c", "echo no such bridge >&2; exit 3"])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "sh -c echo no such bridge >&2; exit 3: exit status: 3: no such bridge"
        );
    }
}
