//! Configuration in pieces: `*.conf` files in several directories, read in the order of their names.

use std::collections::BTreeMap;
use std::path::Path;

use crate::system::System;

/// The files by name; of those with one name, that in the first directory counts.
pub(super) fn files(system: &dyn System, directories: &[&str]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for directory in directories {
        let entries = std::fs::read_dir(system.path(directory)).into_iter().flatten();
        for name in entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
            if Path::new(&name).extension().is_some_and(|kind| kind == "conf") {
                let path = format!("{directory}/{name}");
                files.entry(name).or_insert(path);
            }
        }
    }
    files
}
