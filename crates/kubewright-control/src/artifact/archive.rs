//! Takes wanted files out of a tar.gz archive, and trusts nothing in it.
//!
//! Nothing is written under a name of the archive's: files go to the cache, by digest. An archive that holds anything a
//! careless program would stumble over — a path that leads out, a link that does, a device — is refused as a whole,
//! wanted or not; so is one that is larger than any real one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use kubewright_core::resource::Blob;
use tar::{Archive, EntryType};

use super::ArtifactError;
use super::cache::Cache;

/// What an archive may hold at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes after decompression, headers included.
    pub(super) total_bytes: u64,
    /// Entries.
    pub(super) entries: usize,
}

impl Limits {
    /// Several times what any artifact of the catalogue has.
    pub(super) const DEFAULT: Self = Self {
        total_bytes: 2 << 30,
        entries: 10_000,
    };
}

/// Takes the wanted members out of an archive into the cache; the result is by the names they were asked for.
pub(super) fn unpack(
    cache: &Cache,
    archive: &Path,
    name: &str,
    wanted: &[String],
    limits: Limits,
) -> Result<BTreeMap<String, Blob>, ArtifactError> {
    let refused = |cause: String| ArtifactError::Archive {
        archive: name.to_owned(),
        cause,
    };
    let file = File::open(archive).map_err(|error| super::cache::file_error("read", archive, &error))?;
    let bounded = Bounded {
        inner: MultiGzDecoder::new(BufReader::new(file)),
        left: limits.total_bytes,
    };
    let mut tar = Archive::new(bounded);
    let mut found = BTreeMap::new();
    let entries = tar.entries().map_err(|error| refused(error.to_string()))?;
    for (index, entry) in entries.enumerate() {
        if index >= limits.entries {
            return Err(refused(format!("more than {} entries", limits.entries)));
        }
        let mut entry = entry.map_err(|error| refused(error.to_string()))?;
        let bytes = entry.path_bytes().into_owned();
        let shown = String::from_utf8_lossy(&bytes).escape_debug().to_string();
        let path = plain(&bytes).ok_or_else(|| refused(format!("the path {shown} leads out of it")))?;
        let kind = entry.header().entry_type();
        check_kind(&entry, kind, &path).map_err(|cause| refused(format!("{shown}: {cause}")))?;
        let Some(member) = wanted
            .iter()
            .find(|member| plain(member.as_bytes()).as_ref() == Some(&path))
        else {
            continue;
        };
        if kind != EntryType::Regular {
            return Err(refused(format!("{shown} is not a plain file")));
        }
        let blob = cache
            .keep(&mut entry)
            .map_err(|error| refused(error.to_string()))?;
        if found.insert(member.clone(), blob).is_some() {
            return Err(refused(format!("{shown} is in it twice")));
        }
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
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other("larger than any real one"))?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use kubewright_core::resource::Digest;
    use std::io::Write as _;

    use super::*;

    const SMALL: Limits = Limits {
        total_bytes: 1 << 20,
        entries: 20,
    };

    /// A header as an attacker writes it: the library's own functions refuse some of these names.
    fn entry(name: &str, kind: EntryType, link: &str, content: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn file(name: &str, content: &[u8]) -> Vec<u8> {
        entry(name, EntryType::Regular, "", content)
    }

    fn unpacked(entries: &[Vec<u8>], wanted: &[&str]) -> Result<BTreeMap<String, Blob>, String> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("archive.tar.gz");
        let mut encoder = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
        for entry in entries {
            encoder.write_all(entry).unwrap();
        }
        encoder.write_all(&[0; 1024]).unwrap();
        encoder.finish().unwrap();
        let cache = Cache::open(home.path().join("cache")).unwrap();
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        let before = names(home.path());
        let result = unpack(&cache, &path, "a.tar.gz", &wanted, SMALL);
        assert_eq!(
            names(home.path()),
            before,
            "something was written outside the cache"
        );
        result.map_err(|error| error.to_string())
    }

    fn names(directory: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn takes_only_what_is_wanted() {
        let entries = [
            entry("./", EntryType::Directory, "", b""),
            file("./bridge", b"bridge"),
            file("./vlan", b"vlan"),
            entry("./link", EntryType::Symlink, "bridge", b""),
        ];
        let found = unpacked(&entries, &["bridge"]).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found["bridge"].sha256, Digest::of(b"bridge"));
    }

    #[test]
    fn refuses_paths_that_lead_out() {
        for name in ["../evil", "/etc/passwd", "bin/../../evil"] {
            let error = unpacked(&[file(name, b"x"), file("bin/a", b"a")], &["bin/a"]).unwrap_err();
            assert!(error.contains("leads out of it"), "{error}");
        }
    }

    #[test]
    fn refuses_links_that_lead_out() {
        for (kind, target) in [
            (EntryType::Symlink, "/etc"),
            (EntryType::Symlink, "../../etc"),
            (EntryType::Symlink, "a/../../../etc"),
            (EntryType::Link, "../etc/passwd"),
        ] {
            let error = unpacked(&[entry("bin/link", kind, target, b"")], &[]).unwrap_err();
            assert!(error.contains("a link that leads out"), "{error}");
        }
    }

    #[test]
    fn refuses_a_wanted_file_that_is_a_link() {
        let entries = [entry("bin/a", EntryType::Symlink, "b", b""), file("bin/b", b"b")];
        assert!(
            unpacked(&entries, &["bin/a"])
                .unwrap_err()
                .contains("not a plain file")
        );
    }

    #[test]
    fn refuses_devices_and_pipes() {
        for kind in [EntryType::Block, EntryType::Char, EntryType::Fifo] {
            let error = unpacked(&[entry("dev", kind, "", b"")], &[]).unwrap_err();
            assert!(error.contains("neither a file nor a directory"), "{error}");
        }
    }

    #[test]
    fn refuses_what_grows_beyond_bounds() {
        let bomb = file("bin/a", &vec![0; 2 << 20]);
        let error = unpacked(std::slice::from_ref(&bomb), &["bin/a"]).unwrap_err();
        assert!(error.contains("larger than any real one"), "{error}");
        assert!(unpacked(&[bomb], &[]).is_err());
        let many: Vec<_> = (0..30).map(|number| file(&format!("f{number}"), b"")).collect();
        assert!(unpacked(&many, &[]).unwrap_err().contains("more than 20 entries"));
    }

    #[test]
    fn refuses_ambiguous_and_incomplete_archives() {
        let twice = [file("bin/a", b"1"), file("./bin/a", b"2")];
        assert!(unpacked(&twice, &["bin/a"]).unwrap_err().contains("in it twice"));
        let error = unpacked(&[file("bin/b", b"")], &["bin/a"]).unwrap_err();
        assert_eq!(error, "archive a.tar.gz: bin/a is not in it");
    }
}
