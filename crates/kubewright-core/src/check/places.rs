//! Places that cannot be written as they are, and swap that comes back: what is in the way of files and of reboots.

use super::text::{list, shown, word};
use super::{Found, Kind, Look, Subject};
use crate::carrier::mask_command;
use crate::observed::{PathObstacle, PathObstacleKind};
use crate::spec::{Cluster, ComponentName};

/// Files named in one finding; the rest is counted.
const NAMED: usize = 6;

pub(super) fn judge(look: &Look, found: &mut Found) {
    for subject in &look.subjects {
        obstacles(subject, found);
        swap(look.cluster, subject, found);
    }
}

fn obstacles(subject: &Subject, found: &mut Found) {
    for PathObstacle { path, what } in &subject.facts.obstacles {
        let message = match what {
            PathObstacleKind::Link => {
                "it is a symbolic link, but has to be a directory; links are not followed"
            }
            PathObstacleKind::NotADirectory => "it is not a directory, but has to be one",
            PathObstacleKind::Immutable | PathObstacleKind::AppendOnly => continue,
        };
        let place = word(path, "DIRECTORY");
        found.error(
            Kind::Blocked,
            subject.name(),
            format!("{}: {message}", shown(path)),
            match what {
                PathObstacleKind::Link => format!(
                    "replace it with a directory; to keep the content elsewhere, bind-mount it: mount --bind TARGET {place}, and a \
                     line in /etc/fstab"
                ),
                _ => "move it away on the node, then run the same command again".to_owned(),
            },
        );
    }
    sealed(subject, PathObstacleKind::Immutable, "immutable", "i", found);
    sealed(subject, PathObstacleKind::AppendOnly, "append-only", "a", found);
}

fn sealed(subject: &Subject, kind: PathObstacleKind, attribute: &str, letter: &str, found: &mut Found) {
    let all = subject.facts.obstacles.iter();
    let paths: Vec<&str> = all
        .filter(|obstacle| obstacle.what == kind)
        .map(|obstacle| obstacle.path.as_str())
        .collect();
    if paths.is_empty() {
        return;
    }
    let more = match paths.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let some = &paths[..paths.len().min(NAMED)];
    let words: Vec<&str> = some.iter().map(|path| word(path, "PATH")).collect();
    found.error(
        Kind::Immutable,
        subject.name(),
        format!(
            "{attribute} and cannot be changed: {}{more}",
            list(some.iter().map(|path| shown(path)))
        ),
        format!("chattr -{letter} {}", words.join(" ")),
    );
}

fn swap(cluster: &Cluster, subject: &Subject, found: &mut Found) {
    let is_accepted = cluster
        .overrides(ComponentName::Kubelet)
        .and_then(|overrides| overrides.extra_config.get("failSwapOn"))
        .is_some_and(|value| value == false);
    let units = &subject.facts.swap_units;
    if units.is_empty() || is_accepted {
        return;
    }
    let some = &units[..units.len().min(NAMED)];
    let words: Vec<&str> = some.iter().map(|unit| word(unit, "UNIT")).collect();
    found.error(
        Kind::SwapReturns,
        subject.name(),
        format!(
            "swap is turned on at each boot by {}; the kubelet does not start with swap",
            list(some.iter().map(|unit| shown(unit)))
        ),
        mask_command(&words),
    );
}
