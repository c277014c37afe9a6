//! Files are written whole or not at all, never visible too early, and never through a link.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use rustix::fs::FileType;

use super::*;
use crate::testing::TestSystem;

fn tree(system: &Arc<TestSystem>) -> Tree {
    Tree::open(Arc::clone(system) as Arc<dyn System>).unwrap()
}

fn mode(file: &File) -> u32 {
    file.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_key_is_readable_by_others_at_no_instant() {
    let system = TestSystem::new();
    let tree = tree(&system);
    let mut file = tree.begin("/etc/pki/a.key").unwrap();
    assert_eq!(mode(&file.file), 0o600);
    file.write_all(b"key").unwrap();
    assert!(!system.has("/etc/pki/a.key"));
    file.commit(Owner::mine(0o400)).unwrap();
    assert_eq!(
        (
            system.mode("/etc/pki/a.key"),
            system.get("/etc/pki/a.key").as_str()
        ),
        (0o400, "key")
    );
}

#[test]
fn a_file_that_is_given_up_leaves_the_old_one_and_nothing_else() {
    let system = TestSystem::new();
    system.put("/etc/demo/file", "old");
    let tree = tree(&system);
    let mut file = tree.begin("/etc/demo/file").unwrap();
    file.write_all(b"new").unwrap();
    drop(file);
    assert_eq!(tree.list("/etc/demo").unwrap(), ["file"]);
    assert_eq!(system.get("/etc/demo/file"), "old");
}

/// A parent is not looked at again once it exists.
#[test]
fn a_parent_is_open_to_others_from_its_first_instant() {
    let system = TestSystem::new();
    let tree = tree(&system);
    system.simulated().power_cut_at = Some(1);
    tree.write("/etc/demo/file", b"new", Owner::mine(0o644))
        .unwrap_err();
    assert_eq!(system.mode("/etc/demo"), 0o755);
}

#[test]
fn what_a_crash_left_half_written_is_overwritten() {
    let system = TestSystem::new();
    system.put("/etc/demo/.file.kubewright-new", "half");
    system.set_mode("/etc/demo/.file.kubewright-new", 0o666);
    let tree = tree(&system);
    tree.write("/etc/demo/file", b"whole", Owner::mine(0o600))
        .unwrap();
    assert_eq!(tree.list("/etc/demo").unwrap(), ["file"]);
    assert_eq!(system.mode("/etc/demo/file"), 0o600);
}

#[test]
fn a_link_planted_where_the_new_file_is_written_is_not_followed() {
    let system = TestSystem::new();
    system.put("/etc/demo/victim", "theirs");
    symlink("victim", system.path("/etc/demo/.file.kubewright-new")).unwrap();
    let tree = tree(&system);
    tree.write("/etc/demo/file", b"ours", Owner::mine(0o600)).unwrap();
    assert_eq!(system.get("/etc/demo/victim"), "theirs");
    assert_eq!(system.get("/etc/demo/file"), "ours");
}

#[test]
fn nothing_is_reached_through_a_link() {
    let system = TestSystem::new();
    system.put("/real/file", "theirs");
    symlink("real", system.path("/link")).unwrap();
    symlink("file", system.path("/real/inner")).unwrap();
    let tree = tree(&system);
    assert!(matches!(tree.look("/link/file").unwrap(), Look::Blocked(_)));
    tree.read("/link/file", 100).unwrap_err();
    tree.read("/real/inner", 100).unwrap_err();
    tree.write("/link/file", b"ours", Owner::mine(0o600)).unwrap_err();
    tree.write("/link/new/file", b"ours", Owner::mine(0o600))
        .unwrap_err();
    tree.set_owner("/real/inner", Owner::mine(0o777)).unwrap_err();
    tree.remove("/link/file").unwrap();
    assert_eq!(system.get("/real/file"), "theirs");
    assert_eq!(tree.list("/link").unwrap(), Vec::<String>::new());
}

#[test]
fn a_link_at_the_place_of_a_file_is_replaced_by_the_file() {
    let system = TestSystem::new();
    system.put("/real", "theirs");
    symlink("real", system.path("/file")).unwrap();
    tree(&system).write("/file", b"ours", Owner::mine(0o600)).unwrap();
    assert_eq!(
        (system.get("/real").as_str(), system.get("/file").as_str()),
        ("theirs", "ours")
    );
}

#[test]
fn a_pipe_is_not_waited_for() {
    let system = TestSystem::new();
    let made = rustix::fs::mknodat(
        rustix::fs::CWD,
        system.path("/pipe"),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    );
    made.unwrap();
    let error = tree(&system).read("/pipe", 100).unwrap_err();
    assert_eq!(error.cause, "it is not a regular file");
}

#[test]
fn paths_that_are_not_plain_are_refused() {
    let system = TestSystem::new();
    let tree = tree(&system);
    for path in ["relative", "", "/", "/a/../b", "/a//b", "/a/./b", "/a/", "/a\0b"] {
        assert!(tree.look(path).is_err(), "{path:?}");
        assert!(tree.write(path, b"", Owner::mine(0o600)).is_err(), "{path:?}");
    }
}

#[test]
fn hostile_names_are_only_names() {
    let system = TestSystem::new();
    let tree = tree(&system);
    for name in ["-rf", "a b", "a\nb", "'$(reboot)", "*", &"x".repeat(220)] {
        let path = format!("/etc/demo/{name}");
        tree.write(&path, name.as_bytes(), Owner::mine(0o600)).unwrap();
        assert_eq!(tree.read(&path, 1000).unwrap().unwrap(), name.as_bytes());
    }
    assert_eq!(tree.list("/etc/demo").unwrap().len(), 6);
}

#[test]
fn a_file_larger_than_expected_is_not_read() {
    let system = TestSystem::new();
    system.put("/etc/demo", "0123456789");
    let tree = tree(&system);
    assert_eq!(tree.read("/etc/demo", 10).unwrap().unwrap().len(), 10);
    assert_eq!(
        tree.read("/etc/demo", 9).unwrap_err().cause,
        "larger than 9 bytes"
    );
}

#[test]
fn parents_that_are_missing_are_made_for_all_to_pass() {
    let system = TestSystem::new();
    tree(&system)
        .make_directory("/a/b/c", Owner::mine(0o700))
        .unwrap();
    assert_eq!(
        (system.mode("/a"), system.mode("/a/b"), system.mode("/a/b/c")),
        (0o755, 0o755, 0o700)
    );
}

#[test]
fn a_full_disk_is_told_with_its_mount() {
    let system = TestSystem::new();
    system.put(
        "/proc/self/mountinfo",
        "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /var/lib/etcd rw - ext4 /dev/b rw\n",
    );
    let error = io::Error::from_raw_os_error(28);
    let told = tree(&system).full("/var/lib/etcd/x", "write /var/lib/etcd/x".to_owned(), error);
    assert_eq!(
        told.to_string(),
        "write /var/lib/etcd/x: no space left on device (file system mounted at /var/lib/etcd)"
    );
    assert!(told.hint.is_some());
}
