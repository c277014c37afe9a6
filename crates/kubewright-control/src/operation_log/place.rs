//! One place that keeps the log: a control plane, or a directory on this computer.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use kubewright_core::operation_log::{RUNS_KEPT, TOTAL_BYTES};
use tokio::sync::{mpsc, watch};

use super::history::EXTENSION;
use crate::node::Node;

/// A place; what it is given is written in order, by a task of its own. Dropped, it takes no more.
pub(super) struct Place {
    lines: mpsc::UnboundedSender<String>,
    given: watch::Sender<u64>,
    kept: watch::Receiver<u64>,
}

/// The other end of a place.
struct Work {
    lines: mpsc::UnboundedReceiver<String>,
    kept: watch::Sender<u64>,
}

impl Work {
    /// The lines that have come since the last call, or `None` when there will be no more.
    async fn next(&mut self) -> Option<(String, u64)> {
        let mut text = self.lines.recv().await?;
        let mut count = 1;
        while let Ok(line) = self.lines.try_recv() {
            text.push_str(&line);
            count += 1;
        }
        Some((text, count))
    }
}

impl Place {
    fn new() -> (Self, Work) {
        let (lines, received) = mpsc::unbounded_channel();
        let (kept, is_kept) = watch::channel(0);
        let place = Self {
            lines,
            given: watch::Sender::new(0),
            kept: is_kept,
        };
        (
            place,
            Work {
                lines: received,
                kept,
            },
        )
    }

    /// A control plane, through the connection with it.
    pub(super) fn node(node: Node, name: String) -> Self {
        let (place, mut work) = Self::new();
        tokio::spawn(async move {
            let mut begins = true;
            while let Some((lines, count)) = work.next().await {
                if let Err(error) = node.record_operation(&name, begins, lines).await {
                    // The one that waits sees that nothing more is kept here.
                    tracing::warn!(node = %node.name(), %error, "the operation log is not kept here any more");
                    return;
                }
                begins = false;
                work.kept.send_modify(|kept| *kept += count);
            }
        });
        place
    }

    /// A directory on this computer.
    pub(super) fn directory(directory: &Path, name: &str) -> Self {
        let (place, mut work) = Self::new();
        let path = directory.join(format!("{name}{EXTENSION}"));
        tokio::task::spawn_blocking(move || {
            let mut file = match create(&path) {
                Ok(file) => file,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "the operation log is not kept here");
                    return;
                }
            };
            while let Some(line) = work.lines.blocking_recv() {
                let mut text = line;
                let mut count = 1;
                while let Ok(line) = work.lines.try_recv() {
                    text.push_str(&line);
                    count += 1;
                }
                if let Err(error) = file.write_all(text.as_bytes()).and_then(|()| file.sync_data()) {
                    tracing::warn!(path = %path.display(), %error, "the operation log is not kept here any more");
                    return;
                }
                work.kept.send_modify(|kept| *kept += count);
            }
        });
        place
    }

    /// Has a line written.
    pub(super) fn write(&self, line: &str) {
        // The other end is closed: the place has given up, and said so.
        if self.lines.send(line.to_owned()).is_ok() {
            self.given.send_modify(|given| *given += 1);
        }
    }

    /// Waits until everything given so far is kept, or the place has given up.
    pub(super) fn written(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut kept = self.kept.clone();
        let given = *self.given.borrow();
        async move {
            let _ = kept.wait_for(|kept| *kept >= given).await;
        }
    }
}

/// Makes the record's file; its directory is hidden from version control, for it can be deleted at any time.
fn create(path: &Path) -> std::io::Result<File> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
        if let Some(own) = directory.parent() {
            let ignore = own.join(".gitignore");
            if !ignore.exists() {
                let _ = fs::write(ignore, "*\n");
            }
        }
        prune(directory);
    }
    File::options().append(true).create_new(true).open(path)
}

/// Forgets the oldest records, so that one more fits.
fn prune(directory: &Path) {
    let mut records: Vec<(PathBuf, u64)> = super::history::files(directory)
        .into_iter()
        .map(|path| {
            let size = fs::metadata(&path).map_or(0, |data| data.len());
            (path, size)
        })
        .collect();
    records.sort();
    let mut total: u64 = records.iter().map(|(_, size)| size).sum();
    let mut left = records.len();
    for (path, size) in records {
        if left < RUNS_KEPT && total <= TOTAL_BYTES {
            break;
        }
        let _ = fs::remove_file(path);
        left -= 1;
        total -= size;
    }
}
