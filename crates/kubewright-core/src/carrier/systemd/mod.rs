//! Components as systemd units.
//!
//! A unit names everything it reads among its inputs, so that the agent restarts it when, and only when, one of those
//! changed. Restarts after a failure come every second and never stop: a control plane that comes back after hours
//! finds its peers still trying.

mod commands;
mod unit_file;
mod words;

use std::collections::BTreeSet;

pub use commands::{PROGRAMS, disable_command, jobs_command, log_command, mask_command, stop_command};
pub use words::process_words;

use crate::component::{Component, Process};
use crate::resource::{Resource, ResourceId, Stage, Unit};

/// In which order the parts of a node converge: etcd and the API are units and need no kubelet.
pub const STAGES: [Stage; 5] = [
    Stage::Host,
    Stage::Etcd,
    Stage::ControlPlane,
    Stage::Runtime,
    Stage::Node,
];

/// Everything the components of a node need, in order of convergence: within a stage, each component's things come
/// before its unit. A resource several components name is there once.
pub fn render(components: &[Component]) -> Vec<(Stage, Resource)> {
    let mut present = BTreeSet::new();
    let mut all = Vec::new();
    for stage in STAGES {
        for component in components {
            if prepared_in(component) == stage {
                let own = component.reads.iter().chain(&component.rereads);
                all.extend(own.cloned().map(|resource| (stage, resource)));
            }
            if component.description.stage == stage
                && let Some(process) = &component.process
            {
                all.push((stage, Resource::Unit(unit(component, process, components))));
            }
        }
    }
    all.retain(|(_, resource)| present.insert(resource.id()));
    all
}

/// What the kubelet and its neighbours need is put in place while the runtime is, so that they start at once.
fn prepared_in(component: &Component) -> Stage {
    match component.description.stage {
        Stage::Node => Stage::Runtime,
        stage => stage,
    }
}

/// Returns the name of a component's unit.
pub fn unit_name(component: &str) -> String {
    format!("{component}.service")
}

/// Returns the component whose unit has that name.
pub fn component_of(unit: &str) -> Option<&str> {
    unit.strip_suffix(".service")
}

fn unit(component: &Component, process: &Process, all: &[Component]) -> Unit {
    Unit {
        name: unit_name(component.description.name),
        content: unit_file::content(component, process, all),
        start: process.systemd.start,
        inputs: inputs(component),
    }
}

fn inputs(component: &Component) -> Vec<ResourceId> {
    let own = component
        .reads
        .iter()
        .filter(|resource| !matches!(resource, Resource::Directory(_) | Resource::User(_)))
        .map(Resource::id);
    own.chain(component.shared.iter().cloned()).collect()
}
