//! A controller that goes away, falls silent, or only has nothing to say.

use kubewright_core::resource::{Digest, NodeState, Stage};

use super::*;

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
    talk.inspect(&state);
    talk.converge(2, &state);
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
    talk.converge(2, &state);
    while !matches!(talk.hear(), Some(FromAgent::NeedBlob { .. })) {}
    // Nothing more is said, and no connection ends: the controller is stopped, or the network cut.
    let last = let_time_pass(&system, &mut talk);
    assert!(
        matches!(last, Some(FromAgent::GaveUp { silent_seconds: 15.. })),
        "{last:?}"
    );
    // The last word is said before the current change is finished.
    let mut second = Talk::wanting(&system, "run-2", true, Duration::from_secs(60));
    let mut answer = second.hear();
    while matches!(answer, Some(FromAgent::Waiting { .. })) {
        answer = second.hear();
    }
    assert!(
        matches!(answer, Some(FromAgent::Hello { locked_by: None, .. })),
        "{answer:?}"
    );
    second.end().unwrap();
    // It wakes and goes on as if nothing had happened.
    for sha256 in controller.blobs.keys().copied() {
        talk.say(&ToAgent::Blob { stream: 3, sha256 });
        talk.write(&encode_data(3, &controller.blobs[&sha256]).unwrap());
        talk.write(&encode_data(3, &[]).unwrap());
    }
    talk.converge(3, &state);
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
