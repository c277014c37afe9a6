//! The control planes of cluster.yaml change between an interrupted bootstrap and the next run: no second etcd comes of
//! it. What began as one control plane is finished as one.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{Stage, step};

/// What a run exits with that a rule refused.
const REFUSED: i32 = 20;

pub(super) fn tell(stage: &Stage) -> Result<()> {
    let three = fs::read_to_string(stage.cluster_file()).context("read the cluster file")?;
    let one: String = three
        .lines()
        .filter(|line| {
            !["cp-2", "cp-3"]
                .iter()
                .any(|name| line.contains(&format!("name: {name},")))
        })
        .fold(String::new(), |text, line| text + line + "\n");
    let write = |text: &str| fs::write(stage.cluster_file(), text).context("change the cluster file");
    step("apply with cp-1 alone, killed when its etcd is healthy", || {
        write(&one)?;
        let mut run = stage.start_kubewright(&["--yes", "apply"])?;
        run.wait_until("etcd to be healthy", |lines| {
            let is_healthy =
                |line: &String| line.starts_with("cp-1: wait until http://127.0.0.1:2381/health");
            lines
                .iter()
                .any(|line| is_healthy(line) && line.contains(": done in"))
        })?;
        let said = run.kill()?;
        ensure!(said.status.code().is_none(), "it ended by itself: {}", said.all());
        Ok(())
    })?;
    step("three control planes are refused, and nothing is changed", || {
        write(&three)?;
        let refused = stage.try_kubewright(&["--yes", "apply"])?.expect(REFUSED)?;
        refused.mentions(&[
            "[founders]",
            "as cp-1 keeps it",
            "put the control planes back",
            "kubewright reset",
        ])?;
        for machine in ["cp-2", "cp-3"] {
            stage.script(
                machine,
                "! test -e /var/lib/etcd/member && ! test -e /etc/kubernetes/kubewright.json",
            )?;
        }
        Ok(())
    })?;
    step("with the old file it is finished", || {
        write(&one)?;
        stage.kubewright(&["--yes", "apply"])?;
        stage.nothing_to_do()
    })?;
    let name = stage.lab_name().to_string();
    step("reset wants the cluster's name", || {
        stage.try_kubewright(&["--yes", "reset"])?.expect(1)?;
        stage
            .try_kubewright(&["--yes", "reset", "--name", "another"])?
            .expect(1)?;
        stage.kubewright(&["--yes", "reset", "--name", &name])
    })
    .map(drop)
}
