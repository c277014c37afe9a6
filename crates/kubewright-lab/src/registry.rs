//! Which labs exist on this computer, so that no two share a name or a subnet.
//!
//! Kept in /run: a reboot of the computer ends all labs and empties it. Two kinds of locks, both released by the kernel
//! when their holder dies: one for the registry while a subnet is given out, one per lab while it is being changed.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::lab::lock::LabLock;
use crate::lab::state::{temporary_files, to_json, write_atomically};
use crate::lab::subnet::{self, Subnet};
use crate::lab::{Lab, LabName};
use crate::machine::network;
use crate::wait::{Limit, wait_until};

/// The labs of this computer.
#[derive(Debug)]
pub(crate) struct Registry {
    directory: PathBuf,
}

/// What the registry knows of one lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: LabName,
    pub(crate) directory: PathBuf,
    pub(crate) subnet: Subnet,
}

impl Registry {
    /// The registry of this computer.
    pub(crate) fn of_this_computer() -> Self {
        Self {
            directory: PathBuf::from("/run/kubewright-lab"),
        }
    }

    /// Takes the lock of one lab; says that another process works on the lab when that takes long.
    ///
    /// The wait is for programs that a killed lab program had just called: they hold its lock until they end.
    pub(crate) fn lock_lab(&self, name: &LabName) -> Result<LabLock> {
        let mut taken = None;
        let waited = wait_until("the lock", Limit::Seconds(2), || {
            taken = self.try_lock_lab(name)?;
            Ok(taken.is_some())
        });
        match taken {
            Some(lock) => Ok(lock),
            None => Err(waited.err().map_or_else(
                || anyhow::anyhow!("lock lab {name}"),
                |error| error.context(format!("another kubewright-lab is working on lab {name}")),
            )),
        }
    }

    fn try_lock_lab(&self, name: &LabName) -> Result<Option<LabLock>> {
        let path = self.lock_path(name);
        let file = self.open_lock(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", path.display()));
            }
        }
        // A `down` may have removed the file between opening and locking it: then this lock protects nothing.
        let is_current =
            fs::metadata(&path).is_ok_and(|now| file.metadata().is_ok_and(|own| own.ino() == now.ino()));
        Ok(is_current.then(|| LabLock::of(file)))
    }

    /// What is known of one lab.
    pub(crate) fn entry(&self, name: &LabName) -> Result<Option<Entry>> {
        let path = self.entry_path(name);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("read {}", path.display()))
                .map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    /// All labs, by name.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>> {
        let Ok(directory) = fs::read_dir(&self.directory) else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::new();
        for file in directory {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().parse()?;
                entries.extend(self.entry(&name)?);
            }
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    /// Gives a lab its subnet and remembers both, in one step that no other process can get between.
    pub(crate) fn register(&self, name: &LabName, directory: &Path) -> Result<Subnet> {
        let lock = self.open_lock(&self.directory.join(".lock"))?;
        lock.lock().context("lock the registry of labs")?;
        let entries = self.entries()?;
        if let Some(other) = entries
            .iter()
            .find(|entry| entry.directory == directory && entry.name != *name)
        {
            bail!(
                "directory {} belongs to lab {}: choose another with --dir",
                directory.display(),
                other.name
            );
        }
        let mut used: BTreeSet<Subnet> = entries.iter().map(|entry| entry.subnet).collect();
        used.extend(Subnet::all().filter(|subnet| network::exists(&subnet.bridge())));
        let subnet = Subnet::allocate(&used, &subnet::routes()?)
            .context("every subnet 10.83.1.0/24 to 10.83.254.0/24 is in use on this computer")?;
        let entry = Entry {
            name: name.clone(),
            directory: directory.to_owned(),
            subnet,
        };
        write_atomically(&self.entry_path(name), &to_json(&entry)?)?;
        Ok(subnet)
    }

    /// Forgets a lab, whose lock the caller holds and gives up with it.
    pub(crate) fn forget(&self, name: &LabName) -> Result<()> {
        let temporary = temporary_files(&self.entry_path(name));
        for path in temporary
            .into_iter()
            .chain([self.entry_path(name), self.lock_path(name)])
        {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("forget lab {name}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Finds the description of a lab: in the given directory, or where the registry says it lives.
    pub(crate) fn find(&self, name: &LabName, directory: &Path, given: bool) -> Result<Option<Lab>> {
        let directory = match self.entry(name)? {
            Some(entry) if !given => entry.directory,
            _ => directory.to_owned(),
        };
        match Lab::read(&directory)? {
            Some(lab) if lab.name != *name => {
                bail!(
                    "{} holds lab {}, not {name}: give --lab {}",
                    directory.display(),
                    lab.name,
                    lab.name
                )
            }
            found => Ok(found),
        }
    }

    fn entry_path(&self, name: &LabName) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    fn lock_path(&self, name: &LabName) -> PathBuf {
        self.directory.join(format!("{name}.lock"))
    }

    fn open_lock(&self, path: &Path) -> Result<File> {
        let open = || {
            fs::create_dir_all(&self.directory)?;
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)
        };
        open().with_context(|| format!("open {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, directory: &str) -> Entry {
        let subnet = Subnet::allocate(&BTreeSet::new(), &[]).unwrap();
        Entry {
            name: name.parse().unwrap(),
            directory: directory.into(),
            subnet,
        }
    }

    fn registry_with(entries: &[Entry]) -> (tempfile::TempDir, Registry) {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry {
            directory: directory.path().to_owned(),
        };
        for entry in entries {
            write_atomically(&registry.entry_path(&entry.name), &to_json(entry).unwrap()).unwrap();
        }
        (directory, registry)
    }

    #[test]
    fn lists_labs_by_name() {
        let (_directory, registry) = registry_with(&[entry("b", "/b"), entry("a", "/a")]);
        let names: Vec<String> = registry
            .entries()
            .unwrap()
            .iter()
            .map(|entry| entry.name.to_string())
            .collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_forgotten_lab_is_gone_and_forgetting_twice_is_fine() {
        let (directory, registry) = registry_with(&[entry("a", "/a")]);
        let name = "a".parse().unwrap();
        registry.forget(&name).unwrap();
        registry.forget(&name).unwrap();
        assert_eq!(registry.entry(&name).unwrap(), None);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_lab_is_changed_by_one_process_at_a_time() {
        let (_directory, registry) = registry_with(&[]);
        let name = "a".parse().unwrap();
        let held = registry.lock_lab(&name).unwrap();
        let error = registry.lock_lab(&name).unwrap_err().to_string();
        assert_eq!(error, "another kubewright-lab is working on lab a");
        drop(held);
        assert!(registry.lock_lab(&name).is_ok());
    }
}
