//! One control plane loses its power, and the others do not notice; then all machines do at once, and the
//! cluster comes back by itself.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Stage, step};
use crate::wait::{Limit, wait_until};

/// Within this, the API must answer on every surviving node.
const FAILOVER: Limit = Limit::Seconds(3);

/// For so long the surviving nodes are watched; longer than a node may be silent before it is called NotReady (50 s).
const WATCH: Duration = Duration::from_secs(60);

/// The most a machine may take from power-on to being part of the cluster again.
const REJOIN: Limit = Limit::Seconds(90);

/// The most DNS may take after the power cut of all machines: a dead controller-manager's lease alone holds endpoints back 15 s.
const DNS: Limit = Limit::Seconds(120);

/// The control plane that loses its power alone.
const VICTIM: &str = "cp-1";

pub(super) fn tell(stage: &Stage) -> Result<()> {
    step("apply to blank machines", || {
        stage.kubewright(&["--yes", "apply"])
    })?;
    stage.fetch_kubeconfig()?;
    let machines = stage.machines()?;
    let survivors: Vec<String> = machines
        .iter()
        .filter(|machine| *machine != VICTIM)
        .cloned()
        .collect();

    step("cut the power of one control plane", || {
        stage.lab(&["kill", VICTIM])
    })?;
    step("see the API answer on every surviving node", || {
        stage.wait_for_proxies(&survivors, FAILOVER)
    })?;
    step("see the surviving nodes stay Ready", || {
        stay_ready(stage, &survivors)
    })?;
    step("power it on", || stage.lab(&["start", VICTIM]))?;
    step("see it rejoin by itself", || all_ready(stage, &machines))?;

    step("cut the power of all machines", || stage.lab(&["kill", "--all"]))?;
    step("power all machines on", || stage.lab(&["start", "--all"]))?;
    step("see the API answer on every node", || {
        stage.wait_for_proxies(&machines, REJOIN)
    })?;
    step("see all nodes Ready", || all_ready(stage, &machines))?;
    step("see DNS answer", || stage.wait_for_dns("w-1", DNS))?;
    step("smoke", || stage.kubewright(&["smoke"]))?;
    step("apply again", || {
        let said = stage.kubewright(&["--yes", "apply"])?;
        ensure!(
            said.contains("0 changes"),
            "the power cut left something to do:\n{said}"
        );
        Ok(())
    })
}

/// Looks once a second; a look that the API does not answer counts as nothing, other steps watch the API.
fn stay_ready(stage: &Stage, survivors: &[String]) -> Result<()> {
    let end = Instant::now() + WATCH;
    let mut looks = 0_u32;
    while Instant::now() < end {
        if let Ok(ready) = stage.ready_nodes() {
            looks += 1;
            for node in survivors {
                ensure!(ready.contains(node), "{node} is not Ready; Ready are {ready:?}");
            }
        }
        thread::sleep(Duration::from_secs(1));
    }
    ensure!(
        looks > 20,
        "the API answered only {looks} times in {} s",
        WATCH.as_secs()
    );
    Ok(())
}

/// All nodes Ready, and each one's own proxy reaches the API.
fn all_ready(stage: &Stage, machines: &[String]) -> Result<()> {
    stage.wait_for_proxies(machines, REJOIN)?;
    wait_until("all nodes to be Ready", REJOIN, || {
        Ok(stage.ready_nodes().is_ok_and(|ready| ready == machines))
    })
}
