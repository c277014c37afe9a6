//! A file that is written beside the one it will replace.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread::JoinHandle;

use kubewright_core::wire::NodeError;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::{Owner, TEMPORARY, Tree};
use crate::fault::{Doing as _, fault};

/// Bytes written to one file before they begin to be flushed.
const FLUSHED_BYTES: u64 = 8 << 20;

/// A file being written beside the one it will replace; dropped before [`NewFile::commit`], it leaves nothing.
pub struct NewFile<'t> {
    tree: &'t Tree,
    path: String,
    directory: OwnedFd,
    temporary: Option<String>,
    name: String,
    pub(super) file: File,
    unflushed: u64,
    flusher: Option<JoinHandle<io::Result<()>>>,
}

impl Tree {
    /// Begins a file beside `path`, readable by root only; missing parents are made.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn begin(&self, path: &str) -> Result<NewFile<'_>, NodeError> {
        self.make_parents(path)?;
        let doing = || format!("write {path}");
        let (directory, name) = self.reach(path, "write")?;
        let temporary = format!(".{name}{TEMPORARY}");
        self.effect(&format!("create {path}"))?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let file = match rustix::fs::openat(&directory, &temporary, flags, mode) {
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty()).doing(doing)?;
                rustix::fs::openat(&directory, &temporary, flags, mode)
            }
            other => other,
        };
        let file = file.map_err(|error| self.full(path, doing(), error.into()))?;
        Ok(NewFile {
            tree: self,
            path: path.to_owned(),
            directory,
            temporary: Some(temporary),
            name: name.to_owned(),
            file: File::from(file),
            unflushed: 0,
            flusher: None,
        })
    }
}

impl NewFile<'_> {
    /// Has what was written so far go to the disk while more arrives, so that the end need not wait for all of it.
    fn flush_beside(&mut self) -> io::Result<()> {
        if self
            .flusher
            .as_ref()
            .is_some_and(|flusher| !flusher.is_finished())
        {
            return Ok(());
        }
        self.await_flusher()?;
        self.unflushed = 0;
        let file = self.file.try_clone()?;
        let flusher = std::thread::Builder::new().stack_size(64 << 10);
        self.flusher = Some(flusher.spawn(move || file.sync_data())?);
        Ok(())
    }

    /// The kernel tells of a failed write to the disk once: when the flusher got the error, no other caller will.
    fn await_flusher(&mut self) -> io::Result<()> {
        let flusher = self.flusher.take().map(JoinHandle::join);
        flusher.map_or(Ok(()), |result| {
            result.unwrap_or_else(|_| Err(io::Error::other("flushing ended")))
        })
    }

    /// Gives the file its owner and mode, makes it durable and puts it in its place.
    ///
    /// # Errors
    /// When one of these fails; the old file is still there then.
    pub fn commit(mut self, owner: Owner) -> Result<(), NodeError> {
        self.finish(owner)?;
        self.place()
    }

    /// Gives the file its owner and mode and makes it durable; nothing is written to it after that.
    ///
    /// # Errors
    /// When one of these fails; the old file is still there then.
    pub fn finish(&mut self, owner: Owner) -> Result<(), NodeError> {
        let path = self.path.clone();
        let doing = || format!("write {path}");
        self.tree.effect(&format!("finish {path}"))?;
        self.await_flusher()
            .map_err(|error| self.tree.full(&path, doing(), error))?;
        own(&self.file, owner).doing(doing)?;
        let synced = self.tree.system.sync(self.file.as_fd());
        synced.map_err(|error| self.tree.full(&path, doing(), error))
    }

    /// Puts a finished file in its place.
    ///
    /// # Errors
    /// When that fails; the old file is still there then.
    pub fn place(mut self) -> Result<(), NodeError> {
        let path = self.path.clone();
        let doing = || format!("write {path}");
        self.tree.effect(&format!("rename {path}"))?;
        let temporary = self.temporary.take().unwrap_or_default();
        rustix::fs::renameat(&self.directory, &temporary, &self.directory, &self.name).map_err(|error| {
            let told = fault(doing(), error);
            self.temporary = Some(temporary);
            told
        })?;
        self.tree.touched(&path);
        Ok(())
    }
}

impl Write for NewFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.unflushed += count as u64;
        if self.unflushed >= FLUSHED_BYTES {
            self.flush_beside()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        let Some(temporary) = &self.temporary else { return };
        if self
            .tree
            .effect(&format!("remove unfinished {}", self.path))
            .is_ok()
        {
            let _ = rustix::fs::unlinkat(&self.directory, temporary, AtFlags::empty());
        }
    }
}

/// Owner first, mode last: a change of owner clears set-id bits.
pub(super) fn own(file: impl std::os::fd::AsFd, owner: Owner) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(&file)?;
    if stat.st_uid != owner.uid || stat.st_gid != owner.gid {
        // Only the present owner has access while the file changes hands.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.st_mode & owner.mode & 0o7777))?;
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    rustix::fs::fchmod(&file, Mode::from_raw_mode(owner.mode))
}
