//! The node's lock: one controller changes a node at a time.
//!
//! It is a lock of the kernel's on an open file, held for as long as the conversation lives. Whatever ends the agent frees
//! it, so there is no stale lock and no clock in it. The file's content only says who holds it.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::sync::Arc;

use kubewright_core::wire::{LockHolder, NodeError};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::fault::Doing as _;
use crate::system::System;

/// The lock's file; memory only, and in no directory a service could take with it when it stops.
pub const PATH: &str = "/run/kubewright.lock";

/// The lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "open means held")] File);

/// Takes the lock, or tells who has it.
///
/// # Errors
/// When the file cannot be opened, locked or written.
pub fn take(system: &Arc<dyn System>, holder: &LockHolder) -> Result<Result<Lock, LockHolder>, NodeError> {
    let doing = || format!("lock {PATH}");
    let path = system.path(PATH);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)).doing(doing)?;
        let mut file = File::from(file);
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Err(read_holder(&mut file))),
            Err(error) => return Err(crate::fault::fault(doing(), error)),
        }
        // Somebody may have removed the file in between: a lock on a file nobody else can find locks nothing.
        let (held, named) = (rustix::fs::fstat(&file), rustix::fs::lstat(&path));
        if !matches!((held, named), (Ok(held), Ok(named)) if held.st_ino == named.st_ino && held.st_dev == named.st_dev)
        {
            continue;
        }
        let text = serde_json::to_vec(holder).doing(doing)?;
        file.set_len(0).doing(doing)?;
        file.write_all(&text).doing(doing)?;
        return Ok(Ok(Lock(file)));
    }
}

fn read_holder(file: &mut File) -> LockHolder {
    let mut text = Vec::new();
    let _ = file.rewind();
    let _ = file.take(16 << 10).read_to_end(&mut text);
    // Between taking the lock and saying so there is an instant without a name.
    serde_json::from_slice(&text).unwrap_or_else(|_| LockHolder {
        operator: "somebody".to_owned(),
        run: "unknown".to_owned(),
        since: 0,
    })
}

#[cfg(test)]
mod tests;
