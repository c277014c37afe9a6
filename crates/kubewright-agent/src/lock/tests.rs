//! The lock lives exactly as long as the process that holds it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::testing::TestSystem;

/// Tells the test below, run again as a process of its own, where to take the lock.
const ROOT: &str = "KUBEWRIGHT_TEST_LOCK_ROOT";

fn holder(run: &str) -> LockHolder {
    LockHolder::new("ada", run, 1)
}

fn take_at(system: &Arc<TestSystem>, run: &str) -> Result<Lock, LockHolder> {
    take(&(Arc::clone(system) as Arc<dyn System>), &holder(run))
        .unwrap()
        .map_err(|held| held.holder)
}

#[test]
fn one_at_a_time_and_the_other_learns_who() {
    let system = TestSystem::new();
    let first = take_at(&system, "run-1").unwrap();
    assert_eq!(take_at(&system, "run-2").unwrap_err(), holder("run-1"));
    drop(first);
    take_at(&system, "run-3").unwrap();
}

#[test]
fn who_comes_next_learns_when_the_controller_was_heard_and_what_is_at_hand() {
    let system = TestSystem::new();
    let other: Arc<dyn System> = Arc::clone(&system) as _;
    let seen = || take(&other, &holder("run-2")).unwrap().unwrap_err();
    let lock = take_at(&system, "run-1").unwrap();
    assert_eq!((seen().heard, seen().holder.heard_seconds_ago), (None, None));
    system.simulated().boot_time = Duration::from_secs(100);
    lock.heard();
    lock.doing(Some("kube-apiserver.service"));
    system.simulated().boot_time = Duration::from_secs(104);
    assert_eq!(seen().heard, Some(Duration::from_secs(100)));
    lock.left();
    assert_eq!(
        seen().holder,
        LockHolder {
            heard_seconds_ago: Some(4),
            has_left: true,
            doing: Some("kube-apiserver.service".to_owned()),
            ..holder("run-1")
        }
    );
    lock.doing(None);
    assert_eq!(seen().holder.doing, None);
}

#[test]
fn what_other_versions_wrote_is_understood() {
    let system = TestSystem::new();
    let _lock = take_at(&system, "run-1").unwrap();
    let text = r#"{"operator":"ada","run":"run-0","since":1,"mood":"good"}"#;
    std::fs::write(system.path(PATH), text).unwrap();
    assert_eq!(take_at(&system, "run-2").unwrap_err(), holder("run-0"));
    std::fs::write(system.path(PATH), "").unwrap();
    let other: Arc<dyn System> = Arc::clone(&system) as _;
    assert!(!take(&other, &holder("run-2")).unwrap().unwrap_err().is_named);
}

#[test]
fn a_file_that_was_removed_meanwhile_locks_nothing() {
    let system = TestSystem::new();
    let _first = take_at(&system, "run-1").unwrap();
    std::fs::remove_file(system.path(PATH)).unwrap();
    let _second = take_at(&system, "run-2").unwrap();
    assert_eq!(take_at(&system, "run-3").unwrap_err(), holder("run-2"));
}

#[test]
fn a_holder_that_is_killed_frees_it() {
    let system = TestSystem::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "lock::tests::holds_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(ROOT, system.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    assert!(
        output
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains("held"))
    );
    assert_eq!(take_at(&system, "run-2").unwrap_err(), holder("child"));
    child.kill().unwrap();
    child.wait().unwrap();
    take_at(&system, "run-3").unwrap();
}

#[test]
#[ignore = "the process that the test above kills"]
fn holds_until_killed() {
    struct At(std::path::PathBuf);
    impl System for At {
        fn root(&self) -> &Path {
            &self.0
        }
        fn run(&self, _: &crate::system::Command) -> std::io::Result<crate::system::Output> {
            Err(std::io::Error::other("not simulated"))
        }
        fn feed(
            &self,
            _: &crate::system::Command,
            _: &mut dyn std::io::Read,
        ) -> std::io::Result<crate::system::Output> {
            Err(std::io::Error::other("not simulated"))
        }
        fn now(&self) -> i64 {
            1
        }
    }
    let Some(root) = std::env::var_os(ROOT) else {
        return;
    };
    let system: Arc<dyn System> = Arc::new(At(root.into()));
    let _lock = take(&system, &holder("child")).unwrap().unwrap();
    std::io::stdout().write_all(b"held\n").unwrap();
    // Ends with its parent at the latest.
    let _ = std::io::stdin().lines().next();
}
