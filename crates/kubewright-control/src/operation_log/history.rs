//! What the operation log holds, wherever it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubewright_core::operation_log::{self, RUN_BYTES, RecordedRun};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::{Error, Kind};
use crate::node::Node;
use crate::session::{Purpose, Session};

/// How the records beside cluster.yaml are named among the places.
pub const HERE: &str = "here";
/// Where they are, beside cluster.yaml.
pub const DIRECTORY: &str = ".kubewright/operations";
/// Ends the name of a record.
pub(super) const EXTENSION: &str = ".jsonl";

/// How long the others have once one control plane has answered: all of them are told the same.
const LATE: Duration = Duration::from_secs(5);

/// What was found.
#[derive(Debug, Default)]
pub struct History {
    /// The runs, newest first.
    pub operations: Vec<RecordedRun>,
    /// The places that were read: control planes, and [`HERE`].
    pub asked: Vec<String>,
    /// Control planes that could not be asked, each with the reason.
    pub missing: BTreeMap<String, Error>,
}

/// Reads what this computer and all control planes that can be reached hold of a cluster: everything without steps, or
/// the runs whose id begins with `run`, whole.
pub async fn read(session: &Session, run: Option<&str>) -> History {
    read_within(session, run, LATE).await
}

/// The same with another bound for those that are late.
pub(super) async fn read_within(session: &Session, run: Option<&str>, late: Duration) -> History {
    let here = here(
        &session.directory.join(DIRECTORY),
        session.cluster.name.as_ref(),
        run,
    );
    let mut places = vec![(HERE.to_owned(), here)];
    let mut asking = JoinSet::new();
    let mut pending = BTreeSet::new();
    for node in session.cluster.control_planes() {
        let name = node.name.to_string();
        pending.insert(name.clone());
        let way = session.transport(node);
        let introduction = session.introduction(Purpose::Read);
        let run = run.map(str::to_owned);
        asking.spawn(async move {
            let answer = async {
                let node = Node::connect(way.as_ref(), &introduction).await?;
                let operations = node.read_operations(run).await?;
                node.goodbye().await;
                Ok::<_, Error>(operations)
            };
            (name, answer.await)
        });
    }
    let mut history = History::default();
    loop {
        let next = asking.join_next();
        let has_answer = places.len() > 1;
        let joined = if has_answer {
            let Ok(joined) = timeout(late, next).await else {
                break;
            };
            joined
        } else {
            next.await
        };
        match joined {
            None => break,
            Some(Ok((name, answer))) => {
                pending.remove(&name);
                match answer {
                    Ok(operations) => places.push((name, operations)),
                    Err(error) => {
                        history.missing.insert(name, error);
                    }
                }
            }
            // Who it was is still among those that are waited for.
            Some(Err(panic)) => tracing::error!(%panic, "asking a control plane"),
        }
    }
    for name in pending {
        let error = Error::new(Kind::Node, "read the operation log")
            .because("no answer yet, others have answered")
            .on(&name);
        history.missing.insert(name, error);
    }
    history.asked = places.iter().map(|(name, _)| name.clone()).collect();
    history.asked.sort();
    history.operations = operation_log::merge(places);
    history
}

/// What the records in a directory tell of a cluster; none where there is no such directory.
pub fn here(directory: &Path, cluster: &str, run: Option<&str>) -> Vec<RecordedRun> {
    let mut operations = Vec::new();
    for path in files(directory) {
        if fs::metadata(&path).map_or(true, |data| data.len() > 2 * RUN_BYTES as u64) {
            continue;
        }
        let found = fs::read(&path).ok().and_then(|text| operation_log::read(&text));
        let Some(operation) = found.filter(|operation| operation.begun.cluster == cluster) else {
            continue;
        };
        match run {
            None => operations.push(operation.summary()),
            Some(run) if operation.id.starts_with(run) => operations.push(operation),
            Some(_) => {}
        }
    }
    operations
}

/// The records in a directory.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(EXTENSION))
        .collect();
    paths.sort();
    paths
}
