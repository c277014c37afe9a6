//! What the program does, one file per operation.

pub(crate) mod down;
pub(crate) mod exec;
pub(crate) mod fault;
pub(crate) mod list;
pub(crate) mod up;

use std::thread;

use anyhow::{Result, bail};

use crate::machine::Machine;

/// Does the same on many machines at once and reports every failure, in the machines' order.
pub(crate) fn on_all<'a>(
    machines: &[Machine<'a>],
    action: impl Fn(&Machine<'a>) -> Result<()> + Sync,
) -> Result<()> {
    let results: Vec<Result<()>> = thread::scope(|scope| {
        let running: Vec<_> = machines
            .iter()
            .map(|machine| scope.spawn(|| action(machine)))
            .collect();
        running
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| bail!("a thread of the lab panicked"))
            })
            .collect()
    });
    let failures: Vec<String> = results
        .into_iter()
        .zip(machines)
        .filter_map(|(result, machine)| Some(format!("{}: {:#}", machine.name(), result.err()?)))
        .collect();
    match failures.as_slice() {
        [] => Ok(()),
        [only] => bail!("{only}"),
        many => bail!(
            "{} of {} machines:\n  {}",
            many.len(),
            machines.len(),
            many.join("\n  ")
        ),
    }
}
