//! The file in which learned members outlive the process.
//!
//! Written beside itself, fsynced, renamed, so that a power cut leaves the old or the new list, never half of one. An
//! unreadable file is reported and treated as empty: the configured backends still work.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::members::Remembered;

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Why members are not remembered.
#[derive(Debug, thiserror::Error)]
pub(super) enum MembersFileError {
    /// The file is there but cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what this program writes.
    #[error("parse {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: serde_json::Error,
    },
    /// The file cannot be replaced.
    #[error("write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Reads what an earlier run remembered; a missing file is an empty memory.
pub(super) fn load(path: &Path) -> Result<Remembered, MembersFileError> {
    let read_error = |source| MembersFileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Remembered::default()),
        Err(error) => return Err(read_error(error)),
    };
    let mut text = Vec::new();
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut text)
        .map_err(read_error)?;
    serde_json::from_slice(&text).map_err(|source| MembersFileError::Parse {
        path: path.to_owned(),
        source,
    })
}

/// Replaces the file atomically and durably.
pub(super) fn store(path: &Path, remembered: &Remembered) -> Result<(), MembersFileError> {
    write(path, remembered).map_err(|source| MembersFileError::Write {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, remembered: &Remembered) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut text = serde_json::to_vec_pretty(remembered)?;
    text.push(b'\n');
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(&text)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    if let Some(directory) = path
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty())
    {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_stored_and_leaves_no_temporary_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("members.json");
        let remembered = Remembered {
            listed: [
                "10.0.0.1:6443".parse().unwrap(),
                "[fd00::1]:6443".parse().unwrap(),
            ]
            .into(),
            former: [("10.0.0.9:6443".parse().unwrap(), 12)].into(),
        };
        store(&path, &Remembered::default()).unwrap();
        store(&path, &remembered).unwrap();
        assert_eq!(load(&path).unwrap(), remembered);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_file_is_an_empty_memory() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(
            load(&directory.path().join("members.json")).unwrap(),
            Remembered::default()
        );
    }

    #[test]
    fn reports_a_damaged_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("members.json");
        std::fs::write(&path, b"{\"listed\": [\"10.0").unwrap();
        assert!(matches!(load(&path), Err(MembersFileError::Parse { .. })));
    }
}
