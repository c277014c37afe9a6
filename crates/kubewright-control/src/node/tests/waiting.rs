//! Waiting for a lock whose holder's controller has gone.

use kubewright_core::errors::ErrorId;
use kubewright_core::resource::NodeState;
use tokio::sync::{Mutex, mpsc, watch};

use super::*;

/// Whose controller has gone, but whose agent has not.
fn left(doing: Option<&str>) -> LockHolder {
    LockHolder {
        heard_seconds_ago: Some(70),
        has_left: true,
        doing: doing.map(str::to_owned),
        ..LockHolder::new("bob@laptop", "run-0", 1_767_323_045)
    }
}

/// Notes for whom a node is waited.
fn lock_wait(pointless: &watch::Sender<bool>) -> (LockWait, mpsc::UnboundedReceiver<String>) {
    let (told, heard) = mpsc::unbounded_channel();
    let told = move |holder: &LockHolder| drop(told.send(waiting_for(holder)));
    (LockWait::new(Arc::new(told), pointless.subscribe()), heard)
}

#[tokio::test]
async fn a_lock_whose_controller_has_gone_is_waited_for_and_the_operator_is_told_for_what() {
    let (go_on, gone_on) = mpsc::unbounded_channel::<()>();
    let gone_on = Arc::new(Mutex::new(gone_on));
    let transport = transport(move |mut agent| {
        let gone_on = Arc::clone(&gone_on);
        async move {
            let Some(ToAgent::Hello { lock_timeout_ms, .. }) = agent.hear().await else {
                panic!()
            };
            assert_eq!(lock_timeout_ms, 60_000);
            for doing in [Some("kube-apiserver.service"), None] {
                agent.say(&FromAgent::Waiting { holder: left(doing) }).await;
                gone_on.lock().await.recv().await;
            }
            agent
                .say(&FromAgent::Hello {
                    protocol: PROTOCOL,
                    version: "1".to_owned(),
                    locked_by: None,
                })
                .await;
            agent.inspected().await;
            agent.hear().await;
        }
    });
    let (lock_wait, mut told) = lock_wait(&watch::Sender::new(false));
    let connecting =
        tokio::spawn(async move { Node::connect_waiting(&transport, &introduction(), lock_wait).await });
    for doing in ["kube-apiserver.service", "its last operation"] {
        let waiting = "waiting for run run-0, which has disconnected, to finish";
        assert_eq!(told.recv().await.unwrap(), format!("{waiting} {doing}"));
        go_on.send(()).unwrap();
    }
    let node = connecting.await.unwrap().unwrap();
    node.inspect(&NodeState::default(), false).await.unwrap();
}

#[tokio::test]
async fn a_lock_that_was_waited_for_in_vain_tells_what_was_last_seen_and_what_to_do() {
    let transport = transport(|mut agent| async move {
        agent.hear().await;
        let holder = left(Some("kube-apiserver.service"));
        agent
            .say(&FromAgent::Hello {
                protocol: PROTOCOL,
                version: "1".to_owned(),
                locked_by: Some(holder),
            })
            .await;
        agent.hear().await;
    });
    let (lock_wait, _told) = lock_wait(&watch::Sender::new(false));
    let error = Node::connect_waiting(&transport, &introduction(), lock_wait)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "node n1: locked by run run-0 of bob@laptop, which has disconnected and has not finished kube-apiserver.service \
         (waited 0 s; that run was last heard 70 s ago, its connection is closed)"
    );
    let own = crate::error::Error::from(error);
    assert_eq!(own.id, ErrorId::NodeLocked);
    assert_eq!(
        own.hint.unwrap(),
        "run the command again: it waits again; systemctl list-jobs on n1 shows what is slow there"
    );
}

#[tokio::test]
async fn nobody_waits_for_a_lock_when_another_node_belongs_to_a_run_that_is_alive() {
    let transport = transport(|mut agent| async move {
        agent.hear().await;
        let holder = left(None);
        agent.say(&FromAgent::Waiting { holder }).await;
        assert_eq!(agent.hear().await, Some(ToAgent::Goodbye));
    });
    let pointless = watch::Sender::new(false);
    let (lock_wait, mut told) = lock_wait(&pointless);
    let connecting =
        tokio::spawn(async move { Node::connect_waiting(&transport, &introduction(), lock_wait).await });
    told.recv().await.unwrap();
    pointless.send_replace(true);
    let error = connecting.await.unwrap().unwrap_err();
    assert!(matches!(error, NodeCallError::Locked { .. }), "{error}");
}
