//! How long a second apply takes, and what it needs, on many simulated nodes.
//!
//! The machines and their agents are in a process of their own, reached over one socket per node, so that memory and
//! descriptors that are counted are the controller's. A real run has an `ssh` process per node beside it.

use std::process::ExitCode;

use super::fixture::Fixture;

/// Runs the sizes, as in `100,1000`.
pub(crate) fn run(_: &Fixture, _: &str) -> ExitCode {
    ExitCode::FAILURE
}
