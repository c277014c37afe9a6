//! Users and groups of the node, by name.
//!
//! They are read from `/etc/passwd` and `/etc/group` directly: a static binary has no name service, and the users
//! kubewright makes are local ones.

use kubewright_core::resource::Access;
use kubewright_core::wire::NodeError;

use crate::fault::{fault, hinted};
use crate::system::System;
use crate::tree::Owner;

/// A line of `/etc/passwd`, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's number.
    pub uid: u32,
    /// The number of the primary group.
    pub gid: u32,
    /// The home directory.
    pub home: String,
}

/// Finds a user.
pub fn user(system: &dyn System, name: &str) -> Option<Account> {
    let text = system.text("/etc/passwd")?;
    let line = text.lines().find(|line| first(line) == name)?;
    let fields: Vec<_> = line.split(':').collect();
    Some(Account {
        uid: fields.get(2)?.parse().ok()?,
        gid: fields.get(3)?.parse().ok()?,
        home: (*fields.get(5)?).to_owned(),
    })
}

/// Finds a group's number.
pub fn group(system: &dyn System, name: &str) -> Option<u32> {
    let text = system.text("/etc/group")?;
    let line = text.lines().find(|line| first(line) == name)?;
    line.split(':').nth(2)?.parse().ok()
}

/// Turns names into numbers; `None` when the user or the group does not exist (yet).
pub fn owner(system: &dyn System, access: &Access) -> Option<Owner> {
    Some(Owner {
        uid: user(system, &access.user)?.uid,
        gid: group(system, &access.group)?,
        mode: access.mode,
    })
}

/// Turns names into numbers, or says which name is unknown.
///
/// # Errors
/// When the user or the group does not exist.
pub fn need_owner(system: &dyn System, access: &Access, path: &str) -> Result<Owner, NodeError> {
    owner(system, access).ok_or_else(|| {
        let error = fault(
            format!("find the owner of {path}"),
            format!("no user {} or no group {} on the node", access.user, access.group),
        );
        hinted(error, "run `kubewright apply` again: it creates the users first")
    })
}

/// Owner and mode as people read them, as in `root:root 0600`.
pub fn describe(system: &dyn System, owner: Owner) -> String {
    let user = name_of(system, "/etc/passwd", owner.uid);
    let group = name_of(system, "/etc/group", owner.gid);
    format!("{user}:{group} {:04o}", owner.mode)
}

/// As [`describe`], for what is wanted.
pub fn describe_access(access: &Access) -> String {
    format!("{}:{} {:04o}", access.user, access.group, access.mode)
}

fn name_of(system: &dyn System, table: &str, number: u32) -> String {
    let wanted = number.to_string();
    let text = system.text(table).unwrap_or_default();
    text.lines()
        .find(|line| line.split(':').nth(2) == Some(&wanted))
        .map_or(wanted.clone(), |line| first(line).to_owned())
}

fn first(line: &str) -> &str {
    line.split(':').next().unwrap_or_default()
}
