//! The agent's program.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: kubewright-agent api-proxy --config FILE";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|argument| argument.to_str()).collect();
    if let [Some("api-proxy"), Some("--config"), _] = words.as_slice() {
        return finish(kubewright_agent::api_proxy::run(&PathBuf::from(&arguments[2])));
    }
    let _ = writeln!(std::io::stderr(), "{USAGE}");
    ExitCode::from(2)
}

/// Turns a result into an exit code; the error's chain goes to standard error.
fn finish<E: std::error::Error>(result: Result<(), E>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    let _ = writeln!(std::io::stderr(), "kubewright-agent: {text}");
    ExitCode::from(1)
}
