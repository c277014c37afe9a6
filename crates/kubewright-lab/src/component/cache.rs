//! The cache: finished directories by digest, which appear whole or not at all.
//!
//! Below the root, `components/<digest>` is what the product reads and `projects/<project>-<digest>-<source>`
//! holds the results of one recipe, so that a changed recipe costs its own project only. Everything is made under
//! a name that begins with `.partial-` and renamed when it is complete. The process that makes something holds the lock,
//! which the kernel releases even if its holder is killed. The whole cache can be deleted at any time.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::manifest::Manifest;
use super::recipe::Project;
use super::source::Source;

const PARTIAL: &str = ".partial-";

/// The place of the cache.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Uses a directory that need not exist yet.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Returns `$KUBEWRIGHT_LAB_CACHE`, or the user's cache directory's `kubewright-lab`.
    pub(crate) fn default_root(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
        if let Some(root) = variable("KUBEWRIGHT_LAB_CACHE") {
            return Ok(root);
        }
        let user = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        match user {
            Some(directory) => Ok(directory.join("kubewright-lab")),
            None => bail!("no place for the cache: set KUBEWRIGHT_LAB_CACHE or HOME"),
        }
    }

    /// Returns the directory for all components made from recipes with this digest.
    pub(crate) fn components(&self, digest: &str, source: Source) -> PathBuf {
        let directory = self.root.join("components");
        match source {
            Source::Build => directory.join(digest),
            Source::Download => directory.join(format!("{digest}-download")),
        }
    }

    /// Returns the directory for the results of one project.
    pub(crate) fn project(&self, project: &Project, source: Source) -> PathBuf {
        let digest = &project.digest[..16];
        let name = format!("{}-{digest}-{}", project.name, source.word());
        self.root.join("projects").join(name)
    }

    /// Waits until no other process makes components, then removes what killed predecessors left half-made.
    pub(crate) fn lock(&self, report: &dyn Fn(&str)) -> Result<Lock> {
        let directories = ["components", "projects"].map(|name| self.root.join(name));
        for directory in &directories {
            create(directory)?;
        }
        let path = self.root.join("lock");
        let locking = || format!("lock {}", path.display());
        let file = File::create(&path).with_context(locking)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                report("waiting for another kubewright-lab that is making components");
                file.lock().with_context(locking)?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(locking),
        }
        for directory in &directories {
            remove_partial(directory)?;
        }
        Ok(Lock { _file: file })
    }
}

/// The right to write into the cache; ends when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Makes a directory by filling another one beside it and renaming; replaces one of ours, never one of others.
pub(crate) fn publish(target: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
        bail!("{} cannot be a directory of components", target.display());
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let replaces = may_replace(target)?;
    create(parent)?;
    let partial = parent.join(prefixed(name, ""));
    remove(&partial)?;
    create(&partial)?;
    fill(&partial)?;
    if replaces {
        let old = parent.join(prefixed(name, ".old"));
        remove(&old)?;
        rename(target, &old)?;
        rename(&partial, target)?;
        return remove(&old);
    }
    rename(&partial, target)
}

/// Says whether something of ours is in the way; an error if it is anything else.
fn may_replace(target: &Path) -> Result<bool> {
    if !target.exists() {
        return Ok(false);
    }
    let is_empty = std::fs::read_dir(target)
        .with_context(|| format!("read directory {}", target.display()))?
        .next()
        .is_none();
    if !is_empty && Manifest::read(target).is_none() {
        bail!("{} is there, but not a directory of components", target.display());
    }
    Ok(true)
}

fn prefixed(name: &OsStr, suffix: &str) -> String {
    format!("{PARTIAL}{}{suffix}", name.display())
}

fn remove_partial(directory: &Path) -> Result<()> {
    let reading = || format!("read directory {}", directory.display());
    for entry in std::fs::read_dir(directory).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        if entry.file_name().display().to_string().starts_with(PARTIAL) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn create(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("create directory {}", directory.display()))
}

fn remove(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).with_context(|| format!("rename {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_environment() {
        let with = |name: &'static str, value: &'static str| {
            Cache::default_root(move |asked| (asked == name).then(|| value.into())).unwrap()
        };
        assert_eq!(with("KUBEWRIGHT_LAB_CACHE", "/big"), Path::new("/big"));
        assert_eq!(with("XDG_CACHE_HOME", "/c"), Path::new("/c/kubewright-lab"));
        assert_eq!(
            with("HOME", "/home/u"),
            Path::new("/home/u/.cache/kubewright-lab")
        );
        Cache::default_root(|_| None).unwrap_err();
    }

    #[test]
    fn a_directory_that_was_not_finished_does_not_appear() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("components/x");
        publish(&target, |partial| {
            std::fs::write(partial.join("half"), "")?;
            bail!("killed")
        })
        .unwrap_err();
        assert!(!target.exists());

        let cache = Cache::at(root.path().to_owned());
        drop(cache.lock(&|_| ()).unwrap());
        let left = std::fs::read_dir(root.path().join("components")).unwrap().count();
        assert_eq!(left, 0);
    }

    #[test]
    fn replaces_an_older_directory_of_components_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("out");
        for name in ["old", "new"] {
            publish(&target, |partial| {
                std::fs::write(partial.join(name), "")?;
                Manifest::new(name, "build", Vec::new()).write(partial)
            })
            .unwrap();
        }
        assert_eq!(Manifest::read(&target).unwrap().recipe, "new");
        assert!(!target.join("old").exists());
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn never_replaces_somebody_elses_directory() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("thesis.txt"), "").unwrap();
        let error = publish(root.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(
            error.ends_with("is there, but not a directory of components"),
            "{error}"
        );
        assert!(root.path().join("thesis.txt").exists());
    }
}
