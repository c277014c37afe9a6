//! The record of every change, written and fsynced before and after it, and the old bytes to put back.
//!
//! Each run has one file of JSON lines in [`DIRECTORY`]; it begins with the run's first change, so a run that changes
//! nothing writes nothing. Old contents are kept beside it under their digest, readable by root alone. Secrets and
//! keys are never kept and never named by content. Runs beyond the newest [`RUNS_KEPT`] are forgotten, and with
//! them the copies no other run names.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;

use kubewright_core::journal::{Entry, Event, SCHEMA, Undo};
use kubewright_core::resource::Digest;
use kubewright_core::wire::NodeError;

use crate::fault::{Doing as _, fault};
use crate::system::System;
use crate::tree::{Look, Owner, Tree};

/// Where journals live.
pub const DIRECTORY: &str = "/var/lib/kubewright/journal";
/// Where old contents live, by digest.
pub const KEPT: &str = "/var/lib/kubewright/journal/kept";
/// How many runs are remembered.
pub const RUNS_KEPT: usize = 20;
/// Contents up to this many bytes are copied; larger files (binaries) are kept by a second name for the same inode.
const COPY_BYTES: u64 = 4 << 20;
const LIMIT: u64 = 64 << 20;

/// Who runs what, for the journal's first line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The run's id.
    pub id: String,
    /// Who runs it, from where.
    pub operator: String,
    /// For which cluster.
    pub cluster: String,
}

/// The journal of one run.
#[derive(Debug)]
pub struct Journal {
    run: Run,
    file: Option<File>,
    sequence: u64,
}

impl Journal {
    /// A journal that begins with its first entry.
    pub fn new(run: Run) -> Self {
        Self {
            run,
            file: None,
            sequence: 0,
        }
    }

    /// Writes entries and makes them durable, all with one fsync.
    ///
    /// # Errors
    /// When they cannot be written; the change they announce must not be made then.
    pub fn record(&mut self, system: &dyn System, tree: &Tree, events: Vec<Event>) -> Result<(), NodeError> {
        if events.is_empty() {
            return Ok(());
        }
        let path = path_of(&self.run.id);
        let doing = || format!("write {path}");
        system.effect(&doing()).doing(doing)?;
        let mut lines = Vec::new();
        let begins = self.file.is_none();
        if begins {
            self.begin(tree, &path)?;
            let started = Event::RunStarted {
                operator: self.run.operator.clone(),
                cluster: self.run.cluster.clone(),
            };
            self.line(system, &mut lines, started)?;
        }
        for event in events {
            self.line(system, &mut lines, event)?;
        }
        let file = self.file.as_mut().ok_or_else(|| fault(doing(), "not open"))?;
        file.write_all(&lines).doing(doing)?;
        system.sync_data(file.as_fd()).doing(doing)?;
        if begins {
            // Only now: what these entries name was kept before they were written.
            prune(tree, &path)?;
        }
        Ok(())
    }

    /// Notes the run's end, if it changed anything.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self, system: &dyn System, tree: &Tree, changed: u64) -> Result<(), NodeError> {
        if self.file.is_none() {
            return Ok(());
        }
        self.record(system, tree, vec![Event::RunFinished { changed }])?;
        self.file = None;
        Ok(())
    }

    /// Forgets that the run began: its file is gone.
    pub(crate) fn forget(&mut self) {
        self.file = None;
    }

    fn begin(&mut self, tree: &Tree, path: &str) -> Result<(), NodeError> {
        for directory in [super::ledger::DIRECTORY, DIRECTORY, KEPT] {
            if tree.look(directory)? == Look::Missing {
                tree.make_directory(directory, Owner::mine(0o700))?;
            }
        }
        // A run that comes back to a node goes on in its own file.
        let old = tree.read(path, LIMIT)?.unwrap_or_default();
        let last = entries(&old).last().map(|entry| entry.sequence);
        self.sequence = last.map_or(0, |last| last.saturating_add(1));
        tree.write(path, whole_lines(&old), Owner::mine(0o600))?;
        tree.sync()?;
        self.file = Some(tree.append(path)?);
        Ok(())
    }

    fn line(&mut self, system: &dyn System, lines: &mut Vec<u8>, event: Event) -> Result<(), NodeError> {
        let entry = Entry {
            schema: SCHEMA,
            run: self.run.id.clone(),
            sequence: self.sequence,
            time: system.now(),
            event,
        };
        self.sequence = self.sequence.saturating_add(1);
        serde_json::to_writer(&mut *lines, &entry).doing(|| "write the journal".to_owned())?;
        lines.push(b'\n');
        Ok(())
    }
}

/// Keeps a file's present content for [`Undo::Restore`]; [`Undo::Remove`] when there is none.
///
/// # Errors
/// When the copy cannot be made.
pub fn keep(tree: &Tree, path: &str, sha256: Option<Digest>) -> Result<Undo, NodeError> {
    let (Look::There(seen), Some(sha256)) = (tree.look(path)?, sha256) else {
        return Ok(Undo::Remove);
    };
    let copy = copy_of(sha256);
    if tree.look(KEPT)? == Look::Missing {
        tree.make_directory(super::ledger::DIRECTORY, Owner::mine(0o700))?;
        tree.make_directory(DIRECTORY, Owner::mine(0o700))?;
        tree.make_directory(KEPT, Owner::mine(0o700))?;
    }
    if tree.look(&copy)? == Look::Missing {
        if seen.stamp.size <= COPY_BYTES {
            let bytes = tree.read(path, COPY_BYTES)?.unwrap_or_default();
            tree.write(&copy, &bytes, Owner::mine(0o600))?;
        } else if !tree.hard_link(path, &copy)? {
            return Ok(Undo::Nothing);
        }
    }
    Ok(Undo::Restore {
        sha256,
        mode: seen.owner.mode,
        uid: seen.owner.uid,
        gid: seen.owner.gid,
    })
}

/// Puts kept bytes back.
///
/// # Errors
/// When the copy is gone or no longer what it was, or the file cannot be written.
pub fn restore(tree: &Tree, path: &str, sha256: Digest, owner: Owner) -> Result<(), NodeError> {
    let doing = || format!("restore {path}");
    let mut copy = tree
        .open_file(&copy_of(sha256))?
        .ok_or_else(|| fault(doing(), "its old content is no longer kept"))?;
    let mut file = tree.begin(path)?;
    let mut hashing = crate::blob::Hashing::new(&mut copy);
    std::io::copy(&mut hashing, &mut file).doing(doing)?;
    if hashing.digest() != sha256 {
        return Err(fault(doing(), "its kept content was changed"));
    }
    file.commit(owner)
}

/// The schema of a run's journal when it is newer than what is understood here, and how many of its whole lines are no
/// entries: what they say cannot be undone.
///
/// # Errors
/// When it cannot be read.
pub fn judge(tree: &Tree, run: &str) -> Result<(Option<u32>, usize), NodeError> {
    #[derive(serde::Deserialize)]
    struct Line {
        schema: u32,
    }
    let text = tree.read(&path_of(run), LIMIT)?.unwrap_or_default();
    let (mut newest, mut damaged) = (0, 0);
    for line in whole_lines(&text).split(|byte| *byte == b'\n') {
        if let Ok(Line { schema }) = serde_json::from_slice(line) {
            newest = newest.max(schema);
        }
        damaged += usize::from(!line.is_empty() && serde_json::from_slice::<Entry>(line).is_err());
    }
    Ok(((newest > SCHEMA).then_some(newest), damaged))
}

/// The journals on the node, oldest first: run id and entries.
///
/// # Errors
/// When the directory cannot be read.
pub fn runs(tree: &Tree) -> Result<Vec<(String, Vec<Entry>)>, NodeError> {
    let mut runs = Vec::new();
    for name in tree.list(DIRECTORY)? {
        let Some(run) = name.strip_suffix(".jsonl") else {
            continue;
        };
        let path = path_of(run);
        let (Look::There(seen), Some(text)) = (tree.look(&path)?, tree.read(&path, LIMIT)?) else {
            continue;
        };
        runs.push((seen.stamp.modified, run.to_owned(), entries(&text)));
    }
    runs.sort_by(|left, right| (left.0, &left.1).cmp(&(right.0, &right.1)));
    Ok(runs.into_iter().map(|(_, run, entries)| (run, entries)).collect())
}

/// Forgets all but the newest runs, and the copies only they named.
fn prune(tree: &Tree, current: &str) -> Result<(), NodeError> {
    let runs = runs(tree)?;
    let orphaned = runs.len().saturating_sub(RUNS_KEPT);
    let mut named = BTreeSet::new();
    for (index, (run, entries)) in runs.iter().enumerate() {
        let path = path_of(run);
        if index < orphaned && path != current {
            tree.remove(&path)?;
            continue;
        }
        for entry in entries {
            let Event::Intended { undo, .. } = &entry.event else {
                continue;
            };
            if let Undo::Restore { sha256, .. }
            | Undo::Unit {
                file: Some(sha256), ..
            } = undo
            {
                named.insert(sha256.to_string());
            }
        }
    }
    if orphaned == 0 {
        return Ok(());
    }
    for name in tree.list(KEPT)? {
        if !named.contains(&name) {
            tree.remove(&format!("{KEPT}/{name}"))?;
        }
    }
    Ok(())
}

fn path_of(run: &str) -> String {
    format!("{DIRECTORY}/{}.jsonl", file_name(run))
}

/// A name from the controller: only what is harmless in a file name is taken from it.
pub(crate) fn file_name(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || "-_.".contains(letter) {
                letter
            } else {
                '_'
            }
        })
        .take(100)
        .collect()
}

fn copy_of(sha256: Digest) -> String {
    format!("{KEPT}/{sha256}")
}

/// Everything up to the last newline: a power cut can leave half a line behind.
fn whole_lines(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    &text[..end]
}

fn entries(text: &[u8]) -> Vec<Entry> {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

#[cfg(test)]
mod tests;
