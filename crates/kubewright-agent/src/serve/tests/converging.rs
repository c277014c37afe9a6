//! What a node is made into, and the questions it asks meanwhile: content, signatures, secrets.

use std::collections::BTreeMap;

use kubewright_core::component::etcd::BEGIN_PATH;
use kubewright_core::observed::{Change, Counters, Founders};
use kubewright_core::resource::{Access, Digest, File, NodeState, Resource, ResourceId, Stage};
use kubewright_core::wire::SecretText;

use super::*;

#[test]
fn a_node_converges_in_one_connection_and_a_second_finds_nothing() {
    let system = TestSystem::new();
    let mut controller = TestController::new();
    let state = state(&mut controller);
    let (mut talk, locked_by) = Talk::hello(&system, "run-1", true);
    assert_eq!(locked_by, None);
    talk.inspect(&state);
    let Ok(Reply::Inspected { differences, .. }) = talk.reply(1).0 else {
        panic!()
    };
    assert!(differences.iter().all(|found| found.change == Change::Missing));
    talk.converge(2, &state);
    let reply = serve_questions(&mut talk, &controller, 2).unwrap();
    let Reply::Converged { changed, counters } = reply else {
        panic!()
    };
    assert_eq!(changed, ids(&state));
    assert!(counters.blob_bytes > 0 && counters.changed == 4);
    talk.say(&ToAgent::Goodbye);
    assert!(talk.hear().is_none());
    talk.end().unwrap();
    assert_eq!(system.get("/etc/demo/secret"), "canary");

    let before = system.snapshot();
    let (mut talk, _) = Talk::hello(&system, "run-2", false);
    // Pipelined: nothing of this waits for an answer.
    talk.ask(1, Request::Facts {});
    talk.ask(2, Request::Inspect { state, verify: false });
    talk.say(&ToAgent::OpenTunnel {
        stream: 1,
        address: "nonsense".to_owned(),
    });
    let mut answers = BTreeMap::new();
    while answers.len() < 2 {
        if let Some(FromAgent::Reply { id, reply }) = talk.hear() {
            answers.insert(id, reply.unwrap());
        }
    }
    let Reply::Facts { facts } = &answers[&1] else {
        panic!()
    };
    assert_eq!(
        (facts.unfinished_run.as_deref(), facts.is_bootstrapped),
        (None, false)
    );
    let nothing = Reply::Inspected {
        differences: Vec::new(),
        counters: Counters::default(),
    };
    assert_eq!(answers[&2], nothing);
    talk.end().unwrap();
    assert_eq!(system.snapshot(), before);
}

#[test]
fn certificates_of_a_batch_are_asked_for_before_the_first_answer() {
    let system = TestSystem::new();
    let mut controller = TestController::new();
    let state = state(&mut controller);
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    talk.inspect(&state);
    talk.reply(1).0.unwrap();
    talk.converge(2, &state);
    let asked: Vec<_> = (0..2).map(|_| talk.hear().unwrap()).collect();
    assert!(
        asked
            .iter()
            .all(|said| matches!(said, FromAgent::NeedSignature { .. })),
        "{asked:?}"
    );
    talk.end().unwrap();
}

#[test]
fn a_certificate_that_is_refused_is_asked_for_again_by_the_next_try() {
    let system = TestSystem::new();
    let mut controller = TestController::new();
    let state = state(&mut controller);
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    talk.inspect(&state);
    talk.reply(1).0.unwrap();
    talk.converge(2, &state);
    let mut late = Vec::new();
    while late.len() < 2 {
        if let Some(FromAgent::NeedSignature { resource, request }) = talk.hear() {
            let certificate = Ok(controller.sign(&request));
            late.push(ToAgent::Signed {
                resource,
                certificate,
            });
        }
    }
    let ToAgent::Signed { resource, .. } = late[0].clone() else {
        panic!()
    };
    let certificate = Err("the clock is off".to_owned());
    talk.say(&ToAgent::Signed {
        resource,
        certificate,
    });
    let (reply, _) = talk.reply(2);
    assert_eq!(reply.unwrap_err().cause, "the clock is off");
    assert!(!system.has("/etc/demo/one.crt"));
    // The other answer of the batch that failed comes late, and is not taken for the answer of the next.
    talk.converge(3, &state);
    talk.say(&late[1]);
    serve_questions(&mut talk, &controller, 3).unwrap();
    talk.end().unwrap();
}

#[test]
fn an_answer_nobody_asked_for_is_no_answer_to_the_next_question() {
    let system = TestSystem::new();
    let mut controller = TestController::new();
    let state = state(&mut controller);
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    let stray = ResourceId::new("certificate", "/etc/demo/one.crt");
    talk.say(&ToAgent::Signed {
        resource: stray,
        certificate: Ok("stray".to_owned()),
    });
    talk.say(&ToAgent::Blob {
        stream: 77,
        sha256: Digest::of(b"stray"),
    });
    talk.say(&ToAgent::Secret {
        name: "demo".to_owned(),
        content: Some(SecretText("%%%".to_owned())),
    });
    talk.inspect(&state);
    talk.reply(1).0.unwrap();
    talk.converge(2, &state);
    serve_questions(&mut talk, &controller, 2).unwrap();
    talk.end().unwrap();
}

/// A run that takes up an interrupted bootstrap gives the permission to members that have begun already.
#[test]
fn settling_takes_back_the_permission_to_begin_without_data() {
    let system = TestSystem::new();
    let mut state = NodeState::default();
    let permission = File {
        path: BEGIN_PATH.to_owned(),
        access: Access::root(0o644),
        content: "ETCD_INITIAL_CLUSTER_STATE=new\n".to_owned(),
    };
    state.extend(Stage::Etcd, [Resource::File(permission)]);
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    let (inspect, converge) = (
        Request::Inspect {
            state: state.clone(),
            verify: false,
        },
        Request::Converge {
            state: state.digest(),
            resources: ids(&state),
        },
    );
    for (id, request) in [(1, inspect), (2, converge)] {
        talk.ask(id, request);
        talk.reply(id).0.unwrap();
    }
    assert!(system.has(BEGIN_PATH));
    talk.ask(3, Request::MarkBootstrapped {});
    assert_eq!(talk.reply(3).0, Ok(Reply::Done {}));
    assert!(!system.has(BEGIN_PATH));
    talk.end().unwrap();
    let (mut talk, _) = Talk::hello(&system, "run-2", true);
    let state = NodeState::default();
    talk.ask(1, Request::Inspect { state, verify: false });
    let Ok(Reply::Inspected { differences, .. }) = talk.reply(1).0 else {
        panic!()
    };
    assert_eq!(differences, []);
    talk.end().unwrap();
}

#[test]
fn a_state_that_was_not_shown_is_not_made_so() {
    let system = TestSystem::new();
    let file = |content: &str| {
        let mut state = NodeState::default();
        let file = File {
            path: "/etc/kubernetes/one".to_owned(),
            access: Access::root(0o644),
            content: content.to_owned(),
        };
        state.extend(Stage::Host, [Resource::File(file)]);
        state
    };
    let (shown, also_shown, other) = (file("shown"), file("shown as well"), file("other"));
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    for (id, state) in [(1, &shown), (1, &also_shown)] {
        talk.inspect(state);
        talk.reply(id).0.unwrap();
    }
    talk.converge(2, &other);
    let error = talk.reply(2).0.unwrap_err().to_string();
    let digest = other.digest().short();
    assert_eq!(
        error,
        format!("change the node: state {digest} was not inspected in this connection")
    );
    assert!(!system.has("/etc/kubernetes/one"));
    talk.converge(3, &shown);
    talk.reply(3).0.unwrap();
    assert_eq!(system.get("/etc/kubernetes/one"), "shown");
    talk.end().unwrap();
    // What another connection was shown does not count.
    let (mut talk, _) = Talk::hello(&system, "run-2", true);
    talk.converge(1, &also_shown);
    talk.reply(1).0.unwrap_err();
    assert_eq!(system.get("/etc/kubernetes/one"), "shown");
    talk.end().unwrap();
}

#[test]
fn founders_are_kept_and_others_are_refused() {
    let system = TestSystem::new();
    let founders = |names: &[&str]| {
        let url = |name: &str| format!("https://{name}.invalid:2380");
        Founders(names.iter().map(|name| ((*name).to_owned(), url(name))).collect())
    };
    let three = founders(&["cp-1", "cp-2", "cp-3"]);
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    for (id, founders) in [(1, &three), (2, &three)] {
        let founders = founders.clone();
        talk.ask(id, Request::RecordFounders { founders });
        assert_eq!(talk.reply(id).0, Ok(Reply::Done {}));
    }
    let founders = founders(&["cp-1"]);
    talk.ask(3, Request::RecordFounders { founders });
    let error = talk.reply(3).0.unwrap_err().to_string();
    assert!(
        error.starts_with("record the founders of etcd: the node keeps others: cp-1 ("),
        "{error}"
    );
    talk.ask(4, Request::Facts {});
    let Ok(Reply::Facts { facts }) = talk.reply(4).0 else {
        panic!()
    };
    assert_eq!(facts.founders, Some(three));
    talk.end().unwrap();
}

#[test]
fn settling_is_remembered() {
    let system = TestSystem::new();
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    talk.ask(1, Request::MarkBootstrapped {});
    assert_eq!(talk.reply(1).0, Ok(Reply::Done {}));
    talk.ask(2, Request::Facts {});
    let Ok(Reply::Facts { facts }) = talk.reply(2).0 else {
        panic!()
    };
    assert!(facts.is_bootstrapped);
    talk.end().unwrap();
}
