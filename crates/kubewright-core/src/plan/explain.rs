//! Why a plan is as it is: of every step its reason, what it disturbs and what it waits for.

use std::fmt::Write as _;

use super::text::{names_of, what};
use super::{Plan, PlannedStep, disruption, waits};

/// Explains every step, in the order they stand in the plan; steps that read the same are told once.
pub fn explain(plan: &Plan) -> String {
    let mut told: Vec<(String, Vec<&PlannedStep>)> = Vec::new();
    for planned in &plan.steps {
        let mut text = format!("{}\n    why: {}\n", what(&planned.step), planned.why);
        let _ = writeln!(text, "    disturbs: {}", disruption::told(&planned.disruption));
        // Which step of a kind it is does not count.
        let kind = planned.id.0.split_once('/').map_or("", |(_, kind)| kind);
        let key = format!("{kind} {text}");
        match told.iter_mut().find(|(known, _)| *known == key) {
            Some((_, steps)) => steps.push(planned),
            None => told.push((key, vec![planned])),
        }
    }
    told.into_iter().fold(String::new(), |mut all, (key, steps)| {
        let nodes: Vec<String> = steps
            .iter()
            .map(|planned| planned.step.node().unwrap_or("cluster").to_owned())
            .collect();
        let text = key.split_once(' ').map_or("", |(_, text)| text);
        let after = waits::told(&steps).unwrap_or_else(|| "nothing: it begins at once".to_owned());
        let _ = writeln!(all, "{}: {text}    waits for: {after}", names_of(&nodes));
        all
    })
}
