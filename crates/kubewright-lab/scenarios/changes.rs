//! A line of cluster.yaml is changed: the plan shows what that is and does, the apply is killed in the middle, and
//! applying again finishes, with two API servers ready at every moment. Then machines and cluster are
//! changed by hand: `drift` finds all of it, `apply` fixes it.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::probe::Probe;
use super::{Stage, step};
use crate::ui;

/// What ends with differences found.
const FINDINGS: i32 = 3;

/// The line below which components are set in a lab's cluster file.
const COMPONENTS: &str = "  components:\n";

/// The change, as a user writes it: of everything that is restarted and tells its health.
const CHANGE: &str = "    kube-apiserver:
      extraArgs:
        event-ttl: 2h
    kube-controller-manager:
      extraArgs:
        concurrent-gc-syncs: \"10\"
    kube-scheduler:
      extraArgs:
        kube-api-qps: \"60\"
";

/// Its argument of the API servers.
const RIGHT: &str = "        event-ttl: 2h\n";

/// A mistake, as a user writes it, among the arguments of the API servers.
const MISTAKE: &str = "        max-requests-inflight: nonsense\n";

/// What a run ends with that stopped part-way.
const STOPPED: i32 = 10;

/// An object of kubewright's that is deleted by hand.
const BINDING: &str = "kubewright:kubelet-api-clients";

/// Tells both stories on a cluster that is as its file says.
pub(super) fn tell(stage: &Stage) -> Result<()> {
    change(stage)?;
    mistake(stage)?;
    meddle(stage)
}

/// The control planes' addresses.
fn servers(stage: &Stage) -> Result<Vec<String>> {
    let addresses = stage.addresses()?;
    let control_planes = addresses.iter().filter(|(name, _)| name.starts_with("cp-"));
    Ok(control_planes.map(|(_, address)| address.to_string()).collect())
}

fn change(stage: &Stage) -> Result<()> {
    let text = fs::read_to_string(stage.cluster_file())?;
    ensure!(text.contains(COMPONENTS), "the cluster file sets no components");
    let changed = text.replace(COMPONENTS, &format!("{COMPONENTS}{CHANGE}"));
    fs::write(stage.cluster_file(), changed).context("change the cluster file")?;
    step("plan the change", || {
        stage.try_kubewright(&["plan"])?.expect(0)?.mentions(&[
            "--event-ttl=2h",
            "one node at a time",
            "kube-apiserver",
            "cp-1",
            "cp-2",
            "cp-3",
        ])
    })?;
    let probe = Probe::begin(servers(stage)?);
    let applied = step("apply the change, killed on the second control plane", || {
        let mut run = stage.start_kubewright(&["--yes", "apply"])?;
        run.wait_until("the second control plane", |lines| {
            let begun = lines
                .iter()
                .filter(|line| line.contains(": control plane ("))
                .filter(|line| !line.contains("done"));
            begun.count() >= 2
        })?;
        run.kill()
    })
    .and_then(|_| step("apply again", || stage.kubewright(&["--yes", "apply"])));
    let counted = probe.finish();
    applied?;
    let counted = counted?.at_least(2)?;
    ui::say(format_args!(
        "in {} rounds at least {} API servers were ready, in {} of them not all three",
        counted.rounds, counted.fewest, counted.short
    ));
    step("see the argument at work", || {
        for machine in ["cp-1", "cp-2", "cp-3"] {
            stage.script(
                machine,
                "tr '\\0' '\\n' </proc/$(pidof kube-apiserver)/cmdline | grep -qx -e --event-ttl=2h",
            )?;
        }
        Ok(())
    })?;
    step("read what happened", || {
        stage
            .try_kubewright(&["logs"])?
            .expect(0)?
            .mentions(&["apply", "did not finish"])
    })?;
    step("apply a third time", || stage.nothing_to_do())
}

/// An argument that API servers do not start with: one is broken by it and taken back, and the API is never away.
fn mistake(stage: &Stage) -> Result<()> {
    let right = fs::read_to_string(stage.cluster_file())?;
    ensure!(right.contains(RIGHT), "the cluster file has lost its change");
    let mistaken = right.replace(RIGHT, &format!("{RIGHT}{MISTAKE}"));
    fs::write(stage.cluster_file(), mistaken).context("change the cluster file")?;
    let probe = Probe::begin(servers(stage)?);
    let applied = step("apply a mistake, which is taken back", || {
        stage
            .try_kubewright(&["--yes", "apply"])?
            .expect(STOPPED)?
            .mentions(&[
                "[crash-loop]",
                "max-requests-inflight",
                "taken back",
                "is healthy again",
            ])
    });
    let counted = probe.finish();
    applied?;
    let counted = counted?.at_least(2)?;
    ui::say(format_args!(
        "in {} rounds at least {} API servers were ready, in {} of them not all three",
        counted.rounds, counted.fewest, counted.short
    ));
    step("no API server has the mistake", || {
        for machine in ["cp-1", "cp-2", "cp-3"] {
            let unit = "/etc/systemd/system/kube-apiserver.service";
            stage.script(
                machine,
                &format!("systemctl is-active kube-apiserver\n! grep -q inflight {unit}"),
            )?;
        }
        Ok(())
    })?;
    fs::write(stage.cluster_file(), right).context("put the cluster file back")?;
    step("the file as it was finds nothing to do", || stage.nothing_to_do())
}

fn meddle(stage: &Stage) -> Result<()> {
    step("drift finds nothing", || {
        stage.try_kubewright(&["drift"])?.expect(0).map(drop)
    })?;
    step("meddle", || {
        stage.script(
            "w-1",
            "echo '# edited by hand' >>/etc/systemd/system/kubelet.service",
        )?;
        stage.script("w-2", "cp /usr/local/bin/crictl /usr/local/bin/.crictl\nprintf x >>/usr/local/bin/.crictl\nmv /usr/local/bin/.crictl /usr/local/bin/crictl")?;
        stage.script(
            "cp-3",
            "sed -i 's/--name=cp-3/--name=cp-3 --max-request-bytes=2000000/' /etc/systemd/system/etcd.service\n\
             systemctl daemon-reload\nsystemctl restart etcd",
        )?;
        let delete =
            format!("kubectl --kubeconfig /etc/kubernetes/admin.conf delete clusterrolebinding {BINDING}");
        stage.script("cp-1", &delete)?;
        Ok(())
    })?;
    step("drift finds all of it", || {
        stage.try_kubewright(&["drift"])?.expect(FINDINGS)?.mentions(&[
            "w-1",
            "kubelet.service",
            "w-2",
            "crictl",
            "cp-3",
            "max-request-bytes",
            BINDING,
        ])
    })?;
    step("plan shows how it is repaired", || {
        stage.try_kubewright(&["plan"])?.expect(0)?.mentions(&[
            "kubelet.service",
            "crictl",
            "max-request-bytes",
            BINDING,
        ])
    })?;
    step("apply repairs it", || stage.kubewright(&["--yes", "apply"]))?;
    step("drift finds nothing", || {
        stage.try_kubewright(&["drift", "--verify"])?.expect(0).map(drop)
    })?;
    step("apply once more", || stage.nothing_to_do())
}
