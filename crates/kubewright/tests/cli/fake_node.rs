//! Machines that are not there: a program named `ssh` on the PATH plays them.
//!
//! Where only ssh or a login shell has something to say, a few lines of shell say it. Where the agent is needed, the
//! program is this test binary again, run as the one test [`plays_the_agent`], and it speaks the agent's words with
//! facts that a test wrote down. Whatever is asked of a machine is written down, too.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kubewright_control::transport::Agent;
use kubewright_core::catalogue::{self, Platform};
use kubewright_core::check::right_machine;
use kubewright_core::component;
use kubewright_core::errors::ErrorId;
use kubewright_core::observed::{Change, Counters, Datagrams, Difference, Facts, SyncSpeed};
use kubewright_core::resource::{Digest, ResourceId, StagedResource};
use kubewright_core::wire::frame::{Decoder, Frame, decode_message, encode_message};
use kubewright_core::wire::{FromAgent, LockHolder, NodeError, PROTOCOL, Reply, Request, ToAgent};

use super::{World, said};

/// The address is the last argument but one, after it comes the command for the login shell.
const SSH: &str = r#"#!/bin/sh
address=; command=
for argument; do address=$command; command=$argument; done
cd 'WORLD/nodes' || exit 255
echo connect >> "$address.heard"
if [ -e "$address.says" ]; then cat "$address.says" >&2; exit "$(cat "$address.status")"; fi
FAKE_NODE=$PWD/$address FAKE_NODE_COMMAND=$command
export FAKE_NODE FAKE_NODE_COMMAND
exec 'TESTS' --exact fake_node::plays_the_agent --ignored --nocapture --test-threads=2
"#;

const CLUSTER: &str = "apiVersion: kubewright/v1alpha1
kind: Cluster
metadata: { name: prod }
spec:
  kubernetes: 1.36.3
  artifacts: { source: { directory: artifacts } }
  ssh: { user: ada }
  nodes:
    - { name: cp-1, address: 192.0.2.11, roles: [control-plane] }
    - { name: cp-2, address: 192.0.2.12, roles: [control-plane] }
    - { name: cp-3, address: 192.0.2.13, roles: [control-plane] }
    - { name: w-1, address: 192.0.2.21, roles: [worker] }
";
const ADDRESSES: [&str; 4] = ["192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.21"];

/// Four machines that are right until a test changes something, and the files an operator has.
pub(crate) struct Machines {
    world: World,
}

impl Machines {
    pub(crate) fn new() -> Self {
        let world = World::new();
        world.write("cluster.yaml", CLUSTER);
        for directory in ["nodes", "bin", "artifacts", "agents", ".ssh"] {
            fs::create_dir(world.path().join(directory)).unwrap();
        }
        let machines = Self { world };
        let tests = std::env::current_exe().unwrap().display().to_string();
        let ssh = SSH.replace("WORLD", &machines.home()).replace("TESTS", &tests);
        let path = machines.world.path().join("bin/ssh");
        fs::write(&path, ssh).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        write_agent(&machines.path("agents"));
        write_artifacts(&machines.world.path().join("artifacts"));
        for (index, address) in ADDRESSES.into_iter().enumerate() {
            let facts = right_machine(u8::try_from(index).unwrap(), address.parse().unwrap());
            machines.write_facts(address, &facts);
        }
        machines
    }

    fn home(&self) -> String {
        self.world.path().display().to_string()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.world.path().join(name)
    }

    fn node(&self, address: &str, what: &str) -> PathBuf {
        self.path("nodes").join(format!("{address}.{what}"))
    }

    fn write_facts(&self, address: &str, facts: &Facts) {
        fs::write(self.node(address, "facts"), serde_json::to_vec(facts).unwrap()).unwrap();
    }

    /// Changes what a machine tells about itself.
    pub(crate) fn facts(&self, address: &str, change: impl FnOnce(&mut Facts)) {
        let mut facts = serde_json::from_slice(&fs::read(self.node(address, "facts")).unwrap()).unwrap();
        change(&mut facts);
        self.write_facts(address, &facts);
    }

    /// Sets a machine's clock ahead, milliseconds.
    pub(crate) fn clock(&self, address: &str, ahead_ms: i64) {
        fs::write(self.node(address, "ahead"), ahead_ms.to_string()).unwrap();
    }

    /// Nobody speaks but ssh or the login shell, and ends with a status.
    pub(crate) fn says(&self, address: &str, text: &str, status: u8) {
        fs::write(self.node(address, "says"), text).unwrap();
        fs::write(self.node(address, "status"), status.to_string()).unwrap();
    }

    /// Everything comes from the machine as it is written here, after the first words.
    pub(crate) fn floods(&self, address: &str, bytes: &[u8]) {
        fs::write(self.node(address, "flood"), bytes).unwrap();
    }

    /// Every machine can be changed, and is busy with the first change until it is let go on.
    pub(crate) fn make_busy(&self) {
        for address in ADDRESSES {
            fs::write(self.node(address, "works"), "").unwrap();
            fs::write(self.node(address, "busy"), "").unwrap();
        }
    }

    /// Every machine finishes the change at hand.
    pub(crate) fn go_on(&self) {
        for address in ADDRESSES {
            fs::remove_file(self.node(address, "busy")).unwrap();
        }
    }

    /// Whether no run holds a machine.
    pub(crate) fn are_free(&self) -> bool {
        let is_free = |address| {
            fs::File::create(self.node(address, "lock"))
                .unwrap()
                .try_lock()
                .is_ok()
        };
        ADDRESSES.into_iter().all(is_free)
    }

    /// How often something was asked of each machine, by the beginning of what it wrote down.
    pub(crate) fn count(&self, what: &str) -> [usize; 4] {
        ADDRESSES.map(|address| {
            let heard = fs::read_to_string(self.node(address, "heard")).unwrap_or_default();
            heard.lines().filter(|line| line.starts_with(what)).count()
        })
    }

    /// The program with its machines.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let mut command = self.world.command(arguments);
        command
            .env("PATH", path)
            .env("KUBEWRIGHT_AGENTS", self.path("agents"));
        command
    }

    /// Runs the program; what differs between two runs is replaced.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        self.finish(&mut self.world.command(arguments))
    }

    /// The same from a shell that has done something before.
    pub(crate) fn run_after(&self, before: &str, arguments: &[&str]) -> (i32, String, String) {
        let program = self.world.command(arguments);
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", &format!("{before} && exec \"$0\" \"$@\"")])
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(self.world.path())
            .env_clear()
            .env("HOME", self.world.path());
        self.finish(&mut shell)
    }

    fn finish(&self, program: &mut Command) -> (i32, String, String) {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let output = program
            .env("PATH", path)
            .env("KUBEWRIGHT_AGENTS", self.path("agents"))
            .output()
            .unwrap();
        let (code, out, error) = said(&output);
        let same = |text: String| {
            text.lines()
                .fold(String::new(), |same, line| same + &self.same(line) + "\n")
        };
        (code, same(out), same(error))
    }

    /// A line without what differs between two runs: the temporary directory, and the name of the log in it.
    fn same(&self, line: &str) -> String {
        let line = line.replace(&self.home(), "~");
        let Some((before, log)) = line.split_once("~/.local/state/kubewright/logs/") else {
            return line;
        };
        let (_, after) = log.split_once(".log").unwrap();
        format!("{before}LOG{after}")
    }

    /// What was asked of all machines, each once, in order.
    pub(crate) fn heard(&self) -> Vec<String> {
        let mut heard: Vec<String> = ADDRESSES
            .iter()
            .filter_map(|address| fs::read_to_string(self.node(address, "heard")).ok())
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        heard.sort();
        heard.dedup();
        heard
    }
}

/// An agent to carry, as `cargo xtask dist` leaves one; nobody runs it.
fn write_agent(directory: &Path) {
    let agent = Agent::pack(b"an agent").unwrap();
    fs::write(directory.join("kubewright-agent-amd64.gz"), &agent.gzip).unwrap();
    fs::write(
        directory.join("kubewright-agent-amd64.sha256"),
        agent.sha256.to_string(),
    )
    .unwrap();
}

/// A directory of artifacts with every program there has to be; nobody runs them.
fn write_artifacts(directory: &Path) {
    let release = catalogue::release(&"1.36.3".parse().unwrap()).unwrap();
    let content = b"a program";
    fs::write(directory.join("program"), content).unwrap();
    let names: BTreeSet<&str> = component::ALL
        .iter()
        .flat_map(|component| component.binaries.to_vec())
        .collect();
    let entry = |name: &str| {
        let (artifact, _) = release.binary(name, Platform::Amd64).unwrap();
        serde_json::json!({
            "name": name, "version": artifact.version, "platform": "linux/amd64", "kind": "binary",
            "file": "program", "sha256": Digest::of(content), "size": content.len(),
        })
    };
    let manifest = serde_json::json!({
        "apiVersion": "kubewright/artifacts/v1alpha1",
        "artifacts": names.into_iter().map(entry).collect::<Vec<_>>(),
    });
    fs::write(directory.join("manifest.json"), manifest.to_string()).unwrap();
}

/// No test: the other end of the fake `ssh`.
#[test]
#[ignore = "it is the other end of a connection that other tests begin"]
fn plays_the_agent() {
    let Some(place) = std::env::var_os("FAKE_NODE") else {
        return;
    };
    let agent = FakeAgent {
        place: PathBuf::from(place),
    };
    // `… kubewright FIRST SECOND STATE-DIRECTORY …`: the halves of the mark follow the last script.
    let command = std::env::var("FAKE_NODE_COMMAND").unwrap();
    let (_, arguments) = command.rsplit_once('\'').unwrap();
    let words: Vec<&str> = arguments.split_whitespace().collect();
    send(format!("{}-{} ready\n", words[1], words[2]).as_bytes());
    agent.converse();
    // Nothing of what a test says at its end may follow the last frame.
    #[allow(clippy::exit)]
    std::process::exit(0);
}

fn send(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).unwrap();
    out.flush().unwrap();
}

struct FakeAgent {
    /// The beginning of the machine's files' names.
    place: PathBuf,
}

impl FakeAgent {
    fn file(&self, what: &str) -> PathBuf {
        PathBuf::from(format!("{}.{what}", self.place.display()))
    }

    fn say(message: &FromAgent) {
        send(&encode_message(message).unwrap());
    }

    fn hear(&self, what: &str) {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file("heard"))
            .unwrap();
        writeln!(file, "{what}").unwrap();
    }

    fn converse(&self) {
        let held = fs::File::create(self.file("lock")).unwrap();
        let mut decoder = Decoder::default();
        let mut buffer = vec![0; 64 << 10];
        let mut input = std::io::stdin().lock();
        loop {
            while let Some(frame) = decoder.next_frame().unwrap() {
                let Frame::Message(body) = frame else { continue };
                match decode_message::<ToAgent>(&body).unwrap() {
                    ToAgent::Hello { lock, run, .. } => {
                        // As the agent does: whatever ends this process frees it.
                        let is_free = !lock || held.try_lock().is_ok();
                        Self::say(&FromAgent::Hello {
                            protocol: PROTOCOL,
                            version: "0.0.0".to_owned(),
                            locked_by: (!is_free).then(|| LockHolder::new("another test", &run, 0)),
                        });
                    }
                    ToAgent::Request { id, request } => {
                        let reply = self.answer(request);
                        Self::say(&FromAgent::Reply { id, reply });
                    }
                    ToAgent::Goodbye => return,
                    _ => {}
                }
            }
            match input.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => decoder.push(&buffer[..count]),
            }
        }
    }

    /// What it has been made to have.
    fn has(&self) -> BTreeSet<ResourceId> {
        let has = fs::read(self.file("has")).unwrap_or_else(|_| b"[]".to_vec());
        serde_json::from_slice(&has).unwrap()
    }

    fn answer(&self, request: Request) -> Result<Reply, NodeError> {
        match request {
            Request::Facts {} => {
                self.hear("facts");
                if let Ok(flood) = fs::read(self.file("flood")) {
                    send(&flood);
                    // The other side hangs up; until then more is on its way.
                    let more = vec![0; 64 << 10];
                    loop {
                        send(&more);
                    }
                }
                let mut facts: Facts =
                    serde_json::from_slice(&fs::read(self.file("facts")).unwrap()).unwrap();
                let ahead = fs::read_to_string(self.file("ahead")).unwrap_or_default();
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                facts.clock_ms = i64::try_from(now.as_millis()).unwrap() + ahead.parse::<i64>().unwrap_or(0);
                Ok(Reply::Facts {
                    facts: Box::new(facts),
                })
            }
            Request::ReadSecrets { .. }
            | Request::RecordOperation { .. }
            | Request::RecordFounders { .. }
            | Request::Echo { .. }
            | Request::Wait { .. } => Ok(Reply::Done {}),
            Request::Listen { .. } => {
                self.hear("listen");
                Ok(Reply::Done {})
            }
            Request::ProbeDatagrams { targets, .. } => {
                let arrived = Datagrams {
                    small: true,
                    ..Datagrams::default()
                };
                let targets = targets
                    .into_iter()
                    .map(|target| (target, arrived.clone()))
                    .collect();
                Ok(Reply::Datagrams { targets })
            }
            Request::MeasureSync { .. } => {
                let speed = SyncSpeed {
                    writes: 500,
                    p99_us: 900,
                };
                Ok(Reply::Synced { speed })
            }
            Request::Probe { targets, .. } => {
                self.hear("probe");
                let targets = targets.into_iter().map(|target| (target, None)).collect();
                Ok(Reply::Probed { targets })
            }
            Request::Inspect { state, .. } => {
                self.hear("inspect");
                let has = self.has();
                let missing = |staged: &StagedResource| Difference {
                    resource: staged.resource.id(),
                    change: Change::Missing,
                };
                let differences = state.resources.iter().map(missing);
                Ok(Reply::Inspected {
                    differences: differences
                        .filter(|difference| !has.contains(&difference.resource))
                        .collect(),
                    counters: Counters::default(),
                })
            }
            Request::Converge { resources, .. } if self.file("works").exists() => {
                self.hear(&format!("converge {}", resources.len()));
                while self.file("busy").exists() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                let mut has = self.has();
                has.extend(resources.iter().cloned());
                fs::write(self.file("has"), serde_json::to_vec(&has).unwrap()).unwrap();
                Ok(Reply::Converged {
                    changed: resources,
                    counters: Counters::default(),
                })
            }
            Request::ReadOperations { .. } => Ok(Reply::Operations {
                operations: Vec::new(),
            }),
            _ => {
                self.hear("change");
                Err(NodeError {
                    id: ErrorId::NodeFailed,
                    doing: "be a real node".to_owned(),
                    cause: "this one is played".to_owned(),
                    resource: None,
                    command: None,
                    unit: None,
                    log: Vec::new(),
                    hint: None,
                })
            }
        }
    }
}
