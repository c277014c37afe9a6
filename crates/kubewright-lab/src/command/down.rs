//! `down`: nothing of a lab is left, whatever state it was in, however often it is asked for.
//!
//! It goes by what can be observed (cgroups, interfaces, mounts), so it also works after any process was killed and
//! when the lab's own description is gone. It removes only files the lab made, never the directory's other content.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cli::Place;
use crate::lab::registry::Registry;
use crate::lab::{Lab, LabName};
use crate::machine::{cgroup, mounts, network};
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
    let registry = Registry::of_this_computer();
    let _lock = registry.lock_lab(&place.lab)?;
    let given = place.directory()?;
    let entry = registry.entry(&place.lab)?;
    let mut directories = vec![given.as_path()];
    directories.extend(entry.as_ref().map(|entry| entry.directory.as_path()));
    let existed = entry.is_some() || given.join("lab.json").exists();
    take_down(&place.lab, &directories)?;
    let result = if existed { "removed" } else { "there was none" };
    ui::say(format_args!("lab {}: {result}", place.lab));
    Ok(())
}

/// Removes a lab; the directories are those it may live in. The caller holds the lab's lock.
pub(crate) fn take_down(name: &LabName, directories: &[&Path]) -> Result<()> {
    cgroup::Cgroup::of_lab(name)?.end_all()?;
    cgroup::remove_empty_folder()?;
    for bridge in network::bridges_of(name) {
        for cable in network::cables_of(&bridge) {
            network::delete(&cable)?;
        }
        network::delete(&bridge)?;
        forget_nspawn_traces(&bridge);
    }
    for directory in directories {
        // Also without a description, or with a damaged one: what looks like a lab's files is removed.
        let is_another = matches!(Lab::read(directory), Ok(Some(lab)) if lab.name != *name);
        if !is_another {
            remove_files(directory)?;
        }
    }
    Registry::of_this_computer().forget(name)
}

fn remove_files(directory: &Path) -> Result<()> {
    let machines = directory.join("machines");
    forget_nspawn_locks(&machines);
    mounts::unmount_below(&machines)?;
    remove_tree(&machines)?;
    for file in FILES {
        let path = directory.join(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", path.display()));
            }
            _ => {}
        }
    }
    // It fails when somebody else keeps something in there, as it should.
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
