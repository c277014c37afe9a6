//! Whole conversations over a socket pair, well-behaved and hostile.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use kubewright_core::component::etcd::BEGIN_PATH;
use kubewright_core::observed::{Change, Counters};
use kubewright_core::resource::{
    Access, AuthorityName, Binary, Blob, Certificate, Digest, File, NodeState, Resource, ResourceId,
    SharedSecret, Stage, Usage,
};
use kubewright_core::wire::frame::{encode_data, encode_message};
use kubewright_core::wire::{NodeCondition, SecretText};

use super::*;
use crate::testing::{TestController, TestSystem};

/// The controller's end of a conversation with an agent on a thread.
struct Talk {
    input: UnixStream,
    output: UnixStream,
    decoder: Decoder,
    agent: JoinHandle<Result<(), ServeError>>,
}

impl Talk {
    fn begin(system: &Arc<TestSystem>) -> Self {
        // One for each way: like a pipe, each is closed by whoever ends.
        let (input, agents_input) = UnixStream::pair().unwrap();
        let (output, agents_output) = UnixStream::pair().unwrap();
        let system = Arc::clone(system) as Arc<dyn System>;
        // Silence is measured by the simulated clock; this is only how often it is looked at.
        let pulse = Pulse {
            every: Duration::from_millis(5),
            ..Pulse::default()
        };
        let agent = std::thread::spawn(move || serve_with(&system, agents_input, agents_output, pulse));
        Self {
            input,
            output,
            decoder: Decoder::default(),
            agent,
        }
    }

    fn hello(system: &Arc<TestSystem>, run: &str, lock: bool) -> (Self, Option<LockHolder>) {
        let mut talk = Self::begin(system);
        talk.say(&ToAgent::Hello {
            protocol: PROTOCOL,
            run: run.to_owned(),
            cluster: "prod".to_owned(),
            operator: "ada@workstation".to_owned(),
            lock,
        });
        match talk.hear() {
            Some(FromAgent::Hello {
                protocol: PROTOCOL,
                locked_by,
                ..
            }) => (talk, locked_by),
            other => panic!("{other:?}"),
        }
    }

    fn say(&mut self, message: &ToAgent) {
        self.write(&encode_message(message).unwrap());
    }

    fn ask(&mut self, id: RequestId, request: Request) {
        self.say(&ToAgent::Request { id, request });
    }

    fn write(&mut self, bytes: &[u8]) {
        // An agent that has hung up is what some of these tests are about.
        let _ = self.input.write_all(bytes);
    }

    fn frame(&mut self) -> Option<Frame> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            match self.output.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.push(&buffer[..count]),
            }
        }
    }

    fn hear(&mut self) -> Option<FromAgent> {
        loop {
            match self.frame()? {
                Frame::Message(body) => match decode_message(&body).unwrap() {
                    FromAgent::Heartbeat => {}
                    message => return Some(message),
                },
                Frame::Data { .. } => panic!("data where a message was expected"),
            }
        }
    }

    /// The reply to a request, with everything said before it.
    fn reply(&mut self, wanted: RequestId) -> (Result<Reply, NodeError>, Vec<FromAgent>) {
        let mut before = Vec::new();
        loop {
            match self.hear().expect("the agent hung up") {
                FromAgent::Reply { id, reply } if id == wanted => return (reply, before),
                other => before.push(other),
            }
        }
    }

    fn end(self) -> Result<(), ServeError> {
        let _ = self.input.shutdown(Shutdown::Both);
        let _ = self.output.shutdown(Shutdown::Both);
        self.agent.join().unwrap()
    }
}

fn binary(blob: Blob) -> Resource {
    Resource::Binary(Binary {
        path: "/usr/local/bin/tool".to_owned(),
        name: "tool".to_owned(),
        version: "1".to_owned(),
        blob: Some(blob),
    })
}

fn state(controller: &mut TestController) -> NodeState {
    let mut state = NodeState::default();
    state
        .authorities
        .insert(AuthorityName::Etcd, controller.authority_pem.clone());
    let certificate = |name: &str| {
        Resource::Certificate(Certificate {
            name: name.to_owned(),
            authority: AuthorityName::Etcd,
            common_name: name.to_owned(),
            organizations: Vec::new(),
            dns_names: Vec::new(),
            addresses: Vec::new(),
            usages: vec![Usage::ClientAuth],
            lifetime_days: 365,
            renew_before_days: 122,
            certificate_path: format!("/etc/demo/{name}.crt"),
            key_path: format!("/etc/demo/{name}.key"),
            key_access: Access::root(0o600),
            superseded_by: None,
        })
    };
    state.extend(
        Stage::Etcd,
        [
            certificate("one"),
            certificate("two"),
            Resource::SharedSecret(SharedSecret {
                path: "/etc/demo/secret".to_owned(),
                access: Access::root(0o600),
                name: "demo".to_owned(),
                sha256: Some(Digest::of(b"canary")),
            }),
            binary(controller.offer(&vec![7; 600_000])),
        ],
    );
    state
}

fn ids(state: &NodeState) -> Vec<ResourceId> {
    state
        .resources
        .iter()
        .map(|staged| staged.resource.id())
        .collect()
}

/// Answers the agent's questions until the reply to a request comes.
fn serve_questions(
    talk: &mut Talk,
    controller: &TestController,
    wanted: RequestId,
) -> Result<Reply, NodeError> {
    loop {
        match talk.hear().expect("the agent hung up") {
            FromAgent::Reply { id, reply } if id == wanted => return reply,
            FromAgent::NeedSignature { resource, request } => talk.say(&ToAgent::Signed {
                resource,
                certificate: Ok(controller.sign(&request)),
            }),
            FromAgent::NeedSecret { name } => {
                let content = Some(SecretText(STANDARD.encode("canary")));
                talk.say(&ToAgent::Secret { name, content });
            }
            FromAgent::NeedBlob { sha256 } => {
                talk.say(&ToAgent::Blob { stream: 9, sha256 });
                let blob = controller.blobs[&sha256].clone();
                for part in blob.chunks(1000) {
                    talk.write(&encode_data(9, part).unwrap());
                }
                talk.write(&encode_data(9, &[]).unwrap());
            }
            FromAgent::Progress { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_node_converges_in_one_conversation_and_a_second_finds_nothing() {
    let system = TestSystem::new();
    let mut controller = TestController::new();
    let state = state(&mut controller);
    let (mut talk, locked_by) = Talk::hello(&system, "run-1", true);
    assert_eq!(locked_by, None);
    talk.ask(
        1,
        Request::Inspect {
            state: state.clone(),
            verify: false,
        },
    );
    let Ok(Reply::Inspected { differences, .. }) = talk.reply(1).0 else {
        panic!()
    };
    assert!(differences.iter().all(|found| found.change == Change::Missing));
    talk.ask(
        2,
        Request::Converge {
            resources: ids(&state),
        },
    );
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
    assert_eq!((facts.unfinished_run.as_deref(), facts.is_settled), (None, false));
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
    talk.ask(
        1,
        Request::Inspect {
            state: state.clone(),
            verify: false,
        },
    );
    talk.reply(1).0.unwrap();
    talk.ask(
        2,
        Request::Converge {
            resources: ids(&state),
        },
    );
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
fn a_second_conversation_is_told_who_holds_the_lock() {
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
                resources: Vec::new(),
            },
        ),
        (3, Request::Reset {}),
        (4, Request::Settle {}),
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
            resources: ids(&state),
        },
    );
    for (id, request) in [(1, inspect), (2, converge)] {
        talk.ask(id, request);
        talk.reply(id).0.unwrap();
    }
    assert!(system.has(BEGIN_PATH));
    talk.ask(3, Request::Settle {});
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
fn settling_is_remembered() {
    let system = TestSystem::new();
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    talk.ask(1, Request::Settle {});
    assert_eq!(talk.reply(1).0, Ok(Reply::Done {}));
    talk.ask(2, Request::Facts {});
    let Ok(Reply::Facts { facts }) = talk.reply(2).0 else {
        panic!()
    };
    assert!(facts.is_settled);
    talk.end().unwrap();
}

#[test]
fn a_controller_that_goes_away_in_the_middle_of_a_blob_leaves_the_old_file() {
    let system = TestSystem::new();
    system.put("/usr/local/bin/tool", "old");
    let mut controller = TestController::new();
    let mut state = NodeState::default();
    let noise: Vec<u8> = (0..400_000_u32)
        .flat_map(|number| Digest::of(&number.to_be_bytes()).to_string().into_bytes())
        .collect();
    let blob = controller.offer(&noise);
    state.extend(Stage::Node, [binary(blob)]);
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    talk.ask(
        1,
        Request::Inspect {
            state: state.clone(),
            verify: false,
        },
    );
    talk.ask(
        2,
        Request::Converge {
            resources: ids(&state),
        },
    );
    loop {
        if let Some(FromAgent::NeedBlob { sha256 }) = talk.hear() {
            talk.say(&ToAgent::Blob { stream: 3, sha256 });
            let part = &controller.blobs[&sha256][..100_000];
            talk.write(&encode_data(3, part).unwrap());
            break;
        }
    }
    talk.end().unwrap();
    assert_eq!(system.get("/usr/local/bin/tool"), "old");
    assert!(!system.has("/usr/local/bin/.tool.kubewright-new"));
    let (mut talk, locked_by) = Talk::hello(&system, "run-2", true);
    assert_eq!(locked_by, None);
    talk.ask(1, Request::Facts {});
    let Ok(Reply::Facts { facts }) = talk.reply(1).0 else {
        panic!()
    };
    assert_eq!(facts.unfinished_run.as_deref(), Some("run-1"));
    talk.end().unwrap();
}

/// Lets time pass on the node, again and again, until the agent has said its last word.
fn let_time_pass(system: &Arc<TestSystem>, talk: &mut Talk) -> Option<FromAgent> {
    let (over, passing) = (Arc::new(AtomicUsize::new(0)), Arc::clone(system));
    let is_over = Arc::clone(&over);
    let clock = std::thread::spawn(move || {
        while is_over.load(Ordering::SeqCst) == 0 {
            passing.simulated().boot_time += Duration::from_secs(1);
            std::thread::yield_now();
        }
    });
    let mut last = None;
    while let Some(message) = talk.hear() {
        last = Some(message);
    }
    over.store(1, Ordering::SeqCst);
    clock.join().unwrap();
    last
}

#[test]
fn a_controller_that_falls_silent_loses_the_lock_and_changes_nothing_any_more() {
    let system = TestSystem::new();
    system.put("/usr/local/bin/tool", "old");
    let mut controller = TestController::new();
    let mut state = NodeState::default();
    let blob = controller.offer(b"new");
    state.extend(Stage::Node, [binary(blob)]);
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    let verify = false;
    let looked = state.clone();
    talk.ask(
        1,
        Request::Inspect {
            state: looked,
            verify,
        },
    );
    talk.ask(
        2,
        Request::Converge {
            resources: ids(&state),
        },
    );
    while !matches!(talk.hear(), Some(FromAgent::NeedBlob { .. })) {}
    // Nothing more is said, and no connection ends: the controller is stopped, or the network cut.
    let last = let_time_pass(&system, &mut talk);
    assert!(
        matches!(last, Some(FromAgent::GaveUp { silent_seconds: 15.. })),
        "{last:?}"
    );
    let (second, locked_by) = Talk::hello(&system, "run-2", true);
    assert_eq!(locked_by, None);
    second.end().unwrap();
    // It wakes and goes on as if nothing had happened.
    for sha256 in controller.blobs.keys().copied() {
        talk.say(&ToAgent::Blob { stream: 3, sha256 });
        talk.write(&encode_data(3, &controller.blobs[&sha256]).unwrap());
        talk.write(&encode_data(3, &[]).unwrap());
    }
    talk.ask(
        3,
        Request::Converge {
            resources: ids(&state),
        },
    );
    assert_eq!(talk.hear(), None);
    talk.end().unwrap();
    assert_eq!(system.get("/usr/local/bin/tool"), "old");
}

#[test]
fn a_heartbeat_is_enough_to_be_there() {
    let system = TestSystem::new();
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    for id in 1..5 {
        system.simulated().boot_time += Duration::from_secs(14);
        talk.say(&ToAgent::Heartbeat);
        talk.ask(
            id,
            Request::Probe {
                targets: Vec::new(),
                timeout_ms: 1,
            },
        );
        talk.reply(id).0.unwrap();
    }
    talk.end().unwrap();
}

#[test]
fn secrets_are_read_from_regular_files_only() {
    let system = TestSystem::new();
    system.put("/etc/kubernetes/pki/ca.key", "canary");
    std::os::unix::fs::symlink("ca.key", system.path("/etc/kubernetes/pki/link.key")).unwrap();
    let (mut talk, _) = Talk::hello(&system, "run-1", false);
    let path = |name: &str| (name.to_owned(), format!("/etc/kubernetes/pki/{name}.key"));
    talk.ask(
        1,
        Request::ReadSecrets {
            paths: BTreeMap::from([path("ca"), path("missing")]),
        },
    );
    let (reply, said) = talk.reply(1);
    assert_eq!(reply, Ok(Reply::Done {}));
    let secret = FromAgent::Secret {
        name: "ca".to_owned(),
        content: SecretText(STANDARD.encode("canary")),
    };
    assert_eq!(said, [secret]);
    assert!(!format!("{said:?}").contains("canary"));
    talk.ask(
        2,
        Request::ReadSecrets {
            paths: BTreeMap::from([path("link")]),
        },
    );
    let (reply, said) = talk.reply(2);
    assert_eq!(
        (reply.unwrap_err().cause.as_str(), said),
        ("it is not a regular file of root's", Vec::new())
    );
    talk.end().unwrap();
}

#[test]
fn a_tunnel_carries_bytes_both_ways() {
    let system = TestSystem::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).unwrap();
        heard.reverse();
        socket.write_all(&heard).unwrap();
    });
    let (mut talk, _) = Talk::hello(&system, "run-1", false);
    talk.say(&ToAgent::OpenTunnel { stream: 5, address });
    assert_eq!(
        talk.hear(),
        Some(FromAgent::Tunnel {
            stream: 5,
            error: None
        })
    );
    talk.write(&encode_data(5, b"abc").unwrap());
    talk.write(&encode_data(5, b"").unwrap());
    let mut heard = Vec::new();
    while let Some(Frame::Data { stream: 5, bytes }) = talk.frame() {
        if bytes.is_empty() {
            break;
        }
        heard.extend(bytes);
    }
    assert_eq!(heard, b"cba");
    server.join().unwrap();
    talk.end().unwrap();
}

#[test]
fn a_tunnel_to_nowhere_says_why() {
    let system = TestSystem::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let (mut talk, _) = Talk::hello(&system, "run-1", false);
    talk.say(&ToAgent::OpenTunnel { stream: 5, address });
    let Some(FromAgent::Tunnel {
        stream: 5,
        error: Some(error),
    }) = talk.hear()
    else {
        panic!()
    };
    assert_eq!(error, "connection refused");
    talk.end().unwrap();
}

#[test]
fn waiting_does_not_hold_up_other_requests() {
    let system = TestSystem::new();
    let (mut talk, _) = Talk::hello(&system, "run-1", false);
    let condition = NodeCondition::UnitActive {
        unit: "never.service".to_owned(),
    };
    talk.ask(
        1,
        Request::Wait {
            condition,
            timeout_ms: 3_600_000,
        },
    );
    talk.ask(
        2,
        Request::UnitLog {
            unit: "demo.service".to_owned(),
            lines: 2,
        },
    );
    let (reply, _) = talk.reply(2);
    assert!(matches!(reply, Ok(Reply::Log { lines }) if lines.len() == 2));
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

#[test]
fn another_protocol_is_answered_with_ours() {
    let system = TestSystem::new();
    let mut talk = Talk::begin(&system);
    talk.write(
        &encode_message(&serde_json::json!({
            "type": "hello", "protocol": 999, "run": "r", "cluster": "c", "operator": "o", "lock": true
        }))
        .unwrap(),
    );
    assert!(matches!(
        talk.hear(),
        Some(FromAgent::Hello {
            protocol: PROTOCOL,
            ..
        })
    ));
    assert!(talk.hear().is_none());
    talk.end().unwrap();
}

#[test]
fn words_out_of_turn_and_broken_frames_end_the_conversation() {
    let message = |value: serde_json::Value| encode_message(&value).unwrap();
    let hello = message(serde_json::json!({
        "type": "hello", "protocol": PROTOCOL, "run": "r", "cluster": "c", "operator": "o", "lock": false
    }));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut deep_frame = vec![1];
    deep_frame.extend((deep.len() as u32).to_be_bytes());
    deep_frame.extend(deep.as_bytes());
    let signed =
        message(serde_json::json!({"type": "signed", "resource": "x:y", "certificate": {"Ok": "z"}}));
    let hostile: Vec<Vec<u8>> = vec![
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        vec![1, 0xff, 0xff, 0xff, 0xff],
        vec![2, 0, 0, 0, 1, 0],
        encode_data(1, b"before hello").unwrap(),
        message(serde_json::json!({"type": "request", "id": 1, "request": {"type": "facts"}})),
        [hello.clone(), hello.clone()].concat(),
        [hello.clone(), message(serde_json::json!({"type": "nonsense"}))].concat(),
        [hello.clone(), deep_frame].concat(),
        [hello.clone(), signed.repeat(ANSWERS + 1)].concat(),
    ];
    for bytes in hostile {
        let system = TestSystem::new();
        let mut talk = Talk::begin(&system);
        talk.write(&bytes);
        while talk.frame().is_some() {}
        talk.end().unwrap_err();
    }
}

#[test]
fn bytes_of_streams_nobody_knows_are_dropped() {
    let system = TestSystem::new();
    let (mut talk, _) = Talk::hello(&system, "run-1", false);
    for stream in 0..100 {
        talk.write(&encode_data(stream, &[0; 10_000]).unwrap());
    }
    talk.ask(1, Request::Facts {});
    talk.reply(1).0.unwrap();
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
    talk.ask(
        1,
        Request::Inspect {
            state: state.clone(),
            verify: false,
        },
    );
    talk.reply(1).0.unwrap();
    talk.ask(
        2,
        Request::Converge {
            resources: ids(&state),
        },
    );
    serve_questions(&mut talk, &controller, 2).unwrap();
    talk.end().unwrap();
}

#[test]
fn a_certificate_that_is_refused_is_asked_for_again_by_the_next_try() {
    let system = TestSystem::new();
    let mut controller = TestController::new();
    let state = state(&mut controller);
    let (mut talk, _) = Talk::hello(&system, "run-1", true);
    talk.ask(
        1,
        Request::Inspect {
            state: state.clone(),
            verify: false,
        },
    );
    talk.reply(1).0.unwrap();
    talk.ask(
        2,
        Request::Converge {
            resources: ids(&state),
        },
    );
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
    talk.ask(
        3,
        Request::Converge {
            resources: ids(&state),
        },
    );
    talk.say(&late[1]);
    serve_questions(&mut talk, &controller, 3).unwrap();
    talk.end().unwrap();
}
