//! The picture of crates and rooms in ARCHITECTURE.md: drawn from the code, compared by the check of boundaries.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::crates::own_dependencies;
use super::graph::Graph;
use super::uses::of_crate;

const BEGIN: &str = "<!-- begin: cargo xtask picture -->\n";
const END: &str = "<!-- end: cargo xtask picture -->";

/// Crates in the order of the picture. `xtask` and `kubewright-fuzz` are not what the product is made of.
const DRAWN: [&str; 5] = [
    "kubewright",
    "kubewright-control",
    "kubewright-agent",
    "kubewright-core",
    "kubewright-lab",
];

/// Writes the picture anew.
pub(crate) fn renew() -> anyhow::Result<()> {
    let (before, _, after) = parts()?;
    fs::write(path(), format!("{before}{BEGIN}{}{END}{after}", draw()?)).context("write ARCHITECTURE.md")
}

/// Whether the picture in the document is another than the code makes.
pub(super) fn is_stale() -> anyhow::Result<bool> {
    Ok(parts()?.1 != draw()?)
}

/// The document before, in and after the picture.
fn parts() -> anyhow::Result<(String, String, String)> {
    let text = fs::read_to_string(path()).context("read ARCHITECTURE.md")?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (picture, after) = rest.split_once(END)?;
        Some((before.to_owned(), picture.to_owned(), after.to_owned()))
    });
    parts.with_context(|| format!("ARCHITECTURE.md has no place for the picture: {BEGIN}"))
}

fn path() -> PathBuf {
    crate::repository().join("ARCHITECTURE.md")
}

fn draw() -> anyhow::Result<String> {
    let dependencies = own_dependencies()?;
    let mut picture = "```text\n".to_owned();
    for krate in DRAWN {
        let uses = dependencies
            .get(krate)
            .with_context(|| format!("there is no crate {krate}"))?;
        let graph = of_crate(&crate::directory_of(krate))?;
        let names: Vec<&str> = uses.iter().map(|name| short(name)).collect();
        let arrow = if names.is_empty() { "" } else { "  ──►  " };
        writeln!(picture, "{}{arrow}{}", short(krate), names.join(", "))?;
        picture.push_str(&if krate == "kubewright-core" {
            with_arrows(&graph)
        } else {
            in_lines(&graph)
        });
    }
    picture.push_str("```\n");
    Ok(picture)
}

fn short(krate: &str) -> &str {
    krate.strip_prefix("kubewright-").unwrap_or(krate)
}

/// A line for each level.
fn in_lines(graph: &Graph) -> String {
    let levels = graph.levels().into_iter();
    let lines: Vec<String> = levels.map(|line| format!("  │ {}\n", line.join("  "))).collect();
    lines.concat()
}

/// A line for each room, with what it uses and does not reach through another one; the last line has those that use none.
fn with_arrows(graph: &Graph) -> String {
    let rooms = graph.levels().into_iter().flatten();
    let (lowest, others): (Vec<&str>, Vec<&str>) = rooms.partition(|room| graph.arrows(room).is_empty());
    let line = |room: &str| format!("  │ {room:<14}─► {}\n", graph.arrows(room).join(", "));
    let lines: Vec<String> = others.into_iter().map(line).collect();
    format!("{}  │ {}\n", lines.concat(), lowest.join("  "))
}
