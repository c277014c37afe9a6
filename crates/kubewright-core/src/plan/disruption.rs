//! What a step disturbs, and what that means for whoever uses the cluster.

use super::{Disruption, Step};
use crate::carrier::{Disturbance, component_of, disturbance};
use crate::component;
use crate::shown::shown;

/// What a step disturbs, in a cluster with so many control planes.
pub(super) fn disruption(step: &Step, control_planes: usize) -> Disruption {
    let differences = match step {
        Step::ResetNode { .. } => return Disruption::Destroys,
        Step::Converge { differences, .. } => differences,
        _ => return Disruption::None,
    };
    let restarted = differences
        .iter()
        .filter_map(|difference| match disturbance(difference) {
            Disturbance::Restarts(unit) => Some(unit),
            Disturbance::Stops(_) | Disturbance::None => None,
        });
    let units: Vec<String> = restarted.map(str::to_owned).collect();
    if units.is_empty() {
        return Disruption::None;
    }
    let others = control_planes.saturating_sub(1);
    let effects = units
        .iter()
        .filter_map(|unit| component::named(component_of(unit)?))
        .filter_map(|component| (component.on_restart)(others))
        .collect();
    Disruption::Restarts { units, effects }
}

/// A disruption as a sentence.
pub(super) fn told(disruption: &Disruption) -> String {
    match disruption {
        Disruption::None => "nothing".to_owned(),
        Disruption::Restarts { units, effects } => {
            let units: Vec<String> = units.iter().map(|unit| shown(unit)).collect();
            let effects = effects
                .iter()
                .fold(String::new(), |text, effect| text + "; " + effect);
            format!("restarts {}{effects}", units.join(", "))
        }
        Disruption::Destroys => "all data of the node is lost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::disruption;
    use crate::carrier::unit_name;
    use crate::component::example;
    use crate::observed::{Change, Difference, UnitAction};
    use crate::plan::{Disruption, Step};
    use crate::resource::{NodeState, ResourceId, Stage};

    #[test]
    fn a_restart_means_what_the_component_says() {
        let unit = unit_name(example::NAME);
        let step = Step::Converge {
            node: "w-1".to_owned(),
            stage: Stage::Node,
            state: NodeState::default().digest(),
            differences: vec![Difference {
                resource: ResourceId::new("unit", &unit),
                change: Change::Unit {
                    before: None,
                    enable: false,
                    action: UnitAction::Restart,
                    found: Vec::new(),
                },
            }],
        };
        assert_eq!(
            disruption(&step, 3),
            Disruption::Restarts {
                units: vec![unit],
                effects: vec!["the example is away, 2 others are not".to_owned()],
            }
        );
    }
}
