//! Who may change the node, and what.

use kubewright_core::resource::NodeState;

use super::*;

#[test]
fn a_second_connection_is_told_who_holds_the_lock() {
    let system = TestSystem::new();
    let (first, _) = Talk::hello(&system, "run-1", true);
    let (mut second, locked_by) = Talk::hello(&system, "run-2", true);
    let holder = locked_by.unwrap();
    assert_eq!(
        (holder.operator.as_str(), holder.run.as_str()),
        ("ada@workstation", "run-1")
    );
    second.ask(
        1,
        Request::Inspect {
            state: NodeState::default(),
            verify: false,
        },
    );
    second.reply(1).0.unwrap();
    for (id, request) in [
        (
            2,
            Request::Converge {
                state: NodeState::default().digest(),
                resources: Vec::new(),
            },
        ),
        (3, Request::Reset {}),
        (4, Request::MarkBootstrapped {}),
    ] {
        second.ask(id, request);
        let error = second.reply(id).0.unwrap_err();
        assert_eq!(
            error.to_string(),
            "change the node: ada@workstation holds its lock, for run run-1"
        );
    }
    first.end().unwrap();
    second.end().unwrap();
    let (third, locked_by) = Talk::hello(&system, "run-3", true);
    assert_eq!(locked_by, None);
    third.end().unwrap();
}

#[test]
fn nothing_is_changed_without_the_lock() {
    let system = TestSystem::new();
    let (mut talk, _) = Talk::hello(&system, "run-1", false);
    talk.ask(1, Request::Reset {});
    let error = talk.reply(1).0.unwrap_err();
    assert_eq!(error.cause, "its lock was not asked for");
    let record = Request::RecordOperation {
        name: "run-1".to_owned(),
        begins: true,
        lines: "{}\n".to_owned(),
    };
    talk.ask(2, record);
    let error = talk.reply(2).0.unwrap_err();
    assert_eq!(error.cause, "its lock was not asked for");
    assert!(!system.has(crate::operations::DIRECTORY));
    talk.end().unwrap();
}

#[test]
fn only_units_of_ours_are_crashed() {
    let system = TestSystem::new();
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    talk.ask(
        1,
        Request::CrashUnit {
            unit: "ssh.service".to_owned(),
        },
    );
    let error = talk.reply(1).0.unwrap_err();
    assert_eq!(
        error.to_string(),
        "kill ssh.service: kubewright did not put it there"
    );
    talk.end().unwrap();
}
