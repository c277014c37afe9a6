//! Turns an Ansible inventory into the beginning of a cluster.yaml.
//!
//! Reads INI, YAML and the JSON of `ansible-inventory --list`, with the variable files beside them, and the groups of the
//! tools people come from: kubespray's and kubeasz's (`kube_control_plane`, `kube_node`, `etcd`, and older names), and
//! dabealu/k8s-ansible's (`k8s_masters`, `k8s_workers`). What `ansible-inventory --list` says of a file is the reference.
//! What cannot be carried over becomes a note in the file, never silence; values that may be secrets are never repeated.

mod convert;
mod hosts;
mod ini;
mod listing;
mod model;
mod nested;
mod settings;

use super::starter::Starter;
use super::yaml::LONGEST_TEXT;
use crate::value::{ClusterName, ValueError};
use model::Inventory;
use std::fmt;

/// An inventory that could not be turned into a cluster file: every reason, with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryError {
    /// Every problem found.
    pub problems: Vec<ValueError>,
}

impl fmt::Display for InventoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{}\n  = {}", problem.problem, problem.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for InventoryError {}

impl From<ValueError> for InventoryError {
    fn from(problem: ValueError) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

/// An inventory and the variable files beside it.
#[derive(Debug, Clone, Default)]
pub struct InventoryFiles {
    /// The inventory.
    pub text: String,
    /// Files of `group_vars`, in the order in which later ones win.
    pub group_variables: Vec<VariableFile>,
    /// Files of `host_vars`, in the order in which later ones win.
    pub host_variables: Vec<VariableFile>,
}

/// A file of variables.
#[derive(Debug, Clone)]
pub struct VariableFile {
    /// The group or host it is about.
    pub of: String,
    /// Where it is, for messages.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// Reads an Ansible inventory into the beginning of a cluster file.
///
/// # Errors
/// Returns every reason why it cannot be carried over: no group of control planes, hosts without an address, …
pub fn from_inventory(files: &InventoryFiles, name: &ClusterName) -> Result<Starter, InventoryError> {
    let mut inventory = read(&files.text)?;
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    for (kind, files) in [
        (Kind::Group, &files.group_variables),
        (Kind::Host, &files.host_variables),
    ] {
        for file in files {
            if let Err(problem) = add_file(&mut inventory, kind, file, &mut notes) {
                problems.push(ValueError::new(
                    format!("{}: {}", file.path, problem.problem),
                    problem.hint,
                ));
            }
        }
    }
    match convert::convert(&inventory, name, notes) {
        Ok(starter) if problems.is_empty() => Ok(starter),
        Ok(_) => Err(InventoryError { problems }),
        Err(more) => {
            problems.extend(more);
            Err(InventoryError { problems })
        }
    }
}

fn read(text: &str) -> Result<Inventory, ValueError> {
    if text.len() > LONGEST_TEXT {
        let problem = format!(
            "the inventory has {} bytes, the limit is {LONGEST_TEXT}",
            text.len()
        );
        return Err(ValueError::new(problem, "check that this is the file you meant"));
    }
    if let Some(inventory) = listing::read(text)? {
        return Ok(inventory);
    }
    match nested::read(text)? {
        Some(inventory) => Ok(inventory),
        None => ini::read(text),
    }
}

/// What a variable file is about.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Group,
    Host,
}

fn add_file(
    inventory: &mut Inventory,
    kind: Kind,
    file: &VariableFile,
    notes: &mut Vec<String>,
) -> Result<(), ValueError> {
    let holder = match kind {
        Kind::Group => inventory.file_variables_of_group(&file.of),
        Kind::Host => inventory.file_variables_of_host(&file.of),
    };
    // Ansible does not read a file about a group or host that the inventory does not have either.
    let Some(holder) = holder else {
        notes.push(format!(
            "{}: not read, `{}` is not in the inventory",
            file.path, file.of
        ));
        return Ok(());
    };
    if file.text.starts_with(model::VAULT) {
        notes.push(format!("{}: encrypted with ansible-vault, not read", file.path));
        return Ok(());
    }
    holder.extend(nested::read_variables(&file.text)?);
    Ok(())
}

#[cfg(test)]
mod tests;
