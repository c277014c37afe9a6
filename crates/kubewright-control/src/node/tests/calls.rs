//! Questions, and what comes back.

use std::collections::BTreeMap;

use kubewright_core::errors::ErrorId;
use kubewright_core::observed::{Counters, Facts};
use kubewright_core::resource::NodeState;
use kubewright_core::wire::{LockHolder, NodeError, SecretText};

use super::*;

#[tokio::test]
async fn gives_each_question_its_own_answer() {
    let node = talk(|mut agent| async move {
        let (first, _) = agent.request().await;
        let (second, request) = agent.request().await;
        assert!(matches!(request, Request::ReadOperations { .. }));
        let operations = Vec::new();
        agent.reply(second, Reply::Operations { operations }).await;
        let facts = Box::new(Facts {
            hostname: "n1".to_owned(),
            ..Facts::default()
        });
        agent.reply(first, Reply::Facts { facts }).await;
        agent.hear().await;
    })
    .await;
    let (facts, log) = tokio::join!(node.facts(), node.read_operations(None));
    assert_eq!(facts.unwrap().hostname, "n1");
    assert_eq!(log.unwrap(), []);
    node.goodbye().await;
}

#[tokio::test]
async fn remembers_what_the_agent_last_said_of_its_work() {
    let node = talk(|mut agent| async move {
        agent.inspected().await;
        let (id, _) = agent.request().await;
        let counters = Counters {
            files_written: 3,
            ..Counters::default()
        };
        let changed = Vec::new();
        agent.reply(id, Reply::Converged { changed, counters }).await;
        agent.hear().await;
    })
    .await;
    node.inspect(&NodeState::default(), false).await.unwrap();
    assert_eq!(node.counters(), Counters::default());
    node.reset(quiet()).await.unwrap();
    assert_eq!(node.counters().files_written, 3);
    node.goodbye().await;
}

#[tokio::test]
async fn tells_who_holds_the_lock() {
    let transport = transport(|mut agent| async move {
        agent.hear().await;
        agent
            .say(&FromAgent::Hello {
                protocol: PROTOCOL,
                version: "1".to_owned(),
                locked_by: Some(LockHolder {
                    heard_seconds_ago: Some(2),
                    ..LockHolder::new("bob@laptop", "run-0", 1_767_323_045)
                }),
            })
            .await;
        assert_eq!(agent.hear().await, Some(ToAgent::Goodbye));
    });
    let error = Node::connect(&transport, &introduction()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "node n1: locked by run run-0 of bob@laptop since 2026-01-02T03:04:05Z (that run was last heard 2 s ago)"
    );
    let reader = Introduction {
        lock: false,
        ..introduction()
    };
    assert!(Node::connect(&transport, &reader).await.is_ok());
}

#[tokio::test]
async fn shows_what_went_wrong_on_the_node() {
    let node = talk(|mut agent| async move {
        let (id, _) = agent.request().await;
        let error = NodeError {
            id: ErrorId::NodeFailed,
            doing: "write /etc/x".to_owned(),
            cause: "no space left on device".to_owned(),
            resource: None,
            command: None,
            unit: None,
            log: Vec::new(),
            hint: Some("free some space".to_owned()),
        };
        agent
            .say(&FromAgent::Reply {
                id,
                reply: Err(error),
            })
            .await;
        agent.hear().await;
    })
    .await;
    let error = node.mark_bootstrapped().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "node n1: write /etc/x: no space left on device"
    );
    assert_eq!(error.hint().unwrap(), "free some space");
}

#[tokio::test]
async fn collects_the_secrets_a_control_plane_hands_over() {
    let node = talk(|mut agent| async move {
        let (id, _) = agent.request().await;
        let content = SecretText("aGVsbG8=".to_owned());
        let name = "kubernetes-ca-key".to_owned();
        agent.say(&FromAgent::Secret { name, content }).await;
        agent.reply(id, Reply::Done {}).await;
        agent.hear().await;
    })
    .await;
    let paths = BTreeMap::from([("kubernetes-ca-key".to_owned(), "/pki/ca.key".to_owned())]);
    let secrets = node.read_secrets(paths).await.unwrap();
    assert_eq!(secrets["kubernetes-ca-key"].expose(), b"hello");
}
