//! A machine's disk: an overlay on the shared Debian root, with directories from the real disk where an overlay
//! would not do (container images and their layers cannot stand on another overlay), and the files that make it this
//! machine and no other.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};

use super::{Machine, mounts};
use crate::lab::lock::LabLock;
use crate::ssh;

/// Directories that come from the real disk.
pub(crate) const DATA: &[&str] = &["containerd", "etcd", "kubelet", "kubewright"];

/// Makes the disk of a new machine, with its identity on it.
pub(crate) fn create(machine: &Machine<'_>, lock: &LabLock) -> Result<()> {
    let directory = machine.directory();
    for part in ["upper", "work", "root"] {
        fs::create_dir_all(directory.join(part))
            .with_context(|| format!("create {}", directory.display()))?;
    }
    for part in DATA {
        fs::create_dir_all(directory.join("data").join(part))?;
    }
    mount(machine)?;
    write_identity(machine, lock).with_context(|| format!("write the identity of {}", machine.name()))
}

/// Mounts the disk where systemd-nspawn will find it; one that is mounted already stays so.
pub(crate) fn mount(machine: &Machine<'_>) -> Result<()> {
    let directory = machine.directory();
    let root = machine.root();
    if mounts::below(&root)?.contains(&root) {
        return Ok(());
    }
    mounts::mount_overlay(
        &machine.lab.root_image,
        &directory.join("upper"),
        &directory.join("work"),
        &root,
    )
}

fn write_identity(machine: &Machine<'_>, lock: &LabLock) -> Result<()> {
    let root = machine.root();
    let name = machine.name();
    let subnet = machine.lab.subnet;
    for part in DATA {
        fs::create_dir_all(root.join("var/lib").join(part))?;
    }
    fs::write(root.join("etc/hostname"), format!("{name}\n"))?;
    fs::write(
        root.join("etc/hosts"),
        format!("127.0.0.1 localhost\n127.0.1.1 {name}\n"),
    )?;
    fs::write(root.join("etc/machine-id"), format!("{}\n", machine_id()?))?;
    // Nothing answers there: names of the outside world fail at once instead of timing out.
    fs::write(
        root.join("etc/resolv.conf"),
        format!("nameserver {}\n", subnet.gateway()),
    )?;
    fs::create_dir_all(root.join("etc/kubewright-lab"))?;
    let network = format!(
        "ADDRESS={}/24\nGATEWAY={}\n",
        machine.record.address,
        subnet.gateway()
    );
    fs::write(root.join("etc/kubewright-lab/network.env"), network)?;
    ssh::write_host_key(machine.lab, machine.record, lock)?;
    let client = fs::read_to_string(ssh::public_key_path(&machine.lab.directory))?;
    authorize(&root.join("root"), &client)?;
    authorize(&root.join("home/ops"), &client)
}

/// Lets the lab's client in as the owner of a home directory.
fn authorize(home: &Path, public_key: &str) -> Result<()> {
    let directory = home.join(".ssh");
    let file = directory.join("authorized_keys");
    fs::create_dir_all(&directory)?;
    fs::write(&file, public_key)?;
    let owner = fs::metadata(home)?;
    for (path, mode) in [(&directory, 0o700), (&file, 0o600)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        chown(path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// A random id in the form of machine-id(5): 32 hexadecimal digits.
fn machine_id() -> Result<String> {
    let text =
        fs::read_to_string("/proc/sys/kernel/random/uuid").context("ask the kernel for a random id")?;
    Ok(text.trim().replace('-', ""))
}
