//! Whether the kernel has what the cluster needs of it, loaded, built in, or as a module that can be loaded.
//!
//! Nothing is loaded to find out. What shows in `/proc` or `/sys` is there, whatever the modules on disk say: a container
//! has none of those, and a kernel may have everything built in. That something shows nowhere proves its absence only
//! where it would show.

use std::collections::BTreeMap;

use kubewright_core::check::MODULES;
use kubewright_core::observed::ModuleState;

use super::fragments;
use crate::system::System;

/// Where modules are, by the kernel's release.
const TREES: [&str; 2] = ["/lib/modules", "/usr/lib/modules"];
/// Where modprobe's configuration is; of files of one name the first counts.
const CONFIGURATION: [&str; 4] = [
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
];

pub(super) fn find(system: &dyn System, is_contained: bool) -> BTreeMap<String, ModuleState> {
    MODULES
        .into_iter()
        .map(|name| (name.to_owned(), state(system, name, is_contained)))
        .collect()
}

fn state(system: &dyn System, name: &str, is_contained: bool) -> ModuleState {
    let shows = shows(system, name);
    if shows == Some(true) || is_listed(system, name) {
        return ModuleState::Present {};
    }
    let unseen = || match shows {
        Some(_) => ModuleState::Absent {},
        None => ModuleState::Unknown {},
    };
    if is_contained {
        // The kernel loads the others for a container when it first uses them.
        return match name {
            "br_netfilter" => ModuleState::OnHost {},
            _ => ModuleState::Unknown {},
        };
    }
    if !system.path("/proc/modules").exists() {
        return unseen();
    }
    let release = release(system);
    let Some((directory, files)) = tree(system, &release) else {
        return match other_kernel(system) {
            Some(release) => ModuleState::OtherKernel { release },
            None => unseen(),
        };
    };
    let built_in = system
        .text(&format!("{directory}/modules.builtin"))
        .unwrap_or_default();
    if built_in.lines().any(|line| is_file_of(line, name)) {
        return ModuleState::Present {};
    }
    let has_file = files
        .lines()
        .filter_map(|line| line.split(':').next())
        .any(|file| is_file_of(file, name));
    if !has_file {
        return ModuleState::Absent {};
    }
    let is_locked = system
        .text("/proc/sys/kernel/modules_disabled")
        .is_some_and(|value| value.trim() == "1");
    match blocked_by(system, name) {
        _ if is_locked => ModuleState::Locked {},
        Some(by) => ModuleState::Blocked { by },
        None => ModuleState::Loadable {},
    }
}

/// Whether what a module does shows; `None` where it would not show in any case.
fn shows(system: &dyn System, name: &str) -> Option<bool> {
    let exists = |path: &str| Some(system.path(path).exists());
    match name {
        "br_netfilter" => exists("/proc/sys/net/bridge/bridge-nf-call-iptables"),
        "nf_conntrack" => exists("/proc/sys/net/netfilter/nf_conntrack_max"),
        "overlay" => {
            let known = system.text("/proc/filesystems")?;
            Some(
                known
                    .lines()
                    .any(|line| line.split_whitespace().last() == Some("overlay")),
            )
        }
        _ => None,
    }
}

/// Whether the kernel names it: loaded, or built in with parameters.
fn is_listed(system: &dyn System, name: &str) -> bool {
    let loaded = system.text("/proc/modules").unwrap_or_default();
    system.path(&format!("/sys/module/{name}")).exists()
        || loaded.lines().any(|line| line.split(' ').next() == Some(name))
}

fn release(system: &dyn System) -> String {
    let release = system.text("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().to_owned()
}

/// The directory of a kernel's modules and the list of them.
fn tree(system: &dyn System, release: &str) -> Option<(String, String)> {
    TREES.iter().find_map(|tree| {
        let directory = format!("{tree}/{release}");
        let files = system.text(&format!("{directory}/modules.dep"))?;
        Some((directory, files))
    })
}

/// The newest by name of the kernels that have modules.
fn other_kernel(system: &dyn System) -> Option<String> {
    TREES.iter().find_map(|tree| {
        let entries = std::fs::read_dir(system.path(tree)).ok()?;
        entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| system.path(&format!("{tree}/{name}/modules.dep")).exists())
            .max()
    })
}

/// Whether `kernel/net/bridge/br_netfilter.ko.xz` is a module's file; names are written with either dash.
fn is_file_of(path: &str, name: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    let stem = file.split(".ko").next().unwrap_or_default();
    stem.replace('-', "_") == name
}

/// The file with an `install` line that does nothing instead of loading a module (modprobe.d(5)). `blacklist` lines only
/// keep it from being loaded under other names.
fn blocked_by(system: &dyn System, name: &str) -> Option<String> {
    let files = fragments::files(system, &CONFIGURATION);
    files.into_values().find(|path| {
        let text = system.text(path).unwrap_or_default();
        text.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let program = words.get(2).and_then(|word| word.rsplit('/').next());
            words.first() == Some(&"install")
                && words.get(1).is_some_and(|word| word.replace('-', "_") == name)
                && matches!(program, Some("false" | "true" | ":"))
        })
    })
}
