//! The real agent on a temporary root, in this process: both sides mean the same by the same words.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use kubewright_agent::system::{Command, Output, System};
use kubewright_core::pki::SERVICE_ACCOUNT_SECRET;
use kubewright_core::resource::{
    Access, AuthorityName, Binary, Certificate, File, KernelModule, NodeState, Resource, ResourceId,
    SharedSecret, Stage, Usage,
};
use kubewright_core::wire::Pulse;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;

use super::*;
use crate::artifact::Store;
use crate::authority::Authorities;
use crate::transport::{Agent, Agents, Memory};
use kubewright_core::catalogue::Platform;

/// A node on a temporary root, without programs; its clock stands still unless a test moves it, and a program takes as
/// long as a test holds it up.
pub(crate) struct Root(pub(crate) tempfile::TempDir, AtomicU64, AtomicBool);

impl Root {
    pub(crate) fn new() -> Arc<Self> {
        let root = tempfile::tempdir().unwrap();
        let owner = std::fs::metadata(root.path()).unwrap();
        std::fs::create_dir_all(root.path().join("etc")).unwrap();
        std::fs::create_dir_all(root.path().join("run")).unwrap();
        let passwd = format!("root:x:{}:{}:root:/root:/bin/sh\n", owner.uid(), owner.gid());
        std::fs::write(root.path().join("etc/passwd"), passwd).unwrap();
        std::fs::write(
            root.path().join("etc/group"),
            format!("root:x:{}:\n", owner.gid()),
        )
        .unwrap();
        Arc::new(Self(root, AtomicU64::new(0), AtomicBool::new(false)))
    }

    pub(crate) fn transport(self: &Arc<Self>) -> Memory {
        self.transport_while(watch::channel(true).1)
    }

    /// Carries bytes only while `open` is true.
    pub(crate) fn transport_while(self: &Arc<Self>, open: watch::Receiver<bool>) -> Memory {
        let system: Arc<dyn System> = self.clone();
        Memory::new("n1".parse().unwrap(), move |input, output| {
            let input = blocking(input, open.clone());
            let output = blocking(output, open.clone());
            let system = system.clone();
            // Silence is measured by the node's clock; this is only how often it is looked at.
            let pulse = Pulse {
                every: Duration::from_millis(5),
                ..Pulse::default()
            };
            std::thread::spawn(move || kubewright_agent::serve::serve_with(&system, input, output, pulse));
        })
    }
}

impl System for Root {
    fn root(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, _: &Command) -> io::Result<Output> {
        while self.2.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Output {
            success: true,
            ..Output::default()
        })
    }

    fn feed(&self, command: &Command, input: &mut dyn io::Read) -> io::Result<Output> {
        io::copy(input, &mut io::sink())?;
        self.run(command)
    }

    fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.map_or(0, |now| now.as_secs() as i64)
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(self.1.load(Ordering::SeqCst))
    }
}

/// Copies until the end of input, as long as the way is open; what nobody opens again is gone.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut open: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let _ = open.wait_for(|open| *open).await;
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = open.wait_for(|open| *open).await;
    let _ = to.shutdown().await;
}

/// The agent reads and writes as threads do.
fn blocking(pipe: DuplexStream, open: watch::Receiver<bool>) -> StdStream {
    let (theirs, ours) = StdStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let ours = UnixStream::from_std(ours).unwrap();
    tokio::spawn(async move {
        let (from_agent, to_agent) = ours.into_split();
        let (from_pipe, to_pipe) = tokio::io::split(pipe);
        tokio::join!(
            carry(from_pipe, to_agent, open.clone()),
            carry(from_agent, to_pipe, open)
        );
    });
    theirs
}

/// Ends a connection from this side, as the end of the program does.
pub(crate) fn hang_up(node: &Node) {
    node.guard.end();
}

pub(crate) fn introduction(run: &str) -> Introduction {
    Introduction {
        run: run.to_owned(),
        cluster: "prod".to_owned(),
        operator: "ada@workstation".to_owned(),
        lock: true,
    }
}

/// A state with one of everything an agent asks the controller for.
pub(crate) fn state(authorities: &Authorities, agents: &Agents) -> NodeState {
    let mut state = NodeState {
        authorities: authorities.certificates(),
        ..NodeState::default()
    };
    let file = File {
        path: "/etc/kubernetes/hello".to_owned(),
        access: Access::root(0o644),
        content: "hello\n".to_owned(),
    };
    let certificate = Certificate {
        name: "apiserver".to_owned(),
        authority: AuthorityName::Kubernetes,
        common_name: "kube-apiserver".to_owned(),
        organizations: Vec::new(),
        dns_names: vec!["kubernetes".to_owned()],
        addresses: vec!["10.96.0.1".parse().unwrap()],
        usages: vec![Usage::ServerAuth],
        lifetime_days: 365,
        renew_before_days: 122,
        certificate_path: "/etc/kubernetes/pki/apiserver.crt".to_owned(),
        key_path: "/etc/kubernetes/pki/apiserver.key".to_owned(),
        key_access: Access::root(0o600),
        superseded_by: None,
    };
    let secret = SharedSecret {
        path: "/etc/kubernetes/pki/sa.key".to_owned(),
        access: Access::root(0o600),
        name: SERVICE_ACCOUNT_SECRET.to_owned(),
        sha256: authorities.digests().get(SERVICE_ACCOUNT_SECRET).copied(),
    };
    let binary = Binary {
        path: "/usr/local/lib/kubewright/agent".to_owned(),
        name: "kubewright-agent".to_owned(),
        version: "0.1.0".to_owned(),
        blob: agents.get(Platform::Amd64).map(Agent::blob),
    };
    state.extend(
        Stage::Host,
        [
            Resource::File(file),
            Resource::SharedSecret(secret),
            Resource::Certificate(certificate),
            Resource::Binary(binary),
        ],
    );
    state
}

fn all(state: &NodeState) -> Vec<ResourceId> {
    state
        .resources
        .iter()
        .map(|staged| staged.resource.id())
        .collect()
}

#[tokio::test]
async fn the_agent_gets_what_it_needs_and_a_second_look_finds_nothing() {
    let (root, cache) = (Root::new(), tempfile::tempdir().unwrap());
    let executable: Vec<u8> = (0..700_000_u32)
        .map(|number| (number.wrapping_mul(number) >> 7) as u8)
        .collect();
    let agents = Agents::default().with(Platform::Amd64, Agent::pack(&executable).unwrap());
    let store = Store::open(cache.path().to_owned()).unwrap();
    store.add_agents(&agents);
    let services = Services {
        authorities: Arc::new(Authorities::generate(SystemTime::now()).unwrap()),
        blobs: Arc::new(store),
    };
    let state = state(&services.authorities, &agents);
    let node = Node::connect(&root.transport(), &introduction("run-1"))
        .await
        .unwrap();

    let before = node.inspect(&state, false).await.unwrap();
    assert_eq!(before.differences.len(), 4, "{:?}", before.differences);
    let progress: Progress = Arc::new(|_, _| {});
    let work = node
        .converge(&state, all(&state), &services, progress)
        .await
        .unwrap();
    assert_eq!(work.changed.len(), 4);
    let after = node.inspect(&state, true).await.unwrap();
    assert_eq!(after.differences, []);
    let binary = root.0.path().join("usr/local/lib/kubewright/agent");
    assert!(std::fs::read(binary).unwrap() == executable);

    let paths = BTreeMap::from([
        (
            SERVICE_ACCOUNT_SECRET.to_owned(),
            "/etc/kubernetes/pki/sa.key".to_owned(),
        ),
        (
            "etcd-ca-key".to_owned(),
            "/etc/kubernetes/pki/etcd/ca.key".to_owned(),
        ),
    ]);
    let secrets = node.read_secrets(paths).await.unwrap();
    assert_eq!(secrets.len(), 1);
    assert_eq!(
        secrets.get(SERVICE_ACCOUNT_SECRET),
        services.authorities.secret(SERVICE_ACCOUNT_SECRET)
    );
    node.goodbye().await;
}

#[tokio::test]
async fn the_lock_goes_with_the_connection() {
    let root = Root::new();
    let first = Node::connect(&root.transport(), &introduction("run-1"))
        .await
        .unwrap();
    let error = Node::connect(&root.transport(), &introduction("run-2"))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("node n1: locked by run run-1 of ada@workstation since 2"),
        "{text}"
    );
    first.goodbye().await;
    // The kernel frees the lock with its last descriptor: a program that another test starts at this moment has one until
    // it runs.
    let bound = Instant::now() + Duration::from_secs(10);
    let second = loop {
        match Node::connect(&root.transport(), &introduction("run-2")).await {
            Ok(second) => break second,
            Err(error) => assert!(Instant::now() < bound, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    second.facts().await.unwrap();
    second.goodbye().await;
}

/// A state of one file.
fn greeting(content: &str) -> NodeState {
    let mut state = NodeState::default();
    let file = File {
        path: "/etc/kubernetes/hello".to_owned(),
        access: Access::root(0o644),
        content: content.to_owned(),
    };
    state.extend(Stage::Host, [Resource::File(file)]);
    state
}

#[tokio::test]
async fn a_controller_that_was_paused_finds_its_connection_fenced() {
    let cache = tempfile::tempdir().unwrap();
    let services = Services {
        authorities: Arc::new(Authorities::generate(SystemTime::now()).unwrap()),
        blobs: Arc::new(Store::open(cache.path().to_owned()).unwrap()),
    };
    let quiet = || -> Progress { Arc::new(|_, _| {}) };
    let root = Root::new();
    let (gate, open) = watch::channel(true);
    let first = Node::connect(&root.transport_while(open), &introduction("run-1"))
        .await
        .unwrap();
    let (old, new) = (greeting("first\n"), greeting("second\n"));
    first.inspect(&old, false).await.unwrap();

    gate.send(false).unwrap();
    let second = loop {
        root.1.fetch_add(1, Ordering::SeqCst);
        match Node::connect(&root.transport(), &introduction("run-2")).await {
            Ok(second) => break second,
            Err(error) => assert!(matches!(error, NodeCallError::Locked { .. }), "{error}"),
        }
    };
    second.inspect(&new, false).await.unwrap();
    second
        .converge(&new, all(&new), &services, quiet())
        .await
        .unwrap();
    second.goodbye().await;

    let waking = tokio::spawn({
        let (first, old, services) = (first.clone(), old.clone(), services.clone());
        async move {
            let progress = Arc::new(|_: &ResourceId, _| {});
            first.converge(&old, all(&old), &services, progress).await
        }
    });
    gate.send(true).unwrap();
    let error = waking.await.unwrap().unwrap_err();
    assert!(matches!(error, NodeCallError::Fenced { .. }), "{error}");
    let error = first
        .converge(&old, all(&old), &services, quiet())
        .await
        .unwrap_err();
    assert!(
        matches!(error, NodeCallError::Fenced { asked: false, .. }),
        "{error}"
    );
    let content = std::fs::read_to_string(root.0.path().join("etc/kubernetes/hello")).unwrap();
    assert_eq!(content, "second\n");
}

#[tokio::test]
async fn a_run_after_one_that_was_killed_waits_until_its_agent_has_finished_the_change_at_hand() {
    let cache = tempfile::tempdir().unwrap();
    let services = Services {
        authorities: Arc::new(Authorities::generate(SystemTime::now()).unwrap()),
        blobs: Arc::new(Store::open(cache.path().to_owned()).unwrap()),
    };
    let root = Root::new();
    let mut state = NodeState::default();
    let module = KernelModule {
        name: "vxlan".to_owned(),
        optional: true,
    };
    state.extend(Stage::Host, [Resource::KernelModule(module)]);
    let first = Node::connect(&root.transport(), &introduction("run-1"))
        .await
        .unwrap();
    first.inspect(&state, false).await.unwrap();
    root.2.store(true, Ordering::SeqCst);
    let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let progress: Progress = Arc::new(move |_, _| {
        let _ = begun.send(());
    });
    let converging = tokio::spawn({
        let (first, state) = (first.clone(), state.clone());
        async move { first.converge(&state, all(&state), &services, progress).await }
    });
    has_begun.recv().await.unwrap();
    // As by SIGKILL: nothing is said any more, the pipes are closed.
    hang_up(&first);
    assert!(converging.await.unwrap().is_err());

    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let told = move |holder: &LockHolder| drop(told.send(holder.clone()));
    let never = watch::Sender::new(false);
    let lock_wait = LockWait::new(Arc::new(told), never.subscribe());
    let second = tokio::spawn({
        let transport = root.transport();
        async move { Node::connect_waiting(&transport, &introduction("run-2"), lock_wait).await }
    });
    let holder = loop {
        let holder = heard.recv().await.expect("not refused");
        if holder.has_left {
            break holder;
        }
    };
    assert_eq!(
        (holder.run.as_str(), holder.doing.as_deref()),
        ("run-1", Some("vxlan"))
    );
    root.2.store(false, Ordering::SeqCst);
    let second = second.await.unwrap().unwrap();
    second.facts().await.unwrap();
    second.goodbye().await;
}

#[tokio::test]
async fn a_tunnel_leads_to_where_the_agent_can_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut said = Vec::new();
        connection.read_to_end(&mut said).await.unwrap();
        said.reverse();
        connection.write_all(&said).await.unwrap();
    });
    let root = Root::new();
    let node = Node::connect(&root.transport(), &introduction("run-1"))
        .await
        .unwrap();
    let mut tunnel = node.open_tunnel(&address).await.unwrap();
    let said: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
    tunnel.write_all(&said).await.unwrap();
    tunnel.shutdown().await.unwrap();
    let mut answer = Vec::new();
    tunnel.read_to_end(&mut answer).await.unwrap();
    answer.reverse();
    assert!(answer == said);
    let error = node.open_tunnel("127.0.0.1:1").await.unwrap_err();
    assert!(matches!(error, NodeCallError::Tunnel { .. }), "{error}");
    node.goodbye().await;
}
