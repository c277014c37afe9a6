//! `cargo xtask bench`: how long things take, measured with the programs as users get them.
//!
//! Whatever needs machines is done by `kubewright-lab bench`; this builds the programs and hands over. What no computer
//! has machines for is simulated.

mod lab;
mod simulated;

use clap::Subcommand;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// From blank machines to a cluster, next to a script that only copies the same files and starts the same processes
    Build(lab::Build),
    /// An apply that has nothing to do
    Noop(lab::Noop),
}

/// Measures.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Build(arguments) => lab::build(arguments),
        Bench::Noop(arguments) if !arguments.simulated.is_empty() => simulated::noop(&arguments.simulated),
        Bench::Noop(arguments) => lab::noop(arguments),
    }
}
