//! The project's own automation: `cargo xtask COMMAND`.

mod boundaries;
mod dist;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "The project's own automation")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check that crates depend on each other only as ARCHITECTURE.md allows
    Boundaries,
    /// Build the static agent and the kubewright that carries it; prints where they are
    Dist,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Boundaries => boundaries::check(),
        Command::Dist => dist::build().map(|built| {
            say(&format!("kubewright {}", built.program.display()));
            say(&format!(
                "agent      {} ({} KiB)",
                built.agent.display(),
                built.agent_bytes / 1024
            ));
        }),
    }
}

/// Prints a line of result.
#[allow(clippy::print_stdout)]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
