//! System users, each with a group of the same name.

use kubewright_core::journal::Undo;
use kubewright_core::observed::Change;
use kubewright_core::resource::User;
use kubewright_core::wire::NodeError;

use crate::accounts;
use crate::node::Node;
use crate::system::{Command, act};

pub(super) fn inspect(node: &Node, user: &User) -> Option<Change> {
    let system = node.system.as_ref();
    let Some(account) = accounts::user(system, &user.name) else {
        return Some(Change::Missing);
    };
    let (now, wanted) = match accounts::group(system, &user.name) {
        None => (format!("no group {}", user.name), format!("group {}", user.name)),
        Some(_) if account.home != user.home => {
            (format!("home {}", account.home), format!("home {}", user.home))
        }
        Some(_) => return None,
    };
    Some(Change::Value {
        before: now,
        after: wanted,
    })
}

pub(super) fn record(node: &Node, user: &User) -> Undo {
    match accounts::user(node.system.as_ref(), &user.name) {
        None => Undo::Remove,
        Some(_) => Undo::Nothing,
    }
}

pub(super) fn change(node: &Node, user: &User) -> Result<(), NodeError> {
    let system = node.system.as_ref();
    let has_group = accounts::group(system, &user.name).is_some();
    let Some(account) = accounts::user(system, &user.name) else {
        // A group that is already there (left by a half-removed user) becomes the user's.
        let group = if has_group {
            ["--gid", &user.name]
        } else {
            ["--user-group", "--system"]
        };
        let mut arguments = vec!["--system", "--no-create-home", "--home-dir", &user.home];
        arguments.extend(["--shell", "/usr/sbin/nologin"]);
        arguments.extend(group);
        arguments.extend(["--", &user.name]);
        act(system, &Command::new("useradd", &arguments))?;
        return Ok(());
    };
    if !has_group {
        act(system, &Command::new("groupadd", &["--system", "--", &user.name]))?;
    }
    if account.home != user.home {
        act(
            system,
            &Command::new("usermod", &["--home", &user.home, "--", &user.name]),
        )?;
    }
    Ok(())
}

pub(super) fn remove(node: &Node, name: &str) -> Result<(), NodeError> {
    if accounts::user(node.system.as_ref(), name).is_some() {
        act(node.system.as_ref(), &Command::new("userdel", &["--", name]))?;
    }
    Ok(())
}
