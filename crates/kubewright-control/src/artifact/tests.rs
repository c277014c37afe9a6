use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kubewright_core::catalogue::{self, Platform};
use kubewright_core::component;
use kubewright_core::resource::Digest;
use kubewright_core::spec::Cluster;
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::*;
use crate::node::Blobs;
use crate::transport::{Agent, Agents};

/// A cluster of one node with its artifacts from `source`.
pub(super) fn cluster(source: &serde_json::Value) -> Cluster {
    serde_json::from_value(json!({
        "name": "prod",
        "artifacts": { "source": source },
        "nodes": [{ "name": "n1", "address": "192.0.2.1", "roles": ["control-plane", "worker"] }],
    }))
    .unwrap()
}

pub(super) fn platforms() -> BTreeSet<Platform> {
    BTreeSet::from([Platform::Amd64])
}

pub(super) fn quiet() -> Fetching {
    Arc::new(|_, _, _| {})
}

/// A directory with every binary (its content is its name) and one image.
struct Directory {
    directory: tempfile::TempDir,
    manifest: serde_json::Value,
}

impl Directory {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("bin")).unwrap();
        let cluster = cluster(&json!("upstream"));
        let release = catalogue::release(&cluster.kubernetes).unwrap();
        let binaries = component::binaries(&cluster);
        let mut artifacts: Vec<serde_json::Value> = binaries
            .into_iter()
            .map(|name| {
                let (artifact, _) = release.binary(name, Platform::Amd64).unwrap();
                entry(directory.path(), "binary", name, &artifact.version)
            })
            .collect();
        let mut image = entry(directory.path(), "image", "pause", "3.10.1");
        image["reference"] = json!("registry.k8s.io/pause:3.10.1");
        image["manifestDigest"] = json!(format!("sha256:{}", Digest::of(b"manifest")));
        artifacts.push(image);
        artifacts.push(json!({
            "name": "x", "version": "1", "platform": "linux/amd64", "kind": "chart", "file": "x",
            "sha256": Digest::of(b"").to_string(), "size": 0,
        }));
        Self {
            directory,
            manifest: json!({ "apiVersion": "kubewright/artifacts/v1alpha1", "artifacts": artifacts }),
        }
    }

    async fn resolve(&self, store: &Store) -> Result<Artifacts, ArtifactError> {
        let path = self.directory.path();
        fs::write(path.join("manifest.json"), self.manifest.to_string()).unwrap();
        let cluster = cluster(&json!({ "directory": path }));
        let release = catalogue::release(&cluster.kubernetes).unwrap();
        let wanted = Wanted {
            cluster: &cluster,
            release: &release,
            platforms: &platforms(),
            directory: Path::new("/"),
            fetching: quiet(),
        };
        store.resolve(&wanted).await
    }
}

fn entry(directory: &Path, kind: &str, name: &str, version: &str) -> serde_json::Value {
    let file = format!("bin/{kind}-{name}");
    fs::write(directory.join(&file), name).unwrap();
    let handle = fs::File::open(directory.join(&file)).unwrap();
    handle
        .set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    json!({
        "name": name, "version": version, "platform": "linux/amd64", "kind": kind, "file": file,
        "sha256": Digest::of(name.as_bytes()).to_string(), "size": name.len(),
    })
}

fn store(directory: &tempfile::TempDir) -> Store {
    Store::open(directory.path().join("cache")).unwrap()
}

async fn content(store: &Store, sha256: Digest) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut reader = store.open_zstd(sha256).await.unwrap();
    reader.read_to_end(&mut packed).await.unwrap();
    zstd::decode_all(&packed[..]).unwrap()
}

#[tokio::test]
async fn finds_binaries_and_images_in_a_directory_and_sends_them_compressed() {
    let (home, source) = (tempfile::tempdir().unwrap(), Directory::new());
    let store = store(&home);
    let artifacts = source.resolve(&store).await.unwrap();
    let blob = artifacts.binary("kubelet", Platform::Amd64).unwrap();
    assert_eq!((blob.sha256, blob.size_bytes), (Digest::of(b"kubelet"), 7));
    assert_eq!(content(&store, blob.sha256).await, b"kubelet");
    let image = artifacts
        .image("registry.k8s.io/pause:3.10.1", Platform::Amd64)
        .unwrap();
    assert_eq!(image.manifest, Digest::of(b"manifest"));
    assert_eq!(content(&store, image.blob.sha256).await, b"pause");
    assert!(artifacts.binary("kubelet", Platform::Arm64).is_none());
}

#[tokio::test]
async fn refuses_a_file_that_is_not_what_the_manifest_says() {
    let (home, source) = (tempfile::tempdir().unwrap(), Directory::new());
    fs::write(source.directory.path().join("bin/binary-kubelet"), "KUBELET").unwrap();
    let error = source.resolve(&store(&home)).await.unwrap_err();
    assert!(matches!(error, ArtifactError::Digest { .. }), "{error}");
    assert!(error.to_string().contains("bin/binary-kubelet"));
}

#[tokio::test]
async fn notices_a_file_that_changes_between_two_runs_and_before_it_is_sent() {
    let (home, source) = (tempfile::tempdir().unwrap(), Directory::new());
    let store = store(&home);
    source.resolve(&store).await.unwrap();
    assert!(home.path().join("cache/checked.json").exists());
    fs::write(source.directory.path().join("bin/binary-kubelet"), "KUBELET").unwrap();
    let error = store.open_zstd(Digest::of(b"kubelet")).await.err().unwrap();
    assert!(error.to_string().contains("the file has changed"), "{error}");
    assert!(source.resolve(&store).await.is_err());
}

#[tokio::test]
async fn refuses_another_kubernetes_version_and_says_which_is_there() {
    let (home, mut source) = (tempfile::tempdir().unwrap(), Directory::new());
    let entries = source.manifest["artifacts"].as_array_mut().unwrap();
    let kubelet = entries
        .iter_mut()
        .find(|entry| entry["name"] == "kubelet")
        .unwrap();
    kubelet["version"] = json!("1.30.0");
    let error = source.resolve(&store(&home)).await.unwrap_err();
    assert!(error.to_string().ends_with("(it has 1.30.0)"), "{error}");
}

#[tokio::test]
async fn takes_an_organisations_own_build_of_the_rest() {
    let (home, mut source) = (tempfile::tempdir().unwrap(), Directory::new());
    let entries = source.manifest["artifacts"].as_array_mut().unwrap();
    let runc = entries.iter_mut().find(|entry| entry["name"] == "runc").unwrap();
    runc["version"] = json!("1.5.2-acme");
    assert!(source.resolve(&store(&home)).await.is_ok());
}

#[tokio::test]
async fn reads_nothing_outside_the_directory() {
    for file in ["../secret", "/etc/passwd", "bin/../../x", ""] {
        let (home, mut source) = (tempfile::tempdir().unwrap(), Directory::new());
        let entries = source.manifest["artifacts"].as_array_mut().unwrap();
        let kubelet = entries
            .iter_mut()
            .find(|entry| entry["name"] == "kubelet")
            .unwrap();
        kubelet["file"] = json!(file);
        let error = source.resolve(&store(&home)).await.unwrap_err();
        assert!(matches!(error, ArtifactError::Format { .. }), "{error}");
    }
}

#[tokio::test]
async fn names_what_a_directory_lacks() {
    let (home, mut source) = (tempfile::tempdir().unwrap(), Directory::new());
    let entries = source.manifest["artifacts"].as_array_mut().unwrap();
    entries.retain(|entry| entry["name"] != "runc");
    let error = source.resolve(&store(&home)).await.unwrap_err();
    assert!(error.to_string().contains("has no runc 1."), "{error}");
}

#[tokio::test]
async fn sends_the_agents_it_carries() {
    let home = tempfile::tempdir().unwrap();
    let store = store(&home);
    let agents = Agents::default().with(Platform::Amd64, Agent::pack(b"agent").unwrap());
    let blobs = store.add_agents(&agents);
    assert_eq!(blobs[&Platform::Amd64].size_bytes, 5);
    assert_eq!(content(&store, blobs[&Platform::Amd64].sha256).await, b"agent");
}

#[tokio::test]
async fn says_when_content_is_nowhere() {
    let home = tempfile::tempdir().unwrap();
    let error = store(&home)
        .open_zstd(Digest::of(b"nothing"))
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("no such file") || error.to_string().contains("No such file"));
}
