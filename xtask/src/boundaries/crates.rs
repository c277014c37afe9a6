//! Which crates depend on which: of ours, and of others.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Which of our crates a crate may depend on (normal dependencies).
const ALLOWED: &[(&str, &[&str])] = &[
    ("kubewright-core", &[]),
    ("kubewright-agent", &["kubewright-core"]),
    ("kubewright-control", &["kubewright-core"]),
    ("kubewright", &["kubewright-core", "kubewright-control"]),
    (
        "kubewright-fuzz",
        &["kubewright-core", "kubewright-agent", "kubewright-control"],
    ),
    ("kubewright-lab", &[]),
    ("xtask", &["kubewright-core"]),
];

/// Foreign crates a crate must not depend on, even through others, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "kubewright-core",
        &["tokio", "reqwest", "kube", "rustix", "rustls", "rand"],
        "core is pure",
    ),
    (
        "kubewright-agent",
        &["kube", "k8s-openapi", "reqwest", "clap"],
        "the agent is small and knows no Kubernetes client",
    ),
];

/// Returns what crosses a boundary between crates, a line each.
pub(super) fn violations() -> anyhow::Result<Vec<String>> {
    let mut violations = Vec::new();
    for (name, dependencies) in own_dependencies()? {
        let Some((_, allowed)) = ALLOWED.iter().find(|(krate, _)| *krate == name) else {
            violations.push(format!(
                "{name} is not in the table of xtask/src/boundaries/crates.rs"
            ));
            continue;
        };
        for dependency in dependencies
            .iter()
            .filter(|dependency| !allowed.contains(&dependency.as_str()))
        {
            violations.push(format!("{name} must not depend on {dependency}"));
        }
    }
    for (name, forbidden, why) in FORBIDDEN {
        let tree = tree_of(name)?;
        for krate in forbidden.iter().filter(|krate| tree.contains(**krate)) {
            violations.push(format!("{name} must not reach {krate}: {why}"));
        }
    }
    Ok(violations)
}

fn metadata() -> anyhow::Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps"])
        .output()
        .context("run cargo metadata")?;
    serde_json::from_slice(&output.stdout).context("read cargo metadata")
}

/// Our crates and the ones of ours they depend on, development dependencies aside.
pub(super) fn own_dependencies() -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let metadata = metadata()?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let own: BTreeSet<String> = packages.iter().map(name).collect();
    let dependencies = |package: &Value| -> BTreeSet<String> {
        let all = package["dependencies"].as_array().into_iter().flatten();
        all.filter(|dependency| dependency["kind"].is_null())
            .map(name)
            .filter(|name| own.contains(name))
            .collect()
    };
    Ok(packages
        .iter()
        .map(|package| (name(package), dependencies(package)))
        .collect())
}

/// Every crate in the normal dependency tree of one of ours.
fn tree_of(krate: &str) -> anyhow::Result<BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            krate,
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .output()
        .context("run cargo tree")?;
    if !output.status.success() {
        bail!(
            "cargo tree --package {krate}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect())
}
