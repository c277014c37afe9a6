//! The real agent on a simulated machine: its system, its two pipes, and the ways both can fail.

use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kubewright_agent::system::{Command, Output, System};
use kubewright_control::transport::{Channel, Opening, Peer, Transport};
use kubewright_core::carrier::unit_name;
use kubewright_core::component;
use kubewright_core::spec::NodeName;
use tokio::io::AsyncWrite;

use super::disk::Loss;
use super::etcd;
use super::fault::Kind;
use super::pipe::{AwaitingReader, AwaitingWriter, BlockingReader, BlockingWriter, Pipe};
use super::programs;
use super::systemd::{self, PROXY, Pending, failed, said};
use super::world::World;

/// A connection with the agent of one machine.
pub(crate) struct Connection {
    pub(crate) node: String,
    to_agent: Pipe,
    from_agent: Pipe,
    /// Nothing the agent does has an effect any more.
    is_dead: AtomicBool,
    /// The controller hears nothing, and the agent does not notice.
    is_unheard: AtomicBool,
    /// The controller dies before the agent's next effect or word.
    kills: AtomicBool,
    has_ended: AtomicBool,
}

impl Connection {
    fn with(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            to_agent: Pipe::default(),
            from_agent: Pipe::default(),
            is_dead: AtomicBool::new(false),
            is_unheard: AtomicBool::new(false),
            kills: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Both sides find the end, unless the agent is not to notice.
    pub(crate) fn cut(&self) {
        self.from_agent.cut();
        if !self.is_unheard.load(Ordering::SeqCst) {
            self.to_agent.cut();
        }
    }

    /// The agent's process dies.
    pub(crate) fn kill(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
        self.is_unheard.store(false, Ordering::SeqCst);
    }

    /// The agent notices at last.
    pub(crate) fn let_go(&self) {
        self.is_unheard.store(false, Ordering::SeqCst);
        self.to_agent.cut();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }
}

/// The way to one machine.
pub(crate) struct Way {
    pub(crate) world: Arc<World>,
    pub(crate) node: NodeName,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Way({})", self.node)
    }
}

impl Transport for Way {
    fn node(&self) -> &NodeName {
        &self.node
    }

    fn answer_limit(&self) -> Duration {
        let limit = self.world.state().answer_limit;
        limit.unwrap_or(Duration::from_secs(60))
    }

    fn open(&self) -> Opening<'_> {
        let connection = Arc::new(Connection::with(self.node.as_str()));
        let channel = Channel {
            reader: Box::new(AwaitingReader(connection.from_agent.clone())),
            writer: Box::new(ControllerOutput {
                pipe: AwaitingWriter(connection.to_agent.clone()),
                world: Arc::clone(&self.world),
            }),
            peer: Peer::default(),
        };
        let root = {
            let mut state = self.world.state();
            if state.is_killed {
                connection.cut();
            }
            if state.off.contains(&connection.node) {
                connection.cut();
                connection.from_agent.end();
                return Box::pin(async { Ok(channel) });
            }
            state.connections.push(Arc::clone(&connection));
            state.machines[&connection.node].root.clone()
        };
        let world = Arc::clone(&self.world);
        let agent = std::thread::Builder::new()
            .stack_size(1 << 20)
            .spawn(move || serve(&world, &connection, root))
            .unwrap();
        self.world.threads.lock().unwrap().push(agent);
        Box::pin(async { Ok(channel) })
    }
}

fn serve(world: &Arc<World>, connection: &Arc<Connection>, root: PathBuf) {
    let input = BlockingReader(connection.to_agent.clone());
    let output = AgentOutput {
        pipe: BlockingWriter(connection.from_agent.clone()),
        world: Arc::clone(world),
        connection: Arc::clone(connection),
    };
    let system: Arc<dyn System> = Arc::new(Agent {
        world: Arc::clone(world),
        connection: Arc::clone(connection),
        root,
    });
    let served = kubewright_agent::serve::serve(&system, input, output);
    connection.from_agent.end();
    connection.has_ended.store(true, Ordering::SeqCst);
    let mut state = world.state();
    if let Err(error) = served {
        state
            .violations
            .push(format!("{}: the agent says: {error}", connection.node));
    }
    if let Some(loss) = state.to_reboot.get(&connection.node).copied() {
        world.reboot(&mut state, &connection.node, loss);
    }
    // The controller may have died with the agent's last word.
    if connection.kills.swap(false, Ordering::SeqCst) {
        world.kill_controller(&mut state);
    }
}

/// A machine as its agent sees it that talks with a controller outside of this process: nothing goes wrong between them.
pub(crate) fn machine(world: &Arc<World>, node: &str) -> Arc<dyn System> {
    Arc::new(Agent {
        world: Arc::clone(world),
        connection: Arc::new(Connection::with(node)),
        root: world.state().machines[node].root.clone(),
    })
}

/// What the controller writes; a controller that lets go of it ends the connection.
struct ControllerOutput {
    pipe: AwaitingWriter,
    world: Arc<World>,
}

impl AsyncWrite for ControllerOutput {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !is_heartbeat(bytes) {
            self.world.touch();
        }
        Pin::new(&mut self.pipe).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}

/// What the agent writes.
struct AgentOutput {
    pipe: BlockingWriter,
    world: Arc<World>,
    connection: Arc<Connection>,
}

impl Write for AgentOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let connection = &self.connection;
        if !is_heartbeat(bytes) {
            self.world.touch();
        }
        if connection.is_dead.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if connection.kills.swap(false, Ordering::SeqCst) {
            self.world.kill_controller(&mut self.world.state());
        }
        if connection.is_unheard.load(Ordering::SeqCst) {
            // Its last word is said, or it waits for an answer that will not come.
            if says(bytes, b"\"type\":\"reply\"") || says(bytes, b"\"type\":\"need") {
                connection.let_go();
            }
            return Ok(bytes.len());
        }
        self.pipe.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a frame says only that its side is there. It comes by the clock, however little happens: if it counted as
/// activity, a wait for what never comes would not run out.
fn is_heartbeat(frame: &[u8]) -> bool {
    says(frame, b"\"type\":\"heartbeat\"")
}

fn says(frame: &[u8], word: &[u8]) -> bool {
    frame.windows(word.len()).any(|window| window == word)
}

/// The agent's machine, as long as its process lives.
struct Agent {
    world: Arc<World>,
    connection: Arc<Connection>,
    root: PathBuf,
}

impl Agent {
    fn alive(&self) -> io::Result<()> {
        if self.connection.is_dead.load(Ordering::SeqCst) {
            return Err(io::Error::other("the agent was killed"));
        }
        Ok(())
    }
}

impl System for Agent {
    fn root(&self) -> &Path {
        &self.root
    }

    fn run(&self, command: &Command) -> io::Result<Output> {
        self.alive()?;
        let node = &self.connection.node;
        let mut state = self.world.state();
        let line = command.line();
        if line.contains("-----BEGIN") || state.secrets.iter().any(|secret| line.contains(secret)) {
            state
                .violations
                .push(format!("{node}: a secret is an argument of {}", command.program));
        }
        if command.program != "systemctl" {
            let machine = state.machines.get_mut(node).unwrap();
            let output = programs::run(machine, &command.program, &command.arguments);
            return output.ok_or_else(|| {
                let what = format!("{} is not installed", command.program);
                io::Error::new(io::ErrorKind::NotFound, what)
            });
        }
        let pending = systemd::systemctl(&mut state, node, &command.arguments);
        self.world.changed.notify_all();
        drop(state);
        match pending {
            Pending::Nothing(output) => Ok(output),
            Pending::Up(units) => {
                let is_up = self.world.wait_for(|state| {
                    let machine = &state.machines[node];
                    if self.connection.is_dead.load(Ordering::SeqCst) {
                        return Some(false);
                    }
                    let mut units = units.iter().map(|name| machine.units.get(name));
                    units
                        .all(|unit| unit.is_some_and(super::machine::Unit::is_active))
                        .then_some(true)
                });
                Ok(if is_up == Some(true) {
                    said("")
                } else {
                    failed(format!("Job for {} timed out.", units.join(" ")))
                })
            }
        }
    }

    fn feed(&self, command: &Command, input: &mut dyn Read) -> io::Result<Output> {
        self.alive()?;
        let mut archive = String::new();
        input.read_to_string(&mut archive)?;
        self.alive()?;
        let is_here = |(node, _): &mut (String, Duration)| *node == self.connection.node;
        let takes = self.world.state().import_takes.take_if(is_here);
        if let Some((_, takes)) = takes {
            std::thread::sleep(takes);
        }
        let mut state = self.world.state();
        let machine = state.machines.get_mut(&self.connection.node).unwrap();
        if command.program != "ctr" {
            return Ok(said(""));
        }
        match archive.trim().split_once(' ') {
            Some((reference, digest)) => {
                machine
                    .images
                    .insert(reference.to_owned(), digest.parse().map_err(io::Error::other)?);
                Ok(said(""))
            }
            None => Ok(failed("not an archive")),
        }
    }

    fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| now.as_secs() as i64)
    }

    fn file_clock(&self) -> i64 {
        // Runs follow one another within a step of the file system's clock here, which they never do on machines: what
        // one run has written is old to the next.
        self.now().saturating_add(2).saturating_mul(1_000_000_000)
    }

    fn uptime(&self) -> Duration {
        self.world.uptime()
    }

    fn pause(&self, _: Duration) {
        self.world.pause();
    }

    fn http_status(&self, url: &str, ca_file: Option<&str>) -> Option<Result<u16, String>> {
        let state = self.world.state();
        let node = &self.connection.node;
        let machine = &state.machines[node];
        let refused = Some(Err("connection refused".to_owned()));
        if self.alive().is_err() {
            return refused;
        }
        let answer = |is_well: bool| Some(Ok(if is_well { 200 } else { 503 }));
        if url.contains(":2381/") {
            if etcd::member(machine).is_none() {
                return refused;
            }
            return answer(etcd::is_healthy(&state, node));
        }
        let believed =
            ca_file.map(|path| kubewright_core::resource::Digest::of(machine.get(path).as_bytes()));
        if url.contains(":6443/") {
            match state.authority_of_api(node) {
                None => return refused,
                authority if authority != believed => return Some(Err("unknown issuer".to_owned())),
                Some(_) => return answer(state.is_api_ready(node)),
            }
        }
        if url.contains(":7443/") && machine.is_active(PROXY) {
            return answer(state.any_api().is_some());
        }
        // Others answer while they run.
        let mut all = component::ALL.iter();
        let asked = all.find(|component| component.probe.is_some_and(|probe| url == probe.url()));
        if asked.is_some_and(|component| machine.is_active(&unit_name(component.name))) {
            return answer(true);
        }
        refused
    }

    /// The disk is asked to keep something; in a run without a power cut that does not matter.
    fn sync(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        self.alive()?;
        let state = self.world.state();
        if let Some(disk) = state.machines[&self.connection.node].disk.borrow_mut().as_mut() {
            disk.sync(file);
        }
        Ok(())
    }

    fn sync_data(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        self.sync(file)
    }

    fn effect(&self, doing: &str) -> io::Result<()> {
        let node = &self.connection.node;
        let mut state = self.world.state();
        if let Some(loss) = state.to_reboot.get(node).copied() {
            self.world.reboot(&mut state, node, loss);
        }
        self.alive()?;
        if self.connection.kills.swap(false, Ordering::SeqCst) {
            self.world.kill_controller(&mut state);
        }
        if let Some(path) = doing.strip_prefix("rename ")
            && !path.starts_with("/var/lib/kubewright/")
            && !state.machines[node].announced(path)
        {
            let unannounced = format!("{node}: {path} changes, and no journal that would survive says so");
            state.violations.push(unannounced);
        }
        match self.world.note_effect(&mut state, node, doing) {
            None => return Ok(()),
            Some(Kind::KilledBefore) => {
                self.connection.kill();
                self.world.kill_controller(&mut state);
            }
            Some(Kind::KilledAfter) => {
                self.connection.kills.store(true, Ordering::SeqCst);
                return Ok(());
            }
            Some(Kind::ReplyLost) => {
                self.connection.is_unheard.store(true, Ordering::SeqCst);
                self.connection.from_agent.cut();
                return Ok(());
            }
            Some(Kind::Reset) => {
                self.connection.cut();
                return Ok(());
            }
            Some(kind) => {
                let loss = kind.loss().unwrap_or(Loss::Nothing);
                self.world.cut_power(&mut state, node, loss, true);
            }
        }
        Err(io::Error::other("the agent was killed"))
    }
}
