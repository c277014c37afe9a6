//! What all simulated worlds share: artifacts in a directory, the store that sends them, the agent they are sent with.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kubewright_control::artifact::Store;
use kubewright_control::transport::{Agent, Agents};
use kubewright_core::catalogue::{Platform, release};
use kubewright_core::resource::Digest;
use kubewright_core::spec::{Cluster, parse};
use serde_json::json;

/// Where workers' addresses begin: they stay where they are when there are more control planes.
const FIRST_WORKER: usize = 20;

/// What all simulated worlds share.
pub(crate) struct Fixture {
    directory: tempfile::TempDir,
    pub(crate) store: Arc<Store>,
    pub(crate) agents: Agents,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let platform = Platform::from_machine(std::env::consts::ARCH).unwrap();
        write_artifacts(directory.path(), platform);
        let store = Store::open(directory.path().join("cache")).unwrap();
        let agents = Agents::default().with(platform, Agent::pack(b"the agent's executable").unwrap());
        Self {
            directory,
            store: Arc::new(store),
            agents,
        }
    }

    /// The directory of cluster.yaml.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A cluster of so many control planes and workers, with more lines in its spec.
    pub(crate) fn cluster(&self, control_planes: usize, workers: usize, more: &str) -> Cluster {
        read(&self.text(control_planes, workers, more))
    }

    /// So many control planes, with something else in their cluster.yaml.
    pub(crate) fn edited(&self, control_planes: usize, from: &str, to: &str) -> Cluster {
        read(&self.text(control_planes, 0, "").replace(from, to))
    }

    fn text(&self, control_planes: usize, workers: usize, more: &str) -> String {
        let mut text = format!(
            "apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata: {{ name: simulated }}\nspec:\n  \
             kubernetes: 1.36.3\n  artifacts: {{ source: {{ directory: {} }} }}\n  network: {{ podCidr: 10.0.0.0/8, serviceCidr: 172.20.0.0/16 }}\n{more}  nodes:\n",
            self.path().display()
        );
        let mut node = |name: String, number: usize, role: &str| {
            let address = format!("192.168.{}.{}", number / 250, number % 250 + 1);
            let _ = writeln!(
                text,
                "    - {{ name: {name}, address: {address}, roles: [{role}] }}"
            );
        };
        for number in 0..control_planes {
            node(format!("cp-{}", number + 1), number, "control-plane");
        }
        for number in 0..workers {
            node(format!("w-{}", number + 1), FIRST_WORKER + number, "worker");
        }
        text
    }
}

fn read(text: &str) -> Cluster {
    let parsed = parse(text, "cluster.yaml").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    parsed.spec
}

/// Writes a directory of artifacts: every file says what it is, and is no program.
fn write_artifacts(directory: &Path, platform: Platform) {
    let release = release(&"1.36.3".parse().unwrap()).unwrap();
    let mut entries = Vec::new();
    let mut add = |name: &str, version: &str, kind: &str, content: String, more: serde_json::Value| {
        let path = PathBuf::from(format!("{kind}-{name}"));
        fs::write(directory.join(&path), &content).unwrap();
        // What was changed just now is hashed again each time.
        let file = fs::File::open(directory.join(&path)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .unwrap();
        let mut entry = json!({
            "name": name, "version": version, "kind": kind, "file": path,
            "platform": format!("linux/{platform}"), "sha256": Digest::of(content.as_bytes()),
            "size": content.len(),
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            entry[key] = value.clone();
        }
        entries.push(entry);
    };
    for artifact in release.artifacts(platform) {
        for file in &artifact.files {
            let content = format!("{} {}\n", file.name, artifact.version).repeat(40);
            add(&file.name, &artifact.version, "binary", content, json!({}));
        }
    }
    for image in release.images() {
        let manifest = Digest::of(image.reference.as_bytes());
        let content = format!("{} {manifest}\n", image.reference);
        let more = json!({"reference": image.reference, "manifestDigest": manifest});
        add(image.name, &image.version, "image", content, more);
    }
    let manifest = json!({"apiVersion": "kubewright/artifacts/v1alpha1", "artifacts": entries});
    fs::write(directory.join("manifest.json"), manifest.to_string()).unwrap();
}
