//! Which rooms of a crate may use which: nowhere in a circle, and in core only downwards.

use std::collections::BTreeSet;

use super::crates::own_dependencies;
use super::graph::Graph;
use super::uses::of_crate;

/// Core's rooms from top to bottom: a room may use those of lines below its own.
const CORE: &[&[&str]] = &[
    &["offline"],
    &["plan", "drift"],
    &["check", "desired", "wire"],
    &["render"],
    &["carrier"],
    &["component"],
    &["manifest"],
    &["context"],
    &["founding"],
    &["journal", "observed", "operation_log", "pki"],
    &["resource", "errors"],
    &["spec"],
    &["catalogue"],
    &["http", "kinds", "secret", "shown"],
];

/// Uses in core that go upwards all the same. This list only ever gets shorter.
const KNOWN_UPWARD: &[(&str, &str)] = &[("catalogue", "spec")];

/// Circles that are there all the same. This list only ever gets shorter.
const KNOWN_CIRCLES: &[(&str, &[&str])] = &[
    ("kubewright-core", &["catalogue", "spec"]),
    ("kubewright-lab", &["lab", "machine", "ssh"]),
];

/// Returns what crosses a boundary between rooms, a line each.
pub(super) fn violations() -> anyhow::Result<Vec<String>> {
    let mut violations = Vec::new();
    for krate in own_dependencies()?.keys() {
        let graph = of_crate(&crate::directory_of(krate))?;
        let known: Vec<&[&str]> = KNOWN_CIRCLES
            .iter()
            .filter(|(name, _)| name == krate)
            .map(|(_, circle)| *circle)
            .collect();
        violations.extend(circles(krate, &graph, &known));
        if krate == "kubewright-core" {
            violations.extend(upward(&graph, CORE, KNOWN_UPWARD));
        }
    }
    Ok(violations)
}

/// Circles that are not known, and known ones that are gone or smaller.
fn circles(krate: &str, graph: &Graph, known: &[&[&str]]) -> Vec<String> {
    let known: BTreeSet<BTreeSet<&str>> = known
        .iter()
        .map(|circle| circle.iter().copied().collect())
        .collect();
    let found = graph.circles();
    let mut violations = Vec::new();
    for circle in found.difference(&known) {
        let inside = |room: &str| circle.contains(room);
        let uses: Vec<String> = graph
            .all()
            .filter(|(from, to, _)| inside(from) && inside(to))
            .map(|(from, to, place)| format!("{from} uses {to} in {}", place.display()))
            .collect();
        violations.push(format!("{krate} has a circle of rooms: {}", uses.join(", ")));
    }
    for circle in known.difference(&found) {
        let names: Vec<&str> = circle.iter().copied().collect();
        violations.push(format!(
            "{krate} has no circle of {} any more: take it off the list in xtask/src/boundaries/rooms.rs",
            names.join(" and ")
        ));
    }
    violations
}

/// Uses that do not go down the lines, rooms in no line, and known upward uses that are gone.
fn upward(graph: &Graph, lines: &[&[&str]], known: &[(&str, &str)]) -> Vec<String> {
    let line_of = |room: &str| lines.iter().position(|line| line.contains(&room));
    let mut violations = Vec::new();
    for room in graph.rooms().filter(|room| line_of(room).is_none()) {
        violations.push(format!("{room} is in no line of xtask/src/boundaries/rooms.rs"));
    }
    for room in lines.iter().copied().flatten() {
        if !graph.rooms().any(|present| present == *room) {
            violations.push(format!(
                "there is no {room} any more: take it out of xtask/src/boundaries/rooms.rs"
            ));
        }
    }
    let goes_up = |from: &str, to: &str| {
        let (from, to) = (line_of(from), line_of(to));
        from.is_some() && to.is_some() && to <= from
    };
    for (from, to, place) in graph.all().filter(|(from, to, _)| goes_up(from, to)) {
        if !known.contains(&(from, to)) {
            violations.push(format!(
                "{from} must not use {to}, which is not below it: {}",
                place.display()
            ));
        }
    }
    for (from, to) in known {
        if !graph.all().any(|(a, b, _)| (a, b) == (*from, *to)) {
            violations.push(format!(
                "{from} does not use {to} any more: take it off the list in xtask/src/boundaries/rooms.rs"
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn graph(uses: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::of(["plan", "render", "spec"].map(str::to_owned));
        for (from, to) in uses {
            graph.uses(from, to, Path::new("a.rs"));
        }
        graph
    }

    const LINES: &[&[&str]] = &[&["plan"], &["render"], &["spec"]];

    #[test]
    fn a_circle_is_told_with_every_use_in_it() {
        let told = circles("core", &graph(&[("plan", "spec"), ("spec", "plan")]), &[]);
        assert_eq!(
            told,
            ["core has a circle of rooms: plan uses spec in a.rs, spec uses plan in a.rs"]
        );
    }

    #[test]
    fn a_known_circle_is_passed_over_and_told_when_it_is_gone() {
        let known: &[&[&str]] = &[&["plan", "spec"]];
        assert!(circles("core", &graph(&[("plan", "spec"), ("spec", "plan")]), known).is_empty());
        assert!(circles("core", &graph(&[]), known)[0].contains("no circle of plan and spec any more"));
    }

    #[test]
    fn a_use_upwards_is_told_and_one_downwards_is_not() {
        let told = upward(&graph(&[("plan", "spec"), ("spec", "render")]), LINES, &[]);
        assert_eq!(told, ["spec must not use render, which is not below it: a.rs"]);
    }

    #[test]
    fn the_lines_name_every_room_and_no_other() {
        let told = upward(&graph(&[]), &[&["plan"], &["render", "gone"]], &[]);
        assert!(told[0].starts_with("spec is in no line"), "{told:?}");
        assert!(told[1].starts_with("there is no gone any more"), "{told:?}");
    }

    #[test]
    fn a_known_upward_use_that_is_gone_is_told() {
        let told = upward(&graph(&[]), LINES, &[("spec", "plan")]);
        assert!(told[0].starts_with("spec does not use plan any more"), "{told:?}");
    }
}
