//! A node that neither finishes nor falls silent holds no run and fills no log.

use std::sync::atomic::{AtomicUsize, Ordering};

use kubewright_core::resource::{NodeState, ResourceId};

use super::*;
use crate::authority::Authorities;
use crate::node::BlobOpening;
use crate::pace::Measure;

struct NoContent;

impl Blobs for NoContent {
    fn open_zstd(&self, _: kubewright_core::resource::Digest) -> BlobOpening<'_> {
        Box::pin(std::future::pending())
    }
}

fn services() -> Services {
    Services {
        authorities: Arc::new(Authorities::generate(std::time::SystemTime::now()).unwrap()),
        blobs: Arc::new(NoContent),
    }
}

/// Converges `count` resources with an agent that says `message` again and again, `every` so often.
async fn converge(
    timing: Timing,
    count: usize,
    message: FromAgent,
    every: Duration,
) -> (NodeCallError, usize) {
    let node = talk_with(timing, move |mut agent| {
        let message = message.clone();
        async move {
            agent.inspected().await;
            agent.request().await;
            let mut beat = tokio::time::interval(Duration::from_secs(3));
            let mut word = tokio::time::interval(every);
            loop {
                let said = tokio::select! {
                    _ = word.tick() => message.clone(),
                    _ = beat.tick() => FromAgent::Heartbeat,
                };
                if agent
                    .output
                    .write_all(&encode_message(&said).unwrap())
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }
    })
    .await;
    node.inspect(&NodeState::default(), false).await.unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let progress: Progress = {
        let told = told.clone();
        Arc::new(move |_, _| {
            told.fetch_add(1, Ordering::SeqCst);
        })
    };
    let resources = (0..count).map(|number| ResourceId::new("file", &number.to_string()));
    let error = node
        .converge(&NodeState::default(), resources.collect(), &services(), progress)
        .await
        .unwrap_err();
    (error, told.load(Ordering::SeqCst))
}

fn progress(what: &str) -> FromAgent {
    FromAgent::Progress {
        resource: ResourceId::new("file", what),
        done: true,
    }
}

#[tokio::test]
async fn work_that_always_goes_on_ends() {
    let timing = Timing {
        longest_work: Duration::from_secs(1),
        ..Timing::default()
    };
    let (error, told) = converge(timing, 1000, progress("/etc/x"), Duration::from_millis(20)).await;
    assert_eq!(
        error.to_string(),
        "node n1: converge: no answer within 1 s; last reported: file:/etc/x; the result is unknown"
    );
    assert!(told > 1, "{told}");
}

#[tokio::test]
async fn more_messages_than_the_work_can_need_end_the_connection() {
    let name = "kubernetes-ca-key".to_owned();
    for message in [progress("/etc/x"), FromAgent::NeedSecret { name }] {
        let (error, told) = converge(Timing::default(), 3, message, Duration::from_millis(1)).await;
        let error = error.to_string();
        assert!(error.contains("it says more than its work can need"), "{error}");
        assert!(told <= 64 + 3 * 8, "{told}");
    }
}

#[tokio::test]
async fn a_name_no_resource_can_have_is_told_nobody() {
    let (error, told) = converge(
        Timing::default(),
        3,
        progress(&"x".repeat(1 << 20)),
        Duration::from_millis(1),
    )
    .await;
    let error = error.to_string();
    assert!(
        error.contains("it names a resource with 1048581 bytes"),
        "{error}"
    );
    assert_eq!(told, 0);
}

#[tokio::test]
async fn an_agent_that_waits_for_a_lock_says_so_a_bounded_number_of_times() {
    let transport = transport(|mut agent| async move {
        agent.hear().await;
        let holder = LockHolder::new("bob@laptop", "run-0", 1_767_323_045);
        let waiting = encode_message(&FromAgent::Waiting { holder }).unwrap();
        while agent.output.write_all(&waiting).await.is_ok() {}
    });
    let lock_wait = LockWait::new(Arc::new(|_| {}), tokio::sync::watch::channel(false).1);
    let waited = Node::connect_waiting(&transport, &introduction(), lock_wait).await;
    let error = waited.unwrap_err().to_string();
    assert!(error.contains("again and again"), "{error}");
}

/// Marks a node as bootstrapped that is at work all the while, as long as `works` says, and may take so long for an
/// answer; what comes of it.
async fn mark_beside_work(works: Duration, quick: Duration) -> Result<(), NodeCallError> {
    let timing = Timing {
        quick: Some(quick),
        ..Timing::default()
    };
    let node = talk_with(timing, move |mut agent| async move {
        agent.inspected().await;
        let (work, _) = agent.request().await;
        let (mark, request) = agent.request().await;
        assert!(matches!(request, Request::MarkBootstrapped {}));
        // One worker does one thing after the other; of the import of an image it says nothing.
        tokio::time::sleep(works).await;
        let (changed, counters) = (Vec::new(), Counters::default());
        agent.reply(work, Reply::Converged { changed, counters }).await;
        tokio::time::sleep(quick / 4).await;
        agent.reply(mark, Reply::Done {}).await;
        agent.hear().await;
    })
    .await;
    node.inspect(&NodeState::default(), false).await.unwrap();
    let (state, services) = (NodeState::default(), services());
    let working = node.converge(&state, Vec::new(), &services, quiet());
    let (worked, marked) = tokio::join!(working, node.mark_bootstrapped());
    worked.unwrap();
    marked
}

#[tokio::test]
async fn a_node_at_work_is_not_given_up_for_a_question_beside_it() {
    let quick = Duration::from_millis(200);
    mark_beside_work(4 * quick, quick).await.unwrap();
}

#[tokio::test]
async fn a_node_without_work_has_the_usual_time_or_what_its_pace_earns() {
    let ask = |slow: Duration| async move {
        let timing = Timing {
            quick: Some(Duration::from_millis(100)),
            ..Timing::default()
        };
        let node = talk_with(timing, |mut agent| async move {
            let (id, _) = agent.request().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            agent.reply(id, Reply::Done {}).await;
            agent.hear().await;
        })
        .await;
        node.pace().note(Measure::ApiServerStart, slow);
        node.mark_bootstrapped().await
    };
    let error = ask(Duration::from_secs(3)).await.unwrap_err();
    assert!(matches!(error, NodeCallError::TimedOut { .. }), "{error}");
    ask(Duration::from_secs(200)).await.unwrap();
}
