//! Machines as they are found in old closets: a tenth of a processor each, and no name server that a pod could reach.
//! The cluster is made in one go, slowly, and its DNS answers what it knows and refuses the rest at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Stage, step};
use crate::wait::Limit;

/// How much of one processor each machine has.
const PERCENT: &str = "10";
/// A name nobody on these machines can resolve. An answer within this time came without a wait for a server.
const OUTSIDE: &str = "example.org";
const AT_ONCE: Duration = Duration::from_secs(4);

pub(super) fn tell(stage: &Stage) -> Result<()> {
    step("take the name servers away", || name_servers(stage))?;
    step(
        "check warns of them, and of nothing that keeps apply from beginning",
        || {
            let found = stage.kubewright_data(&["check", "-o", "json"])?;
            let found: Value = serde_json::from_str(&found).context("read what check found")?;
            let findings = found["findings"].as_array().context("it has findings")?;
            let warned = findings
                .iter()
                .filter(|finding| finding["id"] == "no-name-server");
            let warned: Vec<&str> = warned.filter_map(|finding| finding["node"].as_str()).collect();
            ensure!(
                warned == ["cp-1", "w-1", "w-2"],
                "warned of {warned:?}: {found:#}"
            );
            Ok(())
        },
    )?;
    step("hold the machines to a tenth of a processor", || {
        stage.lab(&["throttle", "--percent", PERCENT, "--all"])
    })?;
    step("apply to blank machines", || {
        stage.kubewright(&["--yes", "apply"])
    })?;
    step("see that all nodes are Ready", || {
        stage.fetch_kubeconfig()?;
        stage.all_ready()
    })?;
    step("let the machines go, and apply again", || {
        stage.lab(&["throttle", "--percent", "0", "--all"])?;
        stage.nothing_to_do()
    })?;
    step(
        "names of the cluster are answered, others refused at once",
        || names(stage),
    )
}

/// One machine with the stub of a resolver whose list is empty, one with a resolver on its loopback address, one with
/// nothing at all.
fn name_servers(stage: &Stage) -> Result<()> {
    for (machine, command) in [
        (
            "cp-1",
            "mkdir -p /run/systemd/resolve; echo '# No DNS servers known.' > /run/systemd/resolve/resolv.conf; \
             echo nameserver 127.0.0.53 > /etc/resolv.conf",
        ),
        ("w-1", "echo nameserver 127.0.0.1 > /etc/resolv.conf"),
        ("w-2", "rm -f /etc/resolv.conf"),
    ] {
        stage.on_machine(machine, &["sh", "-c", command], b"")?;
    }
    Ok(())
}

/// Asks the cluster's DNS from a machine as a pod would.
fn names(stage: &Stage) -> Result<()> {
    stage.wait_for_dns("w-1", Limit::Seconds(60))?;
    // The first question finds out that nobody answers.
    stage.dns_refuses("w-1", OUTSIDE)?;
    let begun = Instant::now();
    let refused = stage.dns_refuses("w-1", OUTSIDE)?;
    ensure!(refused, "{OUTSIDE} was answered");
    ensure!(
        begun.elapsed() < AT_ONCE,
        "the refusal took {:?}",
        begun.elapsed()
    );
    Ok(())
}
