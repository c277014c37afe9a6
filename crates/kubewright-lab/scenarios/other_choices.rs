//! What `ha_bootstrap` does with the defaults, with other choices: a user with sudo instead of root, plain routes
//! instead of an overlay, kube-proxy with iptables, other ranges, another domain, no audit, a manifest of one's own.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Stage, step};

/// The line of a lab's cluster file before which other settings are put.
const COMPONENTS: &str = "  components:\n";

/// The other choices, as a user writes them.
const CHOICES: &str = "  network:
    podCidr: 10.112.0.0/16
    serviceCidr: 172.30.0.0/16
    domain: corp.example
    cni: bridge
    proxy: iptables
  security:
    audit: none
    podSecurity: privileged
";

const ADDONS: &str = "  addons:\n    - { name: notes, manifests: [notes.yaml] }\n";

const NOTES: &str = "apiVersion: v1
kind: ConfigMap
metadata: { name: notes, namespace: default }
data: { motd: hello }
";

pub(super) fn tell(stage: &Stage) -> Result<()> {
    let with_addon = choose(stage)?;
    step("apply as a user with sudo", || {
        stage.kubewright(&["--yes", "apply"])
    })?;
    stage.fetch_kubeconfig()?;
    step("see that all nodes are Ready", || stage.all_ready())?;
    step("see the ranges and the manifest", || {
        let service = stage.kubectl(&["get", "service", "kubernetes"])?;
        ensure!(service["spec"]["clusterIP"] == "172.30.0.1", "{service:#}");
        let notes = stage.kubectl(&["get", "configmap", "notes"])?;
        ensure!(notes["data"]["motd"] == "hello", "{notes:#}");
        Ok(())
    })?;
    step("smoke", || stage.kubewright(&["smoke"]))?;
    step("apply again", || stage.nothing_to_do())?;
    step("drift finds nothing", || {
        stage.try_kubewright(&["drift", "--verify"])?.expect(0).map(drop)
    })?;
    step("take the manifest out of the file", || {
        fs::write(stage.cluster_file(), with_addon.replace(ADDONS, "")).context("change the cluster file")?;
        stage.kubewright(&["--yes", "apply"])?;
        let maps = stage.kubectl(&["get", "configmaps", "--field-selector=metadata.name=notes"])?;
        ensure!(maps["items"] == Value::Array(Vec::new()), "still there: {maps:#}");
        stage.nothing_to_do()
    })?;
    step("reset", || {
        stage.kubewright(&["--yes", "reset", "--name", &stage.lab_name().to_string()])
    })
    .map(drop)
}

/// Writes the choices into the cluster file and returns its text.
fn choose(stage: &Stage) -> Result<String> {
    let text = fs::read_to_string(stage.cluster_file())?;
    ensure!(text.contains(COMPONENTS), "the cluster file sets no components");
    let chosen = text
        .replace("    user: root\n", "    user: ops\n    sudo: true\n")
        .replace(COMPONENTS, &format!("{CHOICES}{ADDONS}{COMPONENTS}"));
    ensure!(chosen.contains("sudo: true"), "the cluster file names no user");
    fs::write(stage.cluster_file(), &chosen).context("change the cluster file")?;
    fs::write(stage.directory().join("notes.yaml"), NOTES).context("write a manifest")?;
    Ok(chosen)
}
