//! Takes control planes into etcd: as learners first, as voters when they have all data.
//!
//! Whatever is asked for may have been done already, by a run that was interrupted or by a request whose answer was lost: the
//! list of members is read before each request, and says what is left to do. A learner that does not catch up in time is
//! taken back: it never voted, so the quorum is what it was.

use std::time::Duration;

use kubewright_core::errors::ErrorId;
use kubewright_core::observed::EtcdMember;
use tokio::time::{Instant, sleep};

use crate::error::Error;
use crate::etcd::{EtcdConnection, EtcdConnections};

/// How often a learner is asked for: etcd answers at once whether it has caught up.
pub(super) const PERIOD: Duration = Duration::from_millis(500);
/// How long members may be without a leader, or unhealthy in etcd's own eyes, before taking one in is given up. etcd takes
/// nobody in within five seconds of a member's reconnection (its `health interval`).
const PATIENCE: Duration = Duration::from_secs(30);

/// A control plane that joins.
#[derive(Clone, Copy)]
pub(super) struct Joining<'a> {
    /// Its node.
    pub(super) node: &'a str,
    /// Where the members reach its own.
    pub(super) peer_url: &'a str,
    /// Whose members may be asked.
    pub(super) through: &'a [String],
    /// How often they are asked: [`PERIOD`].
    pub(super) period: Duration,
}

/// Has the members take it in as a learner; gives how many things that changed.
pub(super) async fn add(connections: &dyn EtcdConnections, joining: Joining<'_>) -> Result<usize, Error> {
    let begun = Instant::now();
    loop {
        let refused = match listed(connections, joining).await {
            Ok((_, Some(_))) => return Ok(0),
            Ok((way, None)) => match way.add_learner(joining.peer_url).await {
                Ok(()) => return Ok(1),
                Err(refused) => refused,
            },
            Err(silent) => silent,
        };
        if begun.elapsed() >= PATIENCE {
            return Err(failed(joining, "add it to the members of etcd")
                .because(refused)
                .hint(
                    "kubewright status shows the members; run the same command again when all are healthy",
                ));
        }
        sleep(joining.period).await;
    }
}

/// Makes it a voter as soon as it has caught up, and takes it back if it does not within the bound.
pub(super) async fn promote(
    connections: &dyn EtcdConnections,
    joining: Joining<'_>,
    within: Duration,
) -> Result<usize, Error> {
    let begun = Instant::now();
    loop {
        let (refused, learner) = match listed(connections, joining).await {
            Ok((_, Some(member))) if !member.is_learner => return Ok(1),
            Ok((way, Some(member))) => match way.promote(member.id).await {
                Ok(()) => return Ok(1),
                Err(refused) => (refused, Some((way, member))),
            },
            Ok((_, None)) => {
                return Err(failed(joining, "let its etcd member vote")
                    .because(format!(
                        "etcd has no member at {}: it was removed meanwhile",
                        joining.peer_url
                    ))
                    .hint("run the same command again"));
            }
            Err(silent) => (silent, None),
        };
        if begun.elapsed() >= within {
            return Err(give_up(joining, within, refused, learner).await);
        }
        sleep(joining.period).await;
    }
}

/// Takes a learner back that did not catch up.
async fn give_up(
    joining: Joining<'_>,
    within: Duration,
    refused: String,
    learner: Option<(Box<dyn EtcdConnection>, EtcdMember)>,
) -> Error {
    let error = failed(joining, "let its etcd member vote").because(format!(
        "it did not have all data within {} s: {refused}",
        within.as_secs()
    ));
    let reach = format!(
        "see whether the other control planes reach {}, and this one theirs",
        joining.peer_url
    );
    let Some((way, member)) = learner else {
        return error.hint(format!(
            "{reach}; it does not vote, and the next apply goes on with it"
        ));
    };
    match way.remove_member(member.id).await {
        Ok(()) => error.hint(format!(
            "{reach}; it was taken back: etcd's members are those that were there before"
        )),
        Err(stays) => error
            .because(format!("it could not be taken back: {stays}"))
            .hint(format!(
                "{reach}; it does not vote, and the next apply goes on with it"
            )),
    }
}

/// The member at the control plane's address, as a quorum knows it, and the way to somebody who told.
async fn listed(
    connections: &dyn EtcdConnections,
    joining: Joining<'_>,
) -> Result<(Box<dyn EtcdConnection>, Option<EtcdMember>), String> {
    let mut silent = "there is nobody to ask".to_owned();
    for node in joining.through {
        let told = async {
            let way = connections.reach(node).await?;
            let members = way.members().await?;
            Ok::<_, String>((way, members))
        };
        match told.await {
            Ok((way, members)) => {
                let is_its = |member: &EtcdMember| member.peer_urls.iter().any(|url| url == joining.peer_url);
                return Ok((way, members.into_iter().find(is_its)));
            }
            Err(error) => silent = format!("{node}: {error}"),
        }
    }
    Err(silent)
}

fn failed(joining: Joining<'_>, doing: &str) -> Error {
    Error::named(ErrorId::NotJoined, doing).on(joining.node)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures::future::BoxFuture;
    use kubewright_core::observed::EtcdStatus;

    use super::*;

    const URL: &str = "https://192.0.2.14:2380";

    /// A member through which the list is seen and changed; a learner needs so many looks until it has all data.
    #[derive(Clone)]
    struct Fake(Arc<Mutex<State>>);

    struct State {
        members: Vec<EtcdMember>,
        refusals: usize,
        asked: Vec<String>,
    }

    impl Fake {
        fn of(members: Vec<EtcdMember>, refusals: usize) -> Self {
            Self(Arc::new(Mutex::new(State {
                members,
                refusals,
                asked: Vec::new(),
            })))
        }

        fn change(&self, asked: String, change: impl FnOnce(&mut Vec<EtcdMember>)) -> Result<(), String> {
            let mut state = self.0.lock().unwrap();
            state.asked.push(asked);
            if state.refusals > 0 {
                state.refusals -= 1;
                return Err("etcdserver: unhealthy cluster".to_owned());
            }
            change(&mut state.members);
            Ok(())
        }

        fn asked(&self) -> Vec<String> {
            self.0.lock().unwrap().asked.clone()
        }
    }

    impl EtcdConnections for Fake {
        fn reach<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<Box<dyn EtcdConnection>, String>> {
            Box::pin(async move {
                match node {
                    "cp-1" => Err("the node cannot be reached".to_owned()),
                    _ => Ok(Box::new(self.clone()) as Box<dyn EtcdConnection>),
                }
            })
        }
    }

    impl EtcdConnection for Fake {
        fn status(&self) -> BoxFuture<'_, Result<EtcdStatus, String>> {
            Box::pin(async { Ok(EtcdStatus::default()) })
        }

        fn members(&self) -> BoxFuture<'_, Result<Vec<EtcdMember>, String>> {
            Box::pin(async { Ok(self.0.lock().unwrap().members.clone()) })
        }

        fn move_leader(&self, _: u64) -> BoxFuture<'_, Result<(), String>> {
            Box::pin(async { Err("nobody asks for it".to_owned()) })
        }

        fn add_learner<'a>(&'a self, peer_url: &'a str) -> BoxFuture<'a, Result<(), String>> {
            Box::pin(async move { self.change("add".to_owned(), |members| members.push(learner(peer_url))) })
        }

        fn promote(&self, id: u64) -> BoxFuture<'_, Result<(), String>> {
            Box::pin(async move {
                self.change(format!("promote {id}"), |members| {
                    for member in members.iter_mut().filter(|member| member.id == id) {
                        member.is_learner = false;
                    }
                })
            })
        }

        fn remove_member(&self, id: u64) -> BoxFuture<'_, Result<(), String>> {
            Box::pin(async move {
                let mut state = self.0.lock().unwrap();
                state.asked.push(format!("remove {id}"));
                state.members.retain(|member| member.id != id);
                Ok(())
            })
        }
    }

    fn learner(peer_url: &str) -> EtcdMember {
        EtcdMember {
            id: 4,
            name: String::new(),
            peer_urls: vec![peer_url.to_owned()],
            is_learner: true,
        }
    }

    fn through() -> Vec<String> {
        ["cp-1", "cp-2"].map(str::to_owned).to_vec()
    }

    fn joining(through: &[String]) -> Joining<'_> {
        Joining {
            node: "cp-4",
            peer_url: URL,
            through,
            period: Duration::from_millis(1),
        }
    }

    #[tokio::test]
    async fn it_is_taken_in_once_by_whoever_answers_and_promoted_when_it_has_all_data() {
        let (fake, through) = (Fake::of(Vec::new(), 3), through());
        assert_eq!(add(&fake, joining(&through)).await.unwrap(), 1);
        assert_eq!(add(&fake, joining(&through)).await.unwrap(), 0);
        assert_eq!(fake.asked(), ["add"; 4]);
        fake.0.lock().unwrap().refusals = 2;
        let promoted = promote(&fake, joining(&through), Duration::from_secs(60)).await;
        assert_eq!(promoted.unwrap(), 1);
        assert_eq!(fake.asked()[4..], ["promote 4", "promote 4", "promote 4"]);
        assert!(!fake.0.lock().unwrap().members[0].is_learner);
    }

    #[tokio::test]
    async fn a_learner_that_does_not_catch_up_in_time_is_taken_back() {
        let (fake, through) = (Fake::of(vec![learner(URL)], usize::MAX), through());
        let error = promote(&fake, joining(&through), Duration::from_millis(50))
            .await
            .unwrap_err();
        assert!(fake.0.lock().unwrap().members.is_empty());
        assert_eq!(fake.asked().last().map(String::as_str), Some("remove 4"));
        assert!(
            error
                .hint
                .as_deref()
                .is_some_and(|hint| hint.contains("taken back")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn one_that_was_removed_meanwhile_is_not_waited_for() {
        let (fake, through) = (Fake::of(Vec::new(), 0), through());
        let error = promote(&fake, joining(&through), Duration::from_millis(50))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("removed meanwhile"), "{error}");
    }
}
