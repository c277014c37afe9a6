//! etcd as far as a deployer can see it: static bootstrap, membership, quorum.
//!
//! A member that joins begins with the list of all members, which has to be what the others know; it has to have been taken in
//! before. A member that begins with `new` takes its cluster from the file that permits it and writes it to its data directory;
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

/// A member as the others know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: u64,
    /// Empty until it has started.
    pub(crate) name: String,
    pub(crate) peer_url: String,
    pub(crate) is_learner: bool,
}

/// The members of every etcd cluster there was, by what makes it another one.
pub(crate) type Memberships = BTreeMap<String, Vec<Listed>>;

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
pub(crate) fn begin(
    machine: &Machine,
    process: &Process,
    memberships: &mut Memberships,
) -> Result<(Identity, Vec<String>), String> {
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
        let listed = memberships.get(&identity.cluster);
        if !listed.is_some_and(|listed| listed.iter().any(|member| member.peer_url == own_url(&identity))) {
            return Err("the member has been permanently removed from the cluster".to_owned());
        }
        return Ok((identity, violations));
    }
    let members = variable("ETCD_INITIAL_CLUSTER").unwrap_or_default();
    let name = process.file.argument("name").unwrap_or_default().to_owned();
    match variable("ETCD_INITIAL_CLUSTER_STATE").as_deref() {
        Some("new") => {}
        Some("existing") if !members.is_empty() => {
            let identity = join(&members, name, authority, memberships)?;
            store(machine, &identity);
            return Ok((identity, violations));
        }
        _ => return Err("no data, and not permitted to begin without".to_owned()),
    }
    let token = variable("ETCD_INITIAL_CLUSTER_TOKEN").unwrap_or_default();
    let each = members.split(',').filter_map(|member| member.split_once('='));
    let identity = Identity {
        cluster: format!("{token} {members}"),
        members: each.clone().map(|(name, _)| name.to_owned()).collect(),
        peer_urls: each
            .map(|(name, url)| (name.to_owned(), url.to_owned()))
            .collect(),
        authority,
        name,
    };
    let listed = (1..).zip(&identity.members).map(|(id, name)| Listed {
        id,
        name: name.clone(),
        peer_url: identity.peer_urls[name].clone(),
        is_learner: false,
    });
    memberships
        .entry(identity.cluster.clone())
        .or_insert_with(|| listed.collect());
    store(machine, &identity);
    Ok((identity, violations))
}

fn store(machine: &Machine, identity: &Identity) {
    machine.put(
        &format!("{DATA}/identity"),
        &serde_json::to_string(identity).unwrap_or_default(),
    );
}

fn own_url(identity: &Identity) -> String {
    identity
        .peer_urls
        .get(&identity.name)
        .cloned()
        .unwrap_or_default()
}

/// Begins as one of the members of a cluster, which have to be those the others know.
fn join(
    members: &str,
    name: String,
    authority: String,
    memberships: &mut Memberships,
) -> Result<Identity, String> {
    let peer_urls: BTreeMap<String, String> = members
        .split(',')
        .filter_map(|member| member.split_once('='))
        .map(|(name, url)| (name.to_owned(), url.to_owned()))
        .collect();
    let told: BTreeSet<&String> = peer_urls.values().collect();
    let own = peer_urls.get(&name).ok_or("it is not among the members")?;
    let known = memberships.iter_mut().find(|(_, listed)| {
        let known: BTreeSet<&String> = listed.iter().map(|member| &member.peer_url).collect();
        known == told
    });
    let (cluster, listed) = known.ok_or("error validating peerURLs: member count is unequal")?;
    let member = listed.iter_mut().find(|member| member.peer_url == *own);
    let member = member.filter(|member| member.is_learner && (member.name.is_empty() || member.name == name));
    member
        .ok_or("the member has already been bootstrapped")?
        .name
        .clone_from(&name);
    Ok(Identity {
        cluster: cluster.clone(),
        members: peer_urls.keys().cloned().collect(),
        peer_urls,
        authority,
        name,
    })
}

/// The members of a machine's etcd, as the others know them.
pub(crate) fn listed(state: &State, machine: &str) -> Vec<Listed> {
    let own = state.machines.get(machine).and_then(member);
    let listed = own.and_then(|own| state.memberships.get(&own.cluster));
    listed.cloned().unwrap_or_default()
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
    let listed = state.memberships.get(&own.cluster);
    let voters = listed
        .into_iter()
        .flatten()
        .filter(|member| !member.is_learner && !meddling.learners.contains(&member.name))
        .map(|member| &member.name);
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
    let learns = |member: &Listed| member.name == machine && member.is_learner;
    has_quorum(state, machine)
        && !state.meddling.learners.contains(machine)
        && !listed(state, machine).iter().any(learns)
}

/// A member is taken in as a learner, one at a time, while all others are there.
pub(crate) fn add_learner(state: &mut State, through: &str, peer_url: &str) -> Result<(), String> {
    let members = changeable(state, through)?;
    if members.iter().any(|member| member.peer_url == peer_url) {
        return Err("etcdserver: Peer URLs already exists".to_owned());
    }
    if members.iter().any(|member| member.is_learner) {
        return Err("etcdserver: too many learner members in cluster".to_owned());
    }
    let id = 1 + members.iter().map(|member| member.id).max().unwrap_or_default();
    members.push(Listed {
        id,
        name: String::new(),
        peer_url: peer_url.to_owned(),
        is_learner: true,
    });
    Ok(())
}

/// A learner that runs becomes a voter.
pub(crate) fn promote(state: &mut State, through: &str, id: u64) -> Result<(), String> {
    let runs: BTreeSet<String> = state
        .machines
        .values()
        .filter_map(member)
        .map(|member| member.name.clone())
        .collect();
    let members = changeable(state, through)?;
    let member = members.iter_mut().find(|member| member.id == id);
    let member = member.ok_or("etcdserver: member not found")?;
    if !runs.contains(&member.name) {
        return Err("etcdserver: can only promote a learner member which is in sync with leader".to_owned());
    }
    member.is_learner = false;
    state.meddling.learners.clear();
    Ok(())
}

/// A member is removed for good.
pub(crate) fn remove_member(state: &mut State, through: &str, id: u64) -> Result<(), String> {
    changeable(state, through)?.retain(|member| member.id != id);
    Ok(())
}

fn changeable<'a>(state: &'a mut State, through: &str) -> Result<&'a mut Vec<Listed>, String> {
    if !serves(state, through) {
        return Err("etcdserver: no leader".to_owned());
    }
    let own = state.machines.get(through).and_then(member);
    let cluster = own.map(|own| own.cluster.clone()).unwrap_or_default();
    let members = state.memberships.get_mut(&cluster);
    members.ok_or_else(|| "etcdserver: no leader".to_owned())
}
