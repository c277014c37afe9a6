//! How a world looks at the end: what has to be the same however the way there was interrupted.
//!
//! Left out is what differs between any two clusters (keys, what is signed with them, digests of both) and what tells of
//! the way (journals, remembered digests).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use kubewright_core::resource::Digest;

use super::etcd;
use super::machine::Machine;
use super::systemd::is_node_ready;
use super::world::State;

/// Directories that tell of the way, or are the kernel's.
const LEFT_OUT: [&str; 6] = [
    "/proc",
    "/sys",
    "/var/lib/kubewright/journal",
    "/var/lib/kubewright/hashes.json",
    "/run/kubewright.lock",
    "/run/systemd",
];

/// Everything of a world that counts, as lines by name.
pub(crate) fn look(state: &State) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for machine in state.machines.values() {
        let name = &machine.name;
        walk(machine, "", &mut lines);
        for (unit, known) in &machine.units {
            let is_fresh = known.loaded == machine.unit_file(unit);
            let is_enabled = machine.enabled.contains(unit);
            let line = format!("{:?} enabled {is_enabled} as read {is_fresh}", known.state());
            lines.insert(format!("{name} unit {unit}"), line);
        }
        for (reference, digest) in &machine.images {
            lines.insert(format!("{name} image {reference}"), digest.to_string());
        }
        if let Some(member) = etcd::stored(machine) {
            let line = format!("{} of {:?}", member.name, member.members);
            lines.insert(format!("{name} member"), line);
        }
        lines.insert(format!("{name} is ready"), is_node_ready(state, name).to_string());
        for key in ["net/ipv4/ip_forward", "kernel/panic", "vm/overcommit_memory"] {
            lines.insert(
                format!("{name} sysctl {key}"),
                machine.get(&format!("/proc/sys/{key}")),
            );
        }
        lines.insert(format!("{name} swap"), machine.get("/proc/swaps"));
    }
    if let Some(name) = state.any_api() {
        for member in etcd::listed(state, name) {
            let line = format!("{} learner {}", member.peer_url, member.is_learner);
            lines.insert(format!("etcd member {}", member.name), line);
        }
    }
    for objects in state.stored.values().filter(|_| state.any_api().is_some()) {
        for (name, object) in &objects.objects {
            lines.insert(format!("object {name}"), plain(&object.to_string()));
        }
        for (name, node) in &objects.nodes {
            lines.insert(format!("node {name}"), format!("{node:?}"));
        }
    }
    lines
}

fn walk(machine: &Machine, directory: &str, lines: &mut BTreeMap<String, String>) {
    let entries = fs::read_dir(machine.path(directory));
    for entry in entries.into_iter().flatten().flatten() {
        let path = format!("{directory}/{}", entry.file_name().to_string_lossy());
        if LEFT_OUT.contains(&path.as_str()) {
            continue;
        }
        let Ok(data) = entry.path().symlink_metadata() else {
            continue;
        };
        let mode = data.mode() & 0o7777;
        let key = format!("{} {path}", machine.name);
        if data.is_dir() {
            lines.insert(key, format!("directory {mode:o}"));
            walk(machine, &path, lines);
        } else if data.is_symlink() {
            lines.insert(
                key,
                format!(
                    "link {}",
                    fs::read_link(entry.path()).unwrap_or_default().display()
                ),
            );
        } else {
            lines.insert(key, format!("file {mode:o} {}", content(&entry.path(), &path)));
        }
    }
}

fn content(file: &Path, path: &str) -> String {
    let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
    match path {
        "/var/lib/kubewright/state.json" => names(&text),
        _ if [".crt", ".key", ".pub", "/identity", "encryption.yaml"]
            .iter()
            .any(|end| path.ends_with(end)) =>
        {
            String::new()
        }
        _ => Digest::of(plain(&text).as_bytes()).short(),
    }
}

/// What the agent remembers, without the digests: what it owns, what it started.
fn names(text: &str) -> String {
    let Ok(ledger) = serde_json::from_str::<serde_json::Value>(text) else {
        return "unreadable".to_owned();
    };
    let parts = ledger.as_object().into_iter().flatten();
    let parts = parts.map(|(part, value)| {
        let names = value.as_object().into_iter().flat_map(|map| map.keys());
        format!("{part}: {}", names.cloned().collect::<Vec<_>>().join(" "))
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// A text without digests, keys and certificates in it.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut word = String::new();
    let mut is_pem = false;
    for line in text.lines() {
        is_pem |= line.contains("-----BEGIN");
        if is_pem {
            is_pem = !line.contains("-----END");
            continue;
        }
        for letter in line.chars().chain(['\n']) {
            if letter.is_ascii_alphanumeric() {
                word.push(letter);
                continue;
            }
            let is_digest = word.len() >= 12 && word.chars().all(|letter| letter.is_ascii_hexdigit());
            plain.push_str(if is_digest { "DIGEST" } else { &word });
            word.clear();
            plain.push(letter);
        }
    }
    plain
}

/// What differs between two worlds, a line each.
pub(crate) fn differences(
    wanted: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Vec<String> {
    let missing = wanted.iter().filter_map(|(name, line)| match found.get(name) {
        None => Some(format!("{name}: missing, was {line}")),
        Some(other) if other != line => {
            let words = |line: &str| line.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
            let (is, was) = (words(other), words(line));
            let (more, less): (Vec<_>, Vec<_>) =
                (is.difference(&was).collect(), was.difference(&is).collect());
            Some(format!("{name}: {more:?} instead of {less:?}"))
        }
        Some(_) => None,
    });
    let orphaned = found
        .iter()
        .filter(|(name, _)| !wanted.contains_key(*name))
        .map(|(name, line)| format!("{name}: orphaned, {line}"));
    missing.chain(orphaned).collect()
}

/// What must not be at the end of any way.
pub(crate) fn judge(state: &State, lines: &BTreeMap<String, String>) -> Vec<String> {
    let unfinished = lines.keys().filter(|name| name.ends_with(".kubewright-new"));
    let mut wrong: Vec<String> = unfinished.map(|name| format!("{name} was left")).collect();
    for machine in state.machines.values() {
        for (name, unit) in &machine.units {
            let Some(process) = &unit.process else { continue };
            for (path, digest) in &process.read {
                let now = fs::read(machine.path(path)).ok().map(|bytes| Digest::of(&bytes));
                let key = (machine.name.clone(), name.clone());
                let is_input = state.inputs.get(&key).is_some_and(|inputs| {
                    let mut inputs = inputs.iter();
                    inputs.any(|input| input.what() == path)
                });
                if is_input && now != Some(*digest) {
                    wrong.push(format!(
                        "{}: {name} runs with another {path} than is there",
                        machine.name
                    ));
                }
            }
        }
        let journals = machine.path("/var/lib/kubewright/journal");
        for entry in fs::read_dir(journals).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            if text.contains("PRIVATE KEY") || state.secrets.iter().any(|secret| text.contains(secret)) {
                wrong.push(format!(
                    "{}: a secret is in {}",
                    machine.name,
                    entry.path().display()
                ));
            }
        }
    }
    wrong
}
