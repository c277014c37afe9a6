//! Real agents on temporary roots keep the log of runs that end, fail, are killed or take the cluster down.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubewright_core::catalogue::Platform;
use kubewright_core::desired::Desired;
use kubewright_core::errors::{ErrorId, Kind};
use kubewright_core::operation_log::{self as core, RecordedRun as Run};
use kubewright_core::pki::shared_secrets;
use kubewright_core::plan::{Disruption, PlannedStep, Step};
use kubewright_core::resource::{NodeState, Stage};
use kubewright_core::spec::{self, Cluster};
use tokio::sync::watch;

use super::*;
use crate::artifact::Store;
use crate::authority::Authorities;
use crate::cluster_api::ClusterApi;
use crate::etcd::EtcdConnections;
use crate::execute::{Guards, RunContext, WaitReports, execute};
use crate::node::agent_tests::{Root, introduction, state};
use crate::node::{Blobs, Introduction, Services};
use crate::report::Silent;
use crate::session::{Connections, OverSsh};
use crate::transport::{Agent, Agents, Transport};

const AGENT_OPERATIONS: &str = "var/lib/kubewright/operations";
const FILE: &str = "apiVersion: kubewright/v1alpha1
kind: Cluster
metadata: { name: prod }
spec:
  nodes:
    - { name: cp-1, address: 192.0.2.11, roles: [control-plane] }
    - { name: cp-2, address: 192.0.2.12, roles: [control-plane] }
    - { name: cp-3, address: 192.0.2.13, roles: [control-plane] }
";

/// Three control planes in this process, and a directory for cluster.yaml.
struct World {
    roots: BTreeMap<String, Arc<Root>>,
    directory: tempfile::TempDir,
    session: Session,
    dead: Arc<Mutex<BTreeSet<String>>>,
    hung: Arc<Mutex<BTreeSet<String>>>,
}

struct Inside {
    roots: BTreeMap<String, Arc<Root>>,
    dead: Arc<Mutex<BTreeSet<String>>>,
    hung: Arc<Mutex<BTreeSet<String>>>,
}

impl Connections for Inside {
    fn node(&self, session: &Session, node: &spec::Node) -> Arc<dyn Transport> {
        let name = node.name.to_string();
        if self.dead.lock().unwrap().contains(&name) {
            // Agents of nodes that are off hang up at once.
            return Arc::new(crate::transport::Memory::new(node.name.clone(), |_, _| {}));
        }
        if self.hung.lock().unwrap().contains(&name) {
            let held = Mutex::new(Vec::new());
            let hold = move |input, output| held.lock().unwrap().push((input, output));
            return Arc::new(crate::transport::Memory::new(node.name.clone(), hold));
        }
        let _ = session;
        Arc::new(self.roots[&name].transport())
    }

    fn api(
        &self,
        cluster: &Cluster,
        nodes: &BTreeMap<String, Node>,
        authorities: &Arc<Authorities>,
    ) -> Arc<dyn ClusterApi> {
        OverSsh.api(cluster, nodes, authorities)
    }

    fn etcd(
        &self,
        cluster: &Cluster,
        nodes: &BTreeMap<String, Node>,
        authorities: &Arc<Authorities>,
    ) -> Arc<dyn EtcdConnections> {
        OverSsh.etcd(cluster, nodes, authorities)
    }
}

impl World {
    fn new() -> Self {
        let roots: BTreeMap<String, Arc<Root>> = ["cp-1", "cp-2", "cp-3"]
            .map(|name| (name.to_owned(), Root::new()))
            .into();
        let directory = tempfile::tempdir().unwrap();
        let dead: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let hung: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let cluster = spec::parse(FILE, "cluster.yaml").unwrap().spec;
        let store = Store::open(directory.path().join("cache")).unwrap();
        let connections = Inside {
            roots: roots.clone(),
            dead: Arc::clone(&dead),
            hung: Arc::clone(&hung),
        };
        let session = Session::with(
            cluster,
            directory.path(),
            Agents::default(),
            Arc::new(store),
            Arc::new(connections),
        );
        Self {
            roots,
            session: session.unwrap(),
            directory,
            dead,
            hung,
        }
    }

    async fn nodes(&self) -> BTreeMap<String, Node> {
        let mut nodes = BTreeMap::new();
        for (name, root) in &self.roots {
            let node = Node::connect(&root.transport(), &introduction(&self.session.run)).await;
            nodes.insert(name.clone(), node.unwrap());
        }
        nodes
    }

    async fn begin(&self, plan: &Plan, nodes: &BTreeMap<String, Node>) -> Arc<OperationLog> {
        OperationLog::begin(
            &self.session,
            begun_by_plan(&self.session, plan, "cluster.yaml".to_owned()),
            nodes,
            Some(self.here()),
            Arc::new(Silent),
        )
        .await
    }

    fn here(&self) -> PathBuf {
        self.directory.path().join(history::DIRECTORY)
    }

    fn on(&self, node: &str) -> Vec<String> {
        texts(&self.roots[node].0.path().join(AGENT_OPERATIONS))
    }

    async fn history(&self, run: Option<&str>) -> history::History {
        history::read_within(&self.session, run, Duration::from_secs(60)).await
    }
}

fn texts(directory: &Path) -> Vec<String> {
    let paths = history::files(directory);
    paths
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

fn plan(operation: Operation, steps: Vec<(&str, Step)>) -> Plan {
    let planned = |(id, step): (&str, Step)| PlannedStep {
        id: id.parse().unwrap(),
        step,
        why: "a test".to_owned(),
        after: Vec::new(),
        disruption: Disruption::None,
        in_turn: Vec::new(),
        guard: Vec::new(),
        window: None,
        takes_back: Vec::new(),
    };
    Plan {
        operation,
        steps: steps.into_iter().map(planned).collect(),
        left_out: std::collections::BTreeMap::new(),
        deferred: Vec::new(),
        notes: Vec::new(),
    }
}

fn apply() -> Plan {
    let settle = |node: &str| Step::MarkBootstrapped {
        node: node.to_owned(),
    };
    plan(
        Operation::Apply,
        vec![
            ("cp-1/mark-bootstrapped", settle("cp-1")),
            ("cp-2/mark-bootstrapped", settle("cp-2")),
        ],
    )
}

fn started(step: &str, node: &str) -> report::Event {
    report::Event::StepStarted {
        step: step.parse().unwrap(),
        node: Some(node.to_owned()),
        title: "mark etcd as bootstrapped".to_owned(),
    }
}

fn finished(step: &str, node: &str) -> report::Event {
    report::Event::StepFinished {
        step: step.parse().unwrap(),
        node: Some(node.to_owned()),
        title: "mark etcd as bootstrapped".to_owned(),
        changed: 1,
        seconds: 0.5,
    }
}

fn run_of(text: &str) -> Run {
    core::read(text.as_bytes()).unwrap()
}

#[tokio::test]
async fn every_control_plane_and_this_computer_have_the_same_record() {
    let world = World::new();
    let (plan, nodes) = (apply(), world.nodes().await);
    let log = world.begin(&plan, &nodes).await;
    let first = world.on("cp-3");
    assert_eq!(run_of(&first[0]).begun.operation, "apply");
    log.event(&started("cp-1/mark-bootstrapped", "cp-1"));
    log.event(&finished("cp-1/mark-bootstrapped", "cp-1"));
    let outcome = Outcome {
        finished: [("cp-1/mark-bootstrapped".parse().unwrap(), 0.5)].into(),
        skipped: vec!["cp-2/mark-bootstrapped".parse().unwrap()],
        changed: 1,
        was_stopped: true,
        ..Outcome::default()
    };
    log.end(&plan, &outcome).await;
    let here = texts(&world.here());
    for node in ["cp-1", "cp-2", "cp-3"] {
        assert_eq!(world.on(node), here, "{node}");
    }
    let run = run_of(&here[0]);
    assert_eq!(run.id, world.session.run);
    assert_eq!(run.operator(), world.session.operator);
    assert_eq!(run.outcome(), "stopped (1 of 2 steps done)");
    assert_eq!(run.steps[1].outcome, Some(StepOutcome::Skipped));
    assert_eq!(run.steps[1].node.as_deref(), Some("cp-2"));
    assert_eq!(run.changed, 1);
}

#[tokio::test]
async fn a_run_that_is_killed_is_on_record_without_an_end() {
    let world = World::new();
    let nodes = world.nodes().await;
    let log = world.begin(&apply(), &nodes).await;
    log.event(&started("cp-1/mark-bootstrapped", "cp-1"));
    log.settle().await;
    // Nothing of the run is left from here on.
    drop((log, nodes));
    let history = world.history(None).await;
    assert_eq!(history.operations.len(), 1);
    assert_eq!(
        history.operations[0].outcome(),
        "did not finish (0 of 2 steps done)"
    );
    assert_eq!(history.operations[0].held_by, ["cp-1", "cp-2", "cp-3", "here"]);
    let whole = world.history(Some(&world.session.run[..4])).await;
    assert_eq!(whole.operations[0].steps[0].step, "cp-1/mark-bootstrapped");
}

#[tokio::test]
async fn a_failed_step_is_on_record_with_the_name_of_its_error() {
    let world = World::new();
    let log = world.begin(&apply(), &BTreeMap::new()).await;
    log.event(&started("cp-1/mark-bootstrapped", "cp-1"));
    log.event(&report::Event::StepFailed {
        step: "cp-1/mark-bootstrapped".parse().unwrap(),
        node: Some("cp-1".to_owned()),
        id: ErrorId::of_kind(Kind::Node),
        error: "mark etcd as bootstrapped: no space left on device".to_owned(),
    });
    log.finish(Ending::Failed, 0).await;
    let run = run_of(&texts(&world.here())[0]);
    let id = ErrorId::of_kind(Kind::Node).as_str().to_owned();
    assert_eq!(
        run.steps[0].outcome,
        Some(StepOutcome::failed(
            "mark etcd as bootstrapped: no space left on device",
            Some(id)
        ))
    );
}

#[tokio::test]
async fn a_control_plane_that_goes_away_stops_neither_the_run_nor_its_log() {
    let world = World::new();
    let (plan, nodes) = (apply(), world.nodes().await);
    let log = world.begin(&plan, &nodes).await;
    nodes["cp-2"].clone().goodbye().await;
    world.dead.lock().unwrap().insert("cp-2".to_owned());
    log.event(&started("cp-1/mark-bootstrapped", "cp-1"));
    log.event(&finished("cp-1/mark-bootstrapped", "cp-1"));
    log.end(&plan, &Outcome::default()).await;
    assert_eq!(run_of(&world.on("cp-2")[0]).ending, None);
    drop(nodes);
    std::fs::remove_dir_all(world.directory.path().join(".kubewright")).unwrap();
    let history = world.history(None).await;
    assert_eq!(history.operations[0].ending, Some(Ending::Done));
    assert_eq!(history.operations[0].held_by, ["cp-1", "cp-3"]);
    assert_eq!(history.missing.keys().collect::<Vec<_>>(), ["cp-2"]);
}

#[tokio::test]
async fn a_control_plane_that_hangs_is_not_waited_for_once_another_has_answered() {
    let world = World::new();
    let (plan, nodes) = (apply(), world.nodes().await);
    let log = world.begin(&plan, &nodes).await;
    log.end(&plan, &Outcome::default()).await;
    drop(nodes);
    world.hung.lock().unwrap().insert("cp-2".to_owned());
    let history = history::read_within(&world.session, None, Duration::from_millis(20)).await;
    assert_eq!(history.operations.len(), 1);
    assert!(history.missing.contains_key("cp-2"));
}

#[tokio::test]
async fn a_reset_leaves_no_record_on_nodes_and_all_of_it_here() {
    let world = World::new();
    let nodes = world.nodes().await;
    let reset = |node: &str| Step::ResetNode {
        node: node.to_owned(),
    };
    let plan = plan(
        Operation::Reset,
        vec![("cp-1/reset", reset("cp-1")), ("cp-2/reset", reset("cp-2"))],
    );
    for root in world.roots.values() {
        let marker = root.0.path().join("etc/kubernetes");
        std::fs::create_dir_all(&marker).unwrap();
        std::fs::write(marker.join("kubewright.json"), "{}").unwrap();
    }
    let log = world.begin(&plan, &nodes).await;
    assert_eq!(world.on("cp-1").len(), 1);
    let run_context = Arc::new(run_context(
        &nodes,
        &NodeState::default(),
        Authorities::generate(SystemTime::now()).unwrap(),
        Arc::new(NoBlobs),
    ));
    let reporter: Arc<dyn Reporter> = log.clone();
    let (_stop, is_asked) = watch::channel(false);
    let outcome = execute(&plan, run_context, reporter, is_asked).await;
    assert!(outcome.is_complete(), "{:?}", outcome.failed);
    log.end(&plan, &outcome).await;
    for node in ["cp-1", "cp-2"] {
        assert!(
            !world.roots[node].0.path().join(AGENT_OPERATIONS).exists(),
            "{node}"
        );
    }
    let run = run_of(&texts(&world.here())[0]);
    assert_eq!((run.ending, run.counts.done), (Some(Ending::Done), 2));
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_stops_nothing() {
    let world = World::new();
    std::fs::write(world.directory.path().join(".kubewright"), "in the way").unwrap();
    let (plan, nodes) = (apply(), world.nodes().await);
    let log = world.begin(&plan, &nodes).await;
    log.end(&plan, &Outcome::default()).await;
    assert_eq!(run_of(&world.on("cp-1")[0]).ending, Some(Ending::Done));
}

#[tokio::test]
async fn the_directory_here_hides_itself_and_keeps_the_newest_runs() {
    let world = World::new();
    std::fs::create_dir_all(world.here()).unwrap();
    for number in 0..core::RUNS_KEPT {
        std::fs::write(world.here().join(format!("2020-{number:03}.jsonl")), "old\n").unwrap();
    }
    let log = world.begin(&apply(), &BTreeMap::new()).await;
    log.end(&apply(), &Outcome::default()).await;
    let files = history::files(&world.here());
    assert_eq!(files.len(), core::RUNS_KEPT);
    assert!(!world.here().join("2020-000.jsonl").exists());
    let ignore = world.directory.path().join(".kubewright/.gitignore");
    assert_eq!(std::fs::read_to_string(ignore).unwrap(), "*\n");
}

struct NoBlobs;

impl Blobs for NoBlobs {
    fn open_zstd(&self, digest: Digest) -> crate::node::BlobOpening<'_> {
        let _ = digest;
        Box::pin(async {
            let content: crate::transport::Reader = Box::new(std::io::Cursor::new(Vec::new()));
            Ok(content)
        })
    }
}

fn run_context(
    nodes: &BTreeMap<String, Node>,
    state: &NodeState,
    authorities: Authorities,
    blobs: Arc<dyn Blobs>,
) -> RunContext {
    let authorities = Arc::new(authorities);
    let cluster = spec::parse(FILE, "cluster.yaml").unwrap().spec;
    let mut desired = Desired::default();
    desired.states = nodes.keys().map(|name| (name.clone(), state.clone())).collect();
    RunContext {
        keep_failed: false,
        desired: Arc::new(desired),
        nodes: nodes.clone(),
        api: OverSsh.api(&cluster, nodes, &authorities),
        guards: Guards::new(&cluster, nodes, OverSsh.etcd(&cluster, nodes, &authorities)),
        services: Services { authorities, blobs },
        wait_reports: WaitReports::default(),
    }
}

/// Everything a secret could look like in a text.
fn shapes(content: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(content);
    // PEM is recognized by any of its lines.
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| line.len() >= 16 && !line.starts_with("-----"));
    let mut shapes: Vec<Vec<u8>> = lines.map(|line| line.as_bytes().to_vec()).collect();
    shapes.push(STANDARD.encode(content).into_bytes());
    shapes
}

fn all_files(directory: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            all_files(&path, found);
        } else if path.is_file() {
            found.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nodes_remember_a_run_as_unfinished_until_it_says_goodbye() {
    let world = World::new();
    let agents = Agents::default().with(Platform::Amd64, Agent::pack(&[7; 1000]).unwrap());
    let store = Store::open(world.directory.path().join("cache")).unwrap();
    store.add_agents(&agents);
    let authorities = Authorities::generate(SystemTime::now()).unwrap();
    let state = state(&authorities, &agents);
    let nodes = world.nodes().await;
    let differences = nodes["cp-1"].inspect(&state, false).await.unwrap().differences;
    let step = Step::Converge {
        node: "cp-1".to_owned(),
        stage: Stage::Host,
        state: state.digest(),
        differences,
    };
    let plan = plan(Operation::Apply, vec![("cp-1/host", step)]);
    let run_context = Arc::new(run_context(&nodes, &state, authorities, Arc::new(store)));
    let (_stop, is_asked) = watch::channel(false);
    let outcome = execute(&plan, Arc::clone(&run_context), Arc::new(Silent), is_asked).await;
    assert!(outcome.is_complete(), "{:?}", outcome.failed);
    let reader = Introduction {
        lock: false,
        ..introduction("looks")
    };
    let look = Node::connect(&world.roots["cp-1"].transport(), &reader)
        .await
        .unwrap();
    let unfinished = async || look.facts().await.unwrap().unfinished_run;
    assert_eq!(unfinished().await.as_deref(), Some(world.session.run.as_str()));
    run_context.goodbye().await;
    assert_eq!(unfinished().await, None);
}

/// One secret of each kind goes to a node in a run that also fails on another, watched as closely as can be.
#[tokio::test]
async fn no_secret_is_in_any_record_journal_log_or_plan() {
    let world = World::new();
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _watching = tracing::subscriber::set_default(subscriber);
    let agents = Agents::default().with(Platform::Amd64, Agent::pack(&[7; 1000]).unwrap());
    let store = Store::open(world.directory.path().join("cache")).unwrap();
    store.add_agents(&agents);
    let authorities = Authorities::generate(SystemTime::now()).unwrap();
    let mut secrets: Vec<Vec<u8>> = shared_secrets()
        .iter()
        .filter_map(|(name, _)| Some(authorities.secret(name)?.expose().to_vec()))
        .collect();
    assert_eq!(secrets.len(), shared_secrets().len());
    let state = state(&authorities, &agents);

    // On one node an older secret is replaced, on another something is in the way.
    let old =
        "-----BEGIN PRIVATE KEY-----\nMARKERofanolderkeythatisreplacedMARKER\n-----END PRIVATE KEY-----\n";
    secrets.push(old.as_bytes().to_vec());
    let pki = |node: &str| world.roots[node].0.path().join("etc/kubernetes/pki");
    std::fs::create_dir_all(pki("cp-1")).unwrap();
    std::fs::write(pki("cp-1").join("sa.key"), old).unwrap();
    std::fs::create_dir_all(pki("cp-2").join("sa.key/MARKER-is-a-directory")).unwrap();

    let nodes = world.nodes().await;
    let mut steps = Vec::new();
    for (id, name) in [("cp-1/host", "cp-1"), ("cp-2/host", "cp-2")] {
        let differences = nodes[name].inspect(&state, false).await.unwrap().differences;
        let step = Step::Converge {
            node: name.to_owned(),
            stage: Stage::Host,
            state: state.digest(),
            differences,
        };
        steps.push((id, step));
    }
    let plan = plan(Operation::Apply, steps);
    let run_context = Arc::new(run_context(&nodes, &state, authorities, Arc::new(store)));
    let log = world.begin(&plan, &nodes).await;
    let reporter: Arc<dyn Reporter> = log.clone();
    let (_stop, is_asked) = watch::channel(false);
    let outcome = execute(&plan, Arc::clone(&run_context), reporter, is_asked).await;
    log.end(&plan, &outcome).await;
    assert_eq!(
        (outcome.finished.len(), outcome.failed.len()),
        (1, 1),
        "{:?}",
        outcome.failed
    );
    drop(nodes);

    let key = std::fs::read(pki("cp-1").join("apiserver.key")).unwrap();
    assert!(key.starts_with(b"-----BEGIN"));
    secrets.push(key);
    let states = BTreeMap::from([("cp-1".to_owned(), state.clone()), ("cp-2".to_owned(), state)]);
    let mut found = vec![
        (PathBuf::from("the plan"), serde_json::to_vec(&plan).unwrap()),
        (
            PathBuf::from("the plan's text"),
            kubewright_core::plan::text::render(&plan, &states, &BTreeMap::new()).into_bytes(),
        ),
        (
            PathBuf::from("the outcome"),
            format!(
                "{outcome:?} {run_context:?}",
                run_context = run_context.services.authorities
            )
            .into_bytes(),
        ),
        (PathBuf::from("the debug log"), captured.0.lock().unwrap().clone()),
    ];
    for root in world.roots.values() {
        all_files(root.0.path(), &mut found);
    }
    all_files(world.directory.path(), &mut found);
    // The search finds what is there: of the first secret and of the last, in their own places.
    let is_in = |secret: &[u8], content: &[u8]| {
        let shapes = shapes(secret);
        shapes
            .iter()
            .any(|shape| content.windows(shape.len()).any(|window| window == shape))
    };
    for name in ["sa.key", "apiserver.key"] {
        let own = |(path, _): &&(PathBuf, Vec<u8>)| path.ends_with(format!("etc/kubernetes/pki/{name}"));
        let (_, content) = found.iter().find(own).unwrap();
        assert!(secrets.iter().any(|secret| is_in(secret, content)), "{name}");
    }
    found.retain(|(path, _)| !path.to_string_lossy().ends_with(".key"));
    let names = found.iter().map(|(path, _)| path.to_string_lossy().into_owned());
    let names = names.collect::<Vec<_>>().join("\n");
    for looked_at in [
        "/journal/",
        "/operations/",
        "state.json",
        ".kubewright/operations",
    ] {
        assert!(names.contains(looked_at), "{looked_at} is not among\n{names}");
    }
    for secret in &secrets {
        for (path, content) in &found {
            assert!(!is_in(secret, content), "a secret is in {}", path.display());
        }
    }
}
