//! A part of a plan: the steps of some nodes, and what of the cluster's own steps they need.
//!
//! A step that only takes turns with others does not need them. Whatever else a chosen step comes after has to be
//! chosen, too: leaving it out is refused, by name.

use std::collections::BTreeSet;

use super::{Condition, Plan, PlannedStep, Refusal, Step, StepId};

/// Restricts a plan to the steps of the named nodes and what they need of the cluster's own steps.
///
/// # Errors
/// [`Refusal::LeftOut`] when a chosen step needs a step of a node that is not chosen.
pub fn restrict(plan: &Plan, nodes: &BTreeSet<String>) -> Result<Plan, Refusal> {
    let mut kept: Vec<PlannedStep> = Vec::new();
    let mut needed: BTreeSet<&StepId> = BTreeSet::new();
    // From the last step to the first: whoever needs a step stands behind it.
    for planned in plan.steps.iter().rev() {
        let is_chosen = planned.step.node().is_some_and(|node| nodes.contains(node));
        let Some(step) = part(&planned.step, nodes, is_chosen || needed.contains(&planned.id)) else {
            continue;
        };
        let is_wait = matches!(step, Step::Wait { .. }) && planned.step.node().is_none();
        // Waiting at the end is about what is chosen; it needs nothing more.
        let needs = planned
            .after
            .iter()
            .filter(|id| !is_wait && !planned.in_turn.contains(id));
        for id in needs {
            let before = plan.steps.iter().find(|other| other.id == *id);
            let left_out = before
                .and_then(|before| before.step.node())
                .filter(|node| !nodes.contains(*node));
            match left_out {
                None => {
                    needed.insert(id);
                }
                // It changes nothing there, and whoever is chosen must not go before it.
                Some(_) if only_waits(plan, id) => {
                    needed.insert(id);
                }
                Some(node) => {
                    return Err(Refusal::LeftOut {
                        chosen: planned.id.to_string(),
                        needed: id.to_string(),
                        node: node.to_owned(),
                    });
                }
            }
        }
        kept.push(PlannedStep {
            step,
            ..planned.clone()
        });
    }
    kept.reverse();
    let ids: BTreeSet<StepId> = kept.iter().map(|planned| planned.id.clone()).collect();
    kept.retain(|planned| !is_idle(planned, &ids));
    for planned in &mut kept {
        inherit(planned, plan, &ids);
    }
    let mut left_out = plan.left_out.clone();
    left_out.retain(|node, _| nodes.contains(node));
    let deferred = plan.deferred.iter().filter(|one| nodes.contains(&one.node));
    Ok(Plan {
        left_out,
        deferred: deferred.cloned().collect(),
        notes: plan.notes.clone(),
        operation: plan.operation.clone(),
        steps: kept,
    })
}

/// Whether a step and everything before it only waits.
fn only_waits(plan: &Plan, id: &StepId) -> bool {
    let step = plan.steps.iter().find(|planned| planned.id == *id);
    step.is_some_and(|planned| {
        matches!(planned.step, Step::Wait { .. }) && planned.after.iter().all(|id| only_waits(plan, id))
    })
}

/// Makes a step come after whatever of the part the steps that were left out came after: turns stay turns.
fn inherit(planned: &mut PlannedStep, plan: &Plan, kept: &BTreeSet<StepId>) {
    let (mut after, mut inherited) = (BTreeSet::new(), BTreeSet::new());
    let mut open: Vec<(StepId, bool)> = planned.after.iter().map(|id| (id.clone(), true)).collect();
    let mut seen: BTreeSet<StepId> = BTreeSet::new();
    while let Some((id, is_direct)) = open.pop() {
        if kept.contains(&id) {
            if !is_direct {
                inherited.insert(id.clone());
            }
            after.insert(id);
        } else if seen.insert(id.clone())
            && let Some(left_out) = plan.steps.iter().find(|other| other.id == id)
        {
            open.extend(left_out.after.iter().map(|id| (id.clone(), false)));
        }
    }
    let direct: BTreeSet<&StepId> = planned
        .after
        .iter()
        .filter(|id| !planned.in_turn.contains(id))
        .collect();
    planned.in_turn = after
        .iter()
        .filter(|id| !direct.contains(id) && (inherited.contains(id) || planned.in_turn.contains(id)))
        .cloned()
        .collect();
    planned.after = after.into_iter().collect();
}

/// What remains of a step; `None` when nothing does.
fn part(step: &Step, nodes: &BTreeSet<String>, is_wanted: bool) -> Option<Step> {
    let chosen = |names: &[String]| -> Option<Vec<String>> {
        let chosen: Vec<String> = names
            .iter()
            .filter(|name| nodes.contains(*name))
            .cloned()
            .collect();
        (!chosen.is_empty()).then_some(chosen)
    };
    match step {
        Step::RegisterNodes {
            nodes: names,
            present,
        } => Some(Step::RegisterNodes {
            nodes: chosen(names)?,
            present: chosen(present).unwrap_or_default(),
        }),
        Step::Wait {
            condition: Condition::NodesReady { nodes: names },
            timeout_seconds,
        } => Some(Step::Wait {
            condition: Condition::NodesReady {
                nodes: chosen(names)?,
            },
            timeout_seconds: *timeout_seconds,
        }),
        // Whether it is waited for is decided when it is known whether the objects are applied.
        Step::Wait {
            condition: Condition::DeploymentAvailable { .. },
            ..
        } => Some(step.clone()),
        _ => is_wanted.then(|| step.clone()),
    }
}

/// A deployment is not waited for where no object is applied.
fn is_idle(planned: &PlannedStep, kept: &BTreeSet<StepId>) -> bool {
    let waits_for_pods = matches!(
        planned.step,
        Step::Wait {
            condition: Condition::DeploymentAvailable { .. },
            ..
        }
    );
    waits_for_pods && !kept.contains(&StepId::OBJECTS)
}
