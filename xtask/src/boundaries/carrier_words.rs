//! Words that only one carrier knows stay with it: who else names a unit or systemd's programs has taken a decision that
//! is not his.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What is looked for.
const WORDS: [&str; 3] = ["systemctl", "journalctl", ".service"];

/// Where code is looked through.
const ROOTS: [&str; 4] = [
    "crates/kubewright-core/src",
    "crates/kubewright-agent/src",
    "crates/kubewright-control/src",
    "crates/kubewright/src",
];

/// Files and directories that may say them, and why.
const ALLOWED: &[(&str, &str)] = &[
    ("crates/kubewright-core/src/carrier/systemd", "the carrier"),
    ("crates/kubewright-agent/src/resource/unit", "its resource"),
    (
        "crates/kubewright-agent/src/resource/swap.rs",
        "swap that is a unit",
    ),
    (
        "crates/kubewright-agent/src/system.rs",
        "reads what its programs answer",
    ),
    (
        "crates/kubewright-agent/src/facts.rs",
        "asks which programs there are, and which version",
    ),
    (
        "crates/kubewright-agent/src/facts",
        "units of other installers and of swap, and what listens",
    ),
    ("crates/kubewright-agent/src/testing.rs", "plays it"),
    (
        "crates/kubewright-core/src/check/installers.rs",
        "stops units of other installers",
    ),
    (
        "crates/kubewright-core/src/check/packages.rs",
        "which package brings a program",
    ),
    // Reference pages and their texts are written by hand.
    ("crates/kubewright-core/src/check_kind.rs", "text of a page"),
    ("crates/kubewright-core/src/drift/kind.rs", "text of a page"),
    ("crates/kubewright-core/src/errors", "text of a page"),
];

/// Returns every line outside of tests and comments that says one of the words and may not.
pub(super) fn violations() -> anyhow::Result<Vec<String>> {
    let root = crate::repository();
    let mut found = Vec::new();
    for directory in ROOTS {
        for file in sources(&root.join(directory))? {
            let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            let is_allowed = ALLOWED.iter().any(|(allowed, _)| {
                let rest = name.strip_prefix(allowed);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']))
            });
            if is_allowed {
                continue;
            }
            let text = fs::read_to_string(&file).with_context(|| format!("read {name}"))?;
            found.extend(said(&text).map(|(line, word)| format!("{name}:{line} says {word}")));
        }
    }
    Ok(found)
}

/// The lines of code before a file's tests that say one of the words.
fn said(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    code.enumerate().filter_map(|(index, line)| {
        let is_comment = line.trim_start().starts_with("//");
        let word = WORDS.into_iter().find(|word| names(line, word));
        word.filter(|_| !is_comment).map(|word| (index + 1, word))
    })
}

/// Whether a line says a word; `.service` of a field that is called so is none.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let after = line[at + word.len()..].chars().next();
        !after.is_some_and(|next| next.is_alphanumeric() || matches!(next, '_' | '('))
    })
}

/// The source files below a directory, without those that are tests.
fn sources(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_tests = name == "tests" || name.ends_with("tests.rs");
        if is_tests {
            continue;
        }
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn sees_words_in_code_and_not_in_comments_tests_or_fields() {
        let text = "// systemctl\nlet a = \"etcd.service\";\nlet b = spec.service_cidr;\nrun(\"systemctl\");\n\
            #[cfg(test)]\nlet c = \"journalctl\";\n";
        assert_eq!(
            said(text).collect::<Vec<_>>(),
            [(2, ".service"), (4, "systemctl")]
        );
    }
}
