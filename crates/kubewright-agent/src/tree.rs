//! The node's files, reached from its root one directory at a time without ever following a link.
//!
//! A link somebody planted in one of our directories therefore cannot redirect a write: it is reported as being in
//! the way. A file is written beside itself (created for its owner alone), given owner and mode, fsynced and renamed;
//! the directory is fsynced by [`Tree::sync`], once for all files of a batch.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use kubewright_core::wire::NodeError;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::fault::{Cause, Doing as _, fault, hinted};
use crate::system::System;

/// Ends the name of a file that is being written; one left by a crash is overwritten by the next attempt.
const TEMPORARY: &str = ".kubewright-new";

/// Bytes written to one file before they begin to be flushed.
const FLUSHED_BYTES: u64 = 8 << 20;

/// Who may do what with a path, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Owner {
    /// The agent's own (root's, on a real node), with these permission bits.
    pub fn mine(mode: u32) -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mode,
        }
    }
}

/// What identifies a file's content without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stamp {
    /// Size in bytes.
    pub size: u64,
    /// Modification time, nanoseconds.
    pub modified: i64,
    /// Change time, nanoseconds.
    pub changed: i64,
    /// Inode.
    pub inode: u64,
    /// Device.
    pub device: u64,
}

/// What kind of thing a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, socket or pipe.
    Other,
}

impl Kind {
    /// As people say it, with its article.
    pub const fn article(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Link => "a symbolic link",
            Self::Other => "a device, socket or pipe",
        }
    }
}

/// A path, looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub kind: Kind,
    /// Owner and permission bits.
    pub owner: Owner,
    /// What identifies its content.
    pub stamp: Stamp,
}

/// What looking at a path yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing is there.
    Missing,
    /// It cannot be reached without following a link or passing through something that is no directory.
    Blocked(String),
    /// Something is there.
    There(Seen),
}

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
        // Without NONBLOCK, opening a pipe somebody put there would wait for its writer.
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

    /// Begins a file beside `path`, readable by nobody but root; missing parents are made.
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

    /// Writes a whole file, atomically.
    ///
    /// # Errors
    /// When it cannot be written; the old file is still there then.
    pub fn write(&self, path: &str, bytes: &[u8], owner: Owner) -> Result<(), NodeError> {
        let mut file = self.begin(path)?;
        file.write_all(bytes)
            .map_err(|error| self.full(path, format!("write {path}"), error))?;
        file.commit(owner)
    }

    /// Opens a file of the agent's own for adding to its end.
    ///
    /// # Errors
    /// When it is not there or cannot be opened.
    pub(crate) fn append(&self, path: &str) -> Result<File, NodeError> {
        let (directory, name) = self.reach(path, "write")?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&directory, name, flags, Mode::empty())
            .map(File::from)
            .doing(|| format!("write {path}"))
    }

    /// Makes a symbolic link, in place of an older link if there is one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn link(&self, path: &str, target: &str) -> Result<(), NodeError> {
        self.make_parents(path)?;
        let doing = || format!("link {path}");
        let (directory, name) = self.reach(path, "link")?;
        let temporary = format!(".{name}{TEMPORARY}");
        self.effect(&doing())?;
        match rustix::fs::symlinkat(target, &directory, &temporary) {
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty()).doing(doing)?;
                rustix::fs::symlinkat(target, &directory, &temporary).doing(doing)?;
            }
            other => other.map_err(|error| self.full(path, doing(), error.into()))?,
        }
        self.effect(&format!("rename {path}"))?;
        rustix::fs::renameat(&directory, &temporary, &directory, name).doing(doing)?;
        self.touched(path);
        Ok(())
    }

    /// Makes another name for a file, within one file system; false when that is not possible.
    ///
    /// # Errors
    /// When a directory cannot be reached or made.
    pub fn hard_link(&self, from: &str, to: &str) -> Result<bool, NodeError> {
        self.make_parents(to)?;
        let (source, source_name) = self.reach(from, "keep")?;
        let (target, target_name) = self.reach(to, "keep")?;
        self.effect(&format!("keep {from}"))?;
        match rustix::fs::linkat(&source, source_name, &target, target_name, AtFlags::empty()) {
            Ok(()) => {
                self.touched(to);
                Ok(true)
            }
            Err(Errno::EXIST) => Ok(true),
            Err(_) => Ok(false),
        }
    }

    /// Makes a directory; missing parents are made with mode 0755.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_directory(&self, path: &str, owner: Owner) -> Result<(), NodeError> {
        self.make_parents(path)?;
        let doing = || format!("make {path}");
        let (directory, name) = self.reach(path, "make")?;
        self.effect(&doing())?;
        match rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(self.full(path, doing(), error.into())),
        }
        self.touched(path);
        self.set_owner(path, owner)
    }

    /// Sets owner and mode of a file or directory.
    ///
    /// # Errors
    /// When it is not there, is a link, or may not be changed.
    pub fn set_owner(&self, path: &str, owner: Owner) -> Result<(), NodeError> {
        let doing = || format!("set owner and mode of {path}");
        let (directory, name) = self.reach(path, "set owner and mode of")?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory, name, flags, Mode::empty()).doing(doing)?;
        self.effect(&doing())?;
        own(&file, owner).doing(doing)
    }

    /// Removes a file or link; none is fine.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove(&self, path: &str) -> Result<(), NodeError> {
        self.unlink(path, AtFlags::empty())
    }

    /// Removes an empty directory; none is fine.
    ///
    /// # Errors
    /// When it is there and cannot be removed, for instance because it is not empty.
    pub fn remove_directory(&self, path: &str) -> Result<(), NodeError> {
        self.unlink(path, AtFlags::REMOVEDIR)
    }

    fn unlink(&self, path: &str, flags: AtFlags) -> Result<(), NodeError> {
        let doing = || format!("remove {path}");
        let Place::In(directory, name) = self.place(path)? else {
            return Ok(());
        };
        if matches!(
            rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW),
            Err(Errno::NOENT)
        ) {
            return Ok(());
        }
        self.effect(&doing())?;
        rustix::fs::unlinkat(&directory, name, flags).doing(doing)?;
        self.touched(path);
        Ok(())
    }

    /// Makes what was written since the last call survive a power cut: fsyncs the directories concerned.
    ///
    /// # Errors
    /// When a directory cannot be synced.
    pub fn sync(&self) -> Result<(), NodeError> {
        for path in self.unsynced.take() {
            if let Ok(directory) = self.directory(&path)? {
                rustix::fs::fsync(&directory).doing(|| format!("sync {path}"))?;
            }
        }
        Ok(())
    }

    /// Makes the missing parents of a path, mode 0755.
    fn make_parents(&self, path: &str) -> Result<(), NodeError> {
        let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/') else {
            return Ok(());
        };
        if parent.is_empty() || !matches!(self.look(parent)?, Look::Missing) {
            return Ok(());
        }
        self.make_directory(parent, Owner::mine(0o755))
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

/// A file being written beside the one it will replace; dropped before [`NewFile::commit`], it leaves nothing.
pub struct NewFile<'t> {
    tree: &'t Tree,
    path: String,
    directory: OwnedFd,
    temporary: Option<String>,
    name: String,
    file: File,
    unflushed: u64,
    flusher: Option<JoinHandle<io::Result<()>>>,
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

    /// The kernel tells of a failed write to the disk once: when the flusher was told, nobody else will be.
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
        let path = self.path.clone();
        let doing = || format!("write {path}");
        self.tree.effect(&format!("finish {path}"))?;
        self.await_flusher()
            .map_err(|error| self.tree.full(&path, doing(), error))?;
        own(&self.file, owner).doing(doing)?;
        rustix::fs::fsync(&self.file).map_err(|error| self.tree.full(&path, doing(), error.into()))?;
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
fn own(file: impl std::os::fd::AsFd, owner: Owner) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(&file)?;
    if stat.st_uid != owner.uid || stat.st_gid != owner.gid {
        // Nobody but the present owner while the file changes hands.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.st_mode & owner.mode & 0o7777))?;
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    rustix::fs::fchmod(&file, Mode::from_raw_mode(owner.mode))
}

fn seen(stat: &rustix::fs::Stat) -> Seen {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    };
    let nanoseconds =
        |seconds: i64, fraction: i64| seconds.saturating_mul(1_000_000_000).saturating_add(fraction);
    Seen {
        kind,
        owner: Owner {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
        },
        stamp: Stamp {
            size: stat.st_size as u64,
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec as i64),
            inode: stat.st_ino,
            device: stat.st_dev,
        },
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
