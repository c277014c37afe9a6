//! Journals survive what writes them, and do not grow without bound.

use std::sync::Arc;

use kubewright_core::resource::ResourceId;

use super::*;
use crate::testing::TestSystem;

fn tree(system: &Arc<TestSystem>) -> Tree {
    Tree::open(Arc::clone(system) as Arc<dyn System>).unwrap()
}

fn named(run: &str) -> Journal {
    Journal::new(Run {
        id: run.to_owned(),
        ..Run::default()
    })
}

fn done(what: &str) -> Vec<Event> {
    vec![Event::Done {
        resource: ResourceId::new("file", what),
    }]
}

#[test]
fn a_run_that_changes_nothing_writes_nothing() {
    let system = TestSystem::new();
    let before = system.snapshot();
    let tree = tree(&system);
    let mut journal = named("run");
    journal.record(system.as_ref(), &tree, Vec::new()).unwrap();
    journal.finish(system.as_ref(), &tree, 0).unwrap();
    assert_eq!(system.snapshot(), before);
}

#[test]
fn a_run_that_comes_back_goes_on_after_its_last_whole_line() {
    let system = TestSystem::new();
    let tree = tree(&system);
    named("run").record(system.as_ref(), &tree, done("/a")).unwrap();
    let path = path_of("run");
    let torn = system.get(&path) + "{\"schema\":1,\"run\":\"ru";
    system.put(&path, &torn);
    named("run").record(system.as_ref(), &tree, done("/b")).unwrap();
    let (_, entries) = runs(&tree).unwrap().pop().unwrap();
    let sequence: Vec<_> = entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequence, [0, 1, 2, 3]);
    assert!(
        system
            .get(&path)
            .lines()
            .all(|line| serde_json::from_str::<Entry>(line).is_ok())
    );
    assert_eq!(system.mode(&path), 0o600);
}

#[test]
fn a_run_goes_on_after_the_last_number_there_is() {
    let system = TestSystem::new();
    let tree = tree(&system);
    named("run").record(system.as_ref(), &tree, done("/a")).unwrap();
    let path = path_of("run");
    let text = system
        .get(&path)
        .replace("\"sequence\":1", &format!("\"sequence\":{}", u64::MAX));
    system.put(&path, &text);
    named("run").record(system.as_ref(), &tree, done("/b")).unwrap();
    let (_, entries) = runs(&tree).unwrap().pop().unwrap();
    assert_eq!(entries.last().unwrap().sequence, u64::MAX);
}

#[test]
fn only_the_newest_runs_are_kept_and_the_copies_they_name() {
    let system = TestSystem::new();
    let tree = tree(&system);
    for number in 0..RUNS_KEPT + 3 {
        let content = format!("content {number}");
        system.put("/etc/demo", &content);
        let undo = keep(&tree, "/etc/demo", Some(Digest::of(content.as_bytes()))).unwrap();
        let resource = ResourceId::new("file", "/etc/demo");
        let run = format!("run-{number:02}");
        named(&run)
            .record(system.as_ref(), &tree, vec![Event::Intended { resource, undo }])
            .unwrap();
    }
    let kept = runs(&tree).unwrap();
    assert_eq!(kept.len(), RUNS_KEPT);
    assert_eq!(kept.last().unwrap().0, "run-22");
    let copies = tree.list(KEPT).unwrap();
    assert!(!copies.contains(&Digest::of(b"content 0").to_string()));
    assert!(copies.contains(&Digest::of(b"content 22").to_string()));
    assert!(copies.len() <= RUNS_KEPT + 1);
}

#[test]
fn a_runs_name_cannot_lead_elsewhere() {
    assert_eq!(
        path_of("../../etc/passwd\n"),
        format!("{DIRECTORY}/.._.._etc_passwd_.jsonl")
    );
    assert!(path_of(&"x".repeat(500)).len() < 200);
}

#[test]
fn a_kept_copy_that_was_changed_is_not_put_back() {
    let system = TestSystem::new();
    let tree = tree(&system);
    system.put("/etc/demo", "old");
    let sha256 = Digest::of(b"old");
    keep(&tree, "/etc/demo", Some(sha256)).unwrap();
    system.put(&copy_of(sha256), "tampered");
    system.put("/etc/demo", "new");
    restore(&tree, "/etc/demo", sha256, Owner::mine(0o644)).unwrap_err();
    assert_eq!(system.get("/etc/demo"), "new");
}

#[test]
fn large_files_are_kept_by_a_second_name() {
    use std::os::unix::fs::MetadataExt as _;
    let system = TestSystem::new();
    let tree = tree(&system);
    let content = "x".repeat(COPY_BYTES as usize + 1);
    system.put("/usr/local/bin/tool", &content);
    let sha256 = Digest::of(content.as_bytes());
    keep(&tree, "/usr/local/bin/tool", Some(sha256)).unwrap();
    let inode = |path: &str| std::fs::metadata(system.path(path)).unwrap().ino();
    assert_eq!(inode("/usr/local/bin/tool"), inode(&copy_of(sha256)));
}

#[test]
fn lines_of_a_newer_version_are_kept_and_not_understood() {
    let line = r#"{"schema":9,"run":"r","sequence":1,"time":2,"event":{"type":"teleported","to":"mars"},"more":true}"#;
    let entries = entries(line.as_bytes());
    assert_eq!(entries[0].event, Event::Unknown);
}
