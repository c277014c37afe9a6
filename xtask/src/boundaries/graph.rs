//! Who uses whom, with a file that shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Rooms and what each uses.
#[derive(Debug)]
pub(super) struct Graph(BTreeMap<String, BTreeMap<String, PathBuf>>);

impl Graph {
    /// Rooms that do not use each other yet.
    pub(super) fn of(rooms: impl IntoIterator<Item = String>) -> Self {
        Self(rooms.into_iter().map(|room| (room, BTreeMap::new())).collect())
    }

    /// Notes a use between two different rooms, and the first file it was seen in.
    pub(super) fn uses(&mut self, from: &str, to: &str, place: &Path) {
        if from == to || !self.0.contains_key(to) {
            return;
        }
        if let Some(uses) = self.0.get_mut(from) {
            uses.entry(to.to_owned()).or_insert_with(|| place.to_owned());
        }
    }

    /// Every room, by name.
    pub(super) fn rooms(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Every use: from, to, and a file that shows it.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str, &Path)> {
        self.0.iter().flat_map(|(from, uses)| {
            uses.iter()
                .map(move |(to, place)| (from.as_str(), to.as_str(), place.as_path()))
        })
    }

    /// What a room uses, through others as well; itself only if it is in a circle.
    pub(super) fn reach(&self, room: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open = vec![room];
        while let Some(room) = open.pop() {
            for next in self.0.get(room).into_iter().flat_map(BTreeMap::keys) {
                if reached.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        reached
    }

    /// Sets of rooms that each reach all others of the set.
    pub(super) fn circles(&self) -> BTreeSet<BTreeSet<&str>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            self.rooms().map(|room| (room, self.reach(room))).collect();
        let in_circles = reach.iter().filter(|(room, reached)| reached.contains(*room));
        in_circles
            .map(|(room, reached)| {
                let back = reached.iter().filter(|other| reach[*other].contains(room));
                back.copied().collect()
            })
            .collect()
    }

    /// What a room uses and does not reach through another one: the arrows worth drawing.
    pub(super) fn arrows(&self, room: &str) -> Vec<&str> {
        let uses: Vec<&str> = self.0[room].keys().map(String::as_str).collect();
        let is_reached_through = |to: &str, other: &str| {
            other != to && self.reach(other).contains(to) && !self.reach(to).contains(other)
        };
        uses.iter()
            .filter(|to| !uses.iter().any(|other| is_reached_through(to, other)))
            .copied()
            .collect()
    }

    /// Rooms in lines, the topmost first: a room uses only those of lines below its own, circles aside.
    pub(super) fn levels(&self) -> Vec<Vec<&str>> {
        let mut lines: Vec<Vec<&str>> = Vec::new();
        let mut placed: BTreeSet<&str> = BTreeSet::new();
        while placed.len() < self.0.len() {
            let stands = |room: &&str| {
                !placed.contains(room)
                    && self
                        .reach(room)
                        .iter()
                        .all(|used| placed.contains(used) || used == room || self.reach(used).contains(room))
            };
            let line: Vec<&str> = self.rooms().filter(stands).collect();
            placed.extend(&line);
            lines.push(line);
        }
        lines.reverse();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(uses: &[(&str, &str)]) -> Graph {
        let rooms = uses
            .iter()
            .flat_map(|(from, to)| [from.to_string(), to.to_string()]);
        let mut graph = Graph::of(rooms);
        for (from, to) in uses {
            graph.uses(from, to, Path::new("file"));
        }
        graph
    }

    #[test]
    fn a_circle_is_found_whole_and_what_only_uses_it_is_not_in_it() {
        let graph = graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("top", "a"), ("c", "base")]);
        assert_eq!(graph.circles(), [["a", "b", "c"].into()].into());
    }

    #[test]
    fn what_another_arrow_leads_to_is_not_drawn_again() {
        let graph = graph(&[("a", "b"), ("b", "c"), ("a", "c")]);
        assert_eq!(graph.arrows("a"), ["b"]);
    }

    #[test]
    fn lines_go_from_the_top_down() {
        let graph = graph(&[("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")]);
        assert_eq!(graph.levels(), [vec!["a"], vec!["b", "d"], vec!["c"]]);
    }

    #[test]
    fn a_circle_stands_in_one_line() {
        let graph = graph(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]);
        assert_eq!(graph.levels(), [vec!["a"], vec!["b", "c"], vec!["d"]]);
    }
}
