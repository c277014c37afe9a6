//! The user's own manifests: files and directories named under `addons` in cluster.yaml, read as objects.

use std::path::{Path, PathBuf};

use kubewright_core::errors::ErrorId;
use kubewright_core::spec::{Addon, Cluster};
use serde_json::Value;

use crate::error::{Error, Kind};

/// Reads all manifests, in the order of the file; a directory's files in order of name.
///
/// # Errors
/// When a file cannot be read or is not YAML; a URL is refused, because what it gives today and tomorrow may differ.
pub fn objects(cluster: &Cluster, base: &Path) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    for addon in cluster.user_addons() {
        let Addon::Manifests { name, manifests } = addon else {
            continue;
        };
        for manifest in manifests {
            let Some(path) = manifest.path() else {
                return Err(Error::named(
                    ErrorId::ManifestInvalid,
                    format!("addon {name}: {} is a URL", manifest.0),
                )
                .because("URLs are not supported yet")
                .hint("download it beside cluster.yaml and name the file"));
            };
            for file in files(&base.join(path))? {
                objects.extend(read(&file)?);
            }
        }
    }
    Ok(objects)
}

/// The file itself, or the manifests of a directory.
fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
    let is_manifest = |path: &PathBuf| {
        path.extension()
            .is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known))
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_manifest)
        .collect();
    files.sort();
    Ok(files)
}

/// The objects of one file; empty documents and the items of lists are taken apart.
fn read(path: &Path) -> Result<Vec<Value>, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| {
        Error::caused(
            Kind::User,
            format!("read the manifest {}", path.display()),
            &error,
        )
        .id(ErrorId::ManifestInvalid)
        .hint("correct the file; kubectl apply --dry-run=client -f FILE shows more")
    })?;
    let mut objects = Vec::new();
    for document in documents {
        match document {
            Value::Null => {}
            Value::Object(mut list) if list.get("kind").and_then(Value::as_str) == Some("List") => {
                if let Some(Value::Array(items)) = list.remove("items") {
                    objects.extend(items);
                }
            }
            object => objects.push(object),
        }
    }
    Ok(objects)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::caused(Kind::User, format!("read the manifest {}", path.display()), error)
        .id(ErrorId::ManifestInvalid)
        .hint("paths under addons start at the directory of cluster.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_documents_and_lists_and_leaves_out_empty_ones() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        let text = "---\nkind: Namespace\n---\n---\nkind: List\nitems:\n- kind: Secret\n- kind: ConfigMap\n";
        std::fs::write(&file, text).unwrap();
        std::fs::write(directory.path().join("notes.txt"), "not a manifest").unwrap();
        assert_eq!(files(directory.path()).unwrap(), std::slice::from_ref(&file));
        let kinds: Vec<String> = read(&file)
            .unwrap()
            .iter()
            .map(|object| object["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kinds, ["Namespace", "Secret", "ConfigMap"]);
    }

    #[test]
    fn names_the_file_that_cannot_be_read() {
        let error = read(Path::new("/nowhere/a.yaml")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/a.yaml"), "{error}");
    }
}
