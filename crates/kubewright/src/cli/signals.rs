//! What a run does when it is asked to end: first it finishes the steps at hand, then it ends at once.
//!
//! An interrupt (Ctrl-C), a request to end and a terminal that went away are the same to it. Under `nohup`, where the
//! terminal going away is ignored from the beginning, it stays ignored. Whatever ends the program, the nodes' agents
//! finish the change at hand, free their locks and go: the same command continues.

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
    progress.say("stopping: the steps at hand are finished, no other is begun; once more ends it at once");
    let _ = stop.send(true);
    signals.next().await;
    progress.finish();
    let failure = Failure::named(ErrorId::Stopped, "stopped at once")
        .because("whether the changes at hand were made is unknown until the next look")
        .hint(format!("nothing is lost; continue with: {again}"));
    ui.failure(&failure);
    // An order: whoever still works for this run is not asked, and nothing of ours outlives the pipes to the nodes.
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

/// Whether whoever started the program had it ignore SIGHUP, as `nohup` does.
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
