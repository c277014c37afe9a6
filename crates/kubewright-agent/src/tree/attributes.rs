//! Attributes of files and directories beside owner and mode, as `lsattr` shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, IFlags, Mode, OFlags};

use super::seen::seen;
use super::{Kind, Tree};

impl Tree {
    /// What paths are, and their attributes where the file system has some; those that are missing, or below something
    /// that is no directory, are left out. Each directory is opened once.
    pub fn attributes<'p>(
        &self,
        paths: impl IntoIterator<Item = &'p str>,
    ) -> BTreeMap<&'p str, (Kind, IFlags)> {
        let mut by_directory: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for path in paths {
            let (directory, _) = path.rsplit_once('/').unwrap_or_default();
            by_directory.entry(directory).or_default().insert(path);
        }
        let mut found = BTreeMap::new();
        for (directory, paths) in by_directory {
            if let Ok(Ok(directory)) = self.directory(directory) {
                let all = paths.into_iter();
                found.extend(
                    all.filter_map(|path| Some((path, attributes(&directory, path.rsplit('/').next()?)?))),
                );
            }
        }
        found
    }
}

fn attributes(directory: &OwnedFd, name: &str) -> Option<(Kind, IFlags)> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let kind = seen(&stat).kind;
    // Opening a device or a pipe may do something.
    if !matches!(kind, Kind::File | Kind::Directory) {
        return Some((kind, IFlags::empty()));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty()).ok();
    let attributes = file.and_then(|file| rustix::fs::ioctl_getflags(&file).ok());
    Some((kind, attributes.unwrap_or(IFlags::empty())))
}
