//! The agent's program.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kubewright_agent::resolvers;
use kubewright_agent::serve::serve;
use kubewright_agent::system::{RealSystem, System};
use kubewright_agent::undo::undo;
use kubewright_agent::wait::wait;
use kubewright_core::wire::NodeCondition;

const USAGE: &str = "usage: kubewright-agent serve | api-proxy --config FILE | \
                     keep-routes --config FILE | wait-url URL --ca FILE --server-name NAME --timeout-seconds N | \
                     choose-resolvers FILE ADDRESS | undo [RUN] | version";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|argument| argument.to_str()).collect();
    match words.as_slice() {
        [Some("serve")] => {
            harden();
            let system: Arc<dyn System> = Arc::new(RealSystem);
            finish(serve(&system, std::io::stdin(), std::io::stdout()))
        }
        [Some("api-proxy"), Some("--config"), _] => {
            finish(kubewright_agent::api_proxy::run(Path::new(&arguments[2])))
        }
        [Some("keep-routes"), Some("--config"), _] => {
            kubewright_agent::keep_routes::keep(&RealSystem, Path::new(&arguments[2]))
        }
        [Some("undo")] => undo_here(None),
        [Some("undo"), Some(run)] => undo_here(Some(run)),
        [
            Some("wait-url"),
            Some(url),
            Some("--ca"),
            Some(ca),
            Some("--server-name"),
            Some(server_name),
            Some("--timeout-seconds"),
            Some(seconds),
        ] => wait_url(url, ca, server_name, seconds),
        [Some("choose-resolvers"), Some(file), Some(address)] => {
            let Ok(address) = address.parse() else {
                return misused();
            };
            finish(resolvers::choose(&RealSystem, file, address))
        }
        [Some("version")] => {
            let _ = writeln!(std::io::stdout(), "{}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => misused(),
    }
}

fn misused() -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{USAGE}");
    ExitCode::from(2)
}

/// Puts back what a run changed, the last unfinished one if none is named, and tells what and what not.
fn undo_here(run: Option<&str>) -> ExitCode {
    harden();
    let system: Arc<dyn System> = Arc::new(RealSystem);
    let undone = undo(&system, run).inspect_err(|error| {
        if let Some(hint) = &error.hint {
            let _ = writeln!(std::io::stderr(), "hint: {hint}");
        }
    });
    finish(undone.map(|undone| {
        for resource in undone.restored {
            let _ = writeln!(std::io::stdout(), "{resource}");
        }
        for left in undone.left {
            let _ = writeln!(
                std::io::stderr(),
                "left as it is: {}: {}",
                left.resource,
                left.why
            );
        }
    }))
}

/// Waits until a URL answers 200: units use it to start only when the API can answer them.
fn wait_url(url: &str, ca: &str, server_name: &str, seconds: &str) -> ExitCode {
    let Ok(seconds) = seconds.parse() else {
        return misused();
    };
    let condition = NodeCondition::HttpOk {
        url: url.to_owned(),
        ca_file: Some(ca.to_owned()),
        server_name: Some(server_name.to_owned()),
        unit: None,
    };
    finish(wait(
        &RealSystem,
        &condition,
        Duration::from_secs(seconds),
        &|| false,
    ))
}

/// Keys pass through this process: it leaves no core dump and cannot be traced, and what its children create is not
/// writable by others, whatever it was started with.
fn harden() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior, umask};
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    umask(rustix::fs::Mode::from_raw_mode(0o022));
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
