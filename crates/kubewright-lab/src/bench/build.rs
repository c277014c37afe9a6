//! Blank machines to five Ready nodes and a DNS answer: kubewright, and next to it the floor.
//!
//! The floor is `floor.sh`, a script that copies the very files kubewright put on such machines, starts the same
//! processes and applies the same objects. It makes no keys, checks nothing, keeps no journal and knows the end
//! beforehand: what kubewright takes more is the price of what it does more. Both are measured by turns, each on fresh
//! machines with the same names and addresses, from machines that answer to five Ready nodes and an answer of DNS.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{harvest, load, median, say_where};
use crate::scenario::{Stage, step};
use crate::ssh;
use crate::tool;
use crate::ui;
use crate::wait::{Limit, wait_until};

/// How many times as long as the floor kubewright may take.
const GOAL_RATIO: f64 = 2.0;

/// After this the floor does not work.
const FLOOR: Limit = Limit::Seconds(180);

const SCRIPT: &str = include_str!("../../assets/floor.sh");

pub(super) fn measure(stage: &Stage, runs: u32) -> Result<()> {
    harvest::require()?;
    say_where();
    let components = stage
        .components()
        .context("the bench needs --components: the images are taken from there")?;
    let directory = stage.directory().join("floor");
    let addresses = stage.addresses()?;
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        if run > 1 {
            blank(stage)?;
        }
        let took = step(&format!("run {run}: kubewright"), || kubewright(stage))?;
        ours.push(took);
        if run == 1 {
            stage.fetch_kubeconfig()?;
            step("take down what it put there", || {
                harvest::take(stage, &components, &directory)
            })?;
        }
        blank(stage)?;
        ensure!(
            stage.addresses()? == addresses,
            "the new machines have other addresses"
        );
        let took_floor = step(&format!("run {run}: floor"), || floor(stage, &directory))?;
        floors.push(took_floor);
        ui::say(format_args!(
            "run {run}: kubewright {took:.1} s, floor {took_floor:.1} s, load {}",
            load()
        ));
    }
    let (ours, floor) = (median(&ours), median(&floors));
    let ratio = ours / floor;
    ui::data(format_args!(
        "build of 3 + 2: kubewright {ours:.1} s, floor {floor:.1} s (medians of {runs}), ratio {ratio:.2}; goal {GOAL_RATIO:.1} {}",
        if ratio <= GOAL_RATIO { "reached" } else { "missed" }
    ));
    Ok(())
}

/// Fresh machines.
fn blank(stage: &Stage) -> Result<()> {
    step("fresh machines", || {
        stage.down()?;
        stage.up()
    })
}

fn kubewright(stage: &Stage) -> Result<f64> {
    let begin = Instant::now();
    // It ends when five nodes are Ready and CoreDNS is available.
    stage.kubewright(&["--yes", "apply"])?;
    wait_for_dns(stage)?;
    Ok(begin.elapsed().as_secs_f64())
}

fn floor(stage: &Stage, directory: &Path) -> Result<f64> {
    let machines = stage.machines()?;
    let lab = stage.directory().join("lab");
    Stage::on_each(&machines, |machine| {
        // What a copy needs that a blank machine lacks.
        let zstd = std::fs::read("/usr/bin/zstd").context("read zstd")?;
        stage.on_machine(machine, &["dd", "of=/usr/bin/zstd", "status=none"], &zstd)?;
        stage.on_machine(machine, &["chmod", "755", "/usr/bin/zstd"], b"")
    })?;
    let servers: Vec<String> = stage
        .addresses()?
        .iter()
        .filter(|(name, _)| name.starts_with("cp-"))
        .map(|(_, address)| format!("https://{address}:6443"))
        .collect();
    std::fs::write(directory.join("floor.sh"), SCRIPT).context("write floor.sh")?;
    let begin = Instant::now();
    let mut script: Command = tool::command("timeout");
    script
        .args(["300", "bash", "floor.sh"])
        .args(&machines)
        .current_dir(directory)
        .env("SSH_CONFIG", ssh::config_path(&lab))
        .env("SERVERS", servers.join(" "))
        .env("KUBECTL", stage.kubectl_program())
        .env("KUBECONFIG", directory.join("kubeconfig"));
    let output = script.output().context("start the floor")?;
    tool::check(&script, &output)?;
    wait_until("five Ready nodes", FLOOR, || {
        Ok(stage.ready_nodes().is_ok_and(|ready| ready == machines))
    })?;
    wait_for_dns(stage)?;
    Ok(begin.elapsed().as_secs_f64())
}

/// Asks the service's address, which both sides' objects have from the default service range.
fn wait_for_dns(stage: &Stage) -> Result<()> {
    wait_until("DNS to answer w-1", FLOOR, || {
        Ok(stage.dns_answers("w-1", "10.96.0.10").unwrap_or(false))
    })
}
