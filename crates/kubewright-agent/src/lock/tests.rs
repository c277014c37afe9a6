//! The lock lives exactly as long as the process that holds it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::testing::TestSystem;

/// Tells the test below, run again as a process of its own, where to take the lock.
const ROOT: &str = "KUBEWRIGHT_TEST_LOCK_ROOT";

fn holder(run: &str) -> LockHolder {
    LockHolder {
        operator: "ada".to_owned(),
        run: run.to_owned(),
        since: 1,
    }
}

fn take_at(system: &Arc<TestSystem>, run: &str) -> Result<Lock, LockHolder> {
    take(&(Arc::clone(system) as Arc<dyn System>), &holder(run)).unwrap()
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
