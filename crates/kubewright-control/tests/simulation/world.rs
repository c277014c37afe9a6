//! Everything that is simulated, behind one lock: machines, etcd's data, and what goes wrong when.
//!
//! Time is virtual: whoever waits is woken when something changes, and when nothing has happened for a while, hours
//! pass at once and the waits run out. In a run without faults that while is long, so that a busy computer fails no test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kubewright_core::manifest::NodeObject;
use kubewright_core::resource::{AuthorityName, Digest, NodeState, Resource, ResourceId};
use kubewright_core::spec::Cluster;
use serde_json::Value;
use tokio::sync::Notify;

use super::agent::Connection;
use super::disk::{Disk, Loss};
use super::etcd;
use super::fault::{Fault, Kind};
use super::independent::{Failure, When};
use super::machine::Machine;
use super::systemd::{self, can_register, settle};

/// How long nothing may happen before time passes, when something went wrong in this run.
const PATIENCE: Duration = Duration::from_millis(40);
/// The same in a run in which nothing did.
const LONG_PATIENCE: Duration = Duration::from_secs(60);
/// How much time passes then.
const LEAP: Duration = Duration::from_secs(7 * 3600);

/// What one etcd cluster holds for the API.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Objects {
    pub(crate) objects: BTreeMap<String, Value>,
    pub(crate) nodes: BTreeMap<String, NodeObject>,
}

/// Everything that is simulated.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) machines: BTreeMap<String, Machine>,
    pub(crate) control_planes: Vec<String>,
    /// What etcd clusters hold, by their identity.
    pub(crate) stored: BTreeMap<String, Objects>,
    /// Who the members of etcd clusters are.
    pub(crate) memberships: etcd::Memberships,
    /// What somebody made of etcd's members.
    pub(crate) meddling: etcd::Meddling,
    /// Which of etcd's members leads.
    pub(crate) leadership: etcd::Leadership,
    /// What must never be, and was.
    pub(crate) violations: Vec<String>,
    /// The effects of this run, by actor.
    pub(crate) effects: BTreeMap<String, Vec<String>>,
    /// The faults of this run that have not happened yet.
    pub(crate) faults: Vec<Fault>,
    /// How many faults of this run have happened.
    pub(crate) fired: usize,
    /// The controller of this run is dead.
    pub(crate) is_killed: bool,
    /// Machines that start again as soon as their agent's hand is off them.
    pub(crate) to_reboot: BTreeMap<String, Loss>,
    pub(crate) connections: Vec<Arc<Connection>>,
    /// etcd clusters that had a quorum.
    pub(crate) founded: BTreeSet<String>,
    /// All control planes have served at once: from now on at most one is down at any moment.
    pub(crate) is_serving: bool,
    /// The run takes the cluster down.
    pub(crate) is_reset: bool,
    /// How many more times the API does not answer although it is there.
    pub(crate) api_silences: usize,
    /// Every content a file may have when a process reads it, by node and path.
    pub(crate) whole: BTreeMap<(String, String), BTreeSet<Digest>>,
    /// What units read, by node and unit, as last rendered.
    pub(crate) inputs: BTreeMap<(String, String), Vec<ResourceId>>,
    /// Text that no command line may hold.
    pub(crate) secrets: BTreeSet<String>,
    /// What fails by itself in this run.
    pub(crate) failure: Option<Failure>,
    /// The control plane that has failed by itself.
    pub(crate) failed: Option<String>,
    /// What was stopped or restarted of control planes since then, by node and unit.
    pub(crate) disturbed: Vec<(String, String)>,
    /// Something is to go wrong in the next run that is no fault.
    pub(crate) expects_trouble: bool,
    /// Nodes whose kubelets run and do not report Ready.
    pub(crate) unready: BTreeSet<String>,
    /// How long an answer of a node may take, if not as long as usual.
    pub(crate) answer_limit: Option<Duration>,
    /// A node, and how long the next import of an image takes there.
    pub(crate) import_takes: Option<(String, Duration)>,
    /// A node that is not healthy after its change is left as it is.
    pub(crate) keeps_failed: bool,
    /// Machines without power.
    pub(crate) off: BTreeSet<String>,
    virtual_time: Duration,
}

/// The simulated world.
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) cluster: Cluster,
    state: Mutex<State>,
    pub(crate) changed: Condvar,
    /// Wakes the run when its controller is killed.
    pub(crate) killed: Notify,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    began: Instant,
    last_activity: AtomicU64,
    has_trouble: AtomicBool,
}

impl World {
    /// Blank machines for a cluster.
    pub(crate) fn new(cluster: Cluster) -> Arc<Self> {
        let world = Self::empty(cluster);
        {
            let mut state = world.state();
            for node in &world.cluster.nodes {
                let name = node.name.to_string();
                let root = world.directory.path().join(&name);
                std::fs::create_dir_all(&root).unwrap();
                let mut machine = Machine::blank(&name, root);
                machine.reload();
                state.machines.insert(name.clone(), machine);
                if node.is_control_plane() {
                    state.control_planes.push(name);
                }
            }
        }
        world
    }

    /// A world without machines.
    pub(crate) fn empty(cluster: Cluster) -> Arc<Self> {
        // Memory where there is some to be had: these machines are fsynced a thousand times.
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        }
        .unwrap();
        Arc::new(Self {
            directory,
            cluster,
            state: Mutex::default(),
            changed: Condvar::new(),
            killed: Notify::new(),
            threads: Mutex::default(),
            began: Instant::now(),
            last_activity: AtomicU64::new(0),
            has_trouble: AtomicBool::new(false),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happens: time does not leap yet.
    pub(crate) fn touch(&self) {
        self.last_activity
            .store(self.began.elapsed().as_micros() as u64, Ordering::Relaxed);
    }

    /// Nothing has happened for so long that nothing will.
    pub(crate) fn is_idle(&self) -> bool {
        let last = Duration::from_micros(self.last_activity.load(Ordering::Relaxed));
        let limit = if self.has_trouble.load(Ordering::Relaxed) {
            PATIENCE
        } else {
            LONG_PATIENCE
        };
        self.began.elapsed().saturating_sub(last) > limit
    }

    /// Begins a run with these faults.
    pub(crate) fn begin(&self, faults: Vec<Fault>, is_reset: bool) {
        let mut state = self.state();
        state.effects.clear();
        let loses = |fault: &Fault| !matches!(fault.kind.loss(), None | Some(Loss::Nothing));
        let has_disks = faults.iter().any(loses);
        for machine in state.machines.values_mut() {
            *machine.disk.get_mut() = has_disks.then(|| Disk::new(&machine.root));
        }
        state.faults = faults;
        state.fired = 0;
        state.is_killed = false;
        state.is_reset = is_reset;
        if is_reset {
            state.is_serving = false;
        }
        self.has_trouble.store(state.expects_trouble, Ordering::Relaxed);
        self.touch();
    }

    /// Time that passes only when nothing else happens.
    pub(crate) fn uptime(&self) -> Duration {
        self.state().virtual_time
    }

    /// Waits until something changes or time leaps.
    pub(crate) fn pause(&self) {
        let state = self.state();
        let (mut state, waited) = self
            .changed
            .wait_timeout(state, Duration::from_millis(4))
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() && self.is_idle() {
            state.virtual_time += LEAP;
        }
    }

    /// Waits until `look` finds something; nothing when nothing happens any more.
    pub(crate) fn wait_for<T>(&self, mut look: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let mut state = self.state();
        loop {
            if let Some(found) = look(&state) {
                return Some(found);
            }
            let waited = self.changed.wait_timeout(state, Duration::from_millis(4));
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() && self.is_idle() {
                return None;
            }
            state = next;
        }
    }

    /// Notes an effect of an actor; the fault that belongs there, if there is one.
    pub(crate) fn note_effect(&self, state: &mut State, actor: &str, doing: &str) -> Option<Kind> {
        self.touch();
        let done = state.effects.entry(actor.to_owned()).or_default();
        let number = done.len();
        done.push(doing.to_owned());
        let is_here = |failure: &Failure| matches!(&failure.when, When::Effect { actor: at, number: n } if at == actor && *n == number);
        if let Some(failure) = state.failure.clone().filter(is_here) {
            self.fail(state, &failure);
        }
        let at = state
            .faults
            .iter()
            .position(|fault| fault.actor == actor && fault.effect == number)?;
        state.fired += 1;
        self.has_trouble.store(true, Ordering::Relaxed);
        Some(state.faults.remove(at).kind)
    }

    /// Something is about to go wrong in this run.
    pub(crate) fn expect_trouble(&self) {
        self.has_trouble.store(true, Ordering::Relaxed);
    }

    /// The controller is gone, and with it every connection.
    pub(crate) fn kill_controller(&self, state: &mut State) {
        state.is_killed = true;
        for connection in &state.connections {
            connection.cut();
        }
        self.killed.notify_one();
        self.changed.notify_all();
    }

    /// A machine loses its power, now or as soon as no agent has its hand on it.
    pub(crate) fn cut_power(&self, state: &mut State, node: &str, loss: Loss, own_thread: bool) {
        let mut is_held = false;
        for connection in state.connections.iter().filter(|found| found.node == node) {
            is_held |= !connection.has_ended();
            connection.kill();
            connection.cut();
        }
        if is_held && !own_thread {
            state.to_reboot.insert(node.to_owned(), loss);
        } else {
            self.reboot(state, node, loss);
        }
    }

    /// A machine starts again, with what its disk still has.
    pub(crate) fn reboot(&self, state: &mut State, node: &str, loss: Loss) {
        state.to_reboot.remove(node);
        if let Some(machine) = state.machines.get_mut(node) {
            machine.lose(loss);
            machine.boot();
        }
        settle(state);
        self.changed.notify_all();
    }

    /// Gives a machine another name in cluster.yaml; it stays the same machine.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        let mut state = self.state();
        if let Some(mut machine) = state.machines.remove(from) {
            to.clone_into(&mut machine.name);
            state.machines.insert(to.to_owned(), machine);
        }
        for name in &mut state.control_planes {
            if name == from {
                to.clone_into(name);
            }
        }
    }

    /// Learns what nodes are to have: which contents are whole, and what units read.
    pub(crate) fn learn(&self, states: &BTreeMap<String, NodeState>, secrets: Vec<String>) {
        let mut known = self.state();
        known.secrets.extend(secrets);
        for (node, state) in states {
            for staged in &state.resources {
                let (path, digest) = match &staged.resource {
                    Resource::File(file) => (file.path.clone(), Some(Digest::of(file.content.as_bytes()))),
                    Resource::Binary(binary) => (binary.path.clone(), binary.blob.map(|blob| blob.sha256)),
                    Resource::SharedSecret(secret) => (secret.path.clone(), secret.sha256),
                    Resource::Unit(unit) => {
                        let key = (node.clone(), unit.name.clone());
                        known.inputs.insert(key, unit.inputs.clone());
                        let path = format!("/etc/systemd/system/{}", unit.name);
                        (path, Some(Digest::of(unit.content.as_bytes())))
                    }
                    _ => continue,
                };
                let contents = known.whole.entry((node.clone(), path)).or_default();
                contents.extend(digest);
            }
        }
    }
}

impl State {
    /// A control plane whose API server is ready.
    pub(crate) fn any_api(&self) -> Option<&str> {
        self.control_planes
            .iter()
            .map(String::as_str)
            .find(|name| self.is_api_ready(name))
    }

    /// Whether a control plane's API server answers that it is ready.
    pub(crate) fn is_api_ready(&self, node: &str) -> bool {
        let has_server = self
            .machines
            .get(node)
            .is_some_and(|machine| machine.is_active(systemd::API));
        has_server && etcd::serves(self, node)
    }

    /// The authority whose clients a control plane's API server believes: its certificate's digest when it began.
    pub(crate) fn authority_of_api(&self, node: &str) -> Option<Digest> {
        let process = self
            .machines
            .get(node)?
            .units
            .get(systemd::API)?
            .process
            .as_ref()?;
        process
            .read
            .get(AuthorityName::Kubernetes.certificate_path())
            .copied()
    }

    /// What the etcd cluster behind a control plane holds.
    pub(crate) fn objects_of(&mut self, node: &str) -> Option<&mut Objects> {
        let member = self.machines.get(node).and_then(etcd::member)?;
        let key = format!("{} {}", member.cluster, member.authority);
        Some(self.stored.entry(key).or_default())
    }

    /// Kubelets make their own Node object where there is none.
    pub(crate) fn register_kubelets(&mut self) {
        let Some(api) = self.any_api().map(str::to_owned) else {
            return;
        };
        let running: Vec<String> = self
            .machines
            .values()
            .filter(|machine| can_register(machine))
            .map(|machine| machine.name.clone())
            .collect();
        let Some(objects) = self.objects_of(&api) else {
            return;
        };
        for name in running {
            let own = NodeObject {
                name: name.clone(),
                labels: BTreeMap::new(),
                taints: Vec::new(),
                pod_cidr: None,
            };
            objects.nodes.entry(name).or_insert(own);
        }
    }

    /// A process began: it must have found everything whole.
    pub(crate) fn began(&mut self, node: &str, unit: &str, text: &str) {
        let Some(machine) = self.machines.get(node) else {
            return;
        };
        let Some(process) = machine.units.get(unit).and_then(|unit| unit.process.as_ref()) else {
            return;
        };
        let own = (format!("/etc/systemd/system/{unit}"), Digest::of(text.as_bytes()));
        let read = process.read.iter().map(|(path, digest)| (path.clone(), *digest));
        for (path, digest) in read.chain([own]) {
            let known = self.whole.get(&(node.to_owned(), path.clone()));
            if known.is_some_and(|contents| !contents.contains(&digest)) {
                self.violations
                    .push(format!("{node}: {unit} began while {path} was half-written"));
            }
        }
        if unit == etcd::UNIT
            && !machine.has("/var/lib/kubewright/settled")
            && let Some(member) = &process.member
        {
            let bootstrapped = self.machines.values().any(|other| {
                other.has("/var/lib/kubewright/settled")
                    && etcd::stored(other).is_none_or(|stored| stored.cluster != member.cluster)
            });
            if bootstrapped {
                self.violations.push(format!(
                    "{node}: a second etcd cluster begins beside a bootstrapped one"
                ));
            }
        }
    }

    /// Looks for what must never be.
    pub(crate) fn look_for_violations(&mut self) {
        let mut clusters = BTreeSet::new();
        for name in &self.control_planes {
            if etcd::is_healthy(self, name)
                && let Some(member) = self.machines.get(name).and_then(etcd::member)
            {
                clusters.insert(format!("{} {}", member.cluster, member.authority));
            }
        }
        if clusters.len() > 1 {
            self.violations
                .push("two etcd clusters have a quorum at the same time".to_owned());
        }
        for cluster in clusters {
            if self.founded.insert(cluster) && self.founded.len() > 1 {
                self.violations
                    .push("a second etcd cluster was founded".to_owned());
            }
        }
        let down: Vec<&String> = self
            .control_planes
            .iter()
            .filter(|name| !self.is_api_ready(name))
            .collect();
        if down.is_empty() && !self.is_reset {
            self.is_serving = true;
        }
        // One that failed by itself, and what that takes down with it, is nobody's doing; see the scenario.
        if self.is_serving && down.len() > 1 && self.failed.is_none() {
            let down: Vec<&str> = down.into_iter().map(String::as_str).collect();
            self.violations
                .push(format!("control planes {} are down at once", down.join(", ")));
            self.is_serving = false;
        }
    }
}
