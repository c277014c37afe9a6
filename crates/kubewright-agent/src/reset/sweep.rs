//! Emptying a directory without ever entering a mounted volume or following a link.
//!
//! Each directory is opened from its parent, so that nothing can be swapped under the walk. What is mounted is known in two
//! connections, from the kernel's list and by the device changing; either is enough to leave it alone.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use kubewright_core::wire::NodeError;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::fault::Doing as _;
use crate::mounts::Mount;
use crate::tree::Tree;

/// How deep directories may be nested: each level keeps one file open.
const DEPTH: usize = 400;

struct Sweep<'s> {
    tree: &'s Tree,
    mounts: BTreeSet<&'s str>,
    left: &'s mut Vec<String>,
    removed: u64,
}

/// Removes what is in a directory, except names in `keep`, and counts it; what had to stay is added to `left`.
///
/// # Errors
/// When the directory cannot be opened or read.
pub(super) fn contents(
    tree: &Tree,
    mounts: &[Mount],
    path: &str,
    keep: &BTreeSet<String>,
    left: &mut Vec<String>,
) -> Result<u64, NodeError> {
    let Some(directory) = tree.open_directory(path)? else {
        return Ok(0);
    };
    let mut sweep = Sweep {
        tree,
        mounts: mounts.iter().map(|mount| mount.point.as_str()).collect(),
        left,
        removed: 0,
    };
    let device = rustix::fs::fstat(&directory)
        .doing(|| format!("read {path}"))?
        .st_dev;
    sweep.empty(&directory, path, device, keep, 0)?;
    Ok(sweep.removed)
}

impl Sweep<'_> {
    /// Empties a directory; whether nothing was left in it.
    fn empty(
        &mut self,
        directory: &OwnedFd,
        path: &str,
        device: u64,
        keep: &BTreeSet<String>,
        depth: usize,
    ) -> Result<bool, NodeError> {
        let mut is_empty = true;
        for name in names(directory).doing(|| format!("list {path}"))? {
            let shown = name.to_string_lossy().into_owned();
            if keep.contains(&shown) {
                is_empty = false;
                continue;
            }
            let child = format!("{path}/{shown}");
            let gone = self.remove(directory, &name, &child, device, depth)?;
            is_empty &= gone;
        }
        Ok(is_empty)
    }

    fn remove(
        &mut self,
        directory: &OwnedFd,
        name: &std::ffi::CStr,
        path: &str,
        device: u64,
        depth: usize,
    ) -> Result<bool, NodeError> {
        let doing = || format!("remove {path}");
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(true),
            Err(error) => return Err(error).doing(doing),
        };
        if stat.st_dev != device || self.mounts.contains(path) {
            return Ok(self.leave(path, "something is mounted there"));
        }
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_directory {
            if depth >= DEPTH {
                return Ok(self.leave(path, "nested too deep"));
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let inner = rustix::fs::openat(directory, name, flags, Mode::empty()).doing(doing)?;
            // What was opened must be what was looked at.
            if rustix::fs::fstat(&inner).doing(doing)?.st_dev != device {
                return Ok(self.leave(path, "something is mounted there"));
            }
            if !self.empty(&inner, path, device, &BTreeSet::new(), depth + 1)? {
                return Ok(false);
            }
        }
        self.tree.effect(&doing())?;
        let flags = if is_directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        match rustix::fs::unlinkat(directory, name, flags) {
            Ok(()) | Err(Errno::NOENT) => {
                self.removed += 1;
                Ok(true)
            }
            // A mount of another namespace, an immutable file.
            Err(Errno::BUSY | Errno::PERM) => Ok(self.leave(path, "it is in use or immutable")),
            Err(error) => Err(error).doing(doing),
        }
    }

    fn leave(&mut self, path: &str, why: &str) -> bool {
        self.left.push(format!("{path} ({why})"));
        false
    }
}

/// The names in a directory, all read before the first is removed.
fn names(directory: &OwnedFd) -> rustix::io::Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
