//! What the operation log holds, wherever it is kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kubewright_core::operation_log::{self, Operation, RUN_BYTES};
use tokio::task::JoinSet;

use crate::error::Error;
use crate::node::Node;
use crate::session::{Purpose, Session};

/// How the records beside cluster.yaml are named among the places.
pub const HERE: &str = "here";
/// Where they are, beside cluster.yaml.
pub const DIRECTORY: &str = ".kubewright/operations";
/// Ends the name of a record.
pub(super) const EXTENSION: &str = ".jsonl";

/// What was found.
#[derive(Debug, Default)]
pub struct History {
    /// The runs, newest first.
    pub operations: Vec<Operation>,
    /// The places that were read: control planes, and [`HERE`].
    pub asked: Vec<String>,
    /// Control planes that could not be asked, each with the reason.
    pub missing: BTreeMap<String, Error>,
}

/// Reads what this computer and all control planes that can be reached hold of a cluster: everything without steps, or
/// the runs whose id begins with `run`, whole.
pub async fn read(session: &Session, run: Option<&str>) -> History {
    let here = here(
        &session.directory.join(DIRECTORY),
        session.cluster.name.as_ref(),
        run,
    );
    let mut places = vec![(HERE.to_owned(), here)];
    let mut asking = JoinSet::new();
    for node in session.cluster.control_planes() {
        let name = node.name.to_string();
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
    while let Some(joined) = asking.join_next().await {
        match joined {
            Ok((name, Ok(operations))) => places.push((name, operations)),
            Ok((name, Err(error))) => {
                history.missing.insert(name, error);
            }
            Err(panic) => {
                let error = Error::bug(panic.to_string());
                history.missing.insert("unknown".to_owned(), error);
            }
        }
    }
    history.asked = places.iter().map(|(name, _)| name.clone()).collect();
    history.asked.sort();
    history.operations = operation_log::merge(places);
    history
}

/// What the records in a directory tell of a cluster; none where there is no such directory.
pub fn here(directory: &Path, cluster: &str, run: Option<&str>) -> Vec<Operation> {
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
