//! What the program answers: the help of every command, and the plan of an example.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::Chapter;

const EXAMPLE: &str = "examples/three-plus-two.yaml";

pub(super) fn chapters() -> anyhow::Result<Vec<Chapter>> {
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bin",
            "kubewright",
            "--locked",
        ])
        .status()
        .context("run cargo")?;
    ensure!(built.success(), "kubewright does not compile");
    let program = crate::dist::target_directory()?.join("debug/kubewright");
    let mut help = Vec::new();
    add_help(&program, &[], &mut help)?;
    let plan = answer(&program, &["--file", EXAMPLE, "plan", "--offline"])?;
    Ok(vec![
        Chapter {
            title: "Help",
            lines: help,
        },
        Chapter {
            title: "The plan of an example",
            lines: plan.lines().map(str::to_owned).collect(),
        },
    ])
}

/// Adds the help of a command and of all below it.
fn add_help(program: &Path, command: &[&str], lines: &mut Vec<String>) -> anyhow::Result<()> {
    let text = answer(program, &[command, &["--help"]].concat())?;
    lines.push(format!("## kubewright {}\n", command.join(" ")));
    lines.extend(text.lines().map(str::to_owned));
    for below in commands(&text).filter(|name| *name != "help") {
        add_help(program, &[command, &[below]].concat(), lines)?;
    }
    Ok(())
}

/// The commands that a help names.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
}

fn answer(program: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(crate::repository())
        .output()
        .with_context(|| format!("run {}", program.display()))?;
    ensure!(
        output.status.success(),
        "kubewright {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_a_help() {
        let help = "Usage: x\n\nCommands:\n  plan   Show\n         more\n  logs   Read\n\nOptions:\n  -h";
        assert_eq!(commands(help).collect::<Vec<_>>(), ["plan", "logs"]);
    }
}
