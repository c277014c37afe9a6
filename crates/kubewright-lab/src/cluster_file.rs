//! `cluster-file`: a complete cluster.yaml for the machines of a lab.
//!
//! Besides names, addresses and SSH it holds the settings that containers on one computer need and rented machines do
//! not: no adjusting of OOM scores, no eviction by the computer's disk, no connection tracking limits, and cgroup v1
//! where the computer still has it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use crate::lab::Lab;
use crate::machine::cgroup;
use crate::place::Place;
use crate::{ssh, ui};

/// Arguments of `cluster-file`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Take all artifacts from this directory, as `kubewright-lab components` fills it
    #[arg(long)]
    pub(crate) source_dir: Option<PathBuf>,

    /// User to log in as; any other than root uses sudo
    #[arg(long, default_value = "root")]
    pub(crate) user: String,
}

pub(crate) fn run(place: &Place, arguments: &Arguments) -> Result<()> {
    ui::data(for_lab(&place.find()?, arguments)?.trim_end());
    Ok(())
}

/// The text of the file for a lab on this computer.
pub(crate) fn for_lab(lab: &Lab, arguments: &Arguments) -> Result<String> {
    let source = arguments
        .source_dir
        .as_ref()
        .map(std::path::absolute)
        .transpose()?;
    let version = source.as_deref().and_then(kubernetes_in);
    Ok(render(
        lab,
        source.as_deref(),
        version.as_deref(),
        &arguments.user,
        cgroup::is_v1()?,
    ))
}

/// The version of Kubernetes in an artifact directory, as its manifest tells. Without a manifest the product's default
/// stays, and the product says what it misses.
fn kubernetes_in(directory: &Path) -> Option<String> {
    let text = std::fs::read_to_string(directory.join("manifest.json")).ok()?;
    let manifest: Value = serde_json::from_str(&text).ok()?;
    let server = manifest["artifacts"]
        .as_array()?
        .iter()
        .find(|artifact| artifact["name"] == "kube-apiserver")?;
    Some(server["version"].as_str()?.to_owned())
}

fn render(lab: &Lab, source: Option<&Path>, kubernetes: Option<&str>, user: &str, cgroup_v1: bool) -> String {
    let mut text = format!(
        "# The machines of lab {name}, made by kubewright-lab.\n\
         apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata:\n  name: {name}\nspec:\n",
        name = lab.name
    );
    if let Some(version) = kubernetes {
        let _ = writeln!(text, "  kubernetes: {version}");
    }
    if let Some(directory) = source {
        let _ = write!(
            text,
            "  artifacts:\n    source:\n      directory: {}\n",
            quote(directory)
        );
    }
    let _ = write!(text, "  ssh:\n    user: {user}\n");
    if user != "root" {
        text.push_str("    sudo: true\n");
    }
    let _ = write!(
        text,
        "    identityFile: {}\n    knownHosts: {}\n",
        quote(&ssh::identity_path(&lab.directory)),
        quote(&ssh::known_hosts_path(&lab.directory)),
    );
    text.push_str(CHECKS);
    text.push_str(KUBELET);
    if cgroup_v1 {
        text.push_str(KUBELET_ON_CGROUP_V1);
    }
    text.push_str(OTHERS);
    text.push_str("  nodes:\n");
    for machine in &lab.machines {
        let _ = writeln!(
            text,
            "    - {{ name: {}, address: {}, roles: [{}] }}",
            machine.name,
            machine.address,
            machine.role.word()
        );
    }
    text
}

/// However slow the one disk of this computer is, nothing of a lab outlives it.
const CHECKS: &str = "  checks:
    accept:
      - { id: disk-sync, reason: the machines of a lab share one disk }
";

/// The disk is the whole computer's, which may be fuller than the kubelet likes.
const KUBELET: &str = "  components:
    kubelet:
      extraConfig:
        oomScoreAdj: 0
        failSwapOn: false
        evictionHard:
          imagefs.available: 0%
          memory.available: 0%
          nodefs.available: 0%
          nodefs.inodesFree: 0%
        imageGCHighThresholdPercent: 100
";

/// systemd inside manages no v1 controllers, so the kubelet makes a cgroup for itself.
const KUBELET_ON_CGROUP_V1: &str = "        failCgroupV1: false
        kubeletCgroups: /kubelet
";

const OTHERS: &str = "    kube-proxy:
      extraConfig:
        oomScoreAdj: 0
        conntrack:
          maxPerCore: 0
          min: 0
    containerd:
      extraConfig:
        plugins:
          io.containerd.cri.v1.runtime:
            restrict_oom_score_adj: true
            disable_apparmor: true
";

/// A YAML scalar; JSON strings are.
fn quote(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lab::{Role, Subnet};

    fn lab() -> Lab {
        let subnet = Subnet::allocate(&BTreeSet::new(), &[]).unwrap();
        let machines = [
            ("cp-1".parse().unwrap(), Role::ControlPlane),
            ("w-1".parse().unwrap(), Role::Worker),
        ];
        Lab::new(
            "demo".parse().unwrap(),
            "/srv/demo".into(),
            subnet,
            "/root-image".into(),
            &machines,
        )
        .unwrap()
    }

    #[test]
    fn a_lab_renders_to_a_whole_file() {
        let text = render(
            &lab(),
            Some(Path::new("/srv/components")),
            Some("1.36.3"),
            "root",
            true,
        );
        let expected = "# The machines of lab demo, made by kubewright-lab.
apiVersion: kubewright/v1alpha1
kind: Cluster
metadata:
  name: demo
spec:
  kubernetes: 1.36.3
  artifacts:
    source:
      directory: \"/srv/components\"
  ssh:
    user: root
    identityFile: \"/srv/demo/id_ed25519\"
    knownHosts: \"/srv/demo/known_hosts\"
  checks:
    accept:
      - { id: disk-sync, reason: the machines of a lab share one disk }
  components:
    kubelet:
      extraConfig:
        oomScoreAdj: 0
        failSwapOn: false
        evictionHard:
          imagefs.available: 0%
          memory.available: 0%
          nodefs.available: 0%
          nodefs.inodesFree: 0%
        imageGCHighThresholdPercent: 100
        failCgroupV1: false
        kubeletCgroups: /kubelet
    kube-proxy:
      extraConfig:
        oomScoreAdj: 0
        conntrack:
          maxPerCore: 0
          min: 0
    containerd:
      extraConfig:
        plugins:
          io.containerd.cri.v1.runtime:
            restrict_oom_score_adj: true
            disable_apparmor: true
  nodes:
    - { name: cp-1, address: 10.83.1.11, roles: [control-plane] }
    - { name: w-1, address: 10.83.1.12, roles: [worker] }
";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_version_is_the_one_of_the_artifacts() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(kubernetes_in(directory.path()), None);
        let manifest = r#"{"artifacts": [{"name": "etcd", "version": "3.6.16"}, {"name": "kube-apiserver", "version": "1.36.3"}]}"#;
        std::fs::write(directory.path().join("manifest.json"), manifest).unwrap();
        assert_eq!(kubernetes_in(directory.path()).as_deref(), Some("1.36.3"));
    }

    #[test]
    fn cgroup_v2_computers_get_no_cgroup_v1_settings() {
        let text = render(&lab(), None, None, "root", false);
        assert!(
            !text.contains("failCgroupV1") && !text.contains("kubeletCgroups"),
            "{text}"
        );
        assert!(!text.contains("artifacts"), "{text}");
    }

    #[test]
    fn users_other_than_root_use_sudo() {
        assert!(render(&lab(), None, None, "ops", false).contains("    user: ops\n    sudo: true\n"));
    }
}
