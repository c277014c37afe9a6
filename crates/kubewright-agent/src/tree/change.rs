//! Changes to the node's files: each is an effect of its own, and durable once the tree was synced.

use std::fs::File;
use std::io::Write as _;

use kubewright_core::wire::NodeError;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::new_file::own;
use super::{Look, Owner, Place, TEMPORARY, Tree};
use crate::fault::Doing as _;

impl Tree {
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
        // What stays ours has its mode from the first instant: a parent that an interruption left closed is never repaired.
        let mode = if owner == Owner::mine(owner.mode) {
            owner.mode
        } else {
            0o700
        };
        match rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(mode)) {
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

    /// Makes the missing parents of a path, mode 0755.
    pub(super) fn make_parents(&self, path: &str) -> Result<(), NodeError> {
        let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/') else {
            return Ok(());
        };
        if parent.is_empty() || !matches!(self.look(parent)?, Look::Missing) {
            return Ok(());
        }
        self.make_directory(parent, Owner::mine(0o755))
    }
}
