//! The node's lock: one controller changes a node at a time.
//!
//! It is a lock of the kernel's on an open file, held for as long as the connection lives. Whatever ends the agent frees
//! it, so there is no stale lock. The file's content only says who holds it, when its controller was last heard, and the
//! current change: the next run learns whether to wait for an agent whose controller has disconnected ([`Watch`]).
//! Times in it are by the node's own clock since boot, and the file does not outlive a boot.

mod watch;

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kubewright_core::wire::{LockHolder, NodeError};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::fault::Doing as _;
use crate::system::System;
pub use watch::Watch;

/// The lock's file; memory only, and in no directory a service could take with it when it stops.
pub const PATH: &str = "/run/kubewright.lock";

/// That the controller was heard is written down this often at most.
const HEARD_EVERY: Duration = Duration::from_secs(1);
/// A content that is just being rewritten is read again this often.
const READS: usize = 3;

/// The lock, held until this is dropped or the process ends.
pub struct Lock {
    file: File,
    system: Arc<dyn System>,
    record: Mutex<Record>,
}

/// What the file says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(flatten)]
    holder: LockHolder,
    /// When the controller was last heard, milliseconds since boot; nothing when there is no controller to hear.
    #[serde(default)]
    heard_ms: Option<u64>,
}

/// The lock of another run, as its file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who has it.
    pub holder: LockHolder,
    /// When its controller was last heard, by the clock since boot.
    pub heard: Option<Duration>,
    /// Whether the file said who.
    pub is_named: bool,
}

/// Takes the lock, or tells who has it.
///
/// # Errors
/// When the file cannot be opened, locked or written.
pub fn take(system: &Arc<dyn System>, holder: &LockHolder) -> Result<Result<Lock, Held>, NodeError> {
    let doing = || format!("lock {PATH}");
    let path = system.path(PATH);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)).doing(doing)?;
        let mut file = File::from(file);
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Err(read(system.as_ref(), &mut file))),
            Err(error) => return Err(crate::fault::fault(doing(), error)),
        }
        // The file may have been removed in between: a lock on a file that others cannot find locks nothing.
        let (held, named) = (rustix::fs::fstat(&file), rustix::fs::lstat(&path));
        if !matches!((held, named), (Ok(held), Ok(named)) if held.st_ino == named.st_ino && held.st_dev == named.st_dev)
        {
            continue;
        }
        let record = Record {
            holder: holder.clone(),
            heard_ms: None,
        };
        write(&file, &record).doing(doing)?;
        return Ok(Ok(Lock {
            file,
            system: Arc::clone(system),
            record: Mutex::new(record),
        }));
    }
}

impl Lock {
    /// Notes that the controller was heard just now.
    pub fn heard(&self) {
        let now = self.system.boot_time();
        let mut record = self.record();
        let last = record.heard_ms.map(Duration::from_millis);
        if last.is_none_or(|last| now.saturating_sub(last) >= HEARD_EVERY) {
            record.heard_ms = Some(milliseconds(now));
            self.tell(&record);
        }
    }

    /// Notes that the controller has gone: the lock is freed as soon as the current change is finished.
    pub fn left(&self) {
        let mut record = self.record();
        record.holder.has_left = true;
        self.tell(&record);
    }

    /// Notes the current change, or that there is none.
    pub fn doing(&self, doing: Option<&str>) {
        let mut record = self.record();
        record.holder.doing = doing.map(str::to_owned);
        self.tell(&record);
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who holds the lock is only nice to know: nothing depends on it that the lock itself does not decide.
    fn tell(&self, record: &Record) {
        let _ = write(&self.file, record);
    }
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Lock({:?})", self.record())
    }
}

/// In one write, so that who reads meanwhile seldom finds half of it.
fn write(file: &File, record: &Record) -> std::io::Result<()> {
    let text = serde_json::to_vec(record)?;
    file.write_all_at(&text, 0)?;
    file.set_len(text.len() as u64)
}

fn read(system: &dyn System, file: &mut File) -> Held {
    let mut record = || {
        let mut text = Vec::new();
        file.rewind().ok()?;
        file.take(16 << 10).read_to_end(&mut text).ok()?;
        serde_json::from_slice::<Record>(&text).ok()
    };
    // Between taking the lock and saying so there is an instant without a name.
    let Some(mut record) = (0..READS).find_map(|_| record()) else {
        return Held {
            holder: LockHolder::new("an unknown user", "unknown", 0),
            heard: None,
            is_named: false,
        };
    };
    let heard = record.heard_ms.map(Duration::from_millis);
    record.holder.heard_seconds_ago = heard.map(|heard| system.boot_time().saturating_sub(heard).as_secs());
    Held {
        holder: record.holder,
        heard,
        is_named: true,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
