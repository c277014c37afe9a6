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
    &["catalogue", "check_kind"],
    &["value"],
    &["http", "kinds", "secret", "shown"],
];

/// Returns what crosses a boundary between rooms, a line each.
pub(super) fn violations() -> anyhow::Result<Vec<String>> {
    let mut violations = Vec::new();
    for krate in own_dependencies()?.keys() {
        let graph = of_crate(&crate::directory_of(krate))?;
        violations.extend(circles(krate, &graph));
        if krate == "kubewright-core" {
            violations.extend(upward(&graph, CORE));
        }
    }
    Ok(violations)
}

/// Circles of rooms, each with every use in it.
fn circles(krate: &str, graph: &Graph) -> Vec<String> {
    let told = |circle: &BTreeSet<&str>| {
        let inside = |room: &str| circle.contains(room);
        let uses: Vec<String> = graph
            .all()
            .filter(|(from, to, _)| inside(from) && inside(to))
            .map(|(from, to, place)| format!("{from} uses {to} in {}", place.display()))
            .collect();
        format!("{krate} has a circle of rooms: {}", uses.join(", "))
    };
    graph.circles().iter().map(told).collect()
}

/// Uses that do not go down the lines, and rooms in no line.
fn upward(graph: &Graph, lines: &[&[&str]]) -> Vec<String> {
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
        violations.push(format!(
            "{from} must not use {to}, which is not below it: {}",
            place.display()
        ));
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
        let told = circles("core", &graph(&[("plan", "spec"), ("spec", "plan")]));
        assert_eq!(
            told,
            ["core has a circle of rooms: plan uses spec in a.rs, spec uses plan in a.rs"]
        );
    }

    #[test]
    fn a_use_upwards_is_told_and_one_downwards_is_not() {
        let told = upward(&graph(&[("plan", "spec"), ("spec", "render")]), LINES);
        assert_eq!(told, ["spec must not use render, which is not below it: a.rs"]);
    }

    #[test]
    fn the_lines_name_every_room_and_no_other() {
        let told = upward(&graph(&[]), &[&["plan"], &["render", "gone"]]);
        assert!(told[0].starts_with("spec is in no line"), "{told:?}");
        assert!(told[1].starts_with("there is no gone any more"), "{told:?}");
    }
}
