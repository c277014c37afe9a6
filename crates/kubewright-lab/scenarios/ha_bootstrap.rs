//! With a wrong clock nothing is begun. Five blank machines become a highly available cluster; a second run has nothing to do; reset gives the machines
//! back, and the same machines become a new cluster.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Stage, canary, certificates, step};
use crate::ui;

/// What listens on a node of a cluster and must not after a reset: the API, etcd, kubelets and the node-local proxy.
const CLUSTER_PORTS: &[u16] = &[2379, 2380, 6443, 7443, 10250];

/// What ends with findings.
const FINDINGS: i32 = 3;
/// What is refused before anything is changed.
const REFUSED: i32 = 20;

/// What a clock that is ten minutes fast is told. How fast it seems to be depends on how long the machines took to answer.
const FAST: &[&str] = &["your workstation's clock is ", " ahead of that of all nodes"];

pub(super) fn tell(stage: &Stage) -> Result<()> {
    step("check and apply with a wrong clock", || {
        stage
            .try_kubewright_with_clock("+10m", &["check"])?
            .expect(FINDINGS)?
            .mentions(FAST)?;
        stage
            .try_kubewright_with_clock("+10m", &["--yes", "apply"])?
            .expect(REFUSED)?
            .mentions(FAST)?
            .mentions(&["nothing was changed"])
            .map(drop)
    })?;
    let watch = canary::Watch::begin();
    step("apply to blank machines", || {
        stage.kubewright(&["-v", "-v", "--yes", "apply"])
    })?;
    look(stage)?;
    let verified = step("verify every certificate", || certificates::verify(stage))?;
    ui::say(format_args!("{verified} certificates are as documented"));
    step("see as whom the control plane runs", || {
        control_planes_are_confined(stage)
    })?;
    let pieces = step("search for secrets", || canary::search(stage, watch))?;
    ui::say(format_args!("{pieces} pieces of secrets are nowhere"));
    step("apply again", || stage.nothing_to_do())?;
    step("reset", || {
        stage.kubewright(&["--yes", "reset", "--name", &stage.lab_name().to_string()])
    })?;
    step("see that nothing of the cluster listens", || {
        nothing_listens(stage)
    })?;
    step("apply to the same machines", || {
        stage.kubewright(&["--yes", "apply"])
    })?;
    look(stage)
}

/// As docs/reference/processes.md says: each process as a user of its own, and exposed 2.0 at most by the judgement of the
/// machine's own systemd.
fn control_planes_are_confined(stage: &Stage) -> Result<()> {
    const ASK: &str = r#"
for unit in etcd kube-apiserver kube-controller-manager kube-scheduler kubewright-api-proxy; do
    user=$(stat -c %U "/proc/$(systemctl show --property=MainPID --value "$unit.service")")
    level=$(systemd-analyze security --no-pager "$unit.service" | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')
    echo "$unit $user $level"
done
echo "audit $(stat -c %U:%a /var/log/kubernetes/audit.log) 0"
"#;
    let users = [
        ("etcd", "etcd"),
        ("kube-apiserver", "kube-apiserver"),
        ("kube-controller-manager", "kube-controller-manager"),
        ("kube-scheduler", "kube-scheduler"),
        ("kubewright-api-proxy", "kubewright-proxy"),
        ("audit", "kube-apiserver:600"),
    ];
    for machine in stage.machines()?.iter().filter(|name| name.starts_with("cp-")) {
        let said = stage.script(machine, ASK)?;
        let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split(' ').collect()).collect();
        for (line, (process, user)) in lines.iter().zip(users) {
            let level: f64 = line.last().and_then(|level| level.parse().ok()).unwrap_or(10.0);
            ensure!(
                line[..2] == [process, user] && level <= 2.0,
                "on {machine} {line:?}, not {process} as {user}"
            );
        }
        ensure!(lines.len() == users.len(), "{machine} said {said:?}");
    }
    Ok(())
}

/// Five Ready nodes, a status that says so as well, and a cluster that works.
fn look(stage: &Stage) -> Result<()> {
    stage.fetch_kubeconfig()?;
    let machines = stage.machines()?;
    step("see that all nodes are Ready", || stage.all_ready())?;
    step("status", || {
        let text = stage.kubewright_data(&["status", "--output", "json"])?;
        let status: Value = serde_json::from_str(&text).context("read what status printed")?;
        for machine in &machines {
            ensure!(
                mentions(&status, machine),
                "status does not mention {machine}:\n{text}"
            );
        }
        Ok(())
    })?;
    step("smoke", || stage.kubewright(&["smoke"])).map(drop)
}

/// Whether a text is anywhere in a JSON value, as a whole string or as a key.
fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => string == text,
        Value::Array(items) => items.iter().any(|item| mentions(item, text)),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, item)| key == text || mentions(item, text)),
        _ => false,
    }
}

fn nothing_listens(stage: &Stage) -> Result<()> {
    for machine in stage.machines()? {
        let output = stage.on_machine(
            &machine,
            &["ss", "--listening", "--tcp", "--numeric", "--no-header"],
            b"",
        )?;
        let listening = String::from_utf8_lossy(&output);
        for port in CLUSTER_PORTS {
            ensure!(
                !listening.contains(&format!(":{port} ")),
                "{machine} still listens on port {port}:\n{listening}"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_wherever_it_stands() {
        let value = serde_json::json!({"nodes": [{"name": "cp-1"}], "members": {"cp-2": true}});
        assert!(mentions(&value, "cp-1") && mentions(&value, "cp-2"));
        assert!(!mentions(&value, "cp"));
    }
}
