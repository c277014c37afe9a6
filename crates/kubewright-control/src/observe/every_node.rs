//! The same question to every node at once: all the answers, and all the errors.

use std::collections::BTreeMap;

use kubewright_core::spec::NodeName;
use tokio::task::JoinSet;

use crate::node::NodeCallError;

/// What came of asking every node.
pub(super) struct Answers<T> {
    /// The answers.
    pub(super) answers: BTreeMap<String, T>,
    /// Why the others have none.
    pub(super) failures: BTreeMap<String, NodeCallError>,
}

/// Asks every node at once; a node that does not answer does not delay the others.
pub(super) async fn every_node<N, T, F>(
    nodes: &BTreeMap<NodeName, N>,
    ask: impl Fn(String, N) -> F,
) -> Answers<T>
where
    N: Clone,
    T: Send + 'static,
    F: Future<Output = Result<T, NodeCallError>> + Send + 'static,
{
    let mut asking = JoinSet::new();
    for (name, node) in nodes {
        let (name, answer) = (name.clone(), ask(name.to_string(), node.clone()));
        asking.spawn(async move { (name, answer.await) });
    }
    let mut all = Answers {
        answers: BTreeMap::new(),
        failures: BTreeMap::new(),
    };
    while let Some(joined) = asking.join_next().await {
        match joined {
            Ok((name, Ok(answer))) => {
                all.answers.insert(name.to_string(), answer);
            }
            Ok((name, Err(error))) => {
                all.failures.insert(name.to_string(), error);
            }
            Err(panic) => tracing::error!(%panic, "asking a node"),
        }
    }
    // A node that has neither answered nor failed has met a bug of ours.
    for name in nodes.keys() {
        let known = name.to_string();
        if !all.answers.contains_key(&known) && !all.failures.contains_key(&known) {
            let bug = NodeCallError::Protocol {
                node: name.clone(),
                doing: "ask".to_owned(),
                cause: "the question was broken off".to_owned(),
            };
            all.failures.insert(known, bug);
        }
    }
    all
}
