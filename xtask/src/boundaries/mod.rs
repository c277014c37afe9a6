//! Boundaries stand for invariants; this is what keeps them standing.
//!
//! `crates` compares crates with what cargo says, `rooms` the top-level modules inside each with their source,
//! and `picture` draws both. `carrier_words` keeps what only systemd's carrier knows with it.

mod carrier_words;
mod crates;
mod graph;
mod picture;
mod rooms;
mod uses;

use anyhow::bail;

pub(crate) use picture::renew as draw;

/// Fails with all violations, a line each.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut violations = crates::violations()?;
    violations.extend(rooms::violations()?);
    violations.extend(carrier_words::violations()?);
    if picture::is_stale()? {
        violations.push("the picture in ARCHITECTURE.md is stale: cargo xtask picture".to_owned());
    }
    if violations.is_empty() {
        crate::say("boundaries hold");
        return Ok(());
    }
    bail!("boundaries are broken:\n  {}", violations.join("\n  "))
}
