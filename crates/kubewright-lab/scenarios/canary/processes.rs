//! Watches arguments and environments of all processes of this computer, the machines' included, while something runs.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

/// How long between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// A look that is repeated until the watch is over.
#[derive(Debug)]
pub(in super::super) struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<String>>,
}

impl Watch {
    /// Begins.
    pub(in super::super) fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut seen = BTreeSet::new();
            let mut known = BTreeSet::new();
            while !told.load(Ordering::Relaxed) {
                look(&mut known, &mut seen);
                thread::sleep(INTERVAL);
            }
            seen
        });
        Self { over, thread }
    }

    /// Ends and tells every argument list and environment that was seen.
    pub(super) fn finish(self) -> Result<BTreeSet<String>> {
        self.over.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .ok()
            .context("the watch over processes panicked")
    }
}

/// A process is read again while it may still become another program: until its arguments stay the same.
fn look(known: &mut BTreeSet<(u32, String)>, seen: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir("/proc") else {
        return;
    };
    let own = std::process::id();
    for entry in entries.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // Processes end while they are looked at.
        let Ok(arguments) = fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let arguments = text(&arguments);
        if pid == own || arguments.is_empty() || !known.insert((pid, arguments.clone())) {
            continue;
        }
        seen.insert(arguments);
        if let Ok(environment) = fs::read(entry.path().join("environ")) {
            seen.insert(text(&environment));
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_seen_with_its_arguments_and_its_environment() {
        let mut child = std::process::Command::new("sleep")
            .arg("31.25")
            .env("PLANTED", "seen-in-environment")
            .spawn()
            .unwrap();
        let (mut known, mut seen) = (BTreeSet::new(), BTreeSet::new());
        // The child may still be this program when it is first looked at.
        crate::wait::wait_until("the child to be seen", crate::wait::Limit::Seconds(20), || {
            look(&mut known, &mut seen);
            Ok(seen.iter().any(|text| text.contains("31.25")))
        })
        .unwrap();
        let environment = seen.iter().any(|text| text.contains("seen-in-environment"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(environment);
    }
}
