//! Runs over real agents in this process, some of which cannot be heard.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use kubewright_core::desired::Desired;
use kubewright_core::observed::{Change, Difference};
use kubewright_core::plan::{Disruption, Operation};
use kubewright_core::resource::{Access, File, NodeState, Resource, Stage};
use kubewright_core::spec;
use tokio::sync::mpsc;

use super::*;
use crate::artifact::Store;
use crate::authority::Authorities;
use crate::cluster_api::KubernetesApi;
use crate::execute::{Guards, WaitReports};
use crate::node::agent_tests::{Root, hang_up, introduction};
use crate::node::{Node, Services};
use crate::session::{Connections as _, OverSsh};

const FILE: &str = "apiVersion: kubewright/v1alpha1
kind: Cluster
metadata: { name: prod }
spec:
  nodes:
    - { name: n1, address: 192.0.2.11, roles: [control-plane] }
    - { name: n2, address: 192.0.2.12, roles: [worker] }
    - { name: n3, address: 192.0.2.13, roles: [worker] }
";
const STAGES: [(Stage, &str); 3] = [
    (Stage::Host, "host"),
    (Stage::Runtime, "runtime"),
    (Stage::Node, "node"),
];

/// One file in each of three stages.
fn state() -> NodeState {
    let mut state = NodeState::default();
    for (stage, name) in STAGES {
        let file = File {
            path: format!("/etc/kubernetes/{name}"),
            access: Access::root(0o644),
            content: name.to_owned(),
        };
        state.extend(stage, [Resource::File(file)]);
    }
    state
}

/// The three stages of a node, one after the other.
fn stages(node: &str) -> Vec<PlannedStep> {
    let id = |name: &str| format!("{node}/{name}").parse().unwrap();
    let state = state();
    let step = |(index, (stage, name)): (usize, &(Stage, &str))| PlannedStep {
        id: id(name),
        step: Step::Converge {
            node: node.to_owned(),
            stage: *stage,
            state: state.digest(),
            differences: vec![Difference {
                resource: state.resources[index].resource.id(),
                change: Change::Missing,
            }],
        },
        why: String::new(),
        after: index
            .checked_sub(1)
            .map(|before| id(STAGES[before].1))
            .into_iter()
            .collect(),
        disruption: Disruption::None,
        in_turn: Vec::new(),
        guard: Vec::new(),
        window: None,
        takes_back: Vec::new(),
    };
    STAGES.iter().enumerate().map(step).collect()
}

/// Passes on whatever happens.
struct Telling(Mutex<mpsc::UnboundedSender<Event>>);

impl Reporter for Telling {
    fn event(&self, event: &Event) {
        let _ = self.0.lock().unwrap().send(event.clone());
    }
}

#[tokio::test]
async fn other_nodes_go_on_while_one_link_is_dead() {
    let cluster = spec::parse(FILE, "cluster.yaml").unwrap().spec;
    let cache = tempfile::tempdir().unwrap();
    let authorities = Arc::new(Authorities::generate(SystemTime::now()).unwrap());
    let (gate, open) = watch::channel(true);
    let roots = ["n1", "n2", "n3"].map(|name| (name.to_owned(), Root::new()));
    let mut nodes = BTreeMap::new();
    for (name, root) in &roots {
        let way = if name == "n1" {
            root.transport_while(open.clone())
        } else {
            root.transport()
        };
        let node = Node::connect(&way, &introduction("run-1")).await.unwrap();
        node.inspect(&state(), false).await.unwrap();
        nodes.insert(name.clone(), node);
    }
    let (first, api) = (
        nodes["n1"].clone(),
        KubernetesApi::new(&cluster, nodes.clone(), Arc::clone(&authorities)),
    );
    let mut desired = Desired::default();
    desired.states = nodes.keys().map(|name| (name.clone(), state())).collect();
    let etcd = OverSsh.etcd(&cluster, &nodes, &authorities);
    let run_context = RunContext {
        keep_failed: false,
        desired: Arc::new(desired),
        guards: Guards::new(&cluster, &nodes, etcd),
        nodes,
        services: Services {
            authorities,
            blobs: Arc::new(Store::open(cache.path().to_owned()).unwrap()),
        },
        api: Arc::new(api),
        wait_reports: WaitReports::default(),
    };
    let plan = Plan {
        left_out: BTreeMap::new(),
        deferred: Vec::new(),
        notes: Vec::new(),
        operation: Operation::Apply,
        steps: ["n1", "n2", "n3"].iter().flat_map(|node| stages(node)).collect(),
    };
    let (told, mut happens) = mpsc::unbounded_channel();
    let (_stop, is_asked) = watch::channel(false);

    // From here on nothing of n1 arrives, in either direction, and no connection ends.
    gate.send(false).unwrap();
    let running = tokio::spawn(async move {
        let reporter = Arc::new(Telling(Mutex::new(told)));
        execute(&plan, Arc::new(run_context), reporter, is_asked).await
    });
    let mut finished = BTreeSet::new();
    while finished.len() < 6 {
        let next = tokio::time::timeout(Duration::from_secs(60), happens.recv());
        match next
            .await
            .expect("the other nodes wait for the dead one")
            .unwrap()
        {
            Event::StepFinished { step, .. } => drop(finished.insert(step.to_string())),
            Event::StepFailed { step, error, .. } => panic!("{step}: {error}"),
            _ => {}
        }
    }
    let others = [
        "n2/host",
        "n2/node",
        "n2/runtime",
        "n3/host",
        "n3/node",
        "n3/runtime",
    ];
    assert_eq!(finished, others.map(str::to_owned).into());

    // After 15 s of silence the link is given up, which other tests show; here somebody hangs up.
    hang_up(&first);
    let outcome = running.await.unwrap();
    let failed: Vec<_> = outcome
        .failed
        .iter()
        .map(|failed| failed.step.to_string())
        .collect();
    assert_eq!(failed, ["n1/host"]);
    let skipped: Vec<_> = outcome.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(skipped, ["n1/runtime", "n1/node"]);
    assert_eq!(outcome.finished.len(), 6);
}
