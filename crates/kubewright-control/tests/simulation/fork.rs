//! Copies of whole worlds, so that no way is gone twice.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::machine::Machine;
use super::world::World;

impl World {
    /// A world in which everything is as in this one, and which goes its own way from now on.
    pub(crate) fn fork(&self) -> Arc<Self> {
        let copy = Self::empty(self.cluster.clone());
        {
            let (from, mut to) = (self.state(), copy.state());
            for machine in from.machines.values() {
                let root = copy.directory.path().join(&machine.name);
                copy_directory(&machine.root, &root);
                let machine = Machine {
                    root,
                    disk: RefCell::default(),
                    ..machine.clone()
                };
                keep_digests(&machine);
                to.machines.insert(machine.name.clone(), machine);
            }
            to.control_planes.clone_from(&from.control_planes);
            to.stored.clone_from(&from.stored);
            to.memberships.clone_from(&from.memberships);
            to.meddling.clone_from(&from.meddling);
            to.leadership.clone_from(&from.leadership);
            to.founded.clone_from(&from.founded);
            to.is_serving = from.is_serving;
            to.whole.clone_from(&from.whole);
            to.inputs.clone_from(&from.inputs);
            to.secrets.clone_from(&from.secrets);
        }
        copy
    }
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, from.metadata().unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_directory(&entry.path(), &target);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path()).unwrap(), target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The agent knows files by their inodes and times, which a copy does not have: it is told the new ones.
fn keep_digests(machine: &Machine) {
    const PATH: &str = "/var/lib/kubewright/hashes.json";
    let Ok(mut known) = serde_json::from_str::<serde_json::Value>(&machine.get(PATH)) else {
        return;
    };
    for (path, entry) in known.as_object_mut().into_iter().flatten() {
        let Ok(data) = machine.path(path).symlink_metadata() else {
            continue;
        };
        entry["stamp"] = json!({
            "size": data.size(),
            "modified": data.mtime() * 1_000_000_000 + data.mtime_nsec(),
            "changed": data.ctime() * 1_000_000_000 + data.ctime_nsec(),
            "inode": data.ino(),
            "device": data.dev(),
        });
    }
    machine.put(PATH, &known.to_string());
}
