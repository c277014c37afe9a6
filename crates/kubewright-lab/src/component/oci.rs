//! Writes a container image as an OCI image-layout archive, without a registry or a container engine.
//!
//! The archive has one uncompressed layer and no date, so the same tree and settings give the same bytes. Its
//! index carries the image's name both as container runtimes and as the specification spell it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tar::{Builder, EntryType};

use super::digest;
use super::platform::Platform;
use super::rootfs::{Tree, fixed_header};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const SEARCH_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How an image is named and started.
#[derive(Clone, Debug)]
pub(crate) struct Settings<'a> {
    pub(crate) reference: &'a str,
    pub(crate) entrypoint: &'a [String],
    pub(crate) user: &'a str,
    pub(crate) platform: Platform,
}

/// Writes the archive to a file and returns the digest of the image's manifest.
pub(crate) fn write_file(path: &Path, settings: &Settings<'_>, tree: &Tree) -> Result<String> {
    let writing = || format!("write {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(writing)?);
    let manifest_digest = write(&mut file, settings, tree).with_context(writing)?;
    file.flush().with_context(writing)?;
    Ok(manifest_digest)
}

fn write(output: impl Write, settings: &Settings<'_>, tree: &Tree) -> Result<String> {
    let mut layer = Vec::new();
    tree.write(&mut layer)?;
    let layer_digest = digest_of(&layer);
    let platform = json!({"architecture": settings.platform.architecture, "os": "linux"});

    let config = bytes(&json!({
        "architecture": settings.platform.architecture,
        "os": "linux",
        "config": {
            "Entrypoint": settings.entrypoint,
            "Env": [SEARCH_PATH],
            "User": settings.user,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        "history": [{"created_by": "kubewright-lab components"}],
    }))?;
    let manifest = bytes(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(CONFIG_TYPE, &config),
        "layers": [descriptor(LAYER_TYPE, &layer)],
    }))?;
    let mut entry = descriptor(MANIFEST_TYPE, &manifest);
    entry["platform"] = platform;
    entry["annotations"] = json!({
        "io.containerd.image.name": settings.reference,
        "org.opencontainers.image.ref.name": settings.reference,
    });
    let index = bytes(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    }))?;

    let mut archive = Builder::new(output);
    add(
        &mut archive,
        "oci-layout",
        &bytes(&json!({"imageLayoutVersion": "1.0.0"}))?,
    )?;
    add(&mut archive, "index.json", &index)?;
    for directory in ["blobs/", "blobs/sha256/"] {
        let mut header = fixed_header(EntryType::Directory, 0o755, 0);
        archive
            .append_data(&mut header, directory, &[][..])
            .context("add directory to archive")?;
    }
    let mut blobs = [config, manifest.clone(), layer].map(|blob| (digest::of_bytes(&blob), blob));
    blobs.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, blob) in &blobs {
        add(&mut archive, &format!("blobs/sha256/{name}"), blob)?;
    }
    archive.finish().context("end archive")?;
    Ok(digest_of(&manifest))
}

fn add(archive: &mut Builder<impl Write>, path: &str, content: &[u8]) -> Result<()> {
    let mut header = fixed_header(EntryType::Regular, 0o644, content.len());
    archive
        .append_data(&mut header, path, content)
        .with_context(|| format!("add {path} to archive"))
}

fn bytes(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value).context("write JSON")
}

fn digest_of(content: &[u8]) -> String {
    format!("sha256:{}", digest::of_bytes(content))
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest_of(content), "size": content.len()})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;

    const REFERENCE: &str = "registry.example/pause:3";

    fn archive() -> (Vec<u8>, String) {
        let mut tree = Tree::new();
        tree.add_file("/pause", 0o755, b"program".to_vec());
        tree.add_link("/bin/sh", "busybox");
        let settings = Settings {
            reference: REFERENCE,
            entrypoint: &["/pause".to_owned()],
            user: "65535:65535",
            platform: Platform::ARM64,
        };
        let mut bytes = Vec::new();
        let digest = write(&mut bytes, &settings, &tree).unwrap();
        (bytes, digest)
    }

    fn files(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(bytes).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), content);
        }
        files
    }

    fn json_of(files: &BTreeMap<String, Vec<u8>>, digest: &Value) -> Value {
        serde_json::from_slice(blob(files, digest)).unwrap()
    }

    fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, digest: &Value) -> &'a [u8] {
        let name = digest.as_str().unwrap().replace("sha256:", "blobs/sha256/");
        &files[&name]
    }

    #[test]
    fn gives_the_same_bytes_every_time() {
        assert_eq!(archive(), archive());
    }

    #[test]
    fn every_blob_has_the_name_of_its_digest() {
        let files = files(&archive().0);
        let mut blobs = 0;
        for (path, content) in &files {
            if let Some(name) = path.strip_prefix("blobs/sha256/")
                && !name.is_empty()
            {
                assert_eq!(name, digest::of_bytes(content));
                blobs += 1;
            }
        }
        assert_eq!(blobs, 3);
    }

    #[test]
    fn leads_from_index_to_layer() {
        let (bytes, digest) = archive();
        let files = files(&bytes);
        let layout: Value = serde_json::from_slice(&files["oci-layout"]).unwrap();
        assert_eq!(layout["imageLayoutVersion"], "1.0.0");

        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let entry = &index["manifests"][0];
        assert_eq!(entry["digest"], digest);
        assert_eq!(entry["annotations"]["io.containerd.image.name"], REFERENCE);
        assert_eq!(
            entry["annotations"]["org.opencontainers.image.ref.name"],
            REFERENCE
        );
        assert_eq!(entry["platform"]["architecture"], "arm64");

        let manifest = json_of(&files, &entry["digest"]);
        let config = json_of(&files, &manifest["config"]["digest"]);
        let layer = &manifest["layers"][0];
        assert_eq!(config["rootfs"]["diff_ids"][0], layer["digest"]);
        assert_eq!(config["config"]["Entrypoint"][0], "/pause");
        assert_eq!(config["config"]["User"], "65535:65535");
        let layer_bytes = blob(&files, &layer["digest"]);
        assert_eq!(layer["size"], layer_bytes.len());
        assert_eq!(self::files(layer_bytes)["pause"], b"program");
    }
}
