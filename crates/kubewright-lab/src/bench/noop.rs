//! The second apply on five nodes: how long, and that it writes nothing.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{load, median, say_where};
use crate::scenario::{Stage, step};
use crate::ui;

/// What an apply without changes may take.
const GOAL_SECONDS: f64 = 1.0;

/// What the nodes' agents count that must be nothing.
const NOTHING: &[&str] = &["changed", "filesWritten", "unitActions", "blobBytes"];

pub(super) fn measure(stage: &Stage, runs: u32) -> Result<()> {
    step("apply to blank machines", || {
        stage.kubewright(&["--yes", "apply"])
    })?;
    // The first look after a run hashes what the run itself has written.
    step("apply once more", || stage.nothing_to_do())?;
    say_where();
    let mut seconds = Vec::new();
    for run in 1..=runs {
        let begin = Instant::now();
        let text = stage.kubewright_data(&["--yes", "apply", "--output", "json"])?;
        let took = begin.elapsed().as_secs_f64();
        let summary: Value = serde_json::from_str(&text).context("read what apply printed")?;
        let work = &summary["work"];
        for name in NOTHING {
            ensure!(
                work[name] == 0,
                "an apply without changes did something: {name} in {text}"
            );
        }
        ui::say(format_args!(
            "run {run}: {took:.2} s, load {}; files written {}, unit actions {}, bytes sent {}, files hashed {}",
            load(),
            work["filesWritten"],
            work["unitActions"],
            work["blobBytes"],
            work["filesHashed"]
        ));
        seconds.push(took);
    }
    let median = median(&seconds);
    ui::data(format_args!(
        "noop on 5 nodes: median {median:.2} s of {runs} runs; goal {GOAL_SECONDS:.1} s {}",
        if median <= GOAL_SECONDS {
            "reached"
        } else {
            "missed"
        }
    ));
    Ok(())
}
