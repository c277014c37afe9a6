//! `exec`: runs a command on a machine, over strict SSH or, when its network is gone, straight in its namespaces.

use std::io::IsTerminal;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::lab::MachineName;
use crate::machine::Machine;
use crate::place::Place;
use crate::{ssh, tool, ui};

/// Arguments of `exec`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Name of the machine
    name: MachineName,

    /// User to be on the machine: root or ops, who may use sudo
    #[arg(long, default_value = "root")]
    user: String,

    /// Enter the machine's namespaces instead of using SSH; works without its network, as root only
    #[arg(long, conflicts_with = "user")]
    nsenter: bool,

    /// Command with arguments; a login shell if none
    #[arg(last = true)]
    command: Vec<String>,
}

pub(crate) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode> {
    let lab = place.find()?;
    let machine = Machine {
        lab: &lab,
        record: lab.machine(&arguments.name)?,
    };
    let mut command = if arguments.nsenter {
        tool::require_root()?;
        let (_, init) = machine
            .init()?
            .with_context(|| format!("{} is off", machine.name()))?;
        let mut command = tool::command("nsenter");
        command.arg(format!("--target={}", init.pid));
        command.args([
            "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--",
        ]);
        if arguments.command.is_empty() {
            command.args(["bash", "-l"]);
        }
        command.args(&arguments.command);
        command
    } else {
        let mut command = ssh::command(&lab, machine.record);
        command.args(["-l", &arguments.user]);
        if arguments.command.is_empty() || std::io::stdin().is_terminal() {
            command.arg("-t");
        }
        if !arguments.command.is_empty() {
            let words: Vec<String> = arguments.command.iter().map(|word| ssh::quote(word)).collect();
            command.arg("--").arg(words.join(" "));
        }
        command
    };
    let status = command
        .stdin(Stdio::inherit())
        .status()
        .with_context(|| format!("start {}", tool::show(&command)))?;
    Ok(ExitCode::from(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(u8::MAX),
    ))
}

pub(crate) fn print_ssh_config(place: &Place) -> Result<()> {
    let lab = place.find()?;
    let path = ssh::config_path(&lab.directory);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    ui::data(text.trim_end());
    Ok(())
}
