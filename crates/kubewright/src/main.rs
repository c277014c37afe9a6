//! kubewright: turns a list of Linux machines into a highly available Kubernetes cluster over SSH, and keeps it so.
//!
//! This crate is the operator's terminal and nothing else: arguments in, text and an exit code out. What is planned is
//! decided in `kubewright-core`, what is done on other machines in `kubewright-control`.

mod agents;
mod cli;
mod failure;
mod hardening;
mod settings;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    hardening::keep_memory_private();
    cli::main()
}
