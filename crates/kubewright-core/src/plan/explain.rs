//! Why a plan is as it is: of every step its reason, what it disturbs and what it waits for.

use std::fmt::Write as _;

use super::text::{count, disturbs, names_of, what};
use super::{Plan, StepId};

/// More steps than this are counted instead of named.
const NAMED_STEPS: usize = 4;

/// Explains every step, in the order they stand in the plan; steps that read the same are told once.
pub fn explain(plan: &Plan) -> String {
    let mut told: Vec<(String, Vec<&StepId>)> = Vec::new();
    for planned in &plan.steps {
        let node = planned.step.node().unwrap_or_default();
        let own: Vec<&StepId> = planned
            .after
            .iter()
            .filter(|id| !planned.in_turn.contains(id))
            .collect();
        let mut text = format!("{}\n    why: {}\n", what(&planned.step), planned.why);
        let _ = writeln!(text, "    disturbs: {}", disturbs(&planned.disruption));
        if !own.is_empty() {
            let _ = writeln!(text, "    waits for: {}", list(own.into_iter(), node));
        }
        if !planned.in_turn.is_empty() {
            let _ = writeln!(
                text,
                "    takes turns with: {}",
                list(planned.in_turn.iter(), node)
            );
        }
        match told.iter_mut().find(|(known, _)| *known == text) {
            Some((_, steps)) => steps.push(&planned.id),
            None => told.push((text, vec![&planned.id])),
        }
    }
    told.into_iter().fold(String::new(), |mut all, (text, steps)| {
        let nodes: Vec<String> = steps.iter().map(|id| node_of(id).to_owned()).collect();
        let _ = write!(all, "{}: {text}", names_of(&nodes));
        all
    })
}

/// The part of a step's name before the slash: its node, or `cluster`.
fn node_of(id: &StepId) -> &str {
    id.0.split_once('/').map_or(id.0.as_str(), |(node, _)| node)
}

/// Steps by name, those of the same node without it.
fn list<'a>(steps: impl ExactSizeIterator<Item = &'a StepId>, node: &str) -> String {
    let all = steps.len();
    if all > NAMED_STEPS {
        return count(all, "step");
    }
    let own = format!("{node}/");
    steps
        .map(|id| match id.0.strip_prefix(&own) {
            Some(stage) => format!("its {stage}"),
            None => id.0.clone(),
        })
        .collect::<Vec<_>>()
        .join(", ")
}
