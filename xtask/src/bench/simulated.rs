//! The bench without machines: a second apply on so many simulated nodes, by the simulation of the control crate's tests.

use std::process::Command;

use super::lab::finish;

/// The second apply on clusters of these sizes.
pub(crate) fn noop(sizes: &[u32]) -> anyhow::Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["test", "--package", "kubewright-control", "--locked", "--quiet"])
        .args(["--test", "simulation", "--", "size"])
        .args(sizes.iter().map(u32::to_string))
        // As in ./test, so that it is compiled once.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
    finish(&mut cargo)
}
