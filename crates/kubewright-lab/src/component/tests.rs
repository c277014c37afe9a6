use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const PROGRAM: &[u8] = b"#!/bin/sh\necho x v1\n";

/// Recipes for one downloadable program and its image, and a cache of their own.
struct Place {
    directory: tempfile::TempDir,
    server: download::tests::Server,
}

impl Place {
    fn new() -> Self {
        let server = download::tests::serve(&[("/x", PROGRAM)]);
        let place = Self {
            directory: tempfile::tempdir().unwrap(),
            server,
        };
        place.write_recipe("v{version}");
        place
    }

    fn write_recipe(&self, version_text: &str) {
        let digest = digest::of_bytes(PROGRAM);
        let text = format!(
            r#"
version = "1"
[[binary]]
name = "x"
package = "example/x"
version_text = "x {version_text}"
[[download]]
url = "{}"
sha256 = {{ amd64 = "{digest}", arm64 = "{digest}" }}
files = {{ x = "" }}
[image]
name = "x"
reference = "registry.example/x:v{{version}}"
entrypoint = ["/x"]
user = "65532:65532"
files = {{ "/x" = "x" }}
"#,
            self.server.url("/x")
        );
        let recipe = self.directory.path().join("recipes/x");
        std::fs::create_dir_all(&recipe).unwrap();
        std::fs::write(recipe.join("recipe.toml"), text).unwrap();
    }

    fn options(&self, wanted: Wanted) -> Options {
        Options {
            recipes: self.directory.path().join("recipes"),
            cache: Cache::at(self.directory.path().join("cache")),
            out: None,
            wanted,
            probe_url: self.server.url("/x"),
            fetcher: download::tests::fetcher(),
            report: |_| (),
        }
    }
}

#[test]
fn fills_a_directory_that_its_manifest_describes() {
    let place = Place::new();
    let directory = ensure(&place.options(Wanted::Download)).unwrap();
    let manifest = Manifest::read(&directory).unwrap();
    assert_eq!(manifest.source, "download");
    let files: Vec<_> = manifest.artifacts.iter().map(|made| made.file.as_str()).collect();
    assert_eq!(files, ["bin/x", "images/x.tar"]);
    for artifact in &manifest.artifacts {
        let found = digest::of_file(&directory.join(&artifact.file)).unwrap();
        assert_eq!(
            found,
            (artifact.sha256.clone(), artifact.size),
            "{}",
            artifact.name
        );
    }
    assert_eq!(
        manifest.artifacts[1].reference.as_deref(),
        Some("registry.example/x:v1")
    );
}

#[test]
fn makes_nothing_when_the_directory_is_complete() {
    static LINES: AtomicUsize = AtomicUsize::new(0);
    let place = Place::new();
    let first = ensure(&place.options(Wanted::Download)).unwrap();
    // Without a network check either: the URL is none.
    let mut options = place.options(Wanted::Auto);
    options.probe_url = "http://[no address]/".to_owned();
    options.report = |_| {
        LINES.fetch_add(1, Ordering::Relaxed);
    };
    assert_eq!(ensure(&options).unwrap(), first);
    assert_eq!(LINES.load(Ordering::Relaxed), 0);
}

#[test]
fn makes_a_directory_again_that_lost_a_file() {
    let place = Place::new();
    let options = place.options(Wanted::Auto);
    let directory = ensure(&options).unwrap();
    std::fs::remove_file(directory.join("bin/x")).unwrap();
    assert_eq!(ensure(&options).unwrap(), directory);
    assert!(directory.join("bin/x").exists());
}

#[test]
fn a_failed_attempt_leaves_no_directory() {
    let place = Place::new();
    place.write_recipe("v2");
    let error = ensure(&place.options(Wanted::Download)).unwrap_err();
    assert_eq!(
        error.root_cause().to_string(),
        "x should say \"x v2\" but said \"x v1\""
    );
    let cache = place.directory.path().join("cache/components");
    assert_eq!(std::fs::read_dir(cache).unwrap().count(), 0);
}

#[test]
fn fills_the_directory_it_is_told() {
    let place = Place::new();
    let mut options = place.options(Wanted::Download);
    let out = place.directory.path().join("out");
    options.out = Some(out.clone());
    assert_eq!(ensure(&options).unwrap(), out);
    assert!(Manifest::read(&out).unwrap().is_whole(&out));
}
