//! No decision depends on the wording of a message: what code needs to know is an enum or a field.
//!
//! Looks through what is no test in the crates that decide something, for questions asked of text that has a message's
//! name. A message of another program, which has no other form, may be asked at the places listed here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Where decisions are made.
const SOURCES: [&str; 3] = [
    "crates/kubewright-core/src",
    "crates/kubewright-control/src",
    "crates/kubewright-agent/src",
];

/// Names of what is worded for people.
const MESSAGES: [&str; 17] = [
    "cause",
    "complaint",
    "complaints",
    "detail",
    "doing",
    "error",
    "errors",
    "hint",
    "message",
    "problem",
    "reason",
    "reasons",
    "said",
    "stderr",
    "title",
    "why",
    "to_string",
];

/// What can be asked of a text.
const QUESTIONS: [&str; 9] = [
    "contains",
    "ends_with",
    "eq",
    "find",
    "rsplit_once",
    "split",
    "split_once",
    "starts_with",
    "strip_prefix",
];

/// Where another program's words are all there is.
const ALLOWED: &[(&str, &str, &str)] = &[(
    "crates/kubewright-control/src/kube/failure.rs",
    "message",
    "an API server passes on what etcd said as a plain message, without a reason of its own",
)];

/// Fails with every place where a message is asked what it says.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut found = Vec::new();
    let mut used = vec![false; ALLOWED.len()];
    for directory in SOURCES {
        for path in sources(Path::new(directory))? {
            let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let place = path.to_string_lossy().into_owned();
            for (line, asked) in questions(&text) {
                let allowed = ALLOWED
                    .iter()
                    .position(|(file, name, _)| *file == place && *name == asked);
                match allowed {
                    Some(index) => used[index] = true,
                    None => found.push(format!("{place}:{line}: asks what `{asked}` says")),
                }
            }
        }
    }
    for ((file, name, _), _) in ALLOWED.iter().zip(used).filter(|(_, used)| !used) {
        found.push(format!(
            "{file}: `{name}` is allowed and not asked any more: take it off the list"
        ));
    }
    if found.is_empty() {
        crate::say("no decision depends on a message");
        return Ok(());
    }
    bail!(
        "decisions depend on messages:\n  {}\ncarry what is to be known as an enum or a field, and word it where it is shown",
        found.join("\n  ")
    )
}

/// The files below a directory that are no tests.
fn sources(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name == "tests" || name == "testing" || name.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Lines on which a message is asked something, and the message's name; up to the tests at a file's end.
fn questions(text: &str) -> Vec<(usize, &str)> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        for question in QUESTIONS {
            for (at, _) in line.match_indices(&format!(".{question}(")) {
                let name = receiver(&line[..at]);
                if MESSAGES.contains(&name) {
                    found.push((number + 1, name));
                }
            }
        }
        for name in MESSAGES {
            if line.contains(&format!("{name} == \"")) || line.contains(&format!("{name} != \"")) {
                found.push((number + 1, name));
            }
        }
    }
    found
}

/// The last name of an expression: `reason` of `change.reason`, `to_string` of `error.to_string()`.
fn receiver(expression: &str) -> &str {
    let mut expression = expression;
    for end in [".as_str()", ".as_deref()", ".trim()", "()"] {
        expression = expression.strip_suffix(end).unwrap_or(expression);
    }
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let start = expression
        .rfind(|character| !is_name(character))
        .map_or(0, |at| at + 1);
    &expression[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_asked_of_messages_and_nothing_else() {
        let text = "\
if reason.contains(\"owner\") {}
if change.reason.as_str().starts_with(\"not running\") {}
if error.to_string().contains(word) {}
if complaint == \"down\" {}
// reason.contains(\"a comment\")
if path.contains(\"/\") || reasons.is_empty() {}
#[cfg(test)]
mod tests {
assert!(error.to_string().contains(\"told\"));
";
        let expected = [(1, "reason"), (2, "reason"), (3, "to_string"), (4, "complaint")];
        assert_eq!(questions(text), expected);
    }
}
