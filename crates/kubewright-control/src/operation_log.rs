//! Keeps the operation log of a run: on the control planes, so that the cluster has it, and beside cluster.yaml.
//!
//! [`OperationLog::begin`] has the first record acknowledged everywhere before anything is changed; what follows is
//! written as the run goes, by one task for each place, so that a slow one holds up neither the run nor the others. A
//! place that cannot be written to stops nothing: it has no record then, and the others have. [`history`] reads what all
//! of them hold.

pub mod history;
mod place;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kubewright_core::operation_log::{Begun, Ending, Event, RUN_BYTES, Record, SCHEMA, StepOutcome};
use kubewright_core::plan::{Operation, Plan, StepId};
use kubewright_core::resource::Digest;

use self::place::Place;
use crate::execute::Outcome;
use crate::node::Node;
use crate::report::{self, Reporter};
use crate::session::Session;

/// How long the first record and the last may take to be acknowledged; a place that needs longer is not waited for.
const ACKNOWLEDGED: Duration = Duration::from_secs(10);

/// What a run that takes the cluster down is called.
const RESET: &str = "reset";

/// The log of one run. It watches the run, and passes on what it sees.
pub struct OperationLog {
    run: String,
    begun: Instant,
    resets: bool,
    places: Mutex<BTreeMap<String, Place>>,
    bytes: Mutex<usize>,
    /// When the steps that are not done yet were begun.
    at_hand: Mutex<BTreeMap<StepId, Instant>>,
    reporter: Arc<dyn Reporter>,
}

impl OperationLog {
    /// Begins the log of a run: on `nodes`, and in `directory` on this computer.
    pub async fn begin(
        session: &Session,
        begun: Begun,
        nodes: &BTreeMap<String, Node>,
        directory: Option<PathBuf>,
        reporter: Arc<dyn Reporter>,
    ) -> Arc<Self> {
        let now = jiff::Timestamp::now();
        let name = format!("{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), session.run);
        let local =
            directory.map(|directory| (history::HERE.to_owned(), Place::directory(&directory, &name)));
        let remote = nodes
            .iter()
            .map(|(node, connection)| (node.clone(), Place::node(connection.clone(), name.clone())));
        let log = Arc::new(Self {
            run: session.run.clone(),
            begun: Instant::now(),
            resets: begun.operation == RESET,
            places: Mutex::new(remote.chain(local).collect()),
            bytes: Mutex::new(0),
            at_hand: Mutex::default(),
            reporter,
        });
        log.write(Event::Begun(begun));
        log.settle().await;
        log
    }

    /// Notes how the run ended, and waits until every place that can be written to has it.
    pub async fn end(&self, plan: &Plan, outcome: &Outcome) {
        for planned in &plan.steps {
            if outcome.skipped.contains(&planned.id) {
                self.write(Event::StepEnded {
                    step: planned.id.to_string(),
                    node: planned.step.node().map(str::to_owned),
                    title: planned.step.title(),
                    outcome: StepOutcome::Skipped,
                    duration_ms: 0,
                });
            }
        }
        let ending = if outcome.is_complete() {
            Ending::Done
        } else if outcome.failed.is_empty() {
            Ending::Stopped
        } else {
            Ending::Failed
        };
        self.finish(ending, outcome.changed).await;
    }

    /// Notes the end of a run that has no plan.
    pub async fn finish(&self, ending: Ending, changed: usize) {
        self.write(Event::Ended {
            ending,
            changed: changed as u64,
            duration_ms: milliseconds_since(self.begun),
        });
        self.settle().await;
    }

    /// Writes a record to every place.
    fn write(&self, event: Event) {
        let is_last = matches!(event, Event::Ended { .. });
        let record = Record {
            schema: SCHEMA,
            run: self.run.clone(),
            time_ms: jiff::Timestamp::now().as_millisecond(),
            event,
        };
        let Ok(mut line) = serde_json::to_string(&record) else {
            return;
        };
        line.push('\n');
        {
            let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
            *bytes += line.len();
            if *bytes > RUN_BYTES && !is_last {
                return;
            }
        }
        for place in self.places().values() {
            place.write(&line);
        }
    }

    fn ended(&self, step: &StepId, outcome: StepOutcome) -> Event {
        let mut at_hand = self.at_hand.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = at_hand.remove(step);
        Event::StepEnded {
            step: step.to_string(),
            node: None,
            title: String::new(),
            outcome,
            duration_ms: begun.map_or(0, milliseconds_since),
        }
    }

    /// Waits until every place has what was written so far, but not for ever.
    async fn settle(&self) {
        let written = |(name, place): (&String, &Place)| {
            let (name, written) = (name.clone(), place.written());
            async move {
                if tokio::time::timeout(ACKNOWLEDGED, written).await.is_err() {
                    let seconds = ACKNOWLEDGED.as_secs();
                    tracing::warn!(place = %name, seconds, "the operation log is not acknowledged; going on without it");
                }
            }
        };
        let written: Vec<_> = self.places().iter().map(written).collect();
        futures::future::join_all(written).await;
    }

    /// A node that is about to be reset keeps no record: nothing is to be written there any more.
    fn leave(&self, node: &str) {
        self.places().remove(node);
    }

    fn places(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for OperationLog {
    fn event(&self, event: &report::Event) {
        match event {
            report::Event::StepStarted { step, node, title } => {
                if let (true, Some(node)) = (self.resets, node) {
                    self.leave(node);
                }
                let mut at_hand = self.at_hand.lock().unwrap_or_else(PoisonError::into_inner);
                at_hand.insert(step.clone(), Instant::now());
                drop(at_hand);
                self.write(Event::StepBegun {
                    step: step.to_string(),
                    node: node.clone(),
                    title: title.clone(),
                });
            }
            report::Event::StepFinished { step, changed, .. } => {
                let outcome = match *changed {
                    0 => StepOutcome::Unchanged,
                    count => StepOutcome::Changed { count: count as u64 },
                };
                self.write(self.ended(step, outcome));
            }
            report::Event::StepFailed { step, id, error, .. } => {
                self.write(self.ended(step, StepOutcome::failed(error, Some(id.as_str().to_owned()))));
            }
            report::Event::Node { .. }
            | report::Event::Waiting { .. }
            | report::Event::StepWaits { .. }
            | report::Event::Resource { .. } => {}
        }
        self.reporter.event(event);
    }
}

/// Who begins what, without a plan.
pub fn begun(session: &Session, operation: &str, file: String) -> Begun {
    let (who, from) = session
        .operator
        .rsplit_once('@')
        .unwrap_or((&session.operator, ""));
    Begun {
        operation: operation.to_owned(),
        cluster: session.cluster.name.to_string(),
        who: who.to_owned(),
        from: from.to_owned(),
        file,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Begun::default()
    }
}

/// Who is about to carry out a plan.
pub fn begun_by_plan(session: &Session, plan: &Plan, file: String) -> Begun {
    let operation = match plan.operation {
        Operation::Apply => "apply",
        Operation::Reset => RESET,
    };
    Begun {
        plan: serde_json::to_vec(plan).ok().map(|text| Digest::of(&text)),
        steps: plan.steps.len() as u64,
        changes: plan.changes() as u64,
        ..begun(session, operation, file)
    }
}

fn milliseconds_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
