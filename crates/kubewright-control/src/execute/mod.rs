//! Runs a plan: every step as soon as the ones it comes after have succeeded, as parallel as the graph allows.
//!
//! The plan is not looked at twice: what was printed is what runs. A step that fails stops only what comes after it;
//! everything else goes on, and the outcome says what is done, what failed and what was not begun, so that running the
//! same command again continues.

mod guards;
mod joining;
mod leadership;
mod run_context;
mod runner;
mod verify;
mod waiting;
mod way_back;

pub use guards::Guards;
pub use run_context::RunContext;
pub use runner::{Outcome, StepFailure, execute};
pub use verify::{Verification, verify};
pub use waiting::WaitReports;
pub use way_back::TakenBack;
