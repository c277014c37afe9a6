//! A controller that does not keep to the protocol.

use super::*;

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
fn words_out_of_turn_and_broken_frames_end_the_connection() {
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
