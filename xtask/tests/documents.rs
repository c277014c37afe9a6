//! What the documents point at is there: files, headings, and the tests that guard the invariants.

#![allow(clippy::unwrap_used)] // what a test stands on may fail it

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for document in files(&repository(), "md") {
        let text = fs::read_to_string(&document).unwrap();
        for target in links(&text) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let to = if file.is_empty() {
                document.clone()
            } else {
                document.parent().unwrap().join(file)
            };
            let leads = to.exists() && (heading.is_empty() || has_heading(&to, heading));
            if !leads {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

#[test]
fn every_test_that_guards_an_invariant_exists() {
    let invariants = repository().join("docs/contributing/invariants.md");
    let table = fs::read_to_string(invariants).unwrap();
    let code = files(&repository().join("crates"), "rs");
    let texts: Vec<String> = code
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let words: Vec<&str> = table.split('`').skip(1).step_by(2).collect();
    let names: Vec<&&str> = words.iter().filter(|word| is_name_of_a_test(word)).collect();
    assert!(names.len() > 20, "the table of invariants is not found");
    let is_missing = |name: &&&str| {
        let function = match name.strip_suffix("...") {
            Some(beginning) => format!("fn {beginning}"),
            None => format!("fn {name}("),
        };
        let is_scenario = || code.iter().any(|path| path.file_stem().unwrap() == **name);
        !texts.iter().any(|text| text.contains(&function)) && !is_scenario()
    };
    let missing: Vec<_> = names.into_iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");

    let is_file = |word: &&&str| word.strip_suffix(".rs").is_some_and(|path| path.contains('/'));
    let is_absent = |word: &&&str| {
        let in_crate = format!("kubewright-{word}");
        !code
            .iter()
            .any(|path| path.ends_with(word) || path.ends_with(&in_crate))
    };
    let absent: Vec<_> = words.iter().filter(is_file).filter(is_absent).collect();
    assert!(absent.is_empty(), "no such files: {absent:#?}");
}

#[test]
fn the_architecture_is_short_enough_to_be_read() {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let lines = text.lines().count();
    assert!(
        lines <= 200,
        "ARCHITECTURE.md has {lines} lines, 200 are the most"
    );
}

#[test]
fn every_environment_variable_is_documented() {
    let page = fs::read_to_string(repository().join("docs/reference/environment.md")).unwrap();
    let mut unknown = Vec::new();
    for directory in ["kubewright/src", "kubewright-control/src"] {
        for path in files(&repository().join("crates").join(directory), "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let read = ["var_os(\"", "env::var(\"", "from_env(\"", "env = \""]
                .map(|start| text.split(start).skip(1));
            let names = read
                .into_iter()
                .flatten()
                .filter_map(|rest| rest.split('"').next());
            unknown.extend(
                names
                    .filter(|name| !page.contains(&format!("`{name}`")))
                    .map(str::to_owned),
            );
        }
    }
    assert!(
        unknown.is_empty(),
        "not in docs/reference/environment.md: {unknown:#?}"
    );
}

/// Whether a word in code marks is a function or a scenario, which both are several words long.
fn is_name_of_a_test(word: &str) -> bool {
    let name = word.strip_suffix("...").unwrap_or(word);
    name.contains('_')
        && name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || "_0123456789".contains(letter))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Files with an extension below a directory, but for what is built or hidden.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && !name.to_string_lossy().starts_with('.') {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Targets of `[text](target)`, without those elsewhere and those in code.
fn links(text: &str) -> Vec<&str> {
    let mut is_code = false;
    let mut targets = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if !is_code {
            targets.extend(line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
        }
    }
    targets.retain(|target| !target.contains(':'));
    targets
}

/// Whether a document has a heading that makes this anchor.
fn has_heading(document: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(document).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words
                .chars()
                .filter(|letter| letter.is_alphanumeric() || "-_ ".contains(*letter));
            kept.collect::<String>().replace(' ', "-")
        })
        .any(|made| made == anchor)
}
