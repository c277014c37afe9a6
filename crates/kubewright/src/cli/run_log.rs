//! The full debug log of a run: always written, and named when something goes wrong.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How many logs are kept.
const KEPT_LOGS: usize = 30;

/// Where this run's log goes; `None` where no file can be written (that is no reason not to run).
///
/// With `verbose`, what is noted is also said as it happens: once for what is done, twice for how.
pub(crate) fn start(command: &str, verbose: u8) -> Option<PathBuf> {
    let said = (verbose > 0).then(|| {
        let level = if verbose == 1 {
            LevelFilter::INFO
        } else {
            LevelFilter::DEBUG
        };
        let own = Targets::new().with_target("kubewright", level);
        tracing_subscriber::fmt::layer()
            .without_time()
            // A closed pipe is not an error, and not worth a message.
            .log_internal_errors(false)
            .with_writer(std::io::stderr)
            .with_filter(own)
    });
    let place = directory().and_then(|directory| open(&directory, command));
    let (path, file) = match place {
        Some((path, file)) => (Some(path), Some(file)),
        None => (None, None),
    };
    let kept = file.map(|file| {
        let filter = EnvFilter::try_from_env("KUBEWRIGHT_LOG")
            .unwrap_or_else(|_| EnvFilter::new("info,kubewright=debug,kubewright_control=debug"));
        tracing_subscriber::fmt::layer()
            .json()
            .log_internal_errors(false)
            .with_writer(Mutex::new(file))
            .with_filter(filter)
    });
    tracing_subscriber::registry()
        .with(kept)
        .with(said)
        .try_init()
        .ok()?;
    path
}

fn open(directory: &Path, command: &str) -> Option<(PathBuf, File)> {
    fs::create_dir_all(directory).ok()?;
    prune(directory);
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let path = directory.join(format!("{stamp}-{command}-{}.log", std::process::id()));
    let file = File::create(&path).ok()?;
    Some((path, file))
}

fn directory() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state
        .or_else(home)
        .map(|directory| directory.join("kubewright/logs"))
}

fn prune(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut logs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.sort();
    let orphaned = logs.len().saturating_sub(KEPT_LOGS);
    for path in &logs[..orphaned] {
        let _ = fs::remove_file(path);
    }
}
