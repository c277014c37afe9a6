//! The commands. One file each; this one holds the list, and the way in and out of the program.

mod apply;
mod check;
mod cluster_file;
mod completion;
mod drift;
mod init;
mod kubeconfig;
mod logs;
mod operations;
mod plan;
mod reset;
mod run;
mod run_log;
mod saved_plan;
mod schema;
mod session;
mod signals;
mod smoke;
mod status;
mod stopped;
mod token;
mod undo;
mod version;

#[cfg(test)]
mod documents;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use kubewright_control::transport::allow_many_channels;

use crate::failure::{Failure, Kind};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Builds and maintains highly available Kubernetes clusters on Linux machines, over SSH.
///
/// Describe the cluster in cluster.yaml (kubewright init writes one), read the plan, apply it. After an interruption,
/// run the same command again: it continues where it stopped.
#[derive(Parser, Debug)]
#[command(name = "kubewright", version, propagate_version = true, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) flags: GlobalFlags,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 configuration or user error, 2 usage, 3 findings, 10 stopped part-way,\n\
                          11 etcd, 12 Kubernetes API, 13 SSH, 20 refused by a safety rule, 70 bug in kubewright.";

#[derive(Subcommand, Debug)]
enum Command {
    /// Write a commented cluster.yaml for your machines
    Init(init::Arguments),
    /// Run preflight checks on the machines; changes nothing
    Check(check::Arguments),
    /// Show every change that apply would make, and why; changes nothing
    Plan(plan::Arguments),
    /// Create or change the cluster to match cluster.yaml
    Apply(apply::Arguments),
    /// Show nodes, API servers, etcd members, versions and certificates
    Status(status::Arguments),
    /// Show what differs from cluster.yaml on the nodes and in the API; changes nothing
    Drift(drift::Arguments),
    /// Print or merge a kubeconfig for the administrator or for another user
    Kubeconfig(kubeconfig::Arguments),
    /// Create a service account if needed and print a short-lived token for it
    Token(token::Arguments),
    /// Run smoke tests in a temporary namespace; also kills one API proxy to test its restart
    Smoke(smoke::Arguments),
    /// Show who changed the cluster, when, and with which result
    Logs(logs::Arguments),
    /// Roll back the last unfinished run on one node
    Undo(undo::Arguments),
    /// Delete the cluster with all its data, and leave the machines reusable
    Reset(reset::Arguments),
    /// Print the shell completion script
    Completion(completion::Arguments),
    /// Print the JSON schema of cluster.yaml
    Schema,
    /// Print the versions of kubewright and of the components it installs
    Version,
}

/// Parses the arguments, runs the command, turns its outcome into an exit code.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(&cli.flags);
    match run(&cli, &ui) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            ui.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: &Cli, ui: &Ui) -> Result<(), Failure> {
    let flags = &cli.flags;
    match &cli.command {
        Command::Init(arguments) => init::run(arguments, flags, ui),
        Command::Completion(arguments) => {
            completion::run(arguments, &mut Cli::command(), ui);
            Ok(())
        }
        Command::Schema => schema::run(ui),
        Command::Version => version::run(ui),
        Command::Plan(arguments) if arguments.offline => plan::run_offline(arguments, flags, ui),
        Command::Plan(arguments) => block_on(plan::run(arguments, flags, ui)),
        Command::Check(arguments) => block_on(check::run(arguments, flags, ui)),
        Command::Apply(arguments) => block_on(apply::run(arguments, flags, ui)),
        Command::Drift(arguments) => block_on(drift::run(arguments, flags, ui)),
        Command::Status(arguments) => block_on(status::run(arguments, flags, ui)),
        Command::Smoke(arguments) => block_on(smoke::run(arguments, flags, ui)),
        Command::Kubeconfig(arguments) => block_on(kubeconfig::run(arguments, flags, ui)),
        Command::Token(arguments) => block_on(token::run(arguments, flags, ui)),
        Command::Logs(arguments) => block_on(logs::run(arguments, flags, ui)),
        Command::Undo(arguments) => block_on(undo::run(arguments, flags, ui)),
        Command::Reset(arguments) => block_on(reset::run(arguments, flags, ui)),
    }
}

/// Runs a command that talks to other machines.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    allow_many_channels();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::Bug, format!("start the runtime: {error}")))?;
    let outcome = runtime.block_on(command);
    // A blocking read somebody else never answers must not hold the program.
    runtime.shutdown_background();
    outcome
}
