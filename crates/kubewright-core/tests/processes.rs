//! Units as systemd sees them: as whom they run, what they are kept from, and that docs/reference/processes.md is right.

#![allow(clippy::unwrap_used)] // what a test stands on may fail it
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // systemd's own judgement is a program's

#[path = "golden/context.rs"]
mod context;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use context::world;
use kubewright_core::carrier::PROGRAMS;
use kubewright_core::component::{callers_of, programs};
use kubewright_core::render::render;
use kubewright_core::resource::{Resource, Unit};

/// The most a confined unit may be exposed, by `systemd-analyze security`: 0 is best, 10 worst.
const EXPOSURE: f64 = 2.0;
const CONFINED: [&str; 5] = [
    "etcd.service",
    "kube-apiserver.service",
    "kube-controller-manager.service",
    "kube-scheduler.service",
    "kubewright-api-proxy.service",
];

fn units(case: &str, node: &str) -> Vec<Unit> {
    let state = render(&world(case).context(), node).unwrap();
    let units = state
        .resources
        .into_iter()
        .filter_map(|staged| match staged.resource {
            Resource::Unit(unit) => Some(unit),
            _ => None,
        });
    units.collect()
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/processes.md");
    fs::read_to_string(path).unwrap()
}

fn value<'u>(unit: &'u Unit, name: &str) -> Option<&'u str> {
    unit.content
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn whoever_runs_as_root_is_on_the_page_as_that() {
    let page = page();
    for unit in units("three-plus-two", "cp-1") {
        let process = unit.name.trim_end_matches(".service");
        let row = page
            .lines()
            .find(|line| line.starts_with('|') && line.split('|').nth(1).unwrap().contains(process))
            .unwrap_or_else(|| panic!("{process} is not on the page"));
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let user = value(&unit, "User").unwrap_or("root");
        assert_eq!(cells[2].trim_matches('`'), user, "{process}");
        let groups = value(&unit, "SupplementaryGroups").unwrap_or_default();
        assert_eq!(cells[3].trim_matches('`'), groups, "{process}");
        let confined = value(&unit, "CapabilityBoundingSet") == Some("");
        assert_eq!(confined, CONFINED.contains(&unit.name.as_str()), "{process}");
        assert_eq!(confined, user != "root", "{process}");
    }
}

#[test]
fn a_proxy_of_the_whole_node_reaches_nobody_but_the_runtime() {
    for case in ["three-plus-two", "bridge"] {
        for unit in units(case, "cp-1") {
            let unset = value(&unit, "UnsetEnvironment").unwrap_or_default();
            let is_safe = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"]
                .iter()
                .all(|name| unset.split(' ').any(|word| word == *name));
            assert_eq!(is_safe, unit.name != "containerd.service", "{}", unit.name);
        }
    }
}

#[test]
fn what_units_run_is_what_their_components_say() {
    for case in ["three-plus-two", "three-combined", "bridge", "extra-args"] {
        let world = world(case);
        let node = world.cluster.nodes.first().unwrap();
        let mut run = BTreeSet::new();
        for unit in units(case, node.name.as_str()) {
            let component = unit.name.trim_end_matches(".service").to_owned();
            let commands = unit
                .content
                .lines()
                .filter(|line| line.starts_with("ExecSt"))
                .filter_map(|line| line.split_once('='));
            let programs = commands.filter_map(|(_, words)| words.split(' ').next());
            for program in programs.map(|program| program.trim_start_matches(['-', '+'])) {
                if !program.starts_with('/') {
                    run.insert((component.clone(), program.to_owned()));
                }
            }
        }
        assert!(run.len() > 2, "{case}: {run:?}");
        for (component, program) in run {
            let callers = callers_of(&world.cluster, node, &program);
            assert!(
                callers.contains(&component.as_str()),
                "{case}: {component} runs {program} and does not say so"
            );
        }
    }
}

#[test]
fn every_program_that_is_run_is_in_the_requirements() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/requirements.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, section) = page.split_once("### Programs").unwrap();
    for program in programs()
        .into_iter()
        .chain(PROGRAMS)
        .filter(|program| !program.starts_with("ip6tables"))
    {
        assert!(section.contains(&format!("`{program}`")), "{program}");
    }
}

/// Where the program is: it needs neither a running systemd nor the units' programs.
#[test]
fn systemd_finds_little_to_object_to_and_all_of_it_has_a_reason() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let page = page();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for unit in units("three-plus-two", "cp-1") {
        if !CONFINED.contains(&unit.name.as_str()) {
            continue;
        }
        let path = directory.join(&unit.name);
        fs::write(&path, &unit.content).unwrap();
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(&path)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let (_, rest) = text
            .split_once("exposure level for")
            .unwrap_or_else(|| panic!("{}: {text}{complaint}", unit.name));
        let level: f64 = rest.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(level <= EXPOSURE, "{} has exposure {level}:\n{text}", unit.name);
        for line in text.lines().filter(|line| line.starts_with('✗')) {
            let setting = line.split_whitespace().nth(1).unwrap();
            let written = setting.replace('|', "\\|");
            assert!(
                page.contains(&format!("`{written}`")),
                "{}: no reason is given for {setting}",
                unit.name
            );
        }
    }
}
