//! The reference page is what the list of kinds says, and pages about ports have all of them.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::{Kind, needed_ports, reference};
use super::Scene;
use crate::component::Reach;

/// Set to write the pages instead of comparing them.
const UPDATE: &str = "UPDATE_REFERENCE";

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/checks.md");
    let page = reference();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
        return;
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        present == page,
        "docs/reference/checks.md is stale: {UPDATE}=1 cargo test -p kubewright-core check"
    );
}

#[test]
fn the_pages_about_ports_name_every_port() {
    let page = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs")
            .join(path);
        std::fs::read_to_string(path).unwrap()
    };
    let (all, firewall) = (page("reference/ports-and-paths.md"), page("how-to/firewall.md"));
    let scene = Scene::blank();
    for port in scene
        .cluster
        .nodes
        .iter()
        .flat_map(|node| needed_ports(&scene.cluster, node))
    {
        let named = format!("{}/tcp", port.port.number);
        assert!(all.contains(&named), "ports-and-paths.md has no {named}");
        let is_open = port.port.reach != Reach::Itself;
        assert!(
            !is_open || firewall.contains(&named),
            "firewall.md has no {named}"
        );
    }
}

#[test]
fn ids_are_unique_and_stand_in_json_as_they_are_printed() {
    let ids: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.id()).collect();
    assert_eq!(ids.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.id());
        assert!(
            kind.means().starts_with("Error.") || kind.means().starts_with("Warning."),
            "{}",
            kind.id()
        );
    }
}
