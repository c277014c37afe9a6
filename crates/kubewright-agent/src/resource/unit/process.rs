//! What the main process of a unit really is: its arguments and its executable, as the kernel has them.
//!
//! A process is compared with the unit's file and with what is at its program's path now. Files are told apart by device
//! and inode: a program that was replaced by a rename goes on in the file that was there before, whatever that is
//! called by now.

use std::os::unix::fs::MetadataExt as _;

use kubewright_core::carrier::systemd::process_words;
use kubewright_core::observed::UnitFinding;
use kubewright_core::resource::Unit;

use crate::system::System;

/// What an argument's name must not have for its value to be shown.
const SECRET_MARKS: [&str; 4] = ["token", "password", "secret", "credential"];
/// A longer word is cut when it is shown.
const SHOWN_CHARACTERS: usize = 300;

/// How the running process differs from the unit's file; nothing when it has ended in the meantime.
pub(super) fn inspect(system: &dyn System, unit: &Unit, pid: u32) -> Vec<UnitFinding> {
    let mut found = Vec::new();
    let Some(wanted) = process_words(&unit.content) else {
        return found;
    };
    let Some(running) = arguments(system, pid) else {
        return found;
    };
    let (foreign, lacking) = (without(&running, &wanted), without(&wanted, &running));
    if !foreign.is_empty() || !lacking.is_empty() {
        found.push(UnitFinding::Arguments {
            foreign: foreign.iter().map(|word| shown(word)).collect(),
            lacking: lacking.iter().map(|word| shown(word)).collect(),
        });
    }
    if let Some(running) = wanted
        .first()
        .and_then(|path| other_executable(system, pid, path))
    {
        found.push(UnitFinding::Executable {
            path: wanted[0].clone(),
            running,
        });
    }
    found
}

/// The words a process was started with; `None` when it has ended.
fn arguments(system: &dyn System, pid: u32) -> Option<Vec<String>> {
    let bytes = std::fs::read(system.path(&format!("/proc/{pid}/cmdline"))).ok()?;
    let words = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if words.is_empty() {
        return None;
    }
    let words = words.split(|byte| *byte == 0);
    Some(
        words
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect(),
    )
}

/// The words of one list that the other one lacks, each as often as it is there more.
fn without(words: &[String], others: &[String]) -> Vec<String> {
    let mut others: Vec<&String> = others.iter().collect();
    words
        .iter()
        .filter(|word| match others.iter().position(|other| other == word) {
            Some(at) => {
                others.swap_remove(at);
                false
            }
            None => true,
        })
        .cloned()
        .collect()
}

/// What a process executes, when it is not the file that is at `path` now.
fn other_executable(system: &dyn System, pid: u32, path: &str) -> Option<String> {
    let link = system.path(&format!("/proc/{pid}/exe"));
    let running = std::fs::metadata(&link).ok()?;
    // A program that is gone is another matter, told about the program itself.
    let present = std::fs::metadata(system.path(path)).ok()?;
    if (present.dev(), present.ino()) == (running.dev(), running.ino()) {
        return None;
    }
    let name = std::fs::read_link(&link).map(|name| name.to_string_lossy().into_owned());
    Some(name.unwrap_or_else(|_| "a file without a name".to_owned()))
}

fn shown(word: &str) -> String {
    let name = word.split('=').next().unwrap_or_default().to_lowercase();
    if word.contains('=') && !name.ends_with("-file") && SECRET_MARKS.iter().any(|mark| name.contains(mark)) {
        let name = word.split('=').next().unwrap_or_default();
        return format!("{name}=(not shown)");
    }
    let mut short: String = word.chars().take(SHOWN_CHARACTERS).collect();
    if short.len() < word.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_was_added_and_what_is_lacking() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let (running, wanted) = (words("/a --v=9 --x --x"), words("/a --x --v=2"));
        assert_eq!(without(&running, &wanted), ["--v=9", "--x"]);
        assert_eq!(without(&wanted, &running), ["--v=2"]);
    }

    #[test]
    fn values_of_secret_arguments_are_not_shown() {
        assert_eq!(shown("--bootstrap-token=abc"), "--bootstrap-token=(not shown)");
        assert_eq!(shown("--token-auth-file=/a"), "--token-auth-file=/a");
        assert_eq!(shown("--v=2"), "--v=2");
    }
}
