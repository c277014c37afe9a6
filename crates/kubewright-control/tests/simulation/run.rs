//! One run of the controller in a simulated world: look, plan, do, as the program does, until it ends or is killed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use kubewright_control::authority::Authorities;
use kubewright_control::cluster_api::ClusterApi;
use kubewright_control::error::Kind;
use kubewright_control::etcd::EtcdConnections;
use kubewright_control::execute::{Guards, WaitReports, execute, verify};
use kubewright_control::node::Node;
use kubewright_control::observe::{ObserveErrors, UnreachablePolicy, look_before_reset, observe};
use kubewright_control::report::{Event, Reporter};
use kubewright_control::session::{Connections, Purpose, Session};
use kubewright_control::transport::Transport;
use kubewright_core::pki;
use kubewright_core::plan::{Plan, plan_apply, plan_reset};
use kubewright_core::spec::{Cluster, Node as SpecNode};
use tokio::sync::watch;

use super::agent::Way;
use super::api::Api;
use super::fault::Fault;
use super::fixture::Fixture;
use super::independent::When;
use super::members::Members;
use super::world::World;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Apply,
    Reset,
}

/// What an apply does about machines without power.
const CHANGE: UnreachablePolicy = UnreachablePolicy::Change { skip_workers: false };

/// How a run ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// How many changes its plan had, if it came to one.
    pub(crate) planned: Option<usize>,
    /// The plan's steps.
    pub(crate) steps: Vec<String>,
    /// The safety rule that stopped it part-way.
    pub(crate) refused_by: Option<String>,
    /// Why its waits lasted, line by line.
    pub(crate) waited: Vec<String>,
    /// The nodes on which a change was taken back, and whether they are healthy since.
    pub(crate) taken_back: Vec<(String, bool)>,
    /// What went wrong.
    pub(crate) errors: Vec<String>,
    /// The controller was killed.
    pub(crate) was_killed: bool,
    /// How many of the run's faults happened.
    pub(crate) fired: usize,
    /// The run's effects, by actor.
    pub(crate) effects: BTreeMap<String, Vec<String>>,
}

impl Ended {
    pub(crate) fn is_complete(&self) -> bool {
        self.planned.is_some() && self.errors.is_empty() && !self.was_killed
    }
}

/// The connections of a simulated world.
struct Simulated(Arc<World>);

impl Connections for Simulated {
    fn node(&self, _: &Session, node: &SpecNode) -> Arc<dyn Transport> {
        Arc::new(Way {
            world: Arc::clone(&self.0),
            node: node.name.clone(),
        })
    }

    fn api(
        &self,
        _: &Cluster,
        nodes: &BTreeMap<String, Node>,
        authorities: &Arc<Authorities>,
    ) -> Arc<dyn ClusterApi> {
        Arc::new(Api::new(Arc::clone(&self.0), nodes.clone(), authorities))
    }

    fn etcd(
        &self,
        _: &Cluster,
        nodes: &BTreeMap<String, Node>,
        _: &Arc<Authorities>,
    ) -> Arc<dyn EtcdConnections> {
        Arc::new(Members::new(Arc::clone(&self.0), nodes.clone()))
    }

    /// Once in each wait, when nothing else happens: looking is something that happens.
    fn wait_reports(&self) -> WaitReports {
        WaitReports {
            first: Duration::from_millis(20),
            every: Duration::from_secs(3600),
            ..WaitReports::default()
        }
    }

    /// Nothing takes time here; asking more often than time leaps would keep it from leaping.
    fn pace(&self, guards: Guards) -> Guards {
        guards.with_times(Duration::ZERO, Duration::from_millis(250))
    }
}

/// Keeps why waits lasted.
#[derive(Default)]
struct Waits(Mutex<Vec<String>>);

impl Reporter for Waits {
    fn event(&self, event: &Event) {
        if let Event::StepWaits { why, .. } = event {
            self.0.lock().unwrap().extend(why.iter().cloned());
        }
    }
}

/// Runs a controller, and waits until every agent has left.
pub(crate) fn run(
    fixture: &Fixture,
    world: &Arc<World>,
    cluster: &Cluster,
    operation: Operation,
    faults: Vec<Fault>,
) -> Ended {
    world.begin(faults, operation == Operation::Reset);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .unwrap();
    let mut ended = Ended::default();
    let was_killed = runtime.block_on(async {
        let work = perform(fixture, world, cluster, operation, &mut ended);
        tokio::select! {
            biased;
            () = killed(world) => true,
            () = work => false,
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(500));
    await_agents(world);
    let mut state = world.state();
    ended.was_killed = was_killed || state.is_killed;
    ended.fired = state.fired;
    ended.effects = std::mem::take(&mut state.effects);
    for (node, loss) in std::mem::take(&mut state.to_reboot) {
        world.reboot(&mut state, &node, loss);
    }
    ended
}

/// Waits until this run's controller is killed.
async fn killed(world: &World) {
    while !world.state().is_killed {
        world.killed.notified().await;
    }
}

async fn perform(
    fixture: &Fixture,
    world: &Arc<World>,
    cluster: &Cluster,
    operation: Operation,
    ended: &mut Ended,
) {
    let told = |ObserveErrors(errors): ObserveErrors| errors.iter().map(ToString::to_string).collect();
    let mut session = Session::with(
        cluster.clone(),
        fixture.path(),
        fixture.agents.clone(),
        Arc::clone(&fixture.store),
        Arc::new(Simulated(Arc::clone(world))),
    )
    .unwrap();
    session.keep_failed = world.state().keeps_failed;
    let waits = Arc::new(Waits::default());
    let reporter: Arc<dyn Reporter> = waits.clone();
    let (plan, run_context) = match operation {
        Operation::Apply => {
            let observation = match observe(&session, Purpose::Change, CHANGE, false, &reporter).await {
                Ok(observation) => observation,
                Err(errors) => {
                    ended.errors = told(errors);
                    return;
                }
            };
            world.learn(&observation.desired.states, secrets(&observation.authorities));
            let plan = plan_apply(
                cluster,
                &observation.desired.states,
                &observation.desired.object_names(),
                &observation.observed,
            );
            match plan {
                Ok(plan) => (plan, observation.run_context),
                Err(refusal) => {
                    ended.errors.push(format!("refused: {refusal}"));
                    return;
                }
            }
        }
        Operation::Reset => match look_before_reset(&session, Purpose::Change, &reporter).await {
            Ok(look) => match plan_reset(cluster, &look.observed) {
                Ok(plan) => (plan, Arc::new(look.into_run_context(&session, Arc::default()))),
                Err(refusal) => {
                    ended.errors.push(format!("refused: {refusal}"));
                    return;
                }
            },
            Err(errors) => {
                ended.errors = told(errors);
                return;
            }
        },
    };
    ended.planned = Some(plan.changes());
    ended.steps = titles(&plan);
    {
        let mut state = world.state();
        let failure = state.failure.clone();
        if let Some(failure) = failure.filter(|failure| failure.when == When::Planned) {
            world.fail(&mut state, &failure);
        }
    }
    let (_stop, stopped) = watch::channel(false);
    let outcome = execute(&plan, Arc::clone(&run_context), reporter, stopped).await;
    ended.waited = std::mem::take(&mut *waits.0.lock().unwrap());
    if outcome.is_complete() {
        let verification = verify(&plan, &run_context).await;
        ended.errors.extend(verification.not_so);
    }
    let first = outcome.failed.first().map(|failure| &failure.error);
    let refused = first.filter(|error| error.kind() == Kind::Refused);
    ended.refused_by = refused.map(|error| error.id.to_string());
    let taken_back = outcome.failed.iter().filter_map(|failure| {
        let taken_back = failure.taken_back.as_ref()?;
        Some((failure.node.clone()?, taken_back.still.is_none()))
    });
    ended.taken_back = taken_back.collect();
    let failed = outcome.failed.iter();
    let failed = failed.map(|failure| format!("{}: {}", failure.step, failure.error));
    ended.errors.extend(failed);
    if ended.errors.is_empty() && !outcome.is_complete() {
        ended.errors.push("not everything was done".to_owned());
    }
}

fn titles(plan: &Plan) -> Vec<String> {
    let title = |planned: &kubewright_core::plan::PlannedStep| {
        let details = match &planned.step {
            kubewright_core::plan::Step::Converge { differences, .. } => format!("{differences:?}"),
            step => format!("{step:?}"),
        };
        format!("{}: {details}", planned.id)
    };
    plan.steps.iter().map(title).collect()
}

/// Text of the cluster's secrets that nobody may see.
fn secrets(authorities: &Authorities) -> Vec<String> {
    let mut found = Vec::new();
    for (name, _) in pki::shared_secrets() {
        let secret = authorities.secret(name).unwrap();
        let text = String::from_utf8_lossy(secret.expose()).into_owned();
        found.push(base64::engine::general_purpose::STANDARD.encode(secret.expose()));
        found.extend(
            text.lines()
                .filter(|line| line.len() > 40)
                .map(|line| line.trim().to_owned()),
        );
    }
    found
}

/// Waits until every agent has left; one that nobody will answer any more is told so.
fn await_agents(world: &World) {
    let connections = std::mem::take(&mut world.state().connections);
    let threads = std::mem::take(&mut *world.threads.lock().unwrap());
    while threads.iter().any(|thread| !thread.is_finished()) {
        if world.is_idle() {
            for connection in &connections {
                connection.let_go();
            }
        }
        std::thread::sleep(Duration::from_micros(400));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}
