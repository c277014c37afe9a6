//! This control plane's copy of the operation log: one file of JSON lines for each run that changed the cluster.
//!
//! The controller sends lines as its run goes; each portion is fsynced before it is acknowledged. Only the first portion
//! makes the file, so that nothing written late brings back what a reset has removed. The newest [`RUNS_KEPT`] runs
//! are kept, and no more of them than fit in [`TOTAL_BYTES`].

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use kubewright_core::operation_log::{self, RUN_BYTES, RUNS_KEPT, RecordedRun, TOTAL_BYTES};
use kubewright_core::wire::{MAX_MESSAGE_BYTES, NodeError};

use crate::fault::{Doing as _, fault};
use crate::journal::file_name;
use crate::ledger;
use crate::system::System;
use crate::tree::{Look, Owner, Tree};

/// Where the records live.
pub const DIRECTORY: &str = "/var/lib/kubewright/operations";
const EXTENSION: &str = ".jsonl";
/// A record may exceed what its writer keeps to by the last portion.
const LIMIT: u64 = 2 * RUN_BYTES as u64;

/// Adds lines to a run's record and makes them durable; its first lines make it, readable by root alone.
///
/// # Errors
/// When the record is not there, has become too large, or cannot be written.
pub fn record(system: &Arc<dyn System>, name: &str, begins: bool, lines: &str) -> Result<(), NodeError> {
    let tree = Tree::open(Arc::clone(system))?;
    let path = path_of(name);
    let doing = || format!("write {path}");
    if begins {
        for directory in [ledger::DIRECTORY, DIRECTORY] {
            if tree.look(directory)? == Look::Missing {
                tree.make_directory(directory, Owner::mine(0o700))?;
            }
        }
        tree.write(&path, lines.as_bytes(), Owner::mine(0o600))?;
        prune(&tree, &path)?;
        return tree.sync();
    }
    match tree.look(&path)? {
        Look::There(seen) if seen.stamp.size + lines.len() as u64 > LIMIT => {
            return Err(fault(doing(), "the record is full"));
        }
        _ => {}
    }
    tree.effect(&doing())?;
    let mut file = tree.append(&path)?;
    file.write_all(lines.as_bytes()).doing(doing)?;
    system.sync_data(file.as_fd()).doing(doing)
}

/// The runs on record, oldest first: all of them without their steps, or those whose id begins as asked, whole.
///
/// # Errors
/// When the directory cannot be read.
pub fn read(system: &Arc<dyn System>, run: Option<&str>) -> Result<Vec<RecordedRun>, NodeError> {
    let tree = Tree::open(Arc::clone(system))?;
    let mut operations = Vec::new();
    let mut bytes = 0;
    for name in tree.list(DIRECTORY)?.iter().rev() {
        let Some(name) = name.strip_suffix(EXTENSION) else {
            continue;
        };
        // A file that cannot be read hides none of the others.
        let Ok(Some(text)) = tree.read(&path_of(name), LIMIT) else {
            continue;
        };
        let Some(operation) = operation_log::read(&text) else {
            continue;
        };
        match run {
            None => operations.push(operation.summary()),
            Some(run) if operation.id.starts_with(run) => {
                // An answer has to fit in one message; the newest come first.
                bytes += text.len();
                operations.push(if bytes < MAX_MESSAGE_BYTES / 2 {
                    operation
                } else {
                    operation.summary()
                });
            }
            Some(_) => {}
        }
    }
    operations.reverse();
    Ok(operations)
}

/// Forgets the oldest runs beyond what is kept; never the one that is being written.
fn prune(tree: &Tree, current: &str) -> Result<(), NodeError> {
    let mut paths = Vec::new();
    for name in tree.list(DIRECTORY)? {
        let path = format!("{DIRECTORY}/{name}");
        if let (true, Look::There(seen)) = (name.ends_with(EXTENSION), tree.look(&path)?) {
            paths.push((path, seen.stamp.size));
        }
    }
    let mut total: u64 = paths.iter().map(|(_, size)| size).sum();
    let mut left = paths.len();
    for (path, size) in paths {
        if left <= RUNS_KEPT && total <= TOTAL_BYTES {
            break;
        }
        if path == current {
            continue;
        }
        tree.remove(&path)?;
        left -= 1;
        total -= size;
    }
    Ok(())
}

fn path_of(name: &str) -> String {
    format!("{DIRECTORY}/{}{EXTENSION}", file_name(name))
}

#[cfg(test)]
mod tests;
