use super::*;

const ETCD: &str = r#"
version = "3.6"
ldflags = ["-X main.version=v{version}"]
[[binary]]
name = "etcd"
package = "example/etcd"
version_text = "etcd {version}"
[[download]]
url = "https://example/v{version}/etcd-{architecture}.tar.gz"
published = "{url}.sha256"
files = { etcd = "etcd-{version}/etcd" }
"#;

/// Makes a project out of a recipe's text.
pub(crate) fn project(text: &str) -> Project {
    Project {
        name: "x".to_owned(),
        directory: PathBuf::from("/nowhere"),
        digest: digest::of_bytes(text.as_bytes()),
        recipe: parse(text, Platform::AMD64).unwrap(),
    }
}

fn write(directory: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

fn digests(directory: &Path) -> Vec<String> {
    let projects = load_all(directory, Platform::AMD64).unwrap();
    let mut digests: Vec<_> = projects.iter().map(|project| project.digest.clone()).collect();
    digests.push(digest_of_all(&projects));
    digests
}

#[test]
fn fills_version_and_architecture_in_everywhere() {
    let recipe = project(ETCD).recipe;
    assert_eq!(recipe.ldflags, ["-X main.version=v3.6"]);
    assert_eq!(recipe.binaries[0].version_text.as_deref(), Some("etcd 3.6"));
    let download = &recipe.downloads[0];
    assert_eq!(download.url, "https://example/v3.6/etcd-amd64.tar.gz");
    assert_eq!(
        download.published.as_deref(),
        Some("https://example/v3.6/etcd-amd64.tar.gz.sha256")
    );
    assert_eq!(download.files["etcd"], "etcd-3.6/etcd");
}

#[test]
fn refuses_what_it_does_not_know() {
    let error = parse("version = \"1\"\nldflag = []\n", Platform::AMD64).unwrap_err();
    assert!(error.to_string().contains("unknown field `ldflag`"), "{error}");
}

#[test]
fn refuses_a_download_that_lacks_a_binary() {
    let text = format!("{ETCD}\n[[binary]]\nname = \"etcdctl\"\npackage = \"example/etcdctl\"\n");
    let error = parse(&text, Platform::AMD64).unwrap_err().to_string();
    assert_eq!(error, "binary etcdctl is in no download");
}

#[test]
fn a_changed_file_changes_its_own_project_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let other = "version = \"1\"\n[[binary]]\nname = \"b\"\nsource = \"b.c\"\n";
    write(
        path,
        &[
            ("a/recipe.toml", ETCD),
            ("a/go.sum", "1"),
            ("b/recipe.toml", other),
        ],
    );
    let before = digests(path);
    assert_eq!(digests(path), before);

    write(path, &[("a/go.sum", "2")]);
    let after = digests(path);
    assert_ne!(after[0], before[0]);
    assert_eq!(after[1], before[1]);
    assert_ne!(after[2], before[2]);
}

#[test]
fn a_new_file_deep_inside_counts_but_hidden_ones_and_leftovers_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write(path, &[("a/recipe.toml", ETCD)]);
    let before = digests(path);
    write(
        path,
        &[("a/.main.go.swp", "x"), ("a/main.go~", "x"), ("README.md", "x")],
    );
    assert_eq!(digests(path), before);
    write(path, &[("a/internal/x.go", "x")]);
    assert_ne!(digests(path), before);
}

#[test]
fn another_platform_is_another_digest() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[("a/recipe.toml", ETCD)]);
    let digest = |platform| digest_of_all(&load_all(directory.path(), platform).unwrap());
    assert_ne!(digest(Platform::AMD64), digest(Platform::ARM64));
}

#[test]
fn refuses_two_projects_that_make_the_same_binary() {
    let directory = tempfile::tempdir().unwrap();
    write(
        directory.path(),
        &[("a/recipe.toml", ETCD), ("b/recipe.toml", ETCD)],
    );
    let error = load_all(directory.path(), Platform::AMD64).unwrap_err();
    assert_eq!(error.to_string(), "binary etcd is made by both a and b");
}

#[test]
fn the_recipes_of_this_repository_are_sound() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("components");
    let projects = load_all(&directory, Platform::AMD64).unwrap();
    let made = |name: &str| {
        projects
            .iter()
            .any(|project| project.recipe.binaries.iter().any(|binary| binary.name == name))
    };
    for name in [
        "kube-apiserver",
        "kubelet",
        "etcd",
        "containerd",
        "runc",
        "bridge",
        "flanneld",
    ] {
        assert!(made(name), "{name}");
    }
    for project in &projects {
        let has_go = project
            .recipe
            .binaries
            .iter()
            .any(|binary| binary.package.is_some());
        assert_eq!(
            has_go,
            project.directory.join("go.mod").exists(),
            "{}",
            project.name
        );
    }
}
