//! SSH for the lab: keys of the machines and of the client, and the files a client needs to be strict about them.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::lab::lock::LabLock;
use crate::lab::state::write_atomically;
use crate::lab::{Lab, MachineRecord};
use crate::tool;

/// The client's private key.
pub(crate) fn identity_path(directory: &Path) -> PathBuf {
    directory.join("id_ed25519")
}

/// The client's public key.
pub(crate) fn public_key_path(directory: &Path) -> PathBuf {
    directory.join("id_ed25519.pub")
}

/// The machines' host keys.
pub(crate) fn known_hosts_path(directory: &Path) -> PathBuf {
    directory.join("known_hosts")
}

/// The client configuration.
pub(crate) fn config_path(directory: &Path) -> PathBuf {
    directory.join("ssh_config")
}

/// Makes the client's key and configuration.
pub(crate) fn write_client(lab: &Lab, lock: &LabLock) -> Result<()> {
    generate_key(
        lock,
        &identity_path(&lab.directory),
        &format!("kubewright-lab:{}", lab.name),
    )?;
    write_atomically(&config_path(&lab.directory), &config(lab))
}

/// Gives a machine its host key.
pub(crate) fn write_host_key(lab: &Lab, machine: &MachineRecord, lock: &LabLock) -> Result<()> {
    generate_key(lock, &host_key_path(&lab.root_of(machine)), machine.name.as_str())
}

/// Writes the host keys of all machines, which must have them, for strict clients.
pub(crate) fn write_known_hosts(lab: &Lab) -> Result<()> {
    let mut text = String::new();
    for machine in &lab.machines {
        let path = host_key_path(&lab.root_of(machine)).with_extension("pub");
        let key = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        text.push_str(&known_hosts_line(machine, &key));
    }
    write_atomically(&known_hosts_path(&lab.directory), &text)
}

/// A strict, silent ssh command to one machine, without a remote command yet.
pub(crate) fn command(lab: &Lab, machine: &MachineRecord) -> Command {
    let mut command = tool::command("ssh");
    command
        .arg("-F")
        .arg(config_path(&lab.directory))
        .arg(machine.name.as_str());
    command
}

/// Whether the machine's own sshd, with its own host key, lets the client in.
pub(crate) fn answers(lab: &Lab, machine: &MachineRecord) -> Result<(), String> {
    let output = command(lab, machine)
        .arg("true")
        .output()
        .map_err(|error| format!("start ssh: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Quotes one argument for the remote shell that sshd puts between.
pub(crate) fn quote(argument: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

fn host_key_path(root: &Path) -> PathBuf {
    root.join("etc/ssh/ssh_host_ed25519_key")
}

fn generate_key(lock: &LabLock, path: &Path, comment: &str) -> Result<()> {
    let file = path.to_string_lossy();
    lock.run(
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", &file],
    )?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

fn known_hosts_line(machine: &MachineRecord, public_key: &str) -> String {
    let key: Vec<&str> = public_key.split_whitespace().take(2).collect();
    format!("{},{} {}\n", machine.name, machine.address, key.join(" "))
}

fn config(lab: &Lab) -> String {
    let mut text = format!(
        "# Strict access to the machines of lab {}: ssh -F THIS_FILE NAME\n",
        lab.name
    );
    for machine in &lab.machines {
        let _ = write!(
            text,
            "Host {name} {address}\n    HostName {address}\n",
            name = machine.name,
            address = machine.address
        );
    }
    let _ = write!(
        text,
        "Host *\n    User root\n    IdentityFile {identity}\n    IdentitiesOnly yes\n    UserKnownHostsFile {known}\n    \
         GlobalKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n    BatchMode yes\n    ConnectTimeout 5\n    LogLevel ERROR\n",
        identity = identity_path(&lab.directory).display(),
        known = known_hosts_path(&lab.directory).display(),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_the_remote_program_unchanged() {
        for argument in [
            "",
            "plain",
            "a b",
            "it's",
            "$(reboot)",
            "`x`",
            "a;b",
            "\"",
            "line\nbreak",
            "*",
        ] {
            let output = Command::new("sh")
                .arg("-c")
                .arg(format!("printf %s {}", quote(argument)))
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), argument);
        }
        assert_eq!(quote("--flag=/a/b"), "--flag=/a/b");
    }

    #[test]
    fn a_host_key_is_known_by_name_and_address() {
        let machine = MachineRecord {
            name: "cp-1".parse().unwrap(),
            role: crate::lab::Role::ControlPlane,
            address: "10.83.1.11".parse().unwrap(),
            number: 1,
        };
        assert_eq!(
            known_hosts_line(&machine, "ssh-ed25519 AAAA cp-1\n"),
            "cp-1,10.83.1.11 ssh-ed25519 AAAA\n"
        );
    }
}
