//! Takes wanted files out of a tar archive, and trusts nothing in it.
//!
//! Nothing is written under a name of the archive's: the caller says where content goes. An archive that holds
//! anything a careless program would stumble over — a path that leads out, a link that does, a device — is refused as a
//! whole, wanted or not; so is one that is larger than any real one, or whose names are.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use kubewright_core::shown::sentence;
use tar::{Archive, EntryType};

use super::ArtifactError;

/// What an archive may hold at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes after decompression, headers included.
    pub total_bytes: u64,
    /// Bytes of one entry's headers: they are read into memory.
    pub header_bytes: u64,
    /// Entries.
    pub entries: usize,
}

impl Limits {
    /// Several times what any artifact of the catalogue has.
    pub const DEFAULT: Self = Self {
        total_bytes: 2 << 30,
        header_bytes: 64 << 10,
        entries: 10_000,
    };
}

/// Takes the wanted members out of an uncompressed archive; `keep` is given the content of each, and the result is what
/// it made of it, by the names they were asked for.
///
/// # Errors
/// [`ArtifactError::Archive`], under the archive's `name`, when anything in it is not as it should be.
pub fn unpack<T>(
    archive: impl Read,
    name: &str,
    wanted: &[String],
    limits: Limits,
    mut keep: impl FnMut(&mut dyn Read) -> io::Result<T>,
) -> Result<BTreeMap<String, T>, ArtifactError> {
    let refused = |cause: String| ArtifactError::Archive {
        archive: name.to_owned(),
        cause,
    };
    // The library's errors repeat bytes of the archive.
    let failed = |error: io::Error| refused(sentence(&error.to_string()));
    let header_left = Rc::new(Cell::new(limits.header_bytes));
    let mut tar = Archive::new(Bounded {
        inner: archive,
        left: limits.total_bytes,
        header_left: Rc::clone(&header_left),
    });
    let mut found = BTreeMap::new();
    let mut entries = tar.entries().map_err(failed)?.enumerate();
    loop {
        header_left.set(limits.header_bytes);
        let Some((index, entry)) = entries.next() else {
            break;
        };
        let mut entry = entry.map_err(failed)?;
        if index >= limits.entries {
            return Err(refused(format!("more than {} entries", limits.entries)));
        }
        header_left.set(u64::MAX);
        let bytes = entry.path_bytes().into_owned();
        let shown = String::from_utf8_lossy(&bytes).escape_debug().to_string();
        let path = plain(&bytes).ok_or_else(|| refused(format!("the path {shown} leads out of it")))?;
        let kind = entry.header().entry_type();
        check_kind(&entry, kind, &path).map_err(|cause| refused(format!("{shown}: {cause}")))?;
        let member = wanted
            .iter()
            .find(|member| plain(member.as_bytes()).as_ref() == Some(&path));
        if let Some(member) = member {
            if kind != EntryType::Regular {
                return Err(refused(format!("{shown} is not a plain file")));
            }
            let kept = keep(&mut entry).map_err(failed)?;
            if found.insert(member.clone(), kept).is_some() {
                return Err(refused(format!("{shown} is in it twice")));
            }
        }
        // What is left of it is content, not the next entry's header.
        io::copy(&mut entry, &mut io::sink()).map_err(failed)?;
    }
    match wanted.iter().find(|member| !found.contains_key(*member)) {
        Some(member) => Err(refused(format!("{member} is not in it"))),
        None => Ok(found),
    }
}

/// A relative path without `..`, as its parts only; `None` for any other.
fn plain(bytes: &[u8]) -> Option<PathBuf> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut path = PathBuf::new();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

fn check_kind(entry: &tar::Entry<'_, impl Read>, kind: EntryType, path: &Path) -> Result<(), String> {
    match kind {
        EntryType::Regular | EntryType::Directory | EntryType::XGlobalHeader => Ok(()),
        EntryType::Symlink | EntryType::Link => {
            let target = entry.link_name_bytes().ok_or("a link to nowhere")?;
            let target = std::str::from_utf8(&target).map_err(|_| "a link to nowhere readable")?;
            // A hard link's target counts from the archive's root, a symbolic link's from the directory it is in.
            let depth = match kind {
                EntryType::Symlink => path.components().count().saturating_sub(1),
                _ => 0,
            };
            if stays_inside(Path::new(target), depth) {
                Ok(())
            } else {
                Err("a link that leads out".to_owned())
            }
        }
        _ => Err("neither a file nor a directory".to_owned()),
    }
}

/// Whether a path that begins `depth` directories below the root stays below the root all the way.
fn stays_inside(target: &Path, depth: usize) -> bool {
    let mut depth = depth;
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

/// Ends with an error when there is more than there may be.
struct Bounded<R> {
    inner: R,
    left: u64,
    /// Bytes that may be read until the next entry is there.
    header_left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)? as u64;
        let left = self.left.checked_sub(count);
        self.left = left.ok_or_else(|| io::Error::other("larger than any real one"))?;
        let header_left = self.header_left.get().checked_sub(count);
        let header_left =
            header_left.ok_or_else(|| io::Error::other("a header is larger than any real one"))?;
        self.header_left.set(header_left);
        Ok(count as usize)
    }
}

#[cfg(test)]
mod tests;
