//! Carrying out a plan, whatever the operation: the lease, the log, signals, and what a run that stopped says.

pub(crate) mod question;

use std::sync::Arc;

use kubewright_control::execute::{Outcome, RunContext, Verification, execute, verify};
use kubewright_control::report::{Event, Reporter};
use kubewright_control::run_lease::LeaseHolder;
use kubewright_core::observed::Observed;
use kubewright_core::plan::{Operation, Plan};
use tokio::sync::watch;

use super::stopped::stopped;
use super::{operations, session, signals};
use crate::failure::Failure;
use crate::ui::Ui;

/// Runs a plan, looks once more at what it changed, and keeps its log; `again` is the command that continues it.
pub(crate) async fn perform(
    plan: &Plan,
    run_context: &Arc<RunContext>,
    observed: &Observed,
    opened: &session::Opened,
    again: &str,
    ui: &Ui,
) -> Result<(Outcome, Verification), Failure> {
    // A reset takes the API down, and needs every node's lock: there is nothing a lease could add.
    if plan.operation != Operation::Reset {
        let holder = LeaseHolder {
            run: opened.session.run.clone(),
            operator: opened.session.operator.clone(),
            nodes: run_context.nodes.keys().cloned().collect(),
        };
        if observed.api.is_some() {
            // A holder that may be alive is watched for as long as its lease lasts.
            opened.progress.event(&Event::Node {
                node: "cluster".to_owned(),
                doing: "checking that no other run changes it".to_owned(),
            });
        }
        let claimed = run_context
            .api
            .begin_changes(holder, observed.api.is_some())
            .await;
        claimed.map_err(|error| {
            opened.progress.finish();
            opened.with_log(session::failure(&error))
        })?;
    }
    let log = operations::begin(plan, run_context, observed, opened).await;
    let (stop, is_asked) = watch::channel(false);
    let watching = tokio::spawn(signals::watch(
        stop,
        Arc::clone(&opened.progress),
        ui.clone(),
        again.to_owned(),
    ));
    let reporter: Arc<dyn Reporter> = match &log {
        Some(log) => Arc::clone(log) as Arc<dyn Reporter>,
        None => opened.progress.clone(),
    };
    let outcome = execute(plan, Arc::clone(run_context), reporter, is_asked).await;
    let verification = if outcome.is_complete() {
        verify(plan, run_context).await
    } else {
        Verification::default()
    };
    if let Some(log) = &log {
        log.end(plan, &outcome).await;
    }
    run_context.api.end_changes().await;
    watching.abort();
    opened.progress.finish();
    if outcome.is_complete() {
        run_context.goodbye().await;
        return Ok((outcome, verification));
    }
    let run = log.is_some().then_some(opened.session.run.as_str());
    Err(opened.with_log(stopped(&outcome, plan, again, run)))
}
