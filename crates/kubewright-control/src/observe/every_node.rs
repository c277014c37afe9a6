//! The same question to every node at once, and all the answers or all the errors.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use super::ObserveErrors;
use crate::error::Error;

/// Asks every node at once.
///
/// # Errors
/// One error for every node that did not answer, in order of name; the others' answers are lost.
pub(super) async fn every_node<N, T, F>(
    nodes: &BTreeMap<String, N>,
    ask: impl Fn(String, N) -> F,
) -> Result<BTreeMap<String, T>, ObserveErrors>
where
    N: Clone,
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let mut asking = JoinSet::new();
    for (name, node) in nodes {
        let (name, answer) = (name.clone(), ask(name.clone(), node.clone()));
        asking.spawn(async move { (name, answer.await) });
    }
    let mut answers = BTreeMap::new();
    let mut errors = Vec::new();
    while let Some(joined) = asking.join_next().await {
        match joined {
            Ok((name, Ok(answer))) => {
                answers.insert(name, answer);
            }
            Ok((name, Err(error))) => errors.push(if error.node.is_none() {
                error.on(&name)
            } else {
                error
            }),
            Err(panic) => errors.push(Error::bug(panic.to_string())),
        }
    }
    if errors.is_empty() {
        return Ok(answers);
    }
    errors.sort_by(|one: &Error, other| one.node.cmp(&other.node));
    Err(ObserveErrors(errors))
}
