//! What a run does on a signal: at the first it finishes the running steps, at the second it ends immediately.
//!
//! An interrupt (Ctrl-C), a request to end and a terminal that went away are the same to it. Under `nohup`, where the
//! terminal going away is ignored from the beginning, it stays ignored. Whatever ends the program, the nodes' agents
//! finish the current change, free their locks and go: the same command continues.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::failure::{ErrorId, Failure};
use crate::ui::{Progress, Ui};

/// Sets `stop` at the first signal and ends the program at the second; `again` is the command that continues.
pub(super) async fn watch(stop: watch::Sender<bool>, progress: Arc<Progress>, ui: Ui, again: String) {
    let Some(mut signals) = Signals::listen() else {
        return;
    };
    signals.next().await;
    progress.say("stopping: waiting for the running steps to finish; press Ctrl-C again to exit immediately");
    let _ = stop.send(true);
    signals.next().await;
    progress.finish();
    let failure = Failure::named(ErrorId::Stopped, "stopped immediately")
        .because("the result of the running steps is unknown; the next run checks it")
        .hint(format!("to continue, run: {again}"));
    ui.failure(&failure);
    // An order: agents that still work for this run are not asked, and nothing of ours outlives the pipes to the nodes.
    #[allow(clippy::exit)]
    std::process::exit(i32::from(failure.exit_code()));
}

/// What asks a run to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Nothing where it was ignored when the program began.
    hangup: Option<Signal>,
}

impl Signals {
    fn listen() -> Option<Self> {
        let hangup = (!is_hangup_ignored()).then(|| signal(SignalKind::hangup()).ok());
        Some(Self {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
            hangup: hangup.flatten(),
        })
    }

    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether the program was started with SIGHUP ignored, as by `nohup`.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores_hangup(&status)
}

/// The same, from the kernel's description of the process: the lowest bit of a hexadecimal mask.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_from_the_kernel_whether_hangups_are_ignored() {
        assert!(ignores_hangup(
            "Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"
        ));
        assert!(!ignores_hangup(
            "Name:\tx\nSigIgn:\t0000000000001000\nSigCgt:\t1\n"
        ));
        assert!(!ignores_hangup(""));
    }
}
