//! The project's own automation: `cargo xtask COMMAND`.

mod bench;
mod boundaries;
mod dist;
mod fuzz;
mod messages;
mod mutants;
mod texts;
mod tokens;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "The project's own automation")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure how long things take
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Check that crates and their rooms use each other only as ARCHITECTURE.md allows
    Boundaries,
    /// Build the static agent, the kubewright that carries it, and the lab; prints where they are
    Dist {
        /// Build what tests and `./demo` use: less optimised, in half the time
        #[arg(long)]
        dev: bool,
    },
    /// Give the code inputs that a fuzzer invents, for a bounded time; needs cargo-fuzz
    Fuzz {
        /// Which targets (default: all, one after the other)
        targets: Vec<String>,
        /// How long for each
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Check that no decision depends on the wording of a message
    Messages,
    /// Break a copy of the product, one way at a time, and see that the simulated cluster notices
    Mutants {
        /// Which breakages (default: all)
        names: Vec<String>,
    },
    /// Print every text that users can see, for reading from top to bottom
    Texts,
    /// Draw crates and rooms anew in ARCHITECTURE.md
    Picture,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Bench(what) => bench::run(&what),
        Command::Boundaries => boundaries::check(),
        Command::Fuzz { targets, seconds } => fuzz::run(&targets, seconds),
        Command::Messages => messages::check(),
        Command::Mutants { names } => mutants::run(&names),
        Command::Texts => texts::print(),
        Command::Picture => boundaries::draw(),
        Command::Dist { dev } => dist::build(if dev {
            dist::Build::Development
        } else {
            dist::Build::Release
        })
        .map(|built| {
            say(&format!("kubewright {}", built.program.display()));
            say(&format!("lab        {}", built.lab.display()));
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

/// The repository's root.
pub(crate) fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Where a crate of ours is.
pub(crate) fn directory_of(krate: &str) -> PathBuf {
    let below_crates = repository().join("crates").join(krate);
    if below_crates.exists() {
        below_crates
    } else {
        repository().join(krate)
    }
}
