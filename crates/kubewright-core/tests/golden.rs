//! Golden trees: every file on every node, everything else a node has, and all cluster objects, for whole clusters.
//!
//! `UPDATE_GOLDEN=1 cargo test -p kubewright-core --test golden` writes them again; read the difference before you
//! commit it. A file that no case renders is an error, too.

#![allow(clippy::unwrap_used)] // what a test stands on may fail it
#![allow(clippy::disallowed_methods)] // goldens are files

#[path = "golden/context.rs"]
mod context;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use context::{CASES, World, directory, world};
use kubewright_core::catalogue::supported_minors;
use kubewright_core::manifest::{NodeObject, manifests, node_objects};
use kubewright_core::render::render;
use kubewright_core::resource::{Access, NodeState, Resource, Stage, Unit};

#[test]
fn every_file_of_every_node_is_as_it_was_read() {
    for (case, _) in CASES {
        let rendered = tree(&world(case));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            write(case, &rendered);
        }
        compare(case, &rendered);
    }
}

#[test]
fn every_minor_has_a_tree() {
    let trees: BTreeSet<String> = CASES
        .iter()
        .map(|(case, _)| world(case).cluster.kubernetes)
        .map(|version| format!("{}.{}", version.major, version.minor))
        .collect();
    assert_eq!(trees, supported_minors().into_iter().collect());
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    assert_eq!(tree(&world("three-plus-two")), tree(&world("three-plus-two")));
}

#[test]
fn no_tree_is_without_a_case() {
    let known: Vec<&str> = CASES.iter().map(|(case, _)| *case).collect();
    for entry in fs::read_dir(directory()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            let name = entry.file_name();
            assert!(
                known.contains(&name.to_str().unwrap()),
                "{} has no case",
                entry.path().display()
            );
        }
    }
}

/// Path below the case's directory, to content.
fn tree(world: &World) -> BTreeMap<String, String> {
    let context = world.context();
    let mut files = BTreeMap::new();
    for node in &world.cluster.nodes {
        let state = render(&context, node.name.as_str()).unwrap();
        let root = format!("nodes/{}", node.name);
        for staged in &state.resources {
            match &staged.resource {
                Resource::File(file) => files.insert(format!("{root}{}", file.path), file.content.clone()),
                Resource::Unit(unit) => files.insert(
                    format!("{root}/etc/systemd/system/{}", unit.name),
                    unit.content.clone(),
                ),
                _ => None,
            };
        }
        files.insert(format!("{root}/resources.txt"), listing(&state));
    }
    let objects: Vec<serde_json::Value> = node_objects(&context)
        .iter()
        .map(NodeObject::manifest)
        .chain(manifests(&context))
        .collect();
    let options = serde_saphyr::ser_options! { compact_list_indent: false, folded_wrap_chars: 10_000 };
    let objects = serde_saphyr::to_string_multiple_with_options(&objects, options).unwrap();
    files.insert("objects.yaml".to_owned(), objects);
    files
}

/// Everything a node has, in order of convergence, one line each.
fn listing(state: &NodeState) -> String {
    let mut text = String::new();
    for stage in Stage::ALL {
        let _ = writeln!(text, "== {} ==", stage.title());
        let of_stage = state.resources.iter().filter(|staged| staged.stage == stage);
        for staged in of_stage {
            text.push_str(&describe(&staged.resource));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn access(access: &Access) -> String {
    format!("{}:{} {:04o}", access.user, access.group, access.mode)
}

fn describe(resource: &Resource) -> String {
    match resource {
        Resource::User(user) => format!("user         {} (home {})\n", user.name, user.home),
        Resource::Directory(it) => format!("directory    {}  {}\n", it.path, access(&it.access)),
        Resource::File(it) => format!("file         {}  {}\n", it.path, access(&it.access)),
        Resource::Symlink(it) => format!("symlink      {} -> {}\n", it.path, it.target),
        Resource::SharedSecret(it) => {
            format!("secret       {}  {}  {}\n", it.path, access(&it.access), it.name)
        }
        Resource::Certificate(it) => {
            let names: Vec<String> = it
                .dns_names
                .iter()
                .cloned()
                .chain(it.addresses.iter().map(ToString::to_string))
                .collect();
            let mut text = format!(
                "certificate  {}  key {} {}\n",
                it.certificate_path,
                it.key_path,
                access(&it.key_access)
            );
            let mut groups = String::new();
            for group in &it.organizations {
                let _ = write!(groups, ", O={group}");
            }
            let _ = writeln!(
                text,
                "             {:?} signs CN={}{groups} for {:?}, {} days, renewed at {}",
                it.authority, it.common_name, it.usages, it.lifetime_days, it.renew_before_days
            );
            if !names.is_empty() {
                let _ = writeln!(text, "             names: {}", names.join(" "));
            }
            if let Some(path) = &it.superseded_by {
                let _ = writeln!(text, "             superseded by {path}");
            }
            text
        }
        Resource::Sysctl(it) => {
            let optional = if it.optional {
                "  (if the kernel has it)"
            } else {
                ""
            };
            format!("sysctl       {} = {}{optional}\n", it.key, it.value)
        }
        Resource::KernelModule(it) => {
            let optional = if it.optional {
                "  (if the kernel has it)"
            } else {
                ""
            };
            format!("module       {}{optional}\n", it.name)
        }
        Resource::SwapOff(_) => "swap         off\n".to_owned(),
        Resource::Binary(it) => format!("binary       {}  {} {}\n", it.path, it.name, it.version),
        Resource::Image(it) => format!("image        {}\n", it.reference),
        Resource::Routing(it) => {
            let mut text = format!(
                "routing      pods of {}, masqueraded by {:?}\n",
                it.pods, it.filter
            );
            for (range, via) in &it.routes {
                let _ = writeln!(text, "             {range} via {via}");
            }
            let _ = writeln!(text, "             not to {}", it.inside.join(" "));
            text
        }
        Resource::Unit(unit) => describe_unit(unit),
    }
}

fn describe_unit(unit: &Unit) -> String {
    let mut text = format!(
        "unit         {}  start: {:?}, restarted when one of these changes:\n",
        unit.name, unit.start
    );
    for input in &unit.inputs {
        let _ = writeln!(text, "             - {input}");
    }
    text
}

fn present(case: &str) -> BTreeMap<String, String> {
    let root = directory().join(case);
    let mut files = BTreeMap::new();
    let mut pending = vec![root.clone()];
    while let Some(path) = pending.pop() {
        let Ok(entries) = fs::read_dir(&path) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            if name != "cluster.yaml" {
                files.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

fn write(case: &str, rendered: &BTreeMap<String, String>) {
    let root = directory().join(case);
    for name in present(case).keys().filter(|name| !rendered.contains_key(*name)) {
        fs::remove_file(root.join(name)).unwrap();
    }
    for (name, content) in rendered {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn compare(case: &str, rendered: &BTreeMap<String, String>) {
    let present = present(case);
    let mut problems = String::new();
    for (name, content) in rendered {
        match present.get(name) {
            None => {
                let _ = writeln!(problems, "{case}/{name}: not there");
            }
            Some(before) if before != content => {
                let difference = similar::TextDiff::from_lines(before.as_str(), content.as_str());
                let _ = writeln!(
                    problems,
                    "{case}/{name}:\n{}",
                    difference.unified_diff().context_radius(2)
                );
            }
            Some(_) => {}
        }
    }
    for name in present.keys().filter(|name| !rendered.contains_key(*name)) {
        let _ = writeln!(problems, "{case}/{name}: nothing renders it any more");
    }
    assert!(
        problems.is_empty(),
        "golden trees differ; UPDATE_GOLDEN=1 rewrites them\n{problems}"
    );
}
