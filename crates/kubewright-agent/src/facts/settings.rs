//! Kernel settings kubewright needs: what they are, whether they can be changed, and who changes them at boot.

use std::collections::BTreeMap;

use kubewright_core::check::setting_keys;
use kubewright_core::observed::{LaterSetting, Setting};
use rustix::fs::Access;

use super::fragments;
use crate::resource::sysctl::PERSISTED;
use crate::system::System;

/// Where systemd-sysctl looks; of files of one name the first counts (sysctl.d(5)).
const DIRECTORIES: [&str; 5] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];

pub(super) fn find(system: &dyn System) -> BTreeMap<String, Setting> {
    let mut later = later(system);
    let mut setting = |key: &str| {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        Setting {
            value: system.text(&path).map(|value| value.trim().to_owned()),
            writable: rustix::fs::access(system.path(&path), Access::WRITE_OK).is_ok(),
            later: later.remove(key),
        }
    };
    let keys: Vec<&str> = setting_keys().collect();
    keys.into_iter()
        .map(|key| (key.to_owned(), setting(key)))
        .collect()
}

/// Settings that are others under another name.
const ALIASES: [(&str, &str); 1] = [("net.ipv4.conf.all.forwarding", "net.ipv4.ip_forward")];

/// What is set after kubewright's own file, which is read in the order of names with all others.
fn later(system: &dyn System) -> BTreeMap<String, LaterSetting> {
    let own = PERSISTED.rsplit('/').next().unwrap_or_default();
    let mut files = fragments::files(system, &DIRECTORIES);
    files.retain(|name, _| name.as_str() > own);
    let mut later = BTreeMap::new();
    for path in files.into_values() {
        for (key, value) in assignments(&system.text(&path).unwrap_or_default()) {
            let path = path.clone();
            let alias = ALIASES.iter().find(|(alias, _)| *alias == key);
            let key = alias.map_or(key.clone(), |(_, name)| (*name).to_owned());
            later.insert(key, LaterSetting { path, value });
        }
    }
    later
}

/// `key = value` lines; a dash before the key and slashes in it are allowed.
fn assignments(text: &str) -> Vec<(String, String)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| {
            let key = key.trim().trim_start_matches('-').replace('/', ".");
            (key, value.trim().to_owned())
        })
        .collect()
}
