//! The benches on machines: builds the programs and has `kubewright-lab` measure them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::dist;

/// Arguments of `bench build`.
#[derive(Debug, clap::Args)]
pub(crate) struct Build {
    /// How often each side is measured, by turns
    #[arg(long, default_value_t = 3)]
    runs: u32,
}

/// Arguments of `bench noop`.
#[derive(Debug, clap::Args)]
pub(crate) struct Noop {
    /// How often it is measured
    #[arg(long, default_value_t = 5)]
    runs: u32,

    /// Measure it on simulated clusters of so many nodes instead, as in 100,1000; needs no machines
    #[arg(long, value_delimiter = ',', value_name = "NODES", conflicts_with = "runs")]
    pub(super) simulated: Vec<u32>,
}

/// Blank machines to a cluster, kubewright and the floor by turns.
pub(crate) fn build(arguments: &Build) -> anyhow::Result<()> {
    on_machines(&["build", "--runs", &arguments.runs.to_string()])
}

/// The second apply on five machines.
pub(crate) fn noop(arguments: &Noop) -> anyhow::Result<()> {
    on_machines(&["noop", "--runs", &arguments.runs.to_string()])
}

fn on_machines(arguments: &[&str]) -> anyhow::Result<()> {
    let built = dist::build(dist::Build::Release)?;
    let components = components(&built.lab)?;
    let mut bench = Command::new(&built.lab);
    bench
        .arg("bench")
        .args(arguments)
        .env("KUBEWRIGHT", &built.program)
        .env("KUBECTL", components.join("bin/kubectl"))
        .env("KUBEWRIGHT_COMPONENTS", &components);
    finish(&mut bench)
}

fn components(lab: &Path) -> anyhow::Result<PathBuf> {
    let output = Command::new(lab).arg("components").output()?;
    if !output.status.success() {
        bail!("kubewright-lab components did not succeed");
    }
    let text = String::from_utf8(output.stdout).context("read the directory of the components")?;
    Ok(PathBuf::from(text.trim()))
}

pub(super) fn finish(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("run {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{}: {status}", command.get_program().display());
    }
    Ok(())
}
