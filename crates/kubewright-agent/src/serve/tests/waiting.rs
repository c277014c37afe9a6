//! Who waits for the lock of whom, and how long.

use super::*;
use crate::lock;

const PATIENCE: Duration = Duration::from_secs(60);

/// The lock in the hands of an agent whose controller has gone.
fn held_by_a_run_that_died(system: &Arc<TestSystem>) -> Lock {
    let system = Arc::clone(system) as Arc<dyn System>;
    let lock = lock::take(&system, &LockHolder::new("ada", "run-1", 1));
    let lock = lock.unwrap().unwrap();
    lock.heard();
    lock.doing(Some("kube-apiserver.service"));
    lock.left();
    lock
}

fn hear_of_holder(talk: &mut Talk) -> LockHolder {
    match talk.hear() {
        Some(FromAgent::Waiting { holder }) => holder,
        other => panic!("{other:?}"),
    }
}

fn hear_hello(talk: &mut Talk) -> Option<LockHolder> {
    match talk.hear() {
        Some(FromAgent::Hello { locked_by, .. }) => locked_by,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_agent_of_a_run_that_died_is_waited_for() {
    let system = TestSystem::new();
    let lock = held_by_a_run_that_died(&system);
    let mut talk = Talk::wanting(&system, "run-2", true, PATIENCE);
    let holder = hear_of_holder(&mut talk);
    assert_eq!(
        (holder.run.as_str(), holder.has_left, holder.doing.as_deref()),
        ("run-1", true, Some("kube-apiserver.service"))
    );
    drop(lock);
    assert_eq!(hear_hello(&mut talk), None);
    talk.ask(1, Request::MarkBootstrapped {});
    assert_eq!(talk.reply(1).0, Ok(Reply::Done {}));
    talk.end().unwrap();
}

#[test]
fn what_is_waited_for_is_told_again_when_it_changes() {
    let system = TestSystem::new();
    let lock = held_by_a_run_that_died(&system);
    let mut talk = Talk::wanting(&system, "run-2", true, PATIENCE);
    hear_of_holder(&mut talk);
    lock.doing(None);
    assert_eq!(hear_of_holder(&mut talk).doing, None);
    drop(lock);
    assert_eq!(hear_hello(&mut talk), None);
    talk.end().unwrap();
}

#[test]
fn patience_has_an_end_and_tells_what_was_last_seen() {
    let system = TestSystem::new();
    let _lock = held_by_a_run_that_died(&system);
    let mut talk = Talk::wanting(&system, "run-2", true, Duration::from_secs(5));
    hear_of_holder(&mut talk);
    system.simulated().boot_time += Duration::from_secs(6);
    let holder = hear_hello(&mut talk).unwrap();
    assert_eq!(
        (holder.has_left, holder.heard_seconds_ago, holder.doing.as_deref()),
        (true, Some(6), Some("kube-apiserver.service"))
    );
    talk.end().unwrap();
}

#[test]
fn a_run_whose_controller_is_heard_is_not_waited_for() {
    let system = TestSystem::new();
    let (mut first, _) = Talk::hello(&system, "run-1", true);
    let mut second = Talk::wanting(&system, "run-2", true, PATIENCE);
    assert!(!hear_of_holder(&mut second).has_left);
    system.simulated().boot_time += Duration::from_secs(3);
    first.say(&ToAgent::Heartbeat);
    let holder = hear_hello(&mut second).unwrap();
    assert_eq!((holder.run.as_str(), holder.has_left), ("run-1", false));
    second.end().unwrap();
    first.end().unwrap();
}

#[test]
fn a_controller_that_goes_does_not_wait_any_more() {
    let system = TestSystem::new();
    let lock = held_by_a_run_that_died(&system);
    for goodbye in [true, false] {
        let mut talk = Talk::wanting(&system, "run-2", true, PATIENCE);
        hear_of_holder(&mut talk);
        if goodbye {
            talk.say(&ToAgent::Goodbye);
            assert_eq!(talk.hear(), None);
        }
        talk.end().unwrap();
    }
    drop(lock);
    let (third, locked_by) = Talk::hello(&system, "run-3", true);
    assert_eq!(locked_by, None);
    third.end().unwrap();
}
