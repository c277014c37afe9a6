//! What a path is, looked at.

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

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

/// What the kernel says of a path.
pub(super) fn seen(stat: &rustix::fs::Stat) -> Seen {
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
