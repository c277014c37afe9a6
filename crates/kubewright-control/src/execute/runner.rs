//! The loop over the graph.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use kubewright_core::plan::{Plan, PlannedStep, Step, StepId};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinSet};

use super::RunContext;
use crate::error::Error;
use crate::report::{Event, Reporter};

/// How a run went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Steps that succeeded, with their seconds.
    pub finished: BTreeMap<StepId, f64>,
    /// Steps that did not, in the order they failed.
    pub failed: Vec<StepFailure>,
    /// Steps that were not begun, because of a failure or because the run was asked to stop.
    pub skipped: Vec<StepId>,
    /// How many things were changed.
    pub changed: usize,
    /// The run was asked to stop.
    pub was_stopped: bool,
}

impl Outcome {
    /// Whether everything in the plan was done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }
}

/// A step that did not succeed.
#[derive(Debug)]
pub struct StepFailure {
    /// The step.
    pub step: StepId,
    /// Its node, if it has one.
    pub node: Option<String>,
    /// What it was to do, for people.
    pub title: String,
    /// Why it did not succeed.
    pub error: Error,
}

/// Runs the plan to its end, or until `stop` becomes true: then steps that run are finished and no other is begun.
pub async fn execute(
    plan: &Plan,
    run_context: Arc<RunContext>,
    reporter: Arc<dyn Reporter>,
    mut stop: watch::Receiver<bool>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut waiting: Vec<&PlannedStep> = plan.steps.iter().collect();
    let mut running = JoinSet::new();
    let mut begun: HashMap<Id, &PlannedStep> = HashMap::new();
    let mut idle: Vec<AbortHandle> = Vec::new();
    loop {
        outcome.was_stopped |= *stop.borrow();
        if outcome.was_stopped {
            // Whoever only waits changes nothing: there is no step at hand to finish.
            idle.drain(..).for_each(|waiting| waiting.abort());
        }
        if !outcome.was_stopped {
            let ready =
                |planned: &&PlannedStep| planned.after.iter().all(|id| outcome.finished.contains_key(id));
            let (next, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|planned| ready(planned));
            waiting = rest;
            for planned in next {
                let started = start(
                    &mut running,
                    planned.clone(),
                    Arc::clone(&run_context),
                    Arc::clone(&reporter),
                );
                begun.insert(started.id(), planned);
                if matches!(planned.step, Step::Wait { .. }) {
                    idle.push(started);
                }
            }
        }
        tokio::select! {
            joined = running.join_next_with_id() => {
                let Some(joined) = joined else { break };
                let (id, done) = match joined {
                    Ok((id, done)) => (id, done),
                    Err(error) if error.is_cancelled() => continue,
                    // A panic in a step is a bug; the steps after it are skipped like after any failure.
                    Err(panic) => (panic.id(), Done::failed(Error::bug(panic.to_string()))),
                };
                if let Some(planned) = begun.get(&id) {
                    note(&mut outcome, planned, done, reporter.as_ref());
                }
            },
            Ok(()) = stop.changed() => {}
        }
    }
    let ended: BTreeSet<&StepId> = outcome
        .finished
        .keys()
        .chain(outcome.failed.iter().map(|failure| &failure.step))
        .collect();
    outcome.skipped = plan
        .steps
        .iter()
        .map(|planned| planned.id.clone())
        .filter(|id| !ended.contains(id))
        .collect();
    outcome
}

struct Done {
    seconds: f64,
    result: Result<usize, Error>,
}

impl Done {
    const fn failed(error: Error) -> Self {
        Self {
            seconds: 0.0,
            result: Err(error),
        }
    }
}

fn start(
    running: &mut JoinSet<Done>,
    planned: PlannedStep,
    run_context: Arc<RunContext>,
    reporter: Arc<dyn Reporter>,
) -> AbortHandle {
    reporter.event(&Event::StepStarted {
        step: planned.id.clone(),
        node: planned.step.node().map(str::to_owned),
        title: planned.step.title(),
    });
    running.spawn(async move {
        let begun = Instant::now();
        let result = run_context.perform(&planned, &reporter).await;
        Done {
            seconds: begun.elapsed().as_secs_f64(),
            result,
        }
    })
}

fn note(outcome: &mut Outcome, planned: &PlannedStep, done: Done, reporter: &dyn Reporter) {
    let Done { seconds, result } = done;
    let node = planned.step.node().map(str::to_owned);
    let title = planned.step.title();
    match result {
        Ok(changed) => {
            tracing::info!(step = %planned.id, seconds, changed, "step finished");
            reporter.event(&Event::StepFinished {
                step: planned.id.clone(),
                node,
                title,
                changed,
                seconds,
            });
            outcome.finished.insert(planned.id.clone(), seconds);
            outcome.changed += changed;
        }
        Err(error) => {
            tracing::error!(step = %planned.id, seconds, %error, "step failed");
            let text = format!("{title}: {error}");
            reporter.event(&Event::StepFailed {
                step: planned.id.clone(),
                node: node.clone(),
                id: error.id,
                error: text,
            });
            outcome.failed.push(StepFailure {
                step: planned.id.clone(),
                node,
                title,
                error,
            });
        }
    }
}

#[cfg(test)]
mod tests;
