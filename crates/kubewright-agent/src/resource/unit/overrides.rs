//! Files of others that change what a unit of ours is: drop-ins, and unit files that go before ours.
//!
//! systemd reads them from many directories, <https://www.freedesktop.org/software/systemd/man/systemd.unit.html>. They
//! are looked for on disk, so that one that systemd has not read yet is found as well. What applies to all services
//! (`service.d`) belongs to the machine and is left alone, and so is what generators make again at each boot. What a
//! package brought (below `/usr`) is not removed either: it is in the way, and the operator has to decide.

use kubewright_core::journal::Undo;
use kubewright_core::observed::UnitFinding;
use kubewright_core::wire::NodeError;

use crate::node::Node;
use crate::resource::file;
use crate::tree::{Kind, Look};

/// Directories whose unit files go before those in `/etc/systemd/system`.
const BEFORE: [&str; 3] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
];
/// Directories whose drop-ins count, the first ones most, and whether a person put them there.
const DIRECTORIES: [(&str, bool); 7] = [
    (BEFORE[0], true),
    (BEFORE[1], true),
    (BEFORE[2], true),
    ("/etc/systemd/system", true),
    ("/run/systemd/system", true),
    ("/usr/local/lib/systemd/system", false),
    ("/usr/lib/systemd/system", false),
];

/// What overrides a unit.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    /// What converging removes.
    pub(super) removable: Vec<UnitFinding>,
    /// A file of a package, which it does not.
    pub(super) blocked: Option<String>,
}

/// Looks for everything that overrides a unit.
pub(super) fn find(node: &Node, unit: &str) -> Result<Overrides, NodeError> {
    let mut found = Overrides::default();
    for directory in BEFORE {
        let path = format!("{directory}/{unit}");
        if let Look::There(_) = node.tree.look(&path)? {
            found.removable.push(shown(node, path)?);
        }
    }
    let mut hidden = Vec::new();
    for (directory, by_a_person) in DIRECTORIES {
        for name in drop_in_directories(unit) {
            let directory = format!("{directory}/{name}");
            match node.tree.look(&directory)? {
                Look::There(seen) if seen.kind == Kind::Link => {
                    found.removable.push(shown(node, directory)?);
                    continue;
                }
                Look::There(seen) if seen.kind == Kind::Directory => {}
                _ => continue,
            }
            for name in node.tree.list(&directory)? {
                let path = format!("{directory}/{name}");
                // systemd compares it with its case.
                let is_drop_in = name.strip_suffix(".conf").is_some();
                if !is_drop_in || hidden.contains(&name) {
                    continue;
                }
                if is_empty(node, &path)? {
                    // How a person hides the file of the same name in a directory that counts less.
                    hidden.push(name);
                } else if by_a_person {
                    found.removable.push(shown(node, path)?);
                } else {
                    found.blocked.get_or_insert_with(|| {
                        format!(
                            "a package changes {unit} by {path}: remove the package, or hide the file by \
                             `ln -s /dev/null /etc/systemd/system/{unit}.d/{name}`"
                        )
                    });
                }
            }
        }
    }
    Ok(found)
}

/// `kube-proxy.service` reads `kube-proxy.service.d` and `kube-.service.d`.
fn drop_in_directories(unit: &str) -> Vec<String> {
    let mut names = vec![format!("{unit}.d")];
    let (stem, suffix) = unit.rsplit_once('.').unwrap_or((unit, "service"));
    for (at, _) in stem.match_indices('-') {
        names.push(format!("{}-.{suffix}.d", &stem[..at]));
    }
    names
}

fn is_empty(node: &Node, path: &str) -> Result<bool, NodeError> {
    Ok(match node.tree.look(path)? {
        Look::There(seen) if seen.kind == Kind::Link => {
            node.tree.read_link(path)?.as_deref() == Some("/dev/null")
        }
        Look::There(seen) => seen.kind == Kind::File && seen.stamp.size == 0,
        _ => true,
    })
}

fn shown(node: &Node, path: String) -> Result<UnitFinding, NodeError> {
    let content = match node.tree.look(&path)? {
        Look::There(seen) if seen.kind == Kind::Link => node
            .tree
            .read_link(&path)?
            .map(|target| format!("a link to {target}")),
        Look::There(seen) if seen.kind == Kind::File => file::shown(node, &path, &seen),
        _ => None,
    };
    Ok(UnitFinding::Override { path, content })
}

/// How to put an override back.
pub(super) fn record(node: &mut Node, path: &str) -> Result<Undo, NodeError> {
    match node.tree.read_link(path)? {
        Some(target) => Ok(Undo::Link { target }),
        None => file::record(node, path),
    }
}

#[cfg(test)]
mod tests {
    use super::drop_in_directories;

    #[test]
    fn drop_ins_are_also_read_for_each_prefix_of_a_name() {
        assert_eq!(
            drop_in_directories("kube-controller-manager.service"),
            [
                "kube-controller-manager.service.d",
                "kube-.service.d",
                "kube-controller-.service.d"
            ]
        );
        assert_eq!(drop_in_directories("etcd.service"), ["etcd.service.d"]);
    }
}
