//! Throw-away machines on this computer, and the Kubernetes components to run on them.
//!
//! A developer's tool: it makes blank Debian machines that behave like rented ones (own systemd, own sshd and host
//! keys, own network), takes their power or their cable away, and removes them without a trace. It knows nothing of
//! the product's insides; scenarios drive the built binaries only.

mod bench;
mod cli;
mod cluster_file;
mod command;
mod component;
mod lab;
mod machine;
mod place;
mod registry;
mod root_image;
mod scenario;
mod ssh;
mod tool;
mod ui;
mod wait;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            ui::error(&error);
            ExitCode::FAILURE
        }
    }
}
