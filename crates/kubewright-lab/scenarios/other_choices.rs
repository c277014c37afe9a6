//! What `ha_bootstrap` does with the defaults, with other choices: a user with sudo instead of root, plain routes
//! instead of an overlay, kube-proxy with iptables, other ranges, another domain, no audit, a manifest of one's own. Whatever
//! takes the routes or the masquerading from a node, they are back within ten seconds, and `drift` sees it before.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Stage, step};
use crate::ui;

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

/// What ends with findings.
const FINDINGS: i32 = 3;

/// What takes routes or packet filter rules from a node, as a script on it. Some versions of the network service leave
/// routes of others alone: the last may take nothing away (`quiet`).
const DISTURBANCES: &[(&str, &str)] = &[
    ("a flush of the routes", "ip route flush proto 75"),
    ("nft flush ruleset", "nft flush ruleset"),
    (
        "ip link set down and up",
        "ip link set host0 down; sleep 1; systemctl restart lab-net.service",
    ),
    ("networkctl reload", NETWORK_SERVICE),
];

/// A network service that thinks all routes of its link are its own.
const NETWORK_SERVICE: &str = "
. /etc/kubewright-lab/network.env
mkdir -p /etc/systemd/network
printf '[Match]\\nName=host0\\n[Network]\\nAddress=%s\\nGateway=%s\\n' \"$ADDRESS\" \"$GATEWAY\" \\
    > /etc/systemd/network/10-lab.network
systemctl start systemd-networkd.service
networkctl reload
networkctl reconfigure host0
quiet=yes
sleep 5
";

/// Waits until routes to all other nodes and the masquerading are there, ten seconds at most; says how long it took, and
/// that the node itself saw that they were gone.
const HEALED: &str = r#"
whole() {
    [ "$(ip -4 route show proto 75 | wc -l)" -eq 4 ] &&
        iptables -w -t nat -S POSTROUTING | grep -q KUBEWRIGHT-MASQUERADE &&
        iptables -w -t nat -S KUBEWRIGHT-MASQUERADE 2>/dev/null | grep -q MASQUERADE
}
seen() { journalctl --unit=kubewright-routes --output=cat --no-pager | grep -c 'are back' || true; }
before=$(seen)
begin=$(date +%s%N)
disturb
while ! whole || { [ "$(seen)" -le "$before" ] && [ "${quiet:-no}" = no ]; }; do
    if [ $((($(date +%s%N) - begin) / 1000000000)) -ge 12 ]; then
        echo "after 12 s: $(ip -4 route show proto 75); $(journalctl --unit=kubewright-routes --output=cat -n 3)" >&2
        exit 1
    fi
    sleep 0.2
done
echo "$((($(date +%s%N) - begin) / 1000000))"
"#;

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
    for (what, script) in DISTURBANCES {
        let took = step(&format!("{what}: the node heals itself"), || heals(stage, script))?;
        ui::say(format_args!("routes and masquerading were back after {took} ms"));
    }
    step("drift sees what the node does not heal", || {
        stage.script(
            "w-1",
            "systemctl stop kubewright-routes.service; ip route flush proto 75; nft flush ruleset",
        )?;
        stage
            .try_kubewright(&["drift"])?
            .expect(FINDINGS)?
            .mentions(&["0 of 4 routes, no masquerading", "kubewright-routes.service"])?;
        stage.kubewright(&["--yes", "apply"])?;
        stage.nothing_to_do()
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

/// Disturbs a node and waits until it has healed itself; returns the milliseconds that took, the disturbance included.
fn heals(stage: &Stage, script: &str) -> Result<u64> {
    let said = stage.script("w-1", &format!("disturb() {{\n{script}\n}}\n{HEALED}"))?;
    let took = said.trim().lines().last().unwrap_or_default();
    took.parse().with_context(|| format!("the machine said {said:?}"))
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
