//! What a run that did not finish says: what is done on each node, what failed, what was not begun, and how to go on.

use std::collections::BTreeMap;
use std::path::Path;

use kubewright_control::execute::{Outcome, StepFailure, TakenBack};
use kubewright_core::plan::{Place, Plan, text};
use kubewright_core::resource::ResourceId;

use super::session::{self, Skipping};
use crate::failure::{ErrorId, Failure};

/// More nodes than this are counted instead of named.
const NAMED_NODES: usize = 6;

/// A run that did not finish, as a failure with exit code 10.
pub(crate) fn stopped(outcome: &Outcome, plan: &Plan, again: &str, run: Option<&str>) -> Failure {
    let (situation, reason) = if outcome.was_stopped && outcome.failed.is_empty() {
        (ErrorId::Stopped, "stopped on request")
    } else {
        (ErrorId::StoppedPartWay, "stopped part-way")
    };
    let head = format!(
        "{reason}: {} of {} are done",
        outcome.finished.len(),
        text::count(plan.steps.len(), "step")
    );
    let mut head = progress(outcome, plan)
        .into_iter()
        .fold(Failure::named(situation, head), Failure::detail);
    head = if outcome.failed.iter().any(|failure| failure.taken_back.is_some()) {
        head.hint(format!("correct cluster.yaml first; to continue, run: {again}"))
            .hint("to look at a node that failed, run it with --keep-failed: the change is not taken back")
    } else {
        head.hint(format!("to continue, run: {again}"))
    };
    if let Some(run) = run {
        head = head.hint(format!("to see every step, run: kubewright logs show {run}"));
    }
    let mut failures = outcome.failed.iter();
    let Some(first) = failures.next() else { return head };
    let own = |failed: &StepFailure| {
        let failure = session::failure(&failed.error).in_step(&failed.step.to_string(), &failed.title);
        match &failed.taken_back {
            Some(taken_back) => {
                tell_way_back(failure, failed.node.as_deref().unwrap_or_default(), taken_back)
            }
            None => failure,
        }
    };
    let first = own(first).stopping();
    failures.map(own).fold(first, Failure::and).and(head)
}

/// What was restored on the node, and how it is since.
fn tell_way_back(failure: Failure, node: &str, taken_back: &TakenBack) -> Failure {
    let resources = text::count(taken_back.restored.len(), "resource");
    let mut named: Vec<&str> = taken_back.restored.iter().map(ResourceId::as_str).collect();
    let more = named.len().saturating_sub(NAMED_NODES);
    named.truncate(NAMED_NODES);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let restored = match named.as_slice() {
        [] => "nothing could be taken back".to_owned(),
        named => format!("taken back: {resources} of {node} ({}{more})", named.join(", ")),
    };
    let mut failure = match &taken_back.still {
        None => failure.detail(format!("{restored}; {node} is healthy again")),
        Some(error) => failure
            .detail(format!("{restored}; {node} is still not healthy: {error}"))
            .hint(format!(
                "kubewright status shows the others; repair {node} before anything else is changed"
            )),
    };
    for left in &taken_back.left {
        failure = failure.detail(format!("not taken back: {}: {}", left.resource, left.why));
    }
    failure
}

/// The command that does the rest: the same verb, for the same file and nodes, with the same nodes skipped.
pub(crate) fn command(verb: &str, file: &Path, only: &[String], skipping: Skipping) -> String {
    let mut command = format!("kubewright {verb} --file {}", quoted(&file.display().to_string()));
    if !only.is_empty() {
        command.push_str(" --only ");
        command.push_str(&quoted(&only.join(",")));
    }
    if skipping.skip_unreachable_workers {
        command.push_str(" --skip-unreachable-workers");
    }
    command
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@+,%=".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// One line for each node, or for several that are equally far; the cluster's own steps come last.
fn progress(outcome: &Outcome, plan: &Plan) -> Vec<String> {
    let failed: Vec<_> = outcome.failed.iter().map(|failed| &failed.step).collect();
    let mut nodes: BTreeMap<&Place, [Vec<&str>; 3]> = BTreeMap::new();
    for planned in &plan.steps {
        let how = if outcome.finished.contains_key(&planned.id) {
            0
        } else if failed.contains(&&planned.id) {
            1
        } else {
            2
        };
        nodes.entry(&planned.id.place).or_default()[how].push(planned.id.kind.as_str());
    }
    let mut lines: Vec<(Vec<&str>, String)> = Vec::new();
    for (place, [done, failed, left]) in nodes {
        let parts = [("done", done), ("failed", failed), ("not started", left)];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(_, steps)| !steps.is_empty())
            .map(|(word, steps)| format!("{word} {}", steps.join(", ")))
            .collect();
        let text = parts.join("; ");
        match lines.iter_mut().find(|(_, known)| *known == text) {
            Some((places, _)) => places.push(place.as_str()),
            None => lines.push((vec![place.as_str()], text)),
        }
    }
    lines
        .into_iter()
        .map(|(places, text)| {
            if places.len() > NAMED_NODES {
                format!("{}: {text}", text::count(places.len(), "node"))
            } else {
                format!("{}: {text}", places.join(", "))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kubewright_control::error::{Error, Kind as ErrorKind};
    use kubewright_core::plan::{Disruption, Operation, PlannedStep, Step};

    fn plan(operation: Operation, steps: &[&str]) -> Plan {
        let step = |id: &&str| {
            let node = id.split_once('/').unwrap().0.to_owned();
            PlannedStep {
                id: (*id).parse().unwrap(),
                step: if node == "cluster" {
                    Step::RegisterNodes {
                        nodes: Vec::new(),
                        present: Vec::new(),
                    }
                } else {
                    Step::ResetNode { node }
                },
                why: String::new(),
                after: Vec::new(),
                disruption: Disruption::None,
                in_turn: Vec::new(),
                guard: Vec::new(),
                window: None,
                takes_back: Vec::new(),
            }
        };
        Plan {
            left_out: std::collections::BTreeMap::new(),
            deferred: Vec::new(),
            notes: Vec::new(),
            operation,
            steps: steps.iter().map(step).collect(),
        }
    }

    #[test]
    fn a_failed_run_tells_of_each_node_and_how_to_go_on() {
        let plan = plan(
            Operation::Apply,
            &[
                "cp-1/host",
                "cp-1/etcd",
                "w-1/host",
                "w-2/host",
                "cp-1/node",
                "cluster/nodes",
            ],
        );
        let outcome = Outcome {
            finished: ["cp-1/host", "w-1/host", "w-2/host"]
                .map(|id| (id.parse().unwrap(), 1.0))
                .into(),
            failed: vec![StepFailure {
                step: "cp-1/etcd".parse().unwrap(),
                node: Some("cp-1".to_owned()),
                title: "etcd".to_owned(),
                error: Error::new(ErrorKind::Node, "write /etc/x")
                    .because("no space left")
                    .on("cp-1"),
                taken_back: None,
            }],
            ..Outcome::default()
        };
        let again = command(
            "apply",
            Path::new("my cluster.yaml"),
            &["cp-1".to_owned(), "w-1".to_owned()],
            Skipping {
                skip_unreachable_workers: true,
            },
        );
        let failure = stopped(&outcome, &plan, &again, Some("0a1b"));
        assert_eq!(failure.exit_code(), 10);
        insta::assert_snapshot!(failure.render(), @r"
        error: node cp-1: write /etc/x [node-failed]
          step: cp-1/etcd: etcd
          because: no space left
        error: stopped part-way: 3 of 6 steps are done [stopped-part-way]
          cp-1: done host; failed etcd; not started node
          w-1, w-2: done host
          cluster: not started nodes
          hint: to continue, run: kubewright apply --file 'my cluster.yaml' --only cp-1,w-1 --skip-unreachable-workers
          hint: to see every step, run: kubewright logs show 0a1b
        ");
    }

    /// What is said of a failed API server whose change was taken back.
    fn said_of(taken_back: TakenBack) -> String {
        let plan = plan(
            Operation::Apply,
            &["cp-1/control-plane", "cp-1/api-ready", "cp-2/control-plane"],
        );
        let outcome = Outcome {
            finished: [("cp-1/control-plane".parse().unwrap(), 1.0)].into(),
            failed: vec![StepFailure {
                step: "cp-1/api-ready".parse().unwrap(),
                node: Some("cp-1".to_owned()),
                title: "wait until it is ready".to_owned(),
                error: Error::named(ErrorId::CrashLoop, "wait until it is ready").on("cp-1"),
                taken_back: Some(taken_back),
            }],
            ..Outcome::default()
        };
        let failure = stopped(&outcome, &plan, "kubewright apply", None);
        assert_eq!(failure.exit_code(), 10);
        failure.render()
    }

    #[test]
    fn a_run_that_went_back_says_what_failed_what_was_restored_and_what_to_do() {
        let restored = vec![
            ResourceId::new("file", "/etc/a"),
            ResourceId::new("unit", "kube-apiserver.service"),
        ];
        insta::assert_snapshot!(said_of(TakenBack { restored, ..TakenBack::default() }), @r"
        error: node cp-1: wait until it is ready [crash-loop]
          taken back: 2 resources of cp-1 (file:/etc/a, unit:kube-apiserver.service); cp-1 is healthy again
          step: cp-1/api-ready: wait until it is ready
        error: stopped part-way: 1 of 3 steps are done [stopped-part-way]
          cp-1: done control-plane; failed api-ready
          cp-2: not started control-plane
          hint: correct cluster.yaml first; to continue, run: kubewright apply
          hint: to look at a node that failed, run it with --keep-failed: the change is not taken back
        ");
    }

    #[test]
    fn a_node_that_a_way_back_does_not_heal_is_named() {
        let said = said_of(TakenBack {
            still: Some(Error::new(ErrorKind::Node, "wait until it is ready").on("cp-1")),
            ..TakenBack::default()
        });
        let line =
            "nothing could be taken back; cp-1 is still not healthy: node cp-1: wait until it is ready";
        assert!(said.contains(line), "{said}");
    }

    #[test]
    fn a_reset_that_was_stopped_is_continued_by_a_reset() {
        let plan = plan(Operation::Reset, &["w-1/reset", "cp-1/reset"]);
        let outcome = Outcome {
            finished: [("w-1/reset".parse().unwrap(), 1.0)].into(),
            was_stopped: true,
            ..Outcome::default()
        };
        let again = command("reset", Path::new("cluster.yaml"), &[], Skipping::default());
        let failure = stopped(&outcome, &plan, &again, None);
        insta::assert_snapshot!(failure.render(), @r"
        error: stopped on request: 1 of 2 steps are done [stopped]
          cp-1: not started reset
          w-1: done reset
          hint: to continue, run: kubewright reset --file cluster.yaml
        ");
    }
}
