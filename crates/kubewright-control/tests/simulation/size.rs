//! An apply that finds nothing to do, on clusters larger than any lab: how long it takes and what its controller
//! needs for itself.
//!
//! This process is the machines and their agents. The controller is a process of its own, which reaches every node as it
//! does in the real world: by one child process that is `ssh` to it. A few lines of shell play that, because what logging
//! in costs is OpenSSH's matter; what they need is not counted. The API answers from a file.

mod connections;
mod controller;
mod still;

use std::process::Command;

use super::fixture::Fixture;
use super::run::{Operation, run};
use super::world::World;
use connections::Connections;
use controller::Needed;

pub(crate) use controller::control;

const CONTROL_PLANES: usize = 3;
/// The first argument of the controller's process; the directory of the connections follows, and the number of nodes.
pub(crate) const CONTROLLER: &str = "size-controller";

/// Builds a cluster of so many nodes, applies it once more, and tells what that took; what went wrong with it.
pub(crate) fn measure(fixture: &Fixture, nodes: usize) -> Vec<String> {
    let cluster = cluster(fixture, nodes);
    let world = World::new(cluster.clone());
    let built = run(fixture, &world, &cluster, Operation::Apply, Vec::new());
    if !built.is_complete() {
        return failed(nodes, &format!("building them failed: {:#?}", built.errors));
    }
    world.begin(Vec::new(), false);
    let connections = Connections::to(&world);
    let controller = Command::new(std::env::current_exe().unwrap())
        .arg(CONTROLLER)
        .arg(connections.path())
        .arg(nodes.to_string())
        .output()
        .unwrap();
    let needed = match serde_json::from_slice::<Result<Needed, String>>(&controller.stdout) {
        Ok(Ok(needed)) => needed,
        Ok(Err(error)) => return failed(nodes, &error),
        Err(error) => {
            let words = String::from_utf8_lossy(&controller.stderr);
            return failed(nodes, &format!("the controller said nothing: {error}: {words}"));
        }
    };
    connections.end();
    let effects: usize = world.state().effects.values().map(Vec::len).sum();
    println!(
        "no change: {nodes} nodes, {} changes, {effects} effects, {:.2} s, {:.1} ms for each node; the controller alone: \
         {:.2} s of processor time, at most {:.0} MiB, {} descriptors",
        needed.changes,
        needed.seconds,
        needed.seconds * 1e3 / nodes as f64,
        needed.processor_seconds,
        needed.peak_mib,
        needed.descriptors,
    );
    if needed.changes == 0 && effects == 0 {
        Vec::new()
    } else {
        failed(nodes, "there was to be nothing to do")
    }
}

fn cluster(fixture: &Fixture, nodes: usize) -> kubewright_core::spec::Cluster {
    fixture.cluster(CONTROL_PLANES, nodes.saturating_sub(CONTROL_PLANES), "")
}

fn failed(nodes: usize, why: &str) -> Vec<String> {
    vec![format!("{nodes} nodes:\n    {why}")]
}
