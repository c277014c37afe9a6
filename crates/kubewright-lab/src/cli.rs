//! Arguments of the program, and which operation each of them starts.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::command::{down, exec, fault, list, up};
use crate::lab::MachineName;
use crate::place::Place;
use crate::{bench, cluster_file, component, machine, scenario, ui};

/// Throw-away machines on this computer for trying kubewright and testing it.
#[derive(Debug, Parser)]
#[command(name = "kubewright-lab", version, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    place: Place,

    #[command(subcommand)]
    command: Operation,
}

#[derive(Debug, Subcommand)]
enum Operation {
    /// Make blank machines and boot them
    Up(up::Arguments),
    /// Show the machines and how they are
    #[command(visible_alias = "status")]
    List {
        /// Form of the output
        #[arg(short, long, value_enum, default_value = "text")]
        output: list::Output,
    },
    /// Take the power of machines away
    Kill(fault::Targets),
    /// Power machines on that are off
    Start(fault::Targets),
    /// Cut a machine off the network without a trace: its carrier stays up
    Cut {
        /// Name of the machine
        name: MachineName,
    },
    /// Undo a cut
    Heal {
        /// Name of the machine
        name: MachineName,
    },
    /// Hold machines to a share of a processor, however busy this computer is
    Throttle(fault::Throttle),
    /// Run a command on a machine
    Exec(exec::Arguments),
    /// Print the ssh client configuration for the machines
    SshConfig,
    /// Print a complete cluster.yaml for the machines
    ClusterFile(cluster_file::Arguments),
    /// Make the Kubernetes components, and print the directory they are in
    Components(component::Arguments),
    /// Tell a whole story with the built binaries, on a lab of its own
    Scenario(scenario::Arguments),
    /// Measure how long kubewright takes, on a lab of its own
    Bench(bench::Arguments),
    /// Remove the lab with all its machines and data
    Down,
    /// Internal: becomes the process of one machine
    #[command(hide = true)]
    BootMachine {
        /// Name of the machine
        name: MachineName,
    },
}

/// Does what the arguments of this process say.
pub(crate) fn run() -> Result<ExitCode> {
    let Arguments { place, command } = Arguments::parse();
    match command {
        Operation::Up(arguments) => up::run(&place, &arguments)?,
        Operation::List { output } => list::run(&place, output)?,
        Operation::Kill(targets) => fault::kill(&place, &targets)?,
        Operation::Start(targets) => fault::start(&place, &targets)?,
        Operation::Cut { name } => fault::cut(&place, &name)?,
        Operation::Heal { name } => fault::heal(&place, &name)?,
        Operation::Throttle(arguments) => fault::throttle(&place, &arguments)?,
        Operation::Exec(arguments) => return exec::run(&place, &arguments),
        Operation::SshConfig => exec::print_ssh_config(&place)?,
        Operation::ClusterFile(arguments) => cluster_file::run(&place, &arguments)?,
        Operation::Components(arguments) => {
            let options = arguments.into_options(|line| ui::say(line))?;
            ui::data(component::ensure(&options)?.display());
        }
        Operation::Scenario(arguments) => scenario::run(&arguments)?,
        Operation::Bench(arguments) => bench::run(&arguments)?,
        Operation::Down => down::run(&place)?,
        Operation::BootMachine { name } => {
            let lab = machine::boot::lab_of_helper(&place.lab, &place.directory()?)?;
            return machine::boot::run_helper(&lab, &name);
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_lab_lives_below_target_unless_told_otherwise() {
        let parse = |words: &[&str]| {
            Arguments::try_parse_from(words)
                .unwrap()
                .place
                .directory()
                .unwrap()
        };
        assert!(parse(&["kubewright-lab", "--lab", "x", "down"]).ends_with("target/lab/x"));
        assert_eq!(
            parse(&["kubewright-lab", "down", "--dir", "/srv/y"]),
            PathBuf::from("/srv/y")
        );
    }
}
