//! The operation log around a run: begun before its first change, told of when the next run finds it without an end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use kubewright_control::execute::RunContext;
use kubewright_control::node::Node;
use kubewright_control::operation_log::{OperationLog, begun_by_plan, history};
use kubewright_control::report::Reporter;
use kubewright_core::observed::Observed;
use kubewright_core::operation_log::{Ending, RecordedRun};
use kubewright_core::plan::{self, Plan, text};
use kubewright_core::shown;

use super::session::Opened;

/// Begins the log of a run, unless the plan changes nothing: what only looks or waits is not recorded, here or on nodes.
pub(crate) async fn begin(
    plan: &Plan,
    run_context: &RunContext,
    observed: &Observed,
    opened: &Opened,
) -> Option<Arc<OperationLog>> {
    if plan.is_empty() {
        return None;
    }
    let reporter: Arc<dyn Reporter> = opened.progress.clone();
    let log = OperationLog::begin(
        &opened.session,
        begun_by_plan(&opened.session, plan, opened.file.path.display().to_string()),
        &keepers(plan, run_context, observed, opened),
        Some(directory(opened)),
        reporter,
    )
    .await;
    Some(log)
}

/// The control planes that keep the log. One that is to be reset and is not ours is not written to.
fn keepers(
    plan: &Plan,
    run_context: &RunContext,
    observed: &Observed,
    opened: &Opened,
) -> BTreeMap<String, Node> {
    let resets = plan.operation == plan::Operation::Reset;
    let is_ours = |name: &str| {
        let seen = observed.nodes.get(name);
        seen.is_some_and(|node| node.facts.marker.is_some())
    };
    opened
        .file
        .cluster
        .control_planes()
        .map(|node| node.name.to_string())
        .filter(|name| !resets || is_ours(name))
        .filter_map(|name| Some((name.clone(), run_context.nodes.get(&name)?.clone())))
        .collect()
}

/// Where the records beside cluster.yaml are.
pub(crate) fn directory(opened: &Opened) -> PathBuf {
    opened.file.directory().join(history::DIRECTORY)
}

/// What there is to say of runs that nodes remember without an end; the records beside cluster.yaml are asked first,
/// then the control planes, one after the other until one answers.
pub(crate) async fn unfinished(
    run_context: &RunContext,
    observed: &Observed,
    opened: &Opened,
) -> Vec<String> {
    let runs: BTreeSet<&str> = observed
        .nodes
        .values()
        .filter_map(|node| node.facts.unfinished_run.as_deref())
        .collect();
    let mut lines = Vec::new();
    for run in runs {
        let here = history::here(&directory(opened), opened.file.cluster.name.as_str(), Some(run));
        let mut found = here.into_iter().find(|operation| operation.id == run);
        for node in opened.file.cluster.control_planes() {
            if found.is_some() {
                break;
            }
            if let Some(node) = run_context.nodes.get(node.name.as_str()) {
                let answer = node
                    .read_operations(Some(run.to_owned()))
                    .await
                    .unwrap_or_default();
                found = answer.into_iter().find(|operation| operation.id == run);
            }
        }
        let nodes = observed
            .nodes
            .iter()
            .filter(|(_, node)| node.facts.unfinished_run.as_deref() == Some(run))
            .map(|(name, _)| name.as_str());
        lines.push(tell(run, found.as_ref(), &nodes.collect::<Vec<_>>()));
    }
    lines
}

fn tell(run: &str, found: Option<&RecordedRun>, nodes: &[&str]) -> String {
    let Some(operation) = found else {
        let nodes = if nodes.len() > 6 {
            text::count(nodes.len(), "node")
        } else {
            nodes.join(", ")
        };
        return shown::line(&format!("run {run} did not finish on {nodes}; continuing"));
    };
    let how = match operation.ending {
        None => "did not finish",
        Some(Ending::Stopped) => "was interrupted",
        Some(Ending::Failed) => "stopped part-way",
        Some(Ending::Done | Ending::Unknown) => "ended, but not on every node",
    };
    let steps = match operation.counts.done {
        1 => "1 step was done".to_owned(),
        count => format!("{count} steps were done"),
    };
    shown::line(&format!(
        "run {run} of {} at {} {how}: {steps}; continuing",
        operation.operator(),
        time(operation.begun_ms),
    ))
}

/// A time as everywhere in the log: UTC, to the second.
pub(crate) fn time(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).map_or_else(
        |_| "an unknown time".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use kubewright_core::operation_log::{Begun, Counts};

    fn operation(ending: Option<Ending>) -> RecordedRun {
        RecordedRun {
            id: "0a1b".to_owned(),
            schema: 1,
            begun_ms: 1_767_323_045_000,
            begun: Begun {
                who: "ada".to_owned(),
                from: "ws".to_owned(),
                ..Begun::default()
            },
            last_ms: 0,
            ending,
            changed: 0,
            counts: Counts {
                done: 5,
                ..Counts::default()
            },
            steps: Vec::new(),
            held_by: Vec::new(),
        }
    }

    #[test]
    fn tells_whose_run_has_no_end_and_how_far_it_came() {
        assert_eq!(
            tell("0a1b", Some(&operation(None)), &["cp-1"]),
            "run 0a1b of ada@ws at 2026-01-02 03:04:05Z did not finish: 5 steps were done; continuing"
        );
        assert_eq!(
            tell("0a1b", Some(&operation(Some(Ending::Failed))), &["cp-1"]),
            "run 0a1b of ada@ws at 2026-01-02 03:04:05Z stopped part-way: 5 steps were done; continuing"
        );
        assert_eq!(
            tell("0a1b\u{1b}[2J", None, &["cp-1", "w-1"]),
            "run 0a1b\\u{1b}[2J did not finish on cp-1, w-1; continuing"
        );
    }
}
