//! The node's files, reached from its root one directory at a time without ever following a link.
//!
//! A link planted in one of our directories therefore cannot redirect a write: it is reported as being in
//! the way. A file is written beside itself (created for its owner alone), given owner and mode, fsynced and renamed;
//! the directory is fsynced by [`Tree::sync`], once for all files of a batch.

mod attributes;
mod change;
mod new_file;
mod seen;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use kubewright_core::wire::NodeError;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

pub use new_file::{NewFile, commit_both};
pub use seen::{Kind, Look, Owner, Seen, Stamp};

use self::seen::seen;
use crate::fault::{Cause, Doing as _, fault, hinted};
use crate::system::System;

/// Ends the name of a file that is being written; one left by a crash is overwritten by the next attempt.
const TEMPORARY: &str = ".kubewright-new";

enum Place<'p> {
    Missing,
    Blocked(String),
    In(OwnedFd, &'p str),
}

/// The node's files.
pub struct Tree {
    system: Arc<dyn System>,
    root: OwnedFd,
    written: Cell<u64>,
    unsynced: RefCell<BTreeSet<String>>,
}

impl Tree {
    /// Opens the node's root.
    ///
    /// # Errors
    /// When the root cannot be opened.
    pub fn open(system: Arc<dyn System>) -> Result<Self, NodeError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(system.root(), flags, Mode::empty()).doing(|| "open /".to_owned())?;
        Ok(Self {
            system,
            root,
            written: Cell::new(0),
            unsynced: RefCell::default(),
        })
    }

    /// How many files, links and directories were written since the tree was opened.
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// The clock that times of files are taken from, nanoseconds.
    pub(crate) fn clock(&self) -> i64 {
        self.system.file_clock()
    }

    /// Looks at a path itself, not at what it links to.
    ///
    /// # Errors
    /// When the path is malformed or cannot be looked at.
    pub fn look(&self, path: &str) -> Result<Look, NodeError> {
        let (directory, name) = match self.place(path)? {
            Place::Missing => return Ok(Look::Missing),
            Place::Blocked(reason) => return Ok(Look::Blocked(reason)),
            Place::In(directory, name) => (directory, name),
        };
        match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Look::There(seen(&stat))),
            Err(Errno::NOENT) => Ok(Look::Missing),
            Err(error) => Err(fault(format!("look at {path}"), error)),
        }
    }

    /// Reads a regular file of at most `limit` bytes; `None` when there is none.
    ///
    /// # Errors
    /// When something else is there, the file is larger, or it cannot be read.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, NodeError> {
        let Some(file) = self.open_file(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .doing(|| format!("read {path}"))?;
        if bytes.len() as u64 > limit {
            return Err(fault(
                format!("read {path}"),
                format!("larger than {limit} bytes"),
            ));
        }
        Ok(Some(bytes))
    }

    /// Opens a regular file for reading; `None` when there is none.
    ///
    /// # Errors
    /// When something else is there or it cannot be opened.
    pub fn open_file(&self, path: &str) -> Result<Option<File>, NodeError> {
        let doing = || format!("read {path}");
        let (directory, name) = match self.place(path)? {
            Place::Missing => return Ok(None),
            Place::Blocked(reason) => return Err(fault(doing(), reason)),
            Place::In(directory, name) => (directory, name),
        };
        // Without NONBLOCK, opening a pipe put there would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&directory, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(fault(doing(), "a symbolic link is where the file should be")),
            Err(error) => return Err(fault(doing(), error)),
        };
        if !file.metadata().doing(doing)?.is_file() {
            return Err(fault(doing(), "it is not a regular file"));
        }
        Ok(Some(file))
    }

    /// The target of a symbolic link; `None` when there is nothing, or something else.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_link(&self, path: &str) -> Result<Option<String>, NodeError> {
        let Place::In(directory, name) = self.place(path)? else {
            return Ok(None);
        };
        match rustix::fs::readlinkat(&directory, name, Vec::new()) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => Err(fault(format!("read {path}"), error)),
        }
    }

    /// Opens a directory; `None` when it is missing or is none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open_directory(&self, path: &str) -> Result<Option<OwnedFd>, NodeError> {
        Ok(self.directory(path)?.ok())
    }

    /// The names in a directory, sorted; none when it is missing or is no directory.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn list(&self, path: &str) -> Result<Vec<String>, NodeError> {
        let doing = || format!("list {path}");
        let Ok(directory) = self.directory(path)? else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory).doing(doing)? {
            let entry = entry.doing(doing)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Makes what was written since the last call survive a power cut: fsyncs the directories concerned.
    ///
    /// # Errors
    /// When a directory cannot be synced.
    pub fn sync(&self) -> Result<(), NodeError> {
        for path in self.unsynced.take() {
            if let Ok(directory) = self.directory(&path)? {
                self.system
                    .sync(directory.as_fd())
                    .doing(|| format!("sync {path}"))?;
            }
        }
        Ok(())
    }

    pub(crate) fn effect(&self, doing: &str) -> Result<(), NodeError> {
        self.system.effect(doing).doing(|| doing.to_owned())
    }

    fn touched(&self, path: &str) {
        self.written.set(self.written.get() + 1);
        let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
        let parent = if parent.is_empty() { "/" } else { parent };
        self.unsynced.borrow_mut().insert(parent.to_owned());
    }

    /// Says which file system is full or read-only, when that is what went wrong.
    fn full(&self, path: &str, doing: String, error: io::Error) -> NodeError {
        let concerns_disk = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
        );
        let mut told = fault(doing, Cause::from(error));
        if concerns_disk {
            let mounts = crate::mounts::read(self.system.as_ref());
            let mount = crate::mounts::mount_of(&mounts, path);
            told.cause = format!("{} (file system mounted at {mount})", told.cause);
            let hint = told.hint.clone().unwrap_or_default();
            told = hinted(told, hint);
        }
        told
    }

    /// The directory a path is in, and its name there; a fault when it cannot be reached.
    fn reach<'p>(&self, path: &'p str, verb: &str) -> Result<(OwnedFd, &'p str), NodeError> {
        match self.place(path)? {
            Place::In(directory, name) => Ok((directory, name)),
            Place::Missing => Err(fault(format!("{verb} {path}"), "its directory is missing")),
            Place::Blocked(reason) => Err(fault(format!("{verb} {path}"), reason)),
        }
    }

    fn place<'p>(&self, path: &'p str) -> Result<Place<'p>, NodeError> {
        check(path)?;
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.directory(parent)? {
            Ok(directory) => Ok(Place::In(directory, name)),
            Err(None) => Ok(Place::Missing),
            Err(Some(reason)) => Ok(Place::Blocked(reason)),
        }
    }

    /// Opens a directory, one part of the path at a time; otherwise nothing (it is missing) or what is in the way.
    fn directory(&self, path: &str) -> Result<Result<OwnedFd, Option<String>>, NodeError> {
        let doing = || format!("open {path}");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut directory = self.root.try_clone().doing(doing)?;
        let mut so_far = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            so_far.push('/');
            so_far.push_str(part);
            directory = match rustix::fs::openat(&directory, part, flags, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOENT) => return Ok(Err(None)),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let what = rustix::fs::statat(&directory, part, AtFlags::SYMLINK_NOFOLLOW)
                        .map_or("something else", |stat| seen(&stat).kind.article());
                    return Ok(Err(Some(format!("{so_far} is {what}, not a directory"))));
                }
                Err(error) => return Err(fault(doing(), error)),
            };
        }
        Ok(Ok(directory))
    }
}

/// Refuses paths that are not plain: relative, with `..`, empty parts, or a NUL.
fn check(path: &str) -> Result<(), NodeError> {
    let plain = path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').all(|part| !matches!(part, "" | "." | "..")) && !rest.contains('\0')
    });
    if plain {
        Ok(())
    } else {
        Err(fault(format!("reach {path:?}"), "not a plain absolute path"))
    }
}

#[cfg(test)]
mod tests;
