use std::collections::BTreeSet;

use super::ALL;

#[test]
fn no_two_components_have_one_name() {
    let names: BTreeSet<&str> = ALL.iter().map(|component| component.name).collect();
    assert_eq!(names.len(), ALL.len());
}

#[test]
fn components_are_asked_for_their_health_on_a_port_of_their_own() {
    for component in ALL {
        if let Some(probe) = component.probe {
            let mut ports = component.ports.iter();
            assert!(ports.any(|port| port.number == probe.port), "{}", component.name);
        }
    }
}

#[test]
fn what_runs_is_among_what_is_brought() {
    for component in ALL {
        if let super::Program::Catalogue(name) = component.program {
            assert!(component.binaries.contains(&name), "{}", component.name);
        }
    }
}
