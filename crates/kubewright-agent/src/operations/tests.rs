//! Records survive their writer, are readable by root only, and do not grow without bound.

use super::*;
use crate::testing::TestSystem;

const BEGUN: &str = r#"{"schema":1,"run":"r1","timeMs":1,"event":{"type":"begun","operation":"apply","steps":2}}
"#;
const STEP: &str = r#"{"schema":1,"run":"r1","timeMs":2,"event":{"type":"stepBegun","step":"cp-1/host"}}
"#;

fn node() -> (Arc<TestSystem>, Arc<dyn System>) {
    let system = TestSystem::new();
    let same: Arc<dyn System> = system.clone();
    (system, same)
}

#[test]
fn lines_are_added_and_read_again() {
    let (test, system) = node();
    record(&system, "20260102T030405Z-r1", true, BEGUN).unwrap();
    record(&system, "20260102T030405Z-r1", false, STEP).unwrap();
    let path = path_of("20260102T030405Z-r1");
    assert_eq!((test.mode(&path), test.mode(DIRECTORY)), (0o600, 0o700));
    assert_eq!(test.get(&path), format!("{BEGUN}{STEP}"));
    let all = read(&system, None).unwrap();
    assert_eq!((all[0].counts.open, all[0].steps.len()), (1, 0));
    let whole = read(&system, Some("r")).unwrap();
    assert_eq!(whole[0].steps[0].step, "cp-1/host");
    assert_eq!(read(&system, Some("r2")).unwrap(), []);
}

#[test]
fn late_lines_do_not_bring_back_a_record_that_is_gone() {
    let (test, system) = node();
    let before = test.snapshot();
    record(&system, "r1", false, STEP).unwrap_err();
    assert_eq!(test.snapshot(), before);
}

#[test]
fn only_the_newest_runs_are_kept() {
    let (test, system) = node();
    for number in 0..RUNS_KEPT + 5 {
        record(&system, &format!("2026-{number:04}"), true, BEGUN).unwrap();
    }
    assert!(!test.has(&path_of("2026-0004")));
    assert!(test.has(&path_of("2026-0005")));
    // A computer whose clock is behind still has its run recorded.
    record(&system, "1970-0001", true, BEGUN).unwrap();
    assert!(test.has(&path_of("1970-0001")));
    assert_eq!(read(&system, None).unwrap().len(), RUNS_KEPT);
}

#[test]
fn a_record_that_has_become_too_large_takes_no_more() {
    let (test, system) = node();
    record(&system, "r1", true, BEGUN).unwrap();
    let filler = "x".repeat(LIMIT as usize - BEGUN.len());
    record(&system, "r1", false, &filler).unwrap();
    record(&system, "r1", false, STEP).unwrap_err();
    assert_eq!(test.get(&path_of("r1")).len() as u64, LIMIT);
}

#[test]
fn a_damaged_record_hides_no_other() {
    let (test, system) = node();
    record(&system, "2", true, BEGUN).unwrap();
    test.put(&path_of("1"), "\u{0}not a record");
    std::os::unix::fs::symlink("/etc/shadow", test.path(&path_of("3"))).unwrap();
    assert_eq!(read(&system, None).unwrap().len(), 1);
}
