//! Members that answer, that are dead, and that say nothing for ever.

use kubewright_core::observed::ObservedNode;
use kubewright_core::spec::parse;

use super::*;
use crate::etcd::EtcdConnection;
use futures::future::BoxFuture;

/// Who answers here does so at once.
const BOUND: Duration = Duration::from_secs(1);

/// What the member of a control plane does when it is asked.
#[derive(Clone)]
enum Does {
    Answer(EtcdStatus, Vec<EtcdMember>),
    Refuse,
    Hang,
    /// It tells its status and hangs over the list.
    HangLater(EtcdStatus),
}

struct Fake(BTreeMap<String, Does>);

impl EtcdConnections for Fake {
    fn reach<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<Box<dyn EtcdConnection>, String>> {
        Box::pin(async move {
            match &self.0[node] {
                Does::Refuse => Err("connection refused".to_owned()),
                does => Ok(Box::new(does.clone()) as Box<dyn EtcdConnection>),
            }
        })
    }
}

impl EtcdConnection for Does {
    fn status(&self) -> BoxFuture<'_, Result<EtcdStatus, String>> {
        Box::pin(async {
            match self {
                Self::Answer(status, _) | Self::HangLater(status) => Ok(status.clone()),
                _ => std::future::pending().await,
            }
        })
    }

    fn members(&self) -> BoxFuture<'_, Result<Vec<EtcdMember>, String>> {
        Box::pin(async {
            match self {
                Self::Answer(_, members) => Ok(members.clone()),
                _ => std::future::pending().await,
            }
        })
    }

    fn move_leader(&self, _: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Err("etcdserver: not leader".to_owned()) })
    }

    fn add_learner<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Err("nothing is changed here".to_owned()) })
    }

    fn promote(&self, _: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Err("nothing is changed here".to_owned()) })
    }

    fn remove_member(&self, _: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Err("nothing is changed here".to_owned()) })
    }
}

const NAMES: [&str; 3] = ["cp-1", "cp-2", "cp-3"];

fn cluster() -> Cluster {
    let nodes: String = (1..)
        .zip(NAMES)
        .map(|(number, name)| {
            format!("    - {{ name: {name}, address: 192.0.2.{number}, roles: [control-plane] }}\n")
        })
        .collect::<Vec<_>>()
        .concat();
    let text = format!(
        "apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata:\n  name: test\nspec:\n  nodes:\n{nodes}"
    );
    parse(&text, "cluster.yaml").unwrap().spec
}

fn member(id: u64) -> EtcdMember {
    EtcdMember {
        id,
        name: format!("cp-{id}"),
        ..EtcdMember::default()
    }
}

fn says(member_id: u64) -> EtcdStatus {
    EtcdStatus {
        member_id,
        has_leader: true,
        ..EtcdStatus::default()
    }
}

async fn ask_all(does: [Does; 3], has_data: bool) -> Option<ObservedEtcd> {
    let mut observed = Observed::default();
    for name in NAMES {
        let mut seen = ObservedNode::default();
        seen.facts.has_etcd_data = has_data;
        observed.nodes.insert(name.to_owned(), seen);
    }
    let does = NAMES.map(str::to_owned).into_iter().zip(does).collect();
    look_within(Arc::new(Fake(does)), &cluster(), &observed, BOUND).await
}

#[tokio::test]
async fn dead_and_silent_members_cost_a_bound_and_nobody_elses_answer() {
    let list = vec![member(1), member(2), member(3)];
    let seen = ask_all(
        [Does::Refuse, Does::Hang, Does::Answer(says(3), list.clone())],
        true,
    )
    .await;
    let seen = seen.unwrap();
    assert_eq!(seen.members, Some(list));
    assert_eq!(seen.own["cp-1"], Err("connection refused".to_owned()));
    assert_eq!(seen.own["cp-2"], Err("no answer within 1 s".to_owned()));
    assert_eq!(seen.own["cp-3"], Ok(says(3)));
}

#[tokio::test]
async fn a_member_that_cannot_tell_the_list_still_tells_how_it_is() {
    let leaderless = EtcdStatus {
        has_leader: false,
        ..says(2)
    };
    let seen = ask_all(
        [
            Does::HangLater(says(1)),
            Does::HangLater(leaderless),
            Does::Refuse,
        ],
        true,
    )
    .await;
    let seen = seen.unwrap();
    assert_eq!(seen.members, None);
    assert!(seen.own["cp-1"].is_ok() && seen.own["cp-2"].is_ok());
}

#[tokio::test]
async fn of_two_lists_the_one_counts_that_most_are_in() {
    let lonely = Does::Answer(says(9), vec![member(9)]);
    let list = vec![member(2), member(3)];
    let seen = ask_all(
        [
            lonely,
            Does::Answer(says(2), list.clone()),
            Does::Answer(says(3), list.clone()),
        ],
        true,
    );
    assert_eq!(seen.await.unwrap().members, Some(list));
}

#[tokio::test]
async fn nobody_is_asked_while_there_is_no_etcd() {
    assert_eq!(ask_all([Does::Hang, Does::Hang, Does::Hang], false).await, None);
}
