//! Runs the fuzz targets for a bounded time, one after the other.
//!
//! They are built without a sanitizer, because there is no `unsafe` code to watch: that needs no nightly toolchain. What a
//! fuzzer finds worth keeping on its way stays below the target directory; an input that breaks a promise is written
//! to `fuzz/artifacts` and the run ends with an error.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// What a fuzzer may use, in MiB: inputs that make the code eat memory are findings.
const MEMORY_MIB: u32 = 1024;
/// Seconds one input may take.
const INPUT_SECONDS: u32 = 10;

/// Runs the named targets, or all of them, each for so many seconds.
pub(crate) fn run(targets: &[String], seconds: u32) -> anyhow::Result<()> {
    let targets = if targets.is_empty() {
        all()?
    } else {
        targets.to_vec()
    };
    let mut found = Vec::new();
    for target in &targets {
        if !one(target, seconds)? {
            found.push(target);
        }
    }
    if !found.is_empty() {
        bail!(
            "a promise was broken by {found:?}: the inputs are in fuzz/artifacts; keep them in fuzz/corpus, with the fix"
        );
    }
    crate::say(&format!(
        "{} fuzzed for {seconds} s each: nothing found",
        targets.join(", ")
    ));
    Ok(())
}

/// Whether a target ran its time without finding anything.
fn one(target: &str, seconds: u32) -> anyhow::Result<bool> {
    crate::say(&format!("== {target}"));
    // A directory of its own: these programs are built with other flags.
    let work = crate::dist::target_directory()?.join("fuzzing");
    let found = work.join("corpus").join(target);
    std::fs::create_dir_all(&found).with_context(|| format!("make {}", found.display()))?;
    let memory = Path::new("/dev/shm");
    let status = Command::new(env!("CARGO"))
        .args(["fuzz", "run", "--sanitizer", "none", "--target-dir"])
        .arg(&work)
        .arg(target)
        .arg(&found)
        .arg(format!("fuzz/corpus/{target}"))
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .args(["-max_len=65536", "-print_final_stats=1"])
        // The journal's target makes a node's root for each input: in memory, that is a thousand times as many.
        .env(
            "TMPDIR",
            if memory.is_dir() {
                memory
            } else {
                Path::new("/tmp")
            },
        )
        .current_dir(repository())
        .status()
        .context("run cargo fuzz; it is installed by: cargo install cargo-fuzz --locked")?;
    Ok(status.success())
}

/// The targets, by their programs.
fn all() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in
        std::fs::read_dir(repository().join("fuzz/fuzz_targets")).context("read fuzz/fuzz_targets")?
    {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
