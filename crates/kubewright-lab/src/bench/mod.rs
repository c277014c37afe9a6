//! Benches: how long kubewright takes on machines of a lab of their own.
//!
//! Figures are of this computer at this hour; what it is and how busy it was is said with them.

mod build;
mod harvest;
mod noop;

use std::fs;
use std::thread;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::scenario::{Place, on_stage};
use crate::ui;

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Blank machines to five Ready nodes and a DNS answer, next to a script that only copies and starts
    Build(Runs),
    /// An apply that finds nothing to do
    Noop(Runs),
}

#[derive(Debug, Args)]
struct Runs {
    /// How often
    #[arg(long, default_value_t = 3)]
    runs: u32,

    #[command(flatten)]
    place: Place,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Build(runs) => on_stage(&runs.place, "bench-build", |stage| {
            build::measure(stage, runs.runs)
        }),
        What::Noop(runs) => on_stage(&runs.place, "bench-noop", |stage| noop::measure(stage, runs.runs)),
    }
}

/// Says what the figures were measured on.
fn say_where() {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_once(':')
            .map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    ui::say(format_args!(
        "computer: {cores} cores of {}, memory {}, Linux {}; load now {}",
        field("/proc/cpuinfo", "model name"),
        field("/proc/meminfo", "MemTotal"),
        kernel.trim(),
        load()
    ));
}

/// The load of the last minute.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// The middle of the figures.
fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }
}
