//! The loop over the graph.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use kubewright_core::plan::{Plan, PlannedStep, Step, StepId};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use super::way_back::WayBack;
use super::{RunContext, TakenBack};
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
    /// What was taken back because of it.
    pub taken_back: Option<TakenBack>,
}

/// Runs the plan to its end, or until `stop` becomes true: then steps that run are finished and no other is begun. A step
/// that shows that its node is not healthy any more stops the run as well, after its change was taken back.
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
    loop {
        outcome.was_stopped |= *stop.borrow();
        let has_gone_back = outcome.failed.iter().any(|failure| failure.taken_back.is_some());
        if !outcome.was_stopped && !has_gone_back {
            let ready =
                |planned: &&PlannedStep| planned.after.iter().all(|id| outcome.finished.contains_key(id));
            let (next, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|planned| ready(planned));
            waiting = rest;
            for planned in next {
                let begins = Begins {
                    planned: planned.clone(),
                    way_back: WayBack::of(plan, planned),
                    run_context: Arc::clone(&run_context),
                    reporter: Arc::clone(&reporter),
                    stop: stop.clone(),
                };
                begun.insert(start(&mut running, begins), planned);
            }
        }
        tokio::select! {
            joined = running.join_next_with_id() => {
                let Some(joined) = joined else { break };
                let (id, done) = match joined {
                    Ok((id, done)) => (id, done),
                    // A panic in a step is a bug; the steps after it are skipped like after any failure.
                    Err(panic) => (panic.id(), Some(Done::failed(Error::bug(panic.to_string())))),
                };
                if let (Some(planned), Some(done)) = (begun.get(&id), done) {
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
    taken_back: Option<TakenBack>,
}

impl Done {
    const fn failed(error: Error) -> Self {
        Self {
            seconds: 0.0,
            result: Err(error),
            taken_back: None,
        }
    }
}

/// A step that begins, and what it needs.
struct Begins {
    planned: PlannedStep,
    way_back: Option<WayBack>,
    run_context: Arc<RunContext>,
    reporter: Arc<dyn Reporter>,
    stop: watch::Receiver<bool>,
}

/// Begins a step; one that only waits ends without a result when the run is asked to stop.
fn start(running: &mut JoinSet<Option<Done>>, begins: Begins) -> Id {
    let Begins {
        planned,
        way_back,
        run_context,
        reporter,
        stop,
    } = begins;
    reporter.event(&Event::StepStarted {
        step: planned.id.clone(),
        node: planned.step.node().map(str::to_owned),
        title: planned.step.title(),
    });
    let step = async move {
        let begun = Instant::now();
        let result = if matches!(planned.step, Step::Wait { .. }) {
            // Whoever only waits changes nothing: there is no step at hand to finish.
            tokio::select! {
                result = run_context.perform(&planned, &reporter) => result,
                () = is_stopped(stop) => return None,
            }
        } else {
            run_context.perform(&planned, &reporter).await
        };
        let seconds = begun.elapsed().as_secs_f64();
        let may_go_back = |error: &Error| !run_context.keep_failed && WayBack::is_for(error);
        let taken_back = match (&result, way_back) {
            (Err(error), Some(way_back)) if may_go_back(error) => {
                tracing::error!(step = %planned.id, %error, "not healthy after its change, which is taken back");
                Some(way_back.go(&run_context, &reporter).await)
            }
            _ => None,
        };
        Some(Done {
            seconds,
            result,
            taken_back,
        })
    };
    running.spawn(step).id()
}

/// Ends when the run is asked to stop.
async fn is_stopped(mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if stop.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

fn note(outcome: &mut Outcome, planned: &PlannedStep, done: Done, reporter: &dyn Reporter) {
    let Done {
        seconds,
        result,
        taken_back,
    } = done;
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
                taken_back,
            });
        }
    }
}

#[cfg(test)]
mod tests;
