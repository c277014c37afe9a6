//! The Debian root that all machines stand on: debootstrapped once, then only read, as the lower half of overlays.
//!
//! It is kept outside the repository, under a name that carries the digest of its recipe, so that a changed recipe
//! makes a new one and an old lab keeps its own. It is built beside its place and renamed when complete.

mod recipe;
mod sources;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{tool, ui};

/// Where roots and components are cached: `KUBEWRIGHT_LAB_CACHE` or `~/.cache/kubewright-lab`.
pub(crate) fn cache_directory() -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os("KUBEWRIGHT_LAB_CACHE").filter(|text| !text.is_empty()) {
        return Ok(std::path::absolute(directory)?);
    }
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|text| !text.is_empty())
        .map(PathBuf::from);
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    Ok(base
        .context("neither HOME nor KUBEWRIGHT_LAB_CACHE is set")?
        .join("kubewright-lab"))
}

/// Returns the root, building it first when this computer does not have it yet.
pub(crate) fn provide() -> Result<PathBuf> {
    let cache = crate::lab::name::check_directory(&cache_directory()?)?;
    let root = cache.join(format!("root-{}", recipe::digest()));
    if root.is_dir() {
        return Ok(root);
    }
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    let lock = File::create(cache.join("root.lock")).context("open the cache's lock")?;
    lock.lock().context("wait for another build of the root")?;
    if root.is_dir() {
        return Ok(root);
    }
    build(&cache, &root)?;
    Ok(root)
}

fn build(cache: &Path, root: &Path) -> Result<()> {
    tool::require(&["debootstrap"])?;
    let mirror = sources::mirror(recipe::SUITE)?;
    let partial = cache.join("root.partial");
    remove_tree(&partial)?;
    ui::say(format_args!(
        "root: building Debian {} from this computer's mirror (about a minute, once)",
        recipe::SUITE
    ));
    let log = cache.join("root.log");
    let mut command = tool::command("debootstrap");
    command
        .arg("--variant=minbase")
        .arg(format!("--include={}", recipe::PACKAGES.join(",")));
    if let Some(keyring) = &mirror.keyring {
        command.arg(format!("--keyring={}", keyring.display()));
    }
    for (variable, value) in sources::proxies() {
        command.env(variable, value);
    }
    command.arg(recipe::SUITE).arg(&partial).arg(&mirror.address);
    let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
    let status = command
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .context("start debootstrap")?;
    if !status.success() {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let last = text.lines().last().unwrap_or_default();
        bail!(
            "build the Debian root: debootstrap: {status}: {last} (full log: {})",
            log.display()
        );
    }
    finish(&partial).context("finish the Debian root")?;
    fs::rename(&partial, root).with_context(|| format!("move the new root to {}", root.display()))?;
    ui::say(format_args!("root: {}", root.display()));
    Ok(())
}

/// Turns a fresh Debian into a lab machine's root.
fn finish(root: &Path) -> Result<()> {
    for directory in recipe::REMOVED {
        remove_tree(&root.join(directory))?;
    }
    for directory in ["var/cache/apt/archives/partial", "var/lib/apt/lists/partial"] {
        fs::create_dir_all(root.join(directory))?;
    }
    for file in fs::read_dir(root.join("etc/ssh"))? {
        let path = file?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("ssh_host_"))
        {
            fs::remove_file(path)?;
        }
    }
    tool::run(
        "chroot",
        [
            root.as_os_str(),
            "useradd".as_ref(),
            "--create-home".as_ref(),
            "--shell=/bin/bash".as_ref(),
            "ops".as_ref(),
        ],
    )?;
    for (path, mode, content) in recipe::FILES {
        let path = root.join(path);
        fs::create_dir_all(path.parent().context("a file of the recipe has a directory")?)?;
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
    }
    for unit in recipe::MASKED {
        let link = root.join("etc/systemd/system").join(unit);
        symlink("/dev/null", &link).with_context(|| format!("mask {unit}"))?;
    }
    for unit in recipe::ENABLED {
        let wants = root.join("etc/systemd/system/sysinit.target.wants");
        fs::create_dir_all(&wants)?;
        symlink(format!("/etc/systemd/system/{unit}"), wants.join(unit))?;
    }
    Ok(())
}

/// Removes a directory and all in it, but only when nothing is mounted in there.
pub(crate) fn remove_tree(directory: &Path) -> Result<()> {
    if let Some(mount) = crate::machine::mounts::below(directory)?.first() {
        bail!(
            "{} is still mounted: not removing {}",
            mount.display(),
            directory.display()
        );
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}
