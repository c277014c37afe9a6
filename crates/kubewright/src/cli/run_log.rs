//! The full debug log of a run: a file nobody has to ask for, named when something goes wrong.

use std::fs::{self, File};
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How many logs are kept.
const KEPT_LOGS: usize = 30;

/// Where this run's log goes; `None` where no file can be written (that is no reason not to run).
pub(crate) fn start(command: &str) -> Option<PathBuf> {
    let directory = directory()?;
    fs::create_dir_all(&directory).ok()?;
    prune(&directory);
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let path = directory.join(format!("{stamp}-{command}-{}.log", std::process::id()));
    let file = File::create(&path).ok()?;
    let filter = EnvFilter::try_from_env("KUBEWRIGHT_LOG").unwrap_or_else(|_| {
        EnvFilter::new("info,kubewright=debug,kubewright_control=debug,kubewright_core=debug")
    });
    let layer = tracing_subscriber::fmt::layer()
        .json()
        .with_writer(std::sync::Mutex::new(file));
    tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .try_init()
        .ok()?;
    Some(path)
}

fn directory() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state
        .or_else(home)
        .map(|directory| directory.join("kubewright/logs"))
}

fn prune(directory: &PathBuf) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut logs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.sort();
    let surplus = logs.len().saturating_sub(KEPT_LOGS);
    for path in &logs[..surplus] {
        let _ = fs::remove_file(path);
    }
}
