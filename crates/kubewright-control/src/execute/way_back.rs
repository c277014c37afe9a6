//! A way back: when a part of a node is not healthy after its change, the change is undone by the node's own journal, and
//! the node is looked at again.
//!
//! Which steps are taken back for which, the plan says ([`PlannedStep::takes_back`]); what else has to hold, who asks for it:
//! nothing is taken back while another control plane is not healthy, because that may be the reason. The run stops either way.

use std::sync::Arc;

use kubewright_core::errors::ErrorId;
use kubewright_core::journal::Left;
use kubewright_core::plan::{Plan, PlannedStep, Step, StepId, StepKind};
use kubewright_core::resource::ResourceId;

use super::RunContext;
use crate::error::Error;
use crate::report::{Event, Reporter};

/// What was taken back on a node, and how it is since.
#[derive(Debug, Default)]
pub struct TakenBack {
    /// What is as it was before the run.
    pub restored: Vec<ResourceId>,
    /// What is not, and why.
    pub left: Vec<Left>,
    /// Why the node is still not healthy; `None` when it is.
    pub still: Option<Error>,
}

/// What is done when a step shows that a part of its node is not healthy.
#[derive(Clone, Debug, Default)]
pub(super) struct WayBack {
    node: String,
    /// What is taken back, one after the other until the node is healthy.
    changes: Vec<Vec<ResourceId>>,
    /// What tells that it is.
    gates: Vec<PlannedStep>,
}

impl WayBack {
    /// The way back of a step; `None` when it has none.
    pub(super) fn of(plan: &Plan, planned: &PlannedStep) -> Option<Self> {
        let node = planned.step.node().filter(|_| !planned.takes_back.is_empty())?;
        let changed = |id: &StepId| {
            let step = plan.steps.iter().find(|other| other.id == *id)?;
            let Step::Converge { differences, .. } = &step.step else {
                return None;
            };
            Some(
                differences
                    .iter()
                    .map(|difference| difference.resource.clone())
                    .collect(),
            )
        };
        let judges = |other: &&PlannedStep| {
            let judges_it = planned.takes_back.iter().any(|id| other.takes_back.contains(id));
            matches!(other.step, Step::Wait { .. }) && other.step.node() == Some(node) && judges_it
        };
        Some(Self {
            node: node.to_owned(),
            changes: planned.takes_back.iter().filter_map(changed).collect(),
            gates: plan.steps.iter().filter(judges).cloned().collect(),
        })
    }

    /// Whether an error says that the node is not healthy, not that it could not be asked.
    pub(super) fn is_for(error: &Error) -> bool {
        matches!(
            error.id,
            ErrorId::UnitFailed | ErrorId::CrashLoop | ErrorId::WaitTimedOut | ErrorId::ApiWaitTimedOut
        )
    }

    /// Goes back, and tells how the node is then.
    pub(super) async fn go(&self, run_context: &RunContext, reporter: &Arc<dyn Reporter>) -> TakenBack {
        let step = StepId::on(&self.node, StepKind::Undo);
        let title = "take back the change".to_owned();
        reporter.event(&Event::StepStarted {
            step: step.clone(),
            node: Some(self.node.clone()),
            title: title.clone(),
        });
        let begun = std::time::Instant::now();
        let mut taken_back = TakenBack::default();
        for resources in &self.changes {
            taken_back.still = match self.take_back(run_context, resources, &mut taken_back).await {
                Ok(()) => self.look(run_context, reporter).await.err(),
                Err(error) => Some(error),
            };
            if taken_back.still.is_none() {
                break;
            }
        }
        let node = Some(self.node.clone());
        reporter.event(&match &taken_back.still {
            None => Event::StepFinished {
                step,
                node,
                title,
                changed: taken_back.restored.len(),
                seconds: begun.elapsed().as_secs_f64(),
            },
            Some(error) => Event::StepFailed {
                step,
                node,
                id: error.id,
                error: error.to_string(),
            },
        });
        taken_back
    }

    async fn take_back(
        &self,
        run_context: &RunContext,
        resources: &[ResourceId],
        taken_back: &mut TakenBack,
    ) -> Result<(), Error> {
        let undone = run_context
            .node(&self.node)?
            .take_back(resources.to_vec())
            .await?;
        tracing::info!(node = %self.node, ?undone, "taken back");
        taken_back.restored.extend(undone.restored);
        taken_back.left.extend(undone.left);
        Ok(())
    }

    async fn look(&self, run_context: &RunContext, reporter: &Arc<dyn Reporter>) -> Result<(), Error> {
        for gate in &self.gates {
            run_context.act(gate, reporter).await?;
        }
        Ok(())
    }
}
