//! etcd as far as a deployer can see it: static bootstrap, membership, quorum.
//!
//! A member that begins with `new` takes its cluster from the file that permits it and writes it to its data directory;
//! one with data is the member its data says. It is healthy while it runs with a majority of its cluster's members, all
//! of which know each other by the same authority.

use std::collections::{BTreeMap, BTreeSet};

use kubewright_core::resource::Digest;

use super::machine::{Machine, Process};
use super::world::State;

pub(crate) const UNIT: &str = "etcd.service";
const DATA: &str = "/var/lib/etcd/member";
/// A member that finds it ends at once: its data cannot be read.
pub(crate) const DAMAGE: &str = "/var/lib/etcd/member/damage";

/// Which member of which cluster a process or a data directory is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct Identity {
    /// Token and initial membership: what makes a cluster another one.
    pub(crate) cluster: String,
    /// The members' names.
    pub(crate) members: Vec<String>,
    /// Where the others reach each of them.
    pub(crate) peer_urls: BTreeMap<String, String>,
    /// The authority its members trust.
    pub(crate) authority: String,
    /// The member's own name.
    pub(crate) name: String,
}

/// What somebody made of the members after the bootstrap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meddling {
    /// Members that do not vote; they say that they are healthy all the same.
    pub(crate) learners: BTreeSet<String>,
    /// Voting members on no machine, which are down.
    pub(crate) unknown_members: BTreeSet<String>,
    /// Machines whose member no other reaches, and which reaches none.
    pub(crate) cut_off: BTreeSet<String>,
    /// The member an alarm is about.
    pub(crate) alarm: Option<String>,
}

/// What a machine's data directory says.
pub(crate) fn stored(machine: &Machine) -> Option<Identity> {
    serde_json::from_str(&machine.get(&format!("{DATA}/identity"))).ok()
}

/// Begins a member: from its data, or from nothing if that is permitted. Tells what is forbidden and happened all the
/// same.
pub(crate) fn begin(machine: &Machine, process: &Process) -> Result<(Identity, Vec<String>), String> {
    let mut violations = Vec::new();
    let authority = process.file.argument("trusted-ca-file").unwrap_or_default();
    let authority = Digest::of(machine.get(authority).as_bytes()).to_string();
    let environment = process.file.environment_file.clone().unwrap_or_default();
    let environment = machine.get(&environment);
    let variable = |name: &str| {
        environment
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")))
            .map(str::to_owned)
    };
    if machine.has(DAMAGE) {
        return Err("its data is damaged".to_owned());
    }
    if let Some(identity) = stored(machine) {
        if identity.authority != authority {
            violations.push(format!(
                "{}: the member starts with another cluster's authority",
                machine.name
            ));
        }
        return Ok((identity, violations));
    }
    if variable("ETCD_INITIAL_CLUSTER_STATE").as_deref() != Some("new") {
        return Err("no data, and not permitted to begin without".to_owned());
    }
    let members = variable("ETCD_INITIAL_CLUSTER").unwrap_or_default();
    let token = variable("ETCD_INITIAL_CLUSTER_TOKEN").unwrap_or_default();
    let each = members.split(',').filter_map(|member| member.split_once('='));
    let identity = Identity {
        cluster: format!("{token} {members}"),
        members: each.clone().map(|(name, _)| name.to_owned()).collect(),
        peer_urls: each
            .map(|(name, url)| (name.to_owned(), url.to_owned()))
            .collect(),
        authority,
        name: process.file.argument("name").unwrap_or_default().to_owned(),
    };
    machine.put(
        &format!("{DATA}/identity"),
        &serde_json::to_string(&identity).unwrap_or_default(),
    );
    Ok((identity, violations))
}

/// The member that runs on a machine.
pub(crate) fn member(machine: &Machine) -> Option<&Identity> {
    machine.units.get(UNIT)?.process.as_ref()?.member.as_ref()
}

/// Whether a machine's member runs and has a quorum.
pub(crate) fn has_quorum(state: &State, machine: &str) -> bool {
    let Some(own) = state.machines.get(machine).and_then(member) else {
        return false;
    };
    let meddling = &state.meddling;
    let is_cut_off = |name: &str| meddling.cut_off.contains(name) || meddling.cut_off.contains(machine);
    let voters = own
        .members
        .iter()
        .filter(|name| !meddling.learners.contains(*name));
    let (voters, strangers) = (voters.collect::<Vec<_>>(), meddling.unknown_members.len());
    let running = state.machines.values().filter_map(member);
    let running = running
        .filter(|other| voters.contains(&&other.name))
        .filter(|other| other.name == own.name || !is_cut_off(&other.name))
        .filter(|other| other.cluster == own.cluster && other.authority == own.authority)
        .count();
    2 * running > voters.len() + strangers
}

/// Who leads, and how that came about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leadership {
    /// The machine whose member leads.
    pub(crate) leader: Option<String>,
    /// How often a leader handed over to another one.
    pub(crate) moves: u32,
    /// How often one ended without having done so, and the others were left to elect another.
    pub(crate) elections: u32,
}

/// Whether a machine's member leads.
pub(crate) fn leads(state: &State, machine: &str) -> bool {
    has_quorum(state, machine) && state.leadership.leader.as_deref() == Some(machine)
}

/// Members elect a leader where there is none that serves.
pub(crate) fn elect(state: &mut State) {
    let leader = state.leadership.leader.as_deref();
    let is_there = leader.is_some_and(|leader| state.machines.get(leader).and_then(member).is_some());
    if !is_there && let Some(gone) = state.leadership.leader.take() {
        let others = state.control_planes.iter().filter(|name| **name != gone);
        let others: Vec<&String> = others.collect();
        if others.iter().any(|name| has_quorum(state, name)) {
            state.leadership.elections += 1;
        }
    }
    if state.leadership.leader.is_none() {
        let may_lead = |name: &&String| serves(state, name);
        let leader = state.control_planes.iter().find(may_lead).cloned();
        state.leadership.leader = leader;
    }
}

/// The leader hands over to another member.
pub(crate) fn move_leader(state: &mut State, from: &str, to: &str) -> Result<(), String> {
    if !leads(state, from) {
        return Err("etcdserver: not leader".to_owned());
    }
    if !serves(state, to) {
        return Err("etcdserver: request timed out, leader transfer took too long".to_owned());
    }
    state.leadership.leader = Some(to.to_owned());
    state.leadership.moves += 1;
    Ok(())
}

/// Whether a machine's member says that it is healthy.
pub(crate) fn is_healthy(state: &State, machine: &str) -> bool {
    state.meddling.alarm.is_none() && has_quorum(state, machine)
}

/// Whether a machine's member answers an API server: it votes, and no alarm is raised.
pub(crate) fn serves(state: &State, machine: &str) -> bool {
    has_quorum(state, machine) && !state.meddling.learners.contains(machine)
}
