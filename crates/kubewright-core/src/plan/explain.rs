//! Why a plan is as it is: of every step its reason, what it disturbs, under which conditions, and what it waits for.

use std::fmt::Write as _;

use super::waits::names_of;
use super::{Plan, PlannedStep, StepKind, disruption, guards, waits};

/// Explains every step, in the order they stand in the plan; steps of a kind that read the same are told once.
pub fn explain(plan: &Plan) -> String {
    let mut told: Vec<(StepKind, String, Vec<&PlannedStep>)> = Vec::new();
    for planned in &plan.steps {
        let kind = planned.id.kind;
        let mut text = format!("{}\n    why: {}\n", planned.step.title(), planned.why);
        let _ = writeln!(text, "    disturbs: {}", disruption::told(&planned.disruption));
        match told
            .iter_mut()
            .find(|told| told.0 == kind && told.1 == text && likens(told.2[0], planned))
        {
            Some((_, _, steps)) => steps.push(planned),
            None => told.push((kind, text, vec![planned])),
        }
    }
    told.into_iter().fold(String::new(), |mut all, (_, text, steps)| {
        let nodes: Vec<String> = steps.iter().map(|planned| planned.id.place.to_string()).collect();
        let guards =
            guards::told(&steps).map_or_else(String::new, |told| format!("    only while: {told}\n"));
        let takes_back = takes_back(steps[0]);
        let after = waits::told(&steps).unwrap_or_else(|| "nothing: it begins at once".to_owned());
        let _ = writeln!(
            all,
            "{}: {text}{guards}{takes_back}    waits for: {after}",
            names_of(&nodes)
        );
        all
    })
}

/// What happens when the node is not healthy then.
fn takes_back(planned: &PlannedStep) -> String {
    let kinds: Vec<&str> = planned.takes_back.iter().map(|id| id.kind.as_str()).collect();
    if kinds.is_empty() {
        return String::new();
    }
    format!(
        "    if the node is not healthy: its {} is taken back\n",
        kinds.join(", then its ")
    )
}

/// Whether two steps are guarded in the same way, and taken back in the same way.
fn likens(one: &PlannedStep, other: &PlannedStep) -> bool {
    let kinds = |planned: &PlannedStep| {
        planned
            .guard
            .iter()
            .map(std::mem::discriminant)
            .collect::<Vec<_>>()
    };
    let takes_back = |planned: &PlannedStep| planned.takes_back.iter().map(|id| id.kind).collect::<Vec<_>>();
    kinds(one) == kinds(other) && takes_back(one) == takes_back(other)
}
