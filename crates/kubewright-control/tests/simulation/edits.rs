//! cluster.yaml changes between an interrupted bootstrap and the next run: other control planes, another address, another
//! name.
//!
//! Once a member of etcd has data, the next run is refused, changes nothing, and with the old file goes on. Before, it may
//! as well succeed. Never are there two databases, and never does a run succeed on other members than cluster.yaml has.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use kubewright_core::spec::Cluster;

use super::crew;
use super::etcd;
use super::fault::{Fault, Kind};
use super::fixture::Fixture;
use super::run::{Operation, run};
use super::scenario::{Prepared, Scenario};
use super::world::World;

/// A change of cluster.yaml.
struct Edit {
    name: &'static str,
    before: fn(&Fixture) -> Cluster,
    after: fn(&Fixture) -> Cluster,
    /// All machines there are.
    machines: usize,
    /// The name of a machine before and after.
    rename: Option<(&'static str, &'static str)>,
}

const EDITS: [Edit; 5] = [
    Edit {
        name: "one control plane becomes three",
        before: |fixture| fixture.cluster(1, 0, ""),
        after: |fixture| fixture.cluster(3, 0, ""),
        machines: 3,
        rename: None,
    },
    Edit {
        name: "three control planes become one",
        before: |fixture| fixture.cluster(3, 0, ""),
        after: |fixture| fixture.cluster(1, 0, ""),
        machines: 3,
        rename: None,
    },
    Edit {
        name: "three control planes become five",
        before: |fixture| fixture.cluster(3, 0, ""),
        after: |fixture| fixture.cluster(5, 0, ""),
        machines: 5,
        rename: None,
    },
    Edit {
        name: "a control plane gets another address",
        before: |fixture| fixture.cluster(3, 0, ""),
        after: |fixture| fixture.edited(3, "address: 192.168.0.2,", "address: 192.168.7.2,"),
        machines: 3,
        rename: None,
    },
    Edit {
        name: "a control plane gets another name",
        before: |fixture| fixture.cluster(3, 0, ""),
        after: |fixture| fixture.edited(3, "name: cp-2,", "name: cp-9,"),
        machines: 3,
        rename: Some(("cp-2", "cp-9")),
    },
];

/// Tries every so many-th point of all of them; what went wrong.
pub(crate) fn run_all(fixture: &Fixture, every: usize) -> Vec<String> {
    EDITS
        .iter()
        .flat_map(|edit| try_all(fixture, edit, every))
        .collect()
}

fn try_all(fixture: &Fixture, edit: &Edit, every: usize) -> Vec<String> {
    let began = Instant::now();
    let origin = World::new(fixture.cluster(edit.machines, 0, ""));
    let prepared = Prepared::from(fixture, Scenario::Bootstrap, (edit.before)(fixture), origin);
    let faults: Vec<Fault> = prepared
        .effects
        .iter()
        .flat_map(|(actor, done)| (0..done.len()).map(move |effect| (actor, effect)))
        .step_by(every)
        .map(|(actor, effect)| Fault {
            actor: actor.clone(),
            effect,
            kind: Kind::KilledAfter,
        })
        .collect();
    let (failures, refused) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    crew::each(faults.len(), |number| {
        let fault = &faults[number];
        match attempt(fixture, edit, &prepared, fault) {
            Ok(was_refused) => {
                refused.fetch_add(usize::from(was_refused), Ordering::SeqCst);
            }
            Err(wrong) => {
                let text = format!("{}: {fault}:\n    {}", edit.name, wrong.join("\n    "));
                failures.lock().unwrap().push(text);
            }
        }
    });
    let failures = failures.into_inner().unwrap();
    println!(
        "edits, {}: {} points of a bootstrap tried, {} refused, {} failures, {:.1} s",
        edit.name,
        faults.len(),
        refused.into_inner(),
        failures.len(),
        began.elapsed().as_secs_f64()
    );
    failures
}

/// Interrupts a bootstrap, goes on with another cluster.yaml; whether that was refused.
fn attempt(fixture: &Fixture, edit: &Edit, prepared: &Prepared, fault: &Fault) -> Result<bool, Vec<String>> {
    let world = prepared.world();
    prepared.interrupt(fixture, &world, vec![fault.clone()]);
    if let Some((from, to)) = edit.rename {
        world.rename(from, to);
    }
    let has_begun = world
        .state()
        .machines
        .values()
        .any(|machine| etcd::stored(machine).is_some());
    // From then on a control plane more is one that joins.
    let is_bootstrapped = world
        .state()
        .machines
        .values()
        .any(|machine| machine.has("/var/lib/kubewright/settled"));
    let cluster = (edit.after)(fixture);
    let ended = run(fixture, &world, &cluster, Operation::Apply, Vec::new());
    let was_refused =
        ended.planned.is_none() && ended.errors.iter().any(|error| error.starts_with("refused: "));
    if was_refused {
        let done: Vec<_> = ended
            .effects
            .iter()
            .filter(|(_, done)| !done.is_empty())
            .collect();
        if !done.is_empty() {
            return Err(vec![format!("it was refused and changed something: {done:?}")]);
        }
        if let Some((from, to)) = edit.rename {
            world.rename(to, from);
        }
        let mut wrong = prepared.finish(fixture, &world, 1, false);
        if !wrong.is_empty() {
            wrong.push(format!("with the old file, after: {:?}", ended.errors));
            return Err(wrong);
        }
        return Ok(true);
    }
    let mut wrong = Vec::new();
    if !ended.is_complete() {
        wrong.push(format!(
            "neither refused nor done: {:#?} {:#?}",
            ended.errors, ended.steps
        ));
    } else if has_begun && !is_bootstrapped {
        wrong.push("etcd had begun, and the run was not refused".to_owned());
    }
    let again = run(fixture, &world, &cluster, Operation::Apply, Vec::new());
    if again.planned != Some(0) {
        wrong.push(format!(
            "it was to find nothing more: {:#?} {:#?}",
            again.errors, again.steps
        ));
    }
    wrong.extend(other_members(&world, &cluster));
    wrong.extend(world.state().violations.iter().cloned());
    if wrong.is_empty() { Ok(false) } else { Err(wrong) }
}

/// What is wrong with etcd's members: there is one cluster, of exactly the control planes.
fn other_members(world: &Arc<World>, cluster: &Cluster) -> Option<String> {
    let state = world.state();
    let members = state.machines.values().filter_map(etcd::stored);
    let members: BTreeSet<(String, String)> = members.map(|member| (member.cluster, member.name)).collect();
    let clusters: BTreeSet<&String> = members.iter().map(|(cluster, _)| cluster).collect();
    let names: BTreeSet<&str> = members.iter().map(|(_, name)| name.as_str()).collect();
    let wanted: BTreeSet<&str> = cluster.control_planes().map(|node| node.name.as_str()).collect();
    (clusters.len() != 1 || names != wanted).then(|| format!("the members of etcd are {members:?}"))
}
