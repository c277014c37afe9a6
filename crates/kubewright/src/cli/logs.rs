//! `kubewright logs`.

use std::fmt::Write as _;

use kubewright_control::operation_log::history::{self, History};
use kubewright_core::operation_log::{self, RecordedRun, StepOutcome, StepRecord};
use kubewright_core::shown;
use serde::Serialize;

use super::operations::time;
use super::session;
use crate::failure::{ErrorId, Failure};
use crate::settings::GlobalFlags;
use crate::ui::{Ui, table};

/// Arguments of `logs`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Show every step of a run: result, duration, and where the run is recorded
    Show {
        /// The run's id, or its first characters
        id: String,
    },
}

/// The form for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'h> {
    api_version: &'static str,
    asked: &'h [String],
    missing: Vec<&'h str>,
    operations: &'h [RecordedRun],
}

/// Lists the runs, or shows one.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let opened = session::open("logs", flags, ui)?;
    let id = arguments.what.as_ref().map(|What::Show { id }| id.as_str());
    let found = history::read(&opened.session, id).await;
    for (node, error) in &found.missing {
        ui.say(&shown::line(&format!(
            "cannot read the operation log of {node}: {error}"
        )));
    }
    match id {
        Some(id) => show(&found, id, ui),
        None => list(&found, ui),
    }
}

fn list(found: &History, ui: &Ui) -> Result<(), Failure> {
    refuse_silence(found)?;
    let listing = Listing {
        api_version: "kubewright/v1alpha1",
        asked: &found.asked,
        missing: found.missing.keys().map(String::as_str).collect(),
        operations: &found.operations,
    };
    ui.result(&listing, || rows(&found.operations))
}

/// Nothing found means that there is nothing only when somebody could be asked.
fn refuse_silence(found: &History) -> Result<(), Failure> {
    let nobody = found.asked.iter().all(|place| place == history::HERE);
    match found.missing.values().next() {
        Some(error) if found.operations.is_empty() && nobody => {
            Err(session::failure(error).because("there is no operation log beside cluster.yaml either"))
        }
        _ => Ok(()),
    }
}

fn rows(operations: &[RecordedRun]) -> String {
    if operations.is_empty() {
        return "no run has changed this cluster\n".to_owned();
    }
    let row = |operation: &RecordedRun| {
        let begun = &operation.begun;
        let cells = [
            &operation.id,
            &time(operation.begun_ms),
            &begun.who,
            &begun.from,
            &begun.operation,
            &operation.changed.to_string(),
            &operation.outcome(),
        ];
        cells.map(|cell| shown::line(cell)).to_vec()
    };
    let headings = ["ID", "STARTED", "USER", "FROM", "COMMAND", "CHANGES", "RESULT"];
    table(&headings, &operations.iter().map(row).collect::<Vec<_>>())
}

fn show(found: &History, id: &str, ui: &Ui) -> Result<(), Failure> {
    let operations = operation_log::of_id(&found.operations, id);
    match operations.as_slice() {
        [operation] => ui.result(operation, || text(operation)),
        [] => {
            refuse_silence(found)?;
            Err(
                Failure::named(ErrorId::RunUnknown, format!("no run {id:?} in the operation log"))
                    .hint("kubewright logs lists the runs"),
            )
        }
        several => {
            let ids: Vec<String> = several
                .iter()
                .map(|operation| shown::line(&operation.id))
                .collect();
            Err(
                Failure::named(ErrorId::RunUnknown, format!("several run ids begin with {id:?}"))
                    .because(ids.join(", "))
                    .hint("type more characters of the id"),
            )
        }
    }
}

fn text(operation: &RecordedRun) -> String {
    let begun = &operation.begun;
    let plan = begun
        .plan
        .map_or_else(|| "unknown".to_owned(), |plan| plan.short());
    let facts = [
        (
            "run",
            format!(
                "{}: {} of cluster {}",
                operation.id, begun.operation, begun.cluster
            ),
        ),
        (
            "by",
            format!(
                "{} with kubewright {}, from {}",
                operation.operator(),
                begun.version,
                begun.file
            ),
        ),
        ("begun", time(operation.begun_ms)),
        ("last record", time(operation.last_ms)),
        (
            "plan",
            format!("{plan}, {} steps, {} changes", begun.steps, begun.changes),
        ),
        ("changes", operation.changed.to_string()),
        ("outcome", operation.outcome()),
        ("recorded", operation.held_by.join(", ")),
    ];
    let mut text = String::new();
    for (name, value) in facts {
        let _ = writeln!(text, "{name:<12} {}", shown::line(&value));
    }
    if operation.is_newer() {
        text.push_str(
            "written by a newer kubewright; records that this version does not know are not shown\n",
        );
    }
    text.push('\n');
    let rows: Vec<Vec<String>> = operation.steps.iter().map(row).collect();
    text.push_str(&table(&["STEP", "RESULT", "SECONDS", "TITLE"], &rows));
    for step in &operation.steps {
        if let Some(StepOutcome::Failed { error, error_id }) = &step.outcome {
            let id = error_id.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
            text.push_str(&shown::line(&format!("{}{id}: {error}", step.step)));
            text.push('\n');
        }
    }
    text
}

fn row(step: &StepRecord) -> Vec<String> {
    let outcome = match &step.outcome {
        Some(StepOutcome::Unchanged) => "unchanged".to_owned(),
        Some(StepOutcome::Changed { count }) => format!("changed {count}"),
        Some(StepOutcome::Failed { .. }) => "failed".to_owned(),
        Some(StepOutcome::Skipped) => "not started".to_owned(),
        Some(StepOutcome::Unknown) => "ended".to_owned(),
        None => "no result recorded".to_owned(),
    };
    let seconds = match step.outcome {
        None | Some(StepOutcome::Skipped) => "-".to_owned(),
        _ => format!("{:.1}", step.duration_ms as f64 / 1000.0),
    };
    [step.step.clone(), outcome, seconds, step.title.clone()]
        .map(|cell| shown::line(&cell))
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: &str = r#"{"schema":1,"run":"0a1b2c3d4e5f","timeMs":1767323045000,"event":{"type":"begun","operation":"apply","cluster":"prod","who":"ada","from":"ws","file":"cluster.yaml","version":"0.1.0","steps":3,"changes":9}}
{"schema":1,"run":"0a1b2c3d4e5f","timeMs":1767323046000,"event":{"type":"stepBegun","step":"cp-1/host","node":"cp-1","title":"prepare the host (4 changes)"}}
{"schema":1,"run":"0a1b2c3d4e5f","timeMs":1767323047000,"event":{"type":"stepEnded","step":"cp-1/host","outcome":{"type":"changed","count":4},"durationMs":1234}}
{"schema":1,"run":"0a1b2c3d4e5f","timeMs":1767323048000,"event":{"type":"stepEnded","step":"cp-2/host","outcome":{"type":"failed","error":"write /etc/x: no space left"},"durationMs":10}}
{"schema":1,"run":"0a1b2c3d4e5f","timeMs":1767323049000,"event":{"type":"stepBegun","step":"cp-1/etcd","node":"cp-1","title":"etcd (3 \u001b[2J changes)"}}
"#;

    fn killed() -> RecordedRun {
        let mut operation = operation_log::read(KILLED.as_bytes()).unwrap();
        operation.held_by = vec!["cp-1".to_owned(), "here".to_owned()];
        operation
    }

    #[test]
    fn lists_runs_in_columns() {
        insta::assert_snapshot!(rows(&[killed()]), @r"
        ID            STARTED               USER  FROM  COMMAND  CHANGES  RESULT
        0a1b2c3d4e5f  2026-01-02 03:04:05Z  ada   ws    apply    4        did not finish (1 of 3 steps done)
        ");
    }

    #[test]
    fn shows_every_step_and_nothing_that_moves_the_cursor() {
        insta::assert_snapshot!(text(&killed()), @r"
        run          0a1b2c3d4e5f: apply of cluster prod
        by           ada@ws with kubewright 0.1.0, from cluster.yaml
        begun        2026-01-02 03:04:05Z
        last record  2026-01-02 03:04:09Z
        plan         unknown, 3 steps, 9 changes
        changes      4
        outcome      did not finish (1 of 3 steps done)
        recorded     cp-1, here

        STEP       RESULT              SECONDS  TITLE
        cp-1/host  changed 4           1.2      prepare the host (4 changes)
        cp-2/host  failed              0.0
        cp-1/etcd  no result recorded  -        etcd (3 \u{1b}[2J changes)
        cp-2/host: write /etc/x: no space left
        ");
    }
}
