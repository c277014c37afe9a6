//! Breaks a copy of the product on purpose, one way at a time, and wants the simulated cluster to notice each.
//!
//! A check that was never seen to fail proves nothing. Each breakage is a replacement of a few lines that compiles; the
//! repository itself is not touched. What the simulation lets pass is a hole in its checks.

mod breakages;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};

use breakages::{BREAKAGES, Breakage};

/// How long a simulation may take, compilation aside: ten times what a sound one does. One that is longer hangs, and a
/// hang tells nobody what is wrong.
const LIMIT_SECONDS: &str = "300";
/// The exit code of `timeout` when time is up.
const TIME_IS_UP: i32 = 124;

/// Breaks the named things, or all of them, and tells which were noticed.
pub(crate) fn run(names: &[String]) -> anyhow::Result<()> {
    let copy = Copy::make()?;
    if names.is_empty() {
        let whole = copy.simulate()?;
        ensure!(
            whole.status.success(),
            "the simulation fails before anything is broken:\n{}",
            text(&whole)
        );
    }
    let chosen: Vec<&Breakage> = BREAKAGES
        .iter()
        .filter(|breakage| names.is_empty() || names.iter().any(|name| name == breakage.name))
        .collect();
    ensure!(!chosen.is_empty(), "no such breakage: {names:?}");
    let mut missed = Vec::new();
    for breakage in &chosen {
        let began = Instant::now();
        let told = copy.noticed(breakage)?;
        if told.is_none() {
            missed.push(breakage.name);
        }
        let told = told.map_or("MISSED".to_owned(), |how| format!("noticed by: {how}"));
        crate::say(&format!(
            "{}: {told} ({} s)",
            breakage.name,
            began.elapsed().as_secs()
        ));
    }
    if !missed.is_empty() {
        bail!("the simulation does not notice {missed:?}");
    }
    crate::say(&format!("{} breakages, all noticed", chosen.len()));
    Ok(())
}

/// A copy of the repository, and a build directory of its own: cargo takes one checkout for the other otherwise.
struct Copy {
    root: PathBuf,
    build: PathBuf,
}

impl Copy {
    fn make() -> anyhow::Result<Self> {
        let work = crate::dist::target_directory()?.join("mutants");
        let copy = Self {
            root: work.join("tree"),
            build: work.join("build"),
        };
        let repository = crate::repository();
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(repository)
            .output()
            .context("ask git for the repository's files")?;
        for path in String::from_utf8_lossy(&listed.stdout).split('\0') {
            let from = repository.join(path);
            if path.is_empty() || !from.is_file() {
                continue;
            }
            copy.put(
                path,
                &std::fs::read(&from).with_context(|| format!("read {path}"))?,
            )?;
        }
        Ok(copy)
    }

    /// Writes a file that differs: cargo goes by times.
    fn put(&self, path: &str, content: &[u8]) -> anyhow::Result<()> {
        let to = self.root.join(path);
        if std::fs::read(&to).is_ok_and(|present| present == content) {
            return Ok(());
        }
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        }
        std::fs::write(&to, content).with_context(|| format!("write {}", to.display()))
    }

    /// What the simulation says first against a breakage; nothing when it finds nothing wrong.
    fn noticed(&self, breakage: &Breakage) -> anyhow::Result<Option<String>> {
        let original = std::fs::read_to_string(self.root.join(breakage.path))
            .with_context(|| format!("read {}", breakage.path))?;
        ensure!(
            original.matches(breakage.right).count() == 1,
            "{}: {} does not have the lines to break exactly once",
            breakage.name,
            breakage.path
        );
        let broken = original.replace(breakage.right, breakage.wrong);
        self.put(breakage.path, broken.as_bytes())?;
        let ended = self.simulate();
        self.put(breakage.path, original.as_bytes())?;
        let ended = ended.with_context(|| breakage.name)?;
        if ended.status.success() || ended.status.code() == Some(TIME_IS_UP) {
            return Ok(None);
        }
        let said = text(&ended);
        let reason = said
            .lines()
            .find(|line| line.contains(" times: "))
            .or_else(|| said.lines().find(|line| line.contains("panicked at")));
        let reason = reason.unwrap_or("it failed").trim();
        Ok(Some(reason.chars().take(160).collect()))
    }

    fn simulate(&self) -> anyhow::Result<Output> {
        let cargo = |limit: &str, more: &[&str]| {
            let mut command = Command::new("timeout");
            command
                .args(["--kill-after=10", limit, env!("CARGO")])
                .args(["test", "--package", "kubewright-control", "--locked", "--quiet"])
                .args(["--test", "simulation"])
                .args(more)
                .current_dir(&self.root)
                .env("CARGO_TARGET_DIR", &self.build)
                .output()
                .context("run cargo")
        };
        let built = cargo("0", &["--no-run"])?;
        ensure!(built.status.success(), "it does not compile:\n{}", text(&built));
        cargo(LIMIT_SECONDS, &["--", "quick"])
    }
}

fn text(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_breakage_finds_its_lines() {
        for breakage in BREAKAGES {
            let text = std::fs::read_to_string(crate::repository().join(breakage.path)).unwrap();
            let found = text.matches(breakage.right).count();
            assert_eq!(found, 1, "{} in {}", breakage.name, breakage.path);
        }
    }
}
