//! Connections that end before their time, and those that only look like it.

use std::sync::Mutex;

use kubewright_core::wire::Pulse;

use super::*;

/// Less timeout than a real link needs.
fn hasty() -> Timing {
    let pulse = Pulse {
        every: Duration::from_millis(20),
        silence: Duration::from_secs(1),
    };
    Timing {
        pulse,
        ..Timing::default()
    }
}

#[tokio::test]
async fn open_calls_end_with_an_unknown_outcome_when_the_agent_goes() {
    let node = talk(|mut agent| async move {
        agent.request().await;
    })
    .await;
    let error = node.facts().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "node n1: gather facts: connection lost (the agent has gone); the result is unknown"
    );
    assert!(node.is_lost());
    let error = node.facts().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "node n1: gather facts: connection lost (the agent has gone); it was not started"
    );
}

#[tokio::test]
async fn a_link_that_died_without_a_word_is_noticed() {
    let node = talk_with(hasty(), |mut agent| async move {
        agent.request().await;
        std::future::pending::<()>().await;
    })
    .await;
    let error = node.facts().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "node n1: gather facts: connection lost (nothing heard for 1 s); the result is unknown"
    );
}

#[tokio::test]
async fn long_work_is_no_silence_while_the_agent_beats() {
    let node = talk_with(hasty(), |mut agent| async move {
        let (id, _) = agent.request().await;
        for _ in 0..15 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            agent.say(&FromAgent::Heartbeat).await;
        }
        agent.reply(id, Reply::Done {}).await;
        agent.hear().await;
    })
    .await;
    node.mark_bootstrapped().await.unwrap();
}

#[tokio::test]
async fn a_controller_with_nothing_to_say_beats() {
    let (beaten, beat) = tokio::sync::oneshot::channel();
    let beaten = Arc::new(Mutex::new(Some(beaten)));
    let _node = talk_with(hasty(), move |mut agent| {
        let beaten = beaten.clone();
        async move {
            for _ in 0..3 {
                match agent.frame().await.unwrap() {
                    Frame::Message(body) => {
                        assert_eq!(decode_message::<ToAgent>(&body).unwrap(), ToAgent::Heartbeat);
                    }
                    Frame::Data { stream, .. } => panic!("data of stream {stream}"),
                }
                agent.say(&FromAgent::Heartbeat).await;
            }
            beaten.lock().unwrap().take().unwrap().send(()).unwrap();
            agent.frame().await;
        }
    })
    .await;
    beat.await.unwrap();
}

#[tokio::test]
async fn an_agent_that_gave_this_side_up_is_asked_nothing_more() {
    let node = talk(|mut agent| async move {
        agent.request().await;
        agent.say(&FromAgent::GaveUp { silent_seconds: 15 }).await;
    })
    .await;
    let error = node.mark_bootstrapped().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "node n1: mark etcd as bootstrapped: connection timed out after 15 s without data; the result is unknown; another \
         run may have changed the node since"
    );
    let error = node.mark_bootstrapped().await.unwrap_err();
    assert!(error.to_string().contains("it was not started"), "{error}");
}

#[tokio::test]
async fn a_controller_that_slept_too_long_knows_it_before_it_speaks() {
    let uptime = Arc::new(Mutex::new(Duration::ZERO));
    let clock = uptime.clone();
    let timing = Timing {
        uptime: Arc::new(move || *clock.lock().unwrap()),
        ..Timing::default()
    };
    let transport = transport(|mut agent| async move {
        agent.greet().await;
        assert_eq!(agent.hear().await, None);
    });
    let node = Node::connect_with(&transport, &introduction(), LockWait::none(), timing)
        .await
        .unwrap();
    *uptime.lock().unwrap() = Duration::from_secs(60);
    let error = node.mark_bootstrapped().await.unwrap_err();
    assert!(
        matches!(&error, NodeCallError::Fenced { silent, .. } if silent.as_secs() == 60),
        "{error}"
    );
}

#[tokio::test]
async fn ends_the_connection_with_an_agent_that_breaks_the_protocol() {
    let answers: [&[u8]; 4] = [
        b"Last login: yesterday\n",
        &[1, 0xff, 0xff, 0xff, 0xff],
        &encode_message(&FromAgent::Reply {
            id: 99,
            reply: Ok(Reply::Done {}),
        })
        .unwrap(),
        &encode_data(9, b"data").unwrap(),
    ];
    for answer in answers {
        let answer = answer.to_vec();
        let node = talk(move |mut agent| {
            let answer = answer.clone();
            async move {
                agent.request().await;
                agent.output.write_all(&answer).await.unwrap();
                agent.hear().await;
            }
        })
        .await;
        let error = node.facts().await.unwrap_err().to_string();
        assert!(error.contains("does not keep to the protocol"), "{error}");
    }
}

#[test]
fn an_answer_that_is_late_tells_what_the_node_was_at_and_that_the_outcome_is_unknown() {
    let late = |last_seen: Option<&str>| NodeCallError::TimedOut {
        node: "n1".parse().unwrap(),
        doing: "converge".to_owned(),
        after: Duration::from_secs(1200),
        last_seen: last_seen.map(str::to_owned),
    };
    assert_eq!(
        late(Some("unit:kubelet.service")).to_string(),
        "node n1: converge: no answer within 1200 s; last reported: unit:kubelet.service; the result is unknown"
    );
    assert_eq!(
        late(None).to_string(),
        "node n1: converge: no answer within 1200 s; the result is unknown"
    );
}
