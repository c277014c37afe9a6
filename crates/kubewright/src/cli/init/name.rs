//! The name of a new cluster: given, asked for, or taken from where its files are.
//!
//! Never one name for all: kubeconfigs are merged by it, and `reset` tells clusters apart by it.

use std::path::Path;

use kubewright_core::spec::{ClusterName, ValueError};

use crate::failure::{ErrorId, Failure};
use crate::ui::Ui;

/// Directories and files that are called so for every cluster.
const SAYS_NOTHING: [&str; 12] = [
    "cluster",
    "clusters",
    "config",
    "etc",
    "hosts",
    "inventories",
    "inventory",
    "kubernetes",
    "kubewright",
    "root",
    "sample",
    "tmp",
];

/// Returns the name that was given; else what is answered in a terminal, where `derived` is offered; else `derived`.
pub(super) fn choose(
    given: Option<&str>,
    derived: Option<ClusterName>,
    ui: &Ui,
) -> Result<ClusterName, Failure> {
    if let Some(given) = given {
        return read(given);
    }
    if ui.can_ask() {
        let offer = derived
            .as_ref()
            .map(|name| format!(" [{name}]"))
            .unwrap_or_default();
        let answer = ui.answer(&format!("What is the cluster called?{offer}"))?;
        match (answer.trim(), derived) {
            ("", Some(derived)) => return Ok(derived),
            ("", None) => {}
            (answer, _) => return read(answer),
        }
    } else if let Some(derived) = derived {
        ui.say(&format!(
            "the cluster is called {derived}, as its directory or inventory is; --name NAME gives it another name"
        ));
        return Ok(derived);
    }
    Err(Failure::named(
        ErrorId::InvalidRequest,
        "the cluster has no name, and nothing here says one",
    )
    .hint("add --name NAME, such as --name prod"))
}

fn read(text: &str) -> Result<ClusterName, Failure> {
    text.parse().map_err(|error: ValueError| {
        Failure::named(ErrorId::InvalidRequest, error.to_string()).hint(error.hint)
    })
}

/// Returns the name of the directory a file is in.
pub(super) fn of_directory_of(file: &Path) -> Option<ClusterName> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or_else(|| Path::new(".")).canonicalize().ok()?;
    named_after(&directory)
}

/// Returns the name of an inventory: its own, or that of its directory (`inventory/prod/hosts.yaml`).
pub(super) fn of_inventory(path: &Path) -> Option<ClusterName> {
    let own = path.file_stem().map(Path::new).and_then(named_after);
    own.or_else(|| of_directory_of(path))
}

fn named_after(path: &Path) -> Option<ClusterName> {
    let name: String = path
        .file_name()?
        .to_str()?
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let name = name.trim_matches('-');
    (!SAYS_NOTHING.contains(&name)).then(|| name.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_what_tells_clusters_apart() {
        let name = |path: &str| of_inventory(Path::new(path)).map(|name| name.to_string());
        assert_eq!(name("/nowhere/prod.ini").as_deref(), Some("prod"));
        assert_eq!(name("/nowhere/Blue_Rack.yml").as_deref(), Some("blue-rack"));
        for nothing in ["/hosts", "/tmp/inventory.ini", "/cluster.yaml"] {
            assert_eq!(name(nothing), None, "{nothing}");
        }
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("prod-eu");
        std::fs::create_dir(&place).unwrap();
        let name = of_inventory(&place.join("hosts.yaml"));
        assert_eq!(name.unwrap().as_str(), "prod-eu");
    }
}
