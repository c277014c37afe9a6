//! Powers a machine on.
//!
//! A helper process of this very program enters the machine's cgroups first and then becomes systemd-nspawn, so there
//! is no moment in which systemd-nspawn runs outside of them. It starts in a session of its own: neither the end of
//! the lab program nor a closed terminal reaches the machine.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use super::{Machine, disk};
use crate::lab::{Lab, LabName, MachineName};
use crate::tool;

/// Powers a machine on. Returns when the program has been started, not when the machine answers.
pub(crate) fn start(machine: &Machine<'_>) -> Result<()> {
    disk::mount(machine)?;
    machine.cgroup()?.create()?;
    let log = File::create(machine.console_log()).context("create the console log")?;
    // Not by its path: the program may have been rebuilt since it started.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("--lab")
        .arg(machine.lab.name.as_str())
        .arg("--dir")
        .arg(&machine.lab.directory);
    command.args(["boot-machine", machine.name()]);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let status = command
        .status()
        .with_context(|| format!("start {}", machine.name()))?;
    if !status.success() {
        bail!("start {}: {}", machine.name(), console_tail(machine));
    }
    Ok(())
}

/// The last lines a machine printed, for an error message.
pub(crate) fn console_tail(machine: &Machine<'_>) -> String {
    let text = std::fs::read(machine.console_log()).unwrap_or_default();
    let text = without_colours(&String::from_utf8_lossy(&text));
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let last: Vec<&str> = lines.rev().take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    format!("console: {}", last.join(" | "))
}

/// Drops terminal control sequences: escape, bracket, parameters, one letter.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| {
        plain
            + part
                .trim_start_matches(|c: char| !c.is_ascii_alphabetic())
                .get(1..)
                .unwrap_or_default()
    })
}

/// The helper: enters the cgroups, leaves the session, starts systemd-nspawn and ends, so that it leaves no zombie.
pub(crate) fn run_helper(lab: &Lab, machine: &MachineName) -> Result<ExitCode> {
    let machine = Machine {
        lab,
        record: lab.machine(machine)?,
    };
    machine.cgroup()?.enter()?;
    rustix::process::setsid().context("leave the session")?;
    let mut command = nspawn(&machine);
    command
        .process_group(0)
        .spawn()
        .context("start systemd-nspawn (package systemd-container)")?;
    Ok(ExitCode::SUCCESS)
}

fn nspawn(machine: &Machine<'_>) -> Command {
    let mut command = tool::command("systemd-nspawn");
    // The machine may write its own /proc/sys and cgroups, and sees its own cgroup as the root of all.
    command
        .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "1")
        .env("SYSTEMD_NSPAWN_USE_CGNS", "1");
    command.args([
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        "--boot",
    ]);
    command.arg(format!("--directory={}", machine.root().display()));
    command.arg(format!("--machine={}", machine.short_name()));
    command.arg(format!("--hostname={}", machine.name()));
    command.arg(format!("--network-bridge={}", machine.lab.subnet.bridge()));
    command.args([
        "--capability=all",
        "--system-call-filter=@known",
        "--bind=/dev/kmsg",
    ]);
    command.args([
        "--console=read-only",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
    ]);
    for part in disk::DATA {
        let source = machine.directory().join("data").join(part);
        command.arg(format!("--bind={}:/var/lib/{part}", source.display()));
    }
    command
}

/// Reads the lab for the helper, which is given its directory.
pub(crate) fn lab_of_helper(name: &LabName, directory: &std::path::Path) -> Result<Lab> {
    Lab::read(directory)?
        .filter(|lab| lab.name == *name)
        .with_context(|| format!("no lab {name} in {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_lines_are_shown_without_control_sequences() {
        assert_eq!(
            without_colours("[\u{1b}[0;32m  OK  \u{1b}[0m] Reached \u{1b}[0;1;39mtarget\u{1b}[0m."),
            "[  OK  ] Reached target."
        );
        assert_eq!(without_colours("plain"), "plain");
        assert_eq!(without_colours("\u{1b}["), "");
    }
}
