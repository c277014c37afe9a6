//! A cluster of one control plane becomes one of three, by a run that is killed while a member learns and by the next one; then
//! a member loses its data for good, and joins again.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{Stage, step};

/// What a run exits with that a rule refused.
const REFUSED: i32 = 20;

/// etcdctl, as the documents say it is run on a control plane.
const ETCDCTL: &str = "etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/kubernetes/pki/etcd/ca.crt --cert \
                       /etc/kubernetes/pki/etcd/healthcheck-client.crt --key \
                       /etc/kubernetes/pki/etcd/healthcheck-client.key";

pub(super) fn tell(stage: &Stage) -> Result<()> {
    let three = fs::read_to_string(stage.cluster_file()).context("read the cluster file")?;
    let is_later = |line: &str| {
        ["cp-2", "cp-3"]
            .iter()
            .any(|name| line.contains(&format!("name: {name},")))
    };
    let one: Vec<&str> = three.lines().filter(|line| !is_later(line)).collect();
    let write = |text: &str| fs::write(stage.cluster_file(), text).context("change the cluster file");
    step("apply with cp-1 alone", || {
        write(&format!("{}\n", one.join("\n")))?;
        stage.kubewright(&["--yes", "apply"])?;
        stage.fetch_kubeconfig()
    })?;
    stage.kubectl(&["create", "configmap", "kept", "--from-literal=since=cp-1"])?;
    step("three control planes, killed while cp-2 is a learner", || {
        write(&three)?;
        let mut run = stage.start_kubewright(&["--yes", "apply"])?;
        run.wait_until("cp-2 to be a member", |lines| {
            lines
                .iter()
                .any(|line| line.starts_with("cp-2: add an etcd member") && line.contains(": done in"))
        })?;
        let said = run.kill()?;
        ensure!(said.status.code().is_none(), "it ended by itself: {}", said.all());
        Ok(())
    })?;
    step("the next run goes on, and three vote", || {
        stage.kubewright(&["--yes", "apply"])?;
        stage.nothing_to_do()?;
        stage.all_ready()?;
        three_vote(stage)
    })?;
    step(
        "a member that lost its data is refused, and nothing is changed",
        || {
            stage.script("cp-3", "systemctl stop etcd && rm -rf /var/lib/etcd/member")?;
            let refused = stage.try_kubewright(&["--yes", "apply"])?.expect(REFUSED)?;
            refused.mentions(&["[remove-before-add]", "etcdctl member remove ID"])?;
            stage.script("cp-3", "! test -e /var/lib/etcd/member")?;
            Ok(())
        },
    )?;
    step("its old member is taken away, and it joins again", || {
        let remove =
            format!("{ETCDCTL} member remove $({ETCDCTL} member list | grep ', cp-3,' | cut -d, -f1)");
        stage.script("cp-1", &remove)?;
        stage.kubewright(&["--yes", "apply"])?;
        stage.nothing_to_do()?;
        three_vote(stage)
    })?;
    let kept = stage.kubectl(&["get", "configmap", "kept"])?;
    ensure!(
        kept["data"]["since"] == "cp-1",
        "what was written before is {kept}"
    );
    step("smoke", || stage.kubewright(&["smoke"])).map(drop)
}

fn three_vote(stage: &Stage) -> Result<()> {
    let members = stage.script("cp-3", &format!("{ETCDCTL} member list"))?;
    let voters = members.lines().filter(|line| line.ends_with(", false"));
    ensure!(
        voters.count() == 3 && members.lines().count() == 3,
        "the members of etcd are {members}"
    );
    Ok(())
}
