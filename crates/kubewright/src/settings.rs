//! Flags and environment, resolved once into plain values.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Flags every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalFlags {
    /// The cluster file
    #[arg(
        short,
        long,
        global = true,
        default_value = "cluster.yaml",
        value_name = "FILE",
        env = "KUBEWRIGHT_FILE"
    )]
    pub(crate) file: PathBuf,
    /// Output format
    #[arg(short, long, global = true, default_value = "text", value_enum)]
    pub(crate) output: Output,
    /// Print more (repeat for even more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print no messages except errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Print without colors (the environment variable NO_COLOR does the same)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Do not ask for confirmation (safety checks still run)
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For programs
    Json,
    /// For programs
    Yaml,
}

impl GlobalFlags {
    /// Whether standard error may be written with colour and moving lines.
    pub(crate) fn is_fancy(&self) -> bool {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        !self.no_color
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && !is_dumb
            && std::io::stderr().is_terminal()
    }
}
