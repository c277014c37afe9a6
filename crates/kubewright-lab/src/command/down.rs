//! `down`: nothing of a lab is left, whatever state it was in, however often it is asked for.
//!
//! It goes by what can be observed (cgroups, interfaces, mounts), so it also works after any process was killed and
//! when the lab's own description is gone. It removes only files the lab made, never the directory's other content.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::lab::state::temporary_files;
use crate::lab::{Lab, LabName};
use crate::machine::{cgroup, mounts, network};
use crate::place::Place;
use crate::registry::Registry;
use crate::root_image::remove_tree;
use crate::{tool, ui};

/// The files `up` writes into a lab's directory.
const FILES: &[&str] = &[
    "known_hosts",
    "id_ed25519",
    "id_ed25519.pub",
    "ssh_config",
    "inventory.json",
    "lab.json",
];

pub(crate) fn run(place: &Place) -> Result<()> {
    tool::require_root()?;
    let _lock = Registry::of_this_computer().lock_lab(&place.lab)?;
    let existed = take_down(&place.lab, &place.directory()?)?;
    let result = if existed { "removed" } else { "there was none" };
    ui::say(format_args!("lab {}: {result}", place.lab));
    Ok(())
}

/// Refuses a directory with files that `up` would write over and `down` would remove.
pub(crate) fn refuse_foreign_files(directory: &Path) -> Result<()> {
    if let Some(name) = FILES
        .iter()
        .chain(["machines"].iter())
        .find(|name| directory.join(name).exists())
    {
        bail!(
            "directory {} holds {name}, which is no lab's: choose another with --dir",
            directory.display()
        );
    }
    Ok(())
}

/// Removes a lab, whose lock the caller holds; tells whether there was one.
///
/// Its directory is the one it is registered with. The given one counts only if a lab's description is in there.
pub(crate) fn take_down(name: &LabName, given: &Path) -> Result<bool> {
    let registry = Registry::of_this_computer();
    let entry = registry.entry(name)?;
    let described = Lab::read(given);
    let subnet = match (&entry, &described) {
        (Some(entry), _) => Some(entry.subnet),
        (None, Ok(Some(lab))) if lab.name == *name => Some(lab.subnet),
        _ => None,
    };
    let mut directories: Vec<&Path> = entry.iter().map(|entry| entry.directory.as_path()).collect();
    if !matches!(described, Ok(None)) && !directories.contains(&given) {
        directories.push(given);
    }
    directories.retain(|directory| !belongs_to_another(directory, name));

    cgroup::Cgroup::of_lab(name)?.end_all()?;
    cgroup::remove_empty_folder()?;
    let bridges = network::bridges_of(name, subnet);
    for bridge in &bridges {
        for cable in network::cables_of(bridge) {
            network::delete(&cable)?;
        }
        network::delete(bridge)?;
        forget_nspawn_traces(bridge);
    }
    for directory in &directories {
        remove_files(directory)?;
    }
    registry.forget(name)?;
    Ok(!directories.is_empty() || !bridges.is_empty())
}

/// A damaged description does not say so: then the lab it was asked for is removed with it.
fn belongs_to_another(directory: &Path, name: &LabName) -> bool {
    matches!(Lab::read(directory), Ok(Some(lab)) if lab.name != *name)
}

fn remove_files(directory: &Path) -> Result<()> {
    let machines = directory.join("machines");
    forget_nspawn_locks(&machines);
    mounts::unmount_below(&machines)?;
    remove_tree(&machines)?;
    for path in FILES.iter().map(|file| directory.join(file)).flat_map(|path| {
        let temporary = temporary_files(&path);
        temporary.into_iter().chain([path])
    }) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", path.display()));
            }
            _ => {}
        }
    }
    // It fails if another program keeps something in there, as it should.
    let _ = fs::remove_dir(directory);
    Ok(())
}

/// Files by which systemd-nspawn keeps two machines off one root; one that was killed leaves its own behind.
fn forget_nspawn_locks(machines: &Path) {
    let Ok(entries) = fs::read_dir(machines) else {
        return;
    };
    for entry in entries.flatten() {
        if let Ok(root) = fs::metadata(entry.path().join("root")) {
            let lock = format!("/run/systemd/nspawn/locks/inode-{}:{}", root.dev(), root.ino());
            // Mostly there is none.
            let _ = fs::remove_file(lock);
        }
    }
}

/// Directories that systemd-nspawn makes per machine in /run and leaves there.
fn forget_nspawn_traces(bridge: &str) {
    let Ok(entries) = fs::read_dir("/run/systemd/nspawn/propagate") else {
        return;
    };
    let prefix = format!("{bridge}-");
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}
