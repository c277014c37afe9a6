//! Units that turn swap on at boot although `/etc/fstab` does not say so: zram, swap files made by services, swap
//! partitions that systemd finds by itself.

use std::collections::BTreeSet;
use std::path::Path;

use crate::system::System;

/// Where units are, those that count first.
const UNITS: [&str; 8] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator.early",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];
/// Services of distributions that make swap, started when enabled.
const SERVICES: [&str; 5] = [
    "dphys-swapfile.service",
    "swapspace.service",
    "systemd-swap.service",
    "zram-swap.service",
    "zramswap.service",
];
/// Where links to units that are started are, below the directories of units.
const WANTS: [&str; 3] = [
    "multi-user.target.wants",
    "swap.target.wants",
    "swap.target.requires",
];

/// Names of such units that are started at boot and not masked.
pub(super) fn find(system: &dyn System) -> Vec<String> {
    let mut wanted = BTreeSet::new();
    for directory in UNITS {
        for wants in WANTS {
            wanted.extend(names(system, &format!("{directory}/{wants}")));
        }
    }
    wanted.retain(|name| is_of_swap(name) && !is_masked(system, name) && !is_of_fstab(system, name));
    wanted.into_iter().collect()
}

fn is_of_swap(name: &str) -> bool {
    let is_unit = Path::new(name).extension().is_some_and(|kind| kind == "swap");
    is_unit || SERVICES.contains(&name)
}

/// The first file of a name decides; a link to nothing's device masks the unit.
fn is_masked(system: &dyn System, name: &str) -> bool {
    let mut files = UNITS
        .iter()
        .map(|directory| system.path(&format!("{directory}/{name}")));
    let file = files.find(|path| path.symlink_metadata().is_ok());
    file.is_some_and(|path| std::fs::read_link(path).is_ok_and(|target| target == Path::new("/dev/null")))
}

/// systemd-fstab-generator says where its units come from; apply comments those lines out.
fn is_of_fstab(system: &dyn System, name: &str) -> bool {
    UNITS.iter().any(|directory| {
        let text = system.text(&format!("{directory}/{name}")).unwrap_or_default();
        text.lines().any(|line| line == "SourcePath=/etc/fstab")
    })
}

fn names(system: &dyn System, directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(system.path(directory));
    let entries = entries.into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}
