//! The file tree of an image: built in memory, written as one tar layer that is the same every time.
//!
//! Entries are sorted, owned by root and dated to the epoch. Every tree begins with the directories that
//! programs take for granted, a `/tmp` that all may write, and the users `root` and `nonroot`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use tar::{Builder, EntryType, Header};

use super::process;

const DIRECTORIES: [&str; 7] = ["dev", "etc", "proc", "run", "sys", "usr", "var"];
const USERS: &str = "root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n\
                     nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
const GROUPS: &str = "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n";

/// Files, directories and links by their path without a leading slash.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, Entry>);

#[derive(Debug)]
enum Entry {
    Directory(u32),
    File(u32, Vec<u8>),
    Link(String),
}

impl Tree {
    /// Makes the tree that every image begins with.
    pub(crate) fn new() -> Self {
        let mut tree = Self::default();
        for directory in DIRECTORIES {
            tree.add(directory, Entry::Directory(0o755));
        }
        tree.add("tmp", Entry::Directory(0o1777));
        tree.add_file("/etc/passwd", 0o644, USERS.into());
        tree.add_file("/etc/group", 0o644, GROUPS.into());
        tree
    }

    /// Adds a file with its permission bits.
    pub(crate) fn add_file(&mut self, path: &str, mode: u32, content: Vec<u8>) {
        self.add(path, Entry::File(mode, content));
    }

    /// Adds a symbolic link.
    pub(crate) fn add_link(&mut self, path: &str, target: &str) {
        self.add(path, Entry::Link(target.to_owned()));
    }

    /// Adds a program or library of this computer and every library it loads, under the same paths.
    pub(crate) fn add_from_host(&mut self, path: &str) -> Result<()> {
        let content = std::fs::read(path).with_context(|| format!("read {path}"))?;
        self.add_file(path, 0o755, content);
        for library in libraries_of(path)? {
            if !self.0.contains_key(relative(&library)) {
                let content =
                    std::fs::read(&library).with_context(|| format!("read {library} for {path}"))?;
                self.add_file(&library, 0o755, content);
            }
        }
        Ok(())
    }

    /// Adds every regular file of a directory of this computer likewise.
    pub(crate) fn add_directory_from_host(&mut self, directory: &str) -> Result<()> {
        let reading = || format!("read directory {directory}");
        for entry in std::fs::read_dir(directory).with_context(reading)? {
            let path = entry.with_context(reading)?.path();
            if path.is_file() {
                self.add_from_host(text(&path)?)?;
            }
        }
        Ok(())
    }

    /// Writes the tree as an uncompressed tar archive.
    pub(crate) fn write(&self, output: impl Write) -> Result<()> {
        let mut archive = Builder::new(output);
        for (path, entry) in &self.0 {
            let (kind, mode, content): (_, _, &[u8]) = match entry {
                Entry::Directory(mode) => (EntryType::Directory, *mode, &[]),
                Entry::File(mode, content) => (EntryType::Regular, *mode, content),
                Entry::Link(_) => (EntryType::Symlink, 0o777, &[]),
            };
            let mut header = fixed_header(kind, mode, content.len());
            match entry {
                Entry::Link(target) => archive.append_link(&mut header, path, target),
                Entry::Directory(_) => archive.append_data(&mut header, format!("{path}/"), content),
                Entry::File(..) => archive.append_data(&mut header, path, content),
            }
            .with_context(|| format!("add {path} to layer"))?;
        }
        archive.finish().context("end layer")
    }

    fn add(&mut self, path: &str, entry: Entry) {
        let path = relative(path);
        for (end, _) in path.match_indices('/') {
            self.0
                .entry(path[..end].to_owned())
                .or_insert(Entry::Directory(0o755));
        }
        self.0.insert(path.to_owned(), entry);
    }
}

/// Makes a tar header whose owner and time are always the same.
pub(crate) fn fixed_header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn text(path: &Path) -> Result<&str> {
    match path.to_str() {
        Some(text) => Ok(text),
        None => bail!("file name {}", path.display()),
    }
}

/// Asks the dynamic linker which files a program loads; there is no machine-readable form of the answer.
fn libraries_of(path: &str) -> Result<Vec<String>> {
    let mut command = Command::new("ldd");
    command.arg(path).env("LC_ALL", "C");
    let output = process::output(&mut command)?;
    let said = format!("{}{}", output.stdout, output.stderr);
    if said.contains("not a dynamic executable") || said.contains("statically linked") {
        return Ok(Vec::new());
    }
    if !output.success || said.contains("not found") {
        bail!("ldd {path}: {}", said.trim());
    }
    Ok(absolute_paths(&output.stdout))
}

fn absolute_paths(ldd: &str) -> Vec<String> {
    ldd.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(tree: &Tree) -> Vec<(String, u32, u64)> {
        let mut bytes = Vec::new();
        tree.write(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                (
                    path,
                    entry.header().mode().unwrap(),
                    entry.header().mtime().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn begins_with_a_tmp_that_all_may_write() {
        let entries = entries(&Tree::new());
        assert!(entries.contains(&("tmp/".to_owned(), 0o1777, 0)), "{entries:?}");
        assert!(
            entries.contains(&("etc/passwd".to_owned(), 0o644, 0)),
            "{entries:?}"
        );
    }

    #[test]
    fn lists_directories_before_what_is_in_them() {
        let mut tree = Tree::new();
        tree.add_file("/opt/bin/flanneld", 0o755, b"x".to_vec());
        let paths: Vec<_> = entries(&tree).into_iter().map(|entry| entry.0).collect();
        let position = |path: &str| paths.iter().position(|other| other == path).unwrap();
        assert!(position("opt/") < position("opt/bin/"));
        assert!(position("opt/bin/") < position("opt/bin/flanneld"));
    }

    #[test]
    fn reads_library_paths_from_what_ldd_says() {
        let said = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(
            absolute_paths(said),
            ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
    }
}
