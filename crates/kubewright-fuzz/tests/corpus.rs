//! Every input that is kept goes through its target: those the fuzzers start from, and those that once broke a promise.

#![allow(clippy::unwrap_used)] // what a test stands on may fail it

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use kubewright_fuzz::TARGETS;

#[test]
fn every_kept_input_keeps_the_promises() {
    let mut broken = Vec::new();
    for target in TARGETS {
        let files = entries(&fuzz().join("corpus").join(target.name));
        assert!(!files.is_empty(), "{} has nothing to start from", target.name);
        for file in files {
            let input = fs::read(&file).unwrap();
            if catch_unwind(|| (target.run)(&input)).is_err() {
                broken.push(file);
            }
        }
    }
    assert!(broken.is_empty(), "these break a promise: {broken:#?}");
}

#[test]
fn every_target_has_its_program_and_its_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let stems = |directory: &str| -> BTreeSet<String> {
        entries(&fuzz().join(directory))
            .iter()
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(stems("fuzz_targets"), targets);
    assert_eq!(stems("corpus"), targets);
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
