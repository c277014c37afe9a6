//! What of a machine's files survives when its power is cut now.
//!
//! A disk need not keep what it was not asked to keep: a file's content is safe as it was when the file was synced, names
//! in a directory as they were when the directory was. Safe is what was there when the run began and what other programs
//! than the agent write; modes and owners are safe at once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Directories that are no disk's.
const MEMORY: [&str; 3] = ["proc", "run", "sys"];

/// What a power cut takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loss {
    /// Everything was written in time.
    Nothing,
    /// All that was not synced: contents and names, new and removed ones.
    Unsynced,
    /// Contents that were not synced; names are as they were last. A journaling file system leaves empty files so.
    Contents,
}

/// An entry of a directory that is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    File(u64),
    Directory(u64),
    Link(PathBuf),
}

/// What is safe of one machine, by inode.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    files: BTreeMap<u64, (u32, Vec<u8>)>,
    directories: BTreeMap<u64, (u32, BTreeMap<OsString, Entry>)>,
}

impl Disk {
    /// Everything under a root is safe.
    pub(crate) fn new(root: &Path) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            files: BTreeMap::new(),
            directories: BTreeMap::new(),
        };
        disk.keep_all(root);
        disk
    }

    fn keep_all(&mut self, path: &Path) {
        let data = fs::symlink_metadata(path).unwrap();
        if data.is_file() {
            self.keep_file(&data, path);
        } else if data.is_dir() {
            self.keep_names(&data, path);
            for name in names(path, path == self.root) {
                self.keep_all(&path.join(name));
            }
        }
    }

    fn keep_file(&mut self, data: &Metadata, path: &Path) {
        self.files
            .insert(data.ino(), (data.mode(), fs::read(path).unwrap_or_default()));
    }

    fn keep_names(&mut self, data: &Metadata, path: &Path) {
        let entries = names(path, path == self.root).into_iter().filter_map(|name| {
            let entry = entry(&path.join(&name))?;
            Some((name, entry))
        });
        self.directories
            .insert(data.ino(), (data.mode(), entries.collect()));
    }

    /// The agent has synced a file or a directory.
    pub(crate) fn sync(&mut self, file: BorrowedFd<'_>) {
        let descriptor = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let Ok(data) = fs::metadata(&descriptor) else {
            return;
        };
        if data.is_dir() {
            let path = fs::read_link(&descriptor).unwrap();
            self.keep_names(&data, &path);
        } else {
            self.keep_file(&data, &descriptor);
        }
    }

    /// Another program has written or removed something.
    pub(crate) fn keep(&mut self, path: &Path) {
        let Ok(inner) = path.strip_prefix(&self.root) else {
            return;
        };
        if MEMORY.iter().any(|memory| inner.starts_with(memory)) {
            return;
        }
        let mut parent = self.root.clone();
        for name in inner {
            let path = parent.join(name);
            let (Ok(data), entry) = (fs::symlink_metadata(&parent), entry(&path)) else {
                return;
            };
            let (_, entries) = self
                .directories
                .entry(data.ino())
                .or_insert((data.mode(), BTreeMap::new()));
            match entry {
                Some(entry) => entries.insert(name.to_owned(), entry),
                None => entries.remove(name),
            };
            parent = path;
        }
        if let Ok(data) = fs::symlink_metadata(&parent)
            && data.is_file()
        {
            self.keep_file(&data, &parent);
        }
    }

    /// Whether a file that is safe in a directory mentions something.
    pub(crate) fn mentions(&self, directory: &str, word: &str) -> bool {
        let Ok(root) = fs::symlink_metadata(&self.root) else {
            return false;
        };
        let mut inode = root.ino();
        for name in directory.split('/').filter(|name| !name.is_empty()) {
            let entries = self.directories.get(&inode);
            match entries.and_then(|(_, entries)| entries.get(OsStr::new(name))) {
                Some(Entry::Directory(next)) => inode = *next,
                _ => return false,
            }
        }
        let entries = self.directories.get(&inode).into_iter();
        entries.flat_map(|(_, entries)| entries.values()).any(|entry| {
            let Entry::File(inode) = entry else { return false };
            let safe = self.files.get(inode);
            safe.is_some_and(|(_, content)| String::from_utf8_lossy(content).contains(word))
        })
    }

    /// The power is cut: the machine's files become what its disk has.
    pub(crate) fn lose(&self, loss: Loss) {
        match loss {
            Loss::Nothing => {}
            Loss::Contents => self.lose_contents(&self.root),
            Loss::Unsynced => {
                let root = fs::symlink_metadata(&self.root).unwrap().ino();
                self.go_back(&self.root, root);
            }
        }
    }

    fn lose_contents(&self, directory: &Path) {
        for name in names(directory, directory == self.root) {
            let path = directory.join(name);
            let data = fs::symlink_metadata(&path).unwrap();
            if data.is_dir() {
                self.lose_contents(&path);
            } else if data.is_file() {
                self.put_content(&path, data.ino());
            }
        }
    }

    fn put_content(&self, path: &Path, inode: u64) {
        let safe = self.files.get(&inode).map_or(&[][..], |(_, content)| content);
        if fs::read(path).unwrap_or_default() != safe {
            fs::write(path, safe).unwrap();
        }
    }

    /// A directory becomes what it was when it was synced last.
    fn go_back(&self, directory: &Path, inode: u64) {
        let nothing = BTreeMap::new();
        let safe = self
            .directories
            .get(&inode)
            .map_or(&nothing, |(_, entries)| entries);
        for name in names(directory, directory == self.root) {
            let path = directory.join(&name);
            let now = entry(&path);
            if now.is_some() && safe.get(&name) != now.as_ref() {
                let is_directory = matches!(now, Some(Entry::Directory(_)));
                let removed = if is_directory {
                    fs::remove_dir_all(&path)
                } else {
                    fs::remove_file(&path)
                };
                removed.unwrap();
            }
        }
        for (name, safe) in safe {
            let path = directory.join(name);
            let is_there = entry(&path).is_some();
            match safe {
                Entry::Link(target) if !is_there => symlink(target, &path).unwrap(),
                Entry::Link(_) => {}
                Entry::File(inode) => {
                    self.put_content(&path, *inode);
                    if !is_there {
                        let mode = self.files.get(inode).map_or(0o600, |(mode, _)| *mode);
                        let _ = fs::OpenOptions::new().append(true).create(true).open(&path);
                        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                    }
                }
                Entry::Directory(inode) => {
                    if !is_there {
                        let mode = self.directories.get(inode).map_or(0o755, |(mode, _)| *mode);
                        fs::create_dir(&path).unwrap();
                        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                    }
                    self.go_back(&path, *inode);
                }
            }
        }
    }
}

fn entry(path: &Path) -> Option<Entry> {
    let data = fs::symlink_metadata(path).ok()?;
    Some(if data.is_dir() {
        Entry::Directory(data.ino())
    } else if data.is_symlink() {
        Entry::Link(fs::read_link(path).ok()?)
    } else {
        Entry::File(data.ino())
    })
}

fn names(directory: &Path, is_root: bool) -> Vec<OsString> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    names
        .filter(|name| !is_root || !MEMORY.iter().any(|memory| name == memory))
        .collect()
}
