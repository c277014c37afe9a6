//! What is asked of a node without changing it, and connections carried to its ports.

use std::collections::BTreeMap;
use std::net::TcpListener;

use kubewright_core::wire::{NodeCondition, SecretText};

use super::*;

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
    talk.ask(2, Request::ReadOperations { run: None });
    let (reply, _) = talk.reply(2);
    assert!(matches!(reply, Ok(Reply::Operations { operations }) if operations.is_empty()));
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
    loop {
        match talk.frame() {
            Some(Frame::Data { stream: 5, bytes }) if bytes.is_empty() => break,
            Some(Frame::Data { stream: 5, bytes }) => heard.extend(bytes),
            // A slow computer hears heartbeats in between.
            Some(_) => {}
            None => panic!("the agent ended"),
        }
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
