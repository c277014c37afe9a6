//! `kubewright version`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kubewright_core::catalogue::{self, Platform};
use serde::Serialize;

use crate::agents::EMBEDDED;
use crate::failure::Failure;
use crate::ui::Ui;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    kubewright: &'static str,
    kubernetes: Vec<String>,
    default_kubernetes: String,
    components: BTreeMap<String, String>,
    agents: Vec<&'static str>,
}

/// Prints the versions of everything.
pub(crate) fn run(ui: &Ui) -> Result<(), Failure> {
    let newest = catalogue::newest();
    let release = catalogue::release(&newest);
    let artifacts = release
        .map(|release| release.artifacts(Platform::Amd64))
        .unwrap_or_default();
    let components = artifacts
        .into_iter()
        .map(|artifact| (artifact.name.to_string(), artifact.version.clone()))
        .collect();
    let versions = Versions {
        kubewright: env!("CARGO_PKG_VERSION"),
        kubernetes: catalogue::versions().iter().map(ToString::to_string).collect(),
        default_kubernetes: newest.to_string(),
        components,
        agents: EMBEDDED.iter().map(|(architecture, ..)| *architecture).collect(),
    };
    ui.result(&versions, || text(&versions))
}

fn text(versions: &Versions) -> String {
    let mut text = format!("kubewright {}\n", versions.kubewright);
    let agents = if versions.agents.is_empty() {
        "none".to_owned()
    } else {
        versions.agents.join(", ")
    };
    let _ = writeln!(text, "agents     {agents}");
    let _ = writeln!(
        text,
        "Kubernetes {} by default, with",
        versions.default_kubernetes
    );
    for (name, version) in &versions.components {
        let _ = writeln!(text, "  {name} {version}");
    }
    let _ = writeln!(text, "also       {}", versions.kubernetes.join(" "));
    text
}
