//! What keeps the agent from writing where it has to: links and files where directories belong, and attributes that
//! even root obeys.

use kubewright_core::check::PLACES;
use kubewright_core::observed::{PathObstacle, PathObstacleKind};
use rustix::fs::IFlags;

use crate::accounts;
use crate::ledger::Ledger;
use crate::resource::swap;
use crate::system::System;
use crate::tree::{Kind, Tree};

/// What useradd changes.
const ACCOUNTS: [&str; 4] = ["/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow"];
/// The user every node gets first: where it is, no other is missing for long.
const OWN_USER: &str = "kubewright-proxy";

pub(super) fn find(system: &dyn System, tree: &Tree, ledger: &Ledger) -> Vec<PathObstacle> {
    let files = files(system, ledger);
    let all = PLACES.into_iter().chain(files.iter().map(String::as_str));
    let seen = tree.attributes(all);
    let obstacle = |(path, (kind, attributes)): (&str, (Kind, IFlags))| {
        let is_place = PLACES.contains(&path);
        let what = match kind {
            Kind::Link if is_place => Some(PathObstacleKind::Link),
            Kind::File | Kind::Other if is_place => Some(PathObstacleKind::NotADirectory),
            // What is where a file belongs is found by comparing it.
            Kind::Link | Kind::Other => None,
            Kind::File | Kind::Directory => attribute(attributes),
        };
        what.map(|what| PathObstacle {
            path: path.to_owned(),
            what,
        })
    };
    seen.into_iter().filter_map(obstacle).collect()
}

/// Files kubewright put there and may have to replace, and those of the system it has to change.
fn files(system: &dyn System, ledger: &Ledger) -> Vec<String> {
    let kinds = ["binary", "certificate", "file", "secret"];
    let owned = ledger.owned.keys().filter(|id| kinds.contains(&id.kind()));
    let mut files: Vec<String> = owned.map(|id| id.what().to_owned()).collect();
    if accounts::user(system, OWN_USER).is_none() {
        files.extend(ACCOUNTS.map(str::to_owned));
    }
    if swap::is_listed(system) {
        files.push(swap::FSTAB.to_owned());
    }
    files
}

fn attribute(attributes: IFlags) -> Option<PathObstacleKind> {
    if attributes.contains(IFlags::IMMUTABLE) {
        Some(PathObstacleKind::Immutable)
    } else if attributes.contains(IFlags::APPEND) {
        Some(PathObstacleKind::AppendOnly)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_two_attributes_that_even_root_obeys() {
        assert_eq!(
            attribute(IFlags::IMMUTABLE | IFlags::APPEND),
            Some(PathObstacleKind::Immutable)
        );
        assert_eq!(
            attribute(IFlags::APPEND | IFlags::NODUMP),
            Some(PathObstacleKind::AppendOnly)
        );
        assert_eq!(attribute(IFlags::NODUMP), None);
    }
}
