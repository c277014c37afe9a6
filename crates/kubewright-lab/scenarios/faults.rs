//! Whatever interrupts an apply, applying again finishes the job, and a third run finds nothing to do.
//!
//! Told short, one bootstrap suffers everything in turn. Told in full, each fault has a bootstrap of its own, and the
//! program is killed after each eleventh of its changes.
//!
//! Not told: a machine with a wrong clock. The lab's machines share this computer's; the check of clocks has unit tests.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::run::{Running, Said};
use super::{Stage, step};
use crate::ui;

/// What a run that stopped part-way exits with.
const STOPPED: i32 = 10;
/// The exit code of a run that a rule refused, such as by the lock of another run.
const REFUSED: i32 = 20;

/// In full, the program is killed at so many points.
const POINTS: usize = 10;

/// Within so long a dead connection must be noticed, and the machine be named.
const NOTICE: Duration = Duration::from_secs(60);

/// Told short, the program is first killed after so many changes.
const EARLY: usize = 40;

/// Where containerd keeps images; it gets a file system of its own that can be shrunk.
const IMAGES: &str = "/var/lib/containerd";

pub(super) fn tell(stage: &Stage, full: bool) -> Result<()> {
    if !full {
        return in_one_bootstrap(stage);
    }
    let total = step("count what a whole bootstrap changes", || {
        let total = stage.try_kubewright(&["--yes", "apply"])?.expect(0)?.changes;
        ensure!(total > POINTS, "only {total} changes are in its log");
        Ok(total)
    })?;
    for point in 1..=POINTS {
        reset(stage)?;
        kill_at(stage, point * total / (POINTS + 1))?;
        converge(stage)?;
    }
    for fault in [
        connection_reset,
        silent_cut,
        power_cycle,
        disk_full,
        agent_has_no_room,
        two_at_once,
    ] {
        reset(stage)?;
        fault(stage)?;
        converge(stage)?;
    }
    ui::say(format_args!(
        "{POINTS} kills, spread over {total} changes, and 6 other faults, each healed by applying again"
    ));
    Ok(())
}

/// One bootstrap that is killed twice, held up by a second run, and loses machines, connections and disk space.
fn in_one_bootstrap(stage: &Stage) -> Result<()> {
    small_disk(stage, "w-2")?;
    kill_at(stage, EARLY)?;
    two_and_kill(stage)?;
    step("disk full on w-2, connection of w-1 reset", || {
        let mut run = stage.start_kubewright(&["--yes", "apply"])?;
        run.wait_until("the workers' runtime", |lines| {
            begun(lines, "w-1: runtime") && begun(lines, "w-2: runtime")
        })?;
        shrink(stage, "w-2")?;
        reset_connection(stage, "w-1")?;
        let said = finish_in_time(run)?.expect(STOPPED)?;
        free(stage, "w-2")?;
        said.mentions(&["w-1", "w-2", "no space left on device", "to continue, run"])
            .map(drop)
    })?;
    silent_cut_and_power(stage)?;
    converge(stage)
}

/// Ends the program with SIGKILL once it has changed so many resources.
fn kill_at(stage: &Stage, count: usize) -> Result<()> {
    step(&format!("apply, killed after {count} changes"), || {
        let mut run = stage.start_kubewright(&["--yes", "apply"])?;
        run.wait_for_changes(count)?;
        let said = run.kill()?;
        ensure!(said.status.code().is_none(), "it ended by itself: {}", said.all());
        Ok(())
    })
}

/// A second apply while one runs is told who works on the machines, and the first goes on.
fn two_at_once(stage: &Stage) -> Result<()> {
    step("two applies at once", || {
        let mut first = stage.start_kubewright(&["--yes", "apply"])?;
        first.wait_for_changes(1)?;
        refused_second(stage)?;
        first.finish()?.expect(0).map(drop)
    })
}

fn two_and_kill(stage: &Stage) -> Result<()> {
    step("two applies at once, the first killed later", || {
        let mut first = stage.start_kubewright(&["--yes", "apply"])?;
        first.wait_for_changes(1)?;
        refused_second(stage)?;
        first.wait_until("etcd to run", |lines| done(lines, "cp-2: etcd"))?;
        first.kill().map(drop)
    })
}

fn refused_second(stage: &Stage) -> Result<()> {
    let second = stage.try_kubewright(&["--yes", "apply"])?.expect(REFUSED)?;
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    second
        .mentions(&[&user.unwrap_or_else(|_| "unknown".to_owned()), "run "])
        .map(drop)
}

/// A firewall answers for a machine that the connection is unknown.
fn connection_reset(stage: &Stage) -> Result<()> {
    step("connection of w-1 reset while it receives", || {
        let run = until_receiving(stage, "w-1")?;
        reset_connection(stage, "w-1")?;
        finish_in_time(run)?
            .expect(STOPPED)?
            .mentions(&["w-1", "to continue, run"])
            .map(drop)
    })
}

fn silent_cut(stage: &Stage) -> Result<()> {
    step("w-1 cut off without a trace while it receives", || {
        let run = until_receiving(stage, "w-1")?;
        stage.lab(&["cut", "w-1"])?;
        let said = finish_in_time(run);
        stage.lab(&["heal", "w-1"])?;
        said?
            .expect(STOPPED)?
            .mentions(&["w-1", "to continue, run"])
            .map(drop)
    })
}

fn power_cycle(stage: &Stage) -> Result<()> {
    step("w-1 loses its power while it receives", || {
        let run = until_receiving(stage, "w-1")?;
        stage.lab(&["kill", "w-1"])?;
        stage.lab(&["start", "w-1"])?;
        finish_in_time(run)?
            .expect(STOPPED)?
            .mentions(&["w-1", "to continue, run"])
            .map(drop)
    })
}

fn silent_cut_and_power(stage: &Stage) -> Result<()> {
    step("w-1 cut off, w-2 powered off and on, both at work", || {
        let mut run = stage.start_kubewright(&["--yes", "apply"])?;
        run.wait_until("the workers' work", |lines| {
            begun(lines, "w-1: ") && begun(lines, "w-2: ")
        })?;
        stage.lab(&["cut", "w-1"])?;
        stage.lab(&["kill", "w-2"])?;
        stage.lab(&["start", "w-2"])?;
        let said = finish_in_time(run);
        stage.lab(&["heal", "w-1"])?;
        said?
            .expect(STOPPED)?
            .mentions(&["w-1", "w-2", "to continue, run"])
            .map(drop)
    })
}

fn disk_full(stage: &Stage) -> Result<()> {
    step("disk full on w-2 while it takes images", || {
        small_disk(stage, "w-2")?;
        let run = until_receiving(stage, "w-2")?;
        shrink(stage, "w-2")?;
        let said = finish_in_time(run)?.expect(STOPPED)?;
        free(stage, "w-2")?;
        said.mentions(&["w-2", "no space left on device", "to continue, run"])
            .map(drop)
    })
}

/// Not even the agent can be written.
fn agent_has_no_room(stage: &Stage) -> Result<()> {
    step("no room for the agent on w-2", || {
        stage.script("w-2", "mount -t tmpfs -o size=64k tmpfs /var/lib/kubewright")?;
        let said = stage.try_kubewright(&["--yes", "apply"])?;
        stage.script("w-2", "umount /var/lib/kubewright")?;
        ensure!(!said.status.success(), "it went on without an agent");
        said.mentions(&["w-2", "o space left on device"]).map(drop)
    })
}

/// Applies until it is done, which is at once, and once more. Nothing waits for what the run before left on the machines:
/// that is the program's business.
fn converge(stage: &Stage) -> Result<()> {
    step("apply again", || stage.kubewright(&["--yes", "apply"]))?;
    step("apply a third time", || stage.nothing_to_do())?;
    stage.fetch_kubeconfig()?;
    stage.all_ready()
}

fn reset(stage: &Stage) -> Result<()> {
    step("reset", || {
        stage.kubewright(&["--yes", "reset", "--name", &stage.lab_name().to_string()])
    })?;
    // What a story of a small disk has mounted.
    stage.script(
        "w-2",
        &format!("while [ \"$(findmnt -no FSTYPE {IMAGES})\" = tmpfs ]; do umount {IMAGES}; done"),
    )?;
    Ok(())
}

/// Starts an apply and waits until a worker is being sent its programs.
fn until_receiving(stage: &Stage, machine: &str) -> Result<Running> {
    let mut run = stage.start_kubewright(&["--yes", "apply"])?;
    let step = format!("{machine}: runtime");
    run.wait_until(&step, |lines| begun(lines, &step))?;
    Ok(run)
}

/// A run that lost a machine must notice and end.
fn finish_in_time(run: Running) -> Result<Said> {
    let begin = std::time::Instant::now();
    let said = run.finish()?;
    let took = begin.elapsed();
    ensure!(
        took < NOTICE,
        "it took {} s to end:\n{}",
        took.as_secs(),
        said.all()
    );
    Ok(said)
}

/// Resets what is connected to a machine's sshd, the way a firewall that was restarted does.
fn reset_connection(stage: &Stage, machine: &str) -> Result<()> {
    const RULES: &str = "
nft add table inet cutoff
nft add chain inet cutoff input '{ type filter hook input priority -10; }'
nft add rule inet cutoff input tcp dport 22 reject with tcp reset
sleep 1
nft delete table inet cutoff
";
    stage.script(machine, RULES).map(drop)
}

fn small_disk(stage: &Stage, machine: &str) -> Result<()> {
    stage
        .script(machine, &format!("mount -t tmpfs -o size=20g tmpfs {IMAGES}"))
        .map(drop)
}

/// Leaves the file system hardly more room than it uses.
fn shrink(stage: &Stage, machine: &str) -> Result<()> {
    let script = format!(
        "used=$(df --output=used --block-size=1k {IMAGES} | tail -1); mount -o remount,size=$((used + 256))k {IMAGES}"
    );
    stage.script(machine, &script).map(drop)
}

fn free(stage: &Stage, machine: &str) -> Result<()> {
    stage
        .script(machine, &format!("mount -o remount,size=20g {IMAGES}"))
        .map(drop)
}

fn begun(lines: &[String], what: &str) -> bool {
    lines.iter().any(|line| line.starts_with(what))
}

fn done(lines: &[String], what: &str) -> bool {
    lines
        .iter()
        .any(|line| line.starts_with(what) && line.contains(": done in"))
}
