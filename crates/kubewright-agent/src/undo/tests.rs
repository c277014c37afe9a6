//! Journals of every schema there has been are understood and undone; what cannot be is named and stops nothing.

use std::path::Path;

use super::*;
use crate::journal::{DIRECTORY, KEPT};
use crate::testing::TestSystem;
use crate::tree::Owner;

const RUN: &str = "5f0c1d2e3a4b";

/// A node with the journal of a fixture and the old contents it names.
fn node(fixture: &str) -> (Arc<TestSystem>, Arc<dyn System>) {
    let test = TestSystem::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal");
    let text = std::fs::read_to_string(fixtures.join(fixture)).unwrap();
    let (uid, gid) = (Owner::mine(0).uid, Owner::mine(0).gid);
    // In a test, all files belong to a user who is not root.
    let text = text
        .replace("\"uid\":0,\"gid\":0", &format!("\"uid\":{uid},\"gid\":{gid}"))
        .replace("\"0:0:", &format!("\"{uid}:{gid}:"));
    test.put(&format!("{DIRECTORY}/{RUN}.jsonl"), &text);
    let schema = fixture.split('/').next().unwrap();
    for copy in std::fs::read_dir(fixtures.join(schema).join("kept")).unwrap() {
        let copy = copy.unwrap();
        let content = std::fs::read_to_string(copy.path()).unwrap();
        test.put(
            &format!("{KEPT}/{}", copy.file_name().to_str().unwrap()),
            &content,
        );
    }
    // What the run left behind.
    test.put(
        "/etc/passwd",
        &format!("root:x:{uid}:{gid}::/root:/bin/sh\netcd:x:{uid}:{gid}::/var/lib/etcd:\n"),
    );
    for path in [
        "/etc/demo/config",
        "/etc/demo/new",
        "/etc/demo/pki/sa.key",
        "/etc/demo/pki/server.crt",
        "/usr/local/bin/tool",
        "/etc/systemd/system/etcd.service",
        "/etc/systemd/system/late.service",
        "/etc/sysctl.d/99-kubewright.conf",
        "/etc/fstab",
    ] {
        test.put(path, "ours\n");
    }
    test.put("/proc/sys/kernel/panic", "10\n");
    std::fs::create_dir_all(test.path("/var/lib/etcd")).unwrap();
    std::os::unix::fs::symlink("config", test.path("/etc/demo/current")).unwrap();
    std::os::unix::fs::symlink("config", test.path("/etc/demo/newest")).unwrap();
    let system: Arc<dyn System> = test.clone();
    (test, system)
}

fn names(ids: &[ResourceId]) -> Vec<&str> {
    ids.iter().map(ResourceId::as_str).collect()
}

fn left(undone: &Undone) -> Vec<&str> {
    undone.left.iter().map(|left| left.resource.as_str()).collect()
}

#[test]
fn a_journal_of_schema_1_is_undone_to_bytes_modes_links_and_states() {
    let (test, system) = node("v1/interrupted.jsonl");
    let undone = undo(&system, None).unwrap();
    assert_eq!(
        (undone.run.as_str(), undone.operator.as_str()),
        (RUN, "ada@workstation")
    );
    assert_eq!(
        names(&undone.restored),
        [
            "unit:late.service",
            "binary:/usr/local/bin/tool",
            "swap:off",
            "sysctl:kernel.panic",
            "file:/etc/sysctl.d/99-kubewright.conf",
            "symlink:/etc/demo/newest",
            "symlink:/etc/demo/current",
            "file:/etc/demo/new",
            "file:/etc/demo/config",
            "directory:/etc/demo",
            "directory:/var/lib/etcd",
            "unit:etcd.service",
            "user:etcd",
        ]
    );
    assert_eq!(
        left(&undone),
        [
            "image:registry.example/pause:1",
            "certificate:/etc/demo/pki/server.crt",
            "secret:/etc/demo/pki/sa.key",
            "swap:areas",
            "module:overlay",
            "sysctl:net.ipv4.not_here",
        ]
    );
    assert_eq!(test.get("/etc/demo/config"), "theirs\n");
    assert_eq!(
        (test.mode("/etc/demo/config"), test.mode("/etc/demo")),
        (0o604, 0o750)
    );
    assert_eq!(
        (test.get("/usr/local/bin/tool"), test.mode("/usr/local/bin/tool")),
        ("their tool\n".to_owned(), 0o755)
    );
    let link = std::fs::read_link(test.path("/etc/demo/current")).unwrap();
    assert_eq!(link.to_str(), Some("theirs"));
    assert_eq!(test.get("/proc/sys/kernel/panic"), "5\n");
    assert_eq!(
        test.get("/etc/sysctl.d/99-kubewright.conf"),
        "net.ipv4.ip_forward = 0\n"
    );
    assert!(test.get("/etc/fstab").contains("\n/dev/vdb none swap"));
    for gone in [
        "/etc/demo/new",
        "/etc/demo/newest",
        "/var/lib/etcd",
        "/etc/systemd/system/late.service",
    ] {
        assert!(!test.has(gone), "{gone}");
    }
    assert!(!test.get("/etc/passwd").contains("etcd"));
    // Journals of the beginning recorded no mode of unit files: they get the one unit files have.
    assert_eq!(test.mode("/etc/systemd/system/etcd.service"), 0o600);
    let simulated = test.simulated();
    let etcd = &simulated.units["etcd.service"];
    assert_eq!((etcd.enabled, etcd.active.as_str()), (true, "active"));
}

#[test]
fn what_is_new_in_a_journal_of_the_same_schema_is_passed_over_and_named() {
    let (test, system) = node("v1/later-words.jsonl");
    let undone = undo(&system, None).unwrap();
    assert_eq!(
        names(&undone.restored),
        ["file:/etc/demo/config", "unit:etcd.service"]
    );
    assert_eq!(left(&undone), ["file:/etc/demo/strange"]);
    assert_eq!(test.get("/etc/demo/config"), "theirs\n");
    assert_eq!(test.mode("/etc/systemd/system/etcd.service"), 0o644);
}

#[test]
fn a_journal_of_a_newer_schema_is_refused_and_nothing_is_touched() {
    let (test, system) = node("v1/interrupted.jsonl");
    let path = format!("{DIRECTORY}/{RUN}.jsonl");
    let newer = r#"{"schema":2,"run":"5f0c1d2e3a4b","change":{"anything":"else"}}"#;
    test.put(&path, &format!("{}{newer}\n", test.get(&path)));
    let error = undo(&system, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "undo 5f0c1d2e3a4b: its journal is written in schema 2, this version knows those up to 1"
    );
    assert_eq!(test.get("/etc/demo/config"), "ours\n");
}

#[test]
fn what_cannot_be_put_back_is_named_and_stops_nothing_else() {
    let (test, system) = node("v1/interrupted.jsonl");
    test.put("/var/lib/etcd/member/wal", "precious");
    for copy in std::fs::read_dir(test.path(KEPT)).unwrap().map(Result::unwrap) {
        if std::fs::read(copy.path()).unwrap() == b"theirs\n" {
            std::fs::remove_file(copy.path()).unwrap();
        }
    }
    let path = format!("{DIRECTORY}/{RUN}.jsonl");
    test.put(&path, &test.get(&path).replace("\"link\"", "\"li"));
    let undone = undo(&system, None).unwrap();
    let whys: Vec<&str> = undone.left.iter().map(|left| left.why.as_str()).collect();
    for expected in [
        "1 of its lines are damaged",
        "restore /etc/demo/config: its old content is no longer kept",
        "remove /var/lib/etcd: directory not empty",
    ] {
        assert!(whys.contains(&expected), "{expected} is not among {whys:?}");
    }
    assert!(names(&undone.restored).contains(&"user:etcd"));
    assert_eq!(test.get("/var/lib/etcd/member/wal"), "precious");
}

#[test]
fn a_look_tells_the_same_and_changes_nothing() {
    let (test, system) = node("v1/interrupted.jsonl");
    let before = test.snapshot();
    let tree = Tree::open(Arc::clone(&system)).unwrap();
    let chosen = choose(&tree, None).unwrap();
    let told = look(&tree, &chosen).unwrap();
    assert_eq!(test.snapshot(), before);
    assert_eq!(undo(&system, None).unwrap(), told);
}

#[test]
fn only_the_last_run_is_undone_unasked_and_only_if_it_has_no_end() {
    let (test, system) = node("v1/interrupted.jsonl");
    undo(&system, None).unwrap();
    let error = undo(&system, None).unwrap_err();
    assert!(
        error.to_string().contains("the last run on this node ended"),
        "{error}"
    );
    assert!(error.hint.unwrap().contains(RUN));
    // An undo that was interrupted is gone on with.
    test.put("/etc/demo/config", "ours\n");
    let path = format!("{DIRECTORY}/undo-{RUN}.jsonl");
    let text = test.get(&path);
    let end = text.trim_end().rfind('\n').unwrap() + 1;
    test.put(&path, &text[..end]);
    assert_eq!(undo(&system, None).unwrap().run, RUN);
    assert_eq!(test.get("/etc/demo/config"), "theirs\n");
    // Asked for by name, it can be had again.
    test.put("/etc/demo/config", "ours\n");
    undo(&system, Some(RUN)).unwrap();
    assert_eq!(test.get("/etc/demo/config"), "theirs\n");
    undo(&system, Some("another")).unwrap_err();
}
