//! The words controller and agent exchange over one SSH channel.
//!
//! A frame is one byte of type, four bytes of length (big-endian) and that many bytes: type 1 is a JSON message
//! ([`ToAgent`] or [`FromAgent`]), type 2 is data of a numbered stream (four bytes of stream id, then bytes; no
//! bytes end the stream). Both sides refuse a frame larger than [`MAX_MESSAGE_BYTES`] or [`MAX_DATA_BYTES`] before they
//! allocate for it, so that neither a broken nor a hostile peer can exhaust the other's memory.
//!
//! Each side says something at least every few seconds, and gives the other up when nothing was heard for longer
//! ([`Pulse`]): a link that died without a word is noticed, and the node's lock is not held for nobody.
//!
//! A secret crosses only in [`ToAgent::Secret`] and [`FromAgent::Secret`], whose `Debug` does not show it.

mod explanation;
pub mod frame;
mod pulse;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::carrier::unit_name;
use crate::component::Description;
use crate::errors::ErrorId;
use crate::journal::Undone;
use crate::observed::{Counters, Datagrams, Difference, Facts, Founders, SyncSpeed};
use crate::operation_log::RecordedRun;
use crate::resource::{Digest, NodeState, ResourceId};
use crate::shown::sentence;

pub use explanation::{Explanation, UnitReport, last_word};
pub use pulse::{LOCK_TIMEOUT, Pulse};

/// Version of these words; both sides must speak the same, which holds because the controller brings its own agent.
pub const PROTOCOL: u32 = 4;
/// Largest JSON message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 8 << 20;
/// Largest payload of a data frame, in bytes.
pub const MAX_DATA_BYTES: usize = 256 << 10;
/// Frame type of a JSON message.
pub const FRAME_MESSAGE: u8 = 1;
/// Frame type of stream data.
pub const FRAME_DATA: u8 = 2;

/// Numbers a request; the reply carries the same number.
pub type RequestId = u32;
/// Numbers a stream of data; the controller chooses it.
pub type StreamId = u32;

/// What the controller says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToAgent {
    /// Opens the connection. The agent answers with [`FromAgent::Hello`].
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// The run's id, for journal and log.
        run: String,
        /// The cluster's name.
        cluster: String,
        /// Who runs it, from where, as in `ada@workstation`.
        operator: String,
        /// Takes the node's lock for the length of the connection; readers do not.
        lock: bool,
        /// How long to wait for the lock of an agent whose controller has gone, milliseconds; one whose controller is
        /// there is not waited for.
        #[serde(default)]
        lock_timeout_ms: u64,
    },
    /// Asks for a numbered request to be done; each is answered by exactly one [`FromAgent::Reply`].
    Request {
        /// The request's number.
        id: RequestId,
        /// What is asked.
        request: Request,
    },
    /// Announces the blob the agent asked for; its bytes follow as zstd data of this stream.
    Blob {
        /// The stream the bytes come on.
        stream: StreamId,
        /// The content's digest, uncompressed.
        sha256: Digest,
    },
    /// Answers [`FromAgent::NeedSignature`].
    Signed {
        /// The certificate's resource.
        resource: ResourceId,
        /// The certificate, PEM, or why the controller will not sign.
        certificate: Result<String, String>,
    },
    /// Answers [`FromAgent::NeedSecret`].
    Secret {
        /// The secret's name.
        name: String,
        /// The content, base64; `None` when the controller has no such secret.
        content: Option<SecretText>,
    },
    /// Opens a TCP connection from the node to `address`; data flows both ways on `stream`.
    OpenTunnel {
        /// The stream's number.
        stream: StreamId,
        /// As in `127.0.0.1:6443`.
        address: String,
    },
    /// Says nothing but that the controller is there; sent when there is nothing else to say.
    Heartbeat,
    /// Ends the connection: the agent releases the lock and exits.
    Goodbye,
}

/// What can be asked of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Request {
    /// Everything about the node in one go; answered by [`Reply::Facts`].
    Facts {},
    /// Hands over the CA keys and other shared secrets this control plane holds; answered by [`FromAgent::Secret`]
    /// for each that exists and then [`Reply::Done`].
    ReadSecrets {
        /// Secret name to path.
        paths: BTreeMap<String, String>,
    },
    /// Compares the node with a state, and remembers the state for [`Request::Converge`] until the connection ends;
    /// answered by [`Reply::Inspected`].
    Inspect {
        /// What the node is to have.
        state: NodeState,
        /// Hash every file, instead of trusting size, times and inode.
        verify: bool,
    },
    /// Makes the named resources of an inspected state so, in order; answered by [`Reply::Converged`].
    Converge {
        /// The state's digest. One that was not inspected in this connection is refused: what is made so is what was
        /// shown.
        state: Digest,
        /// Which; orphaned ones may be named too and are removed.
        resources: Vec<ResourceId>,
    },
    /// Waits on the node until a condition holds; answered by [`Reply::Done`] or an error with what was last seen.
    Wait {
        /// What to wait for.
        condition: NodeCondition,
        /// How long at most, milliseconds.
        timeout_ms: u64,
    },
    /// Looks once why a condition does not hold yet; answered by [`Reply::Explained`].
    Explain {
        /// The condition.
        condition: NodeCondition,
    },
    /// Tries TCP connections from the node; answered by [`Reply::Probed`].
    Probe {
        /// `address:port` each.
        targets: Vec<String>,
        /// How long at most for each, milliseconds.
        timeout_ms: u64,
    },
    /// Listens on the ports that are free until the connection ends, so that other nodes can probe them; answered by
    /// [`Reply::Done`].
    Listen {
        /// On which of the node's addresses.
        address: IpAddr,
        /// Which TCP ports.
        ports: Vec<u16>,
    },
    /// Sends datagrams of a check back that come to UDP ports that are free, until the connection ends; answered by
    /// [`Reply::Done`].
    Echo {
        /// On which of the node's addresses.
        address: IpAddr,
        /// Which UDP ports.
        ports: Vec<u16>,
    },
    /// Sends datagrams to nodes that send them back; answered by [`Reply::Datagrams`].
    ProbeDatagrams {
        /// From which of the node's addresses.
        from: IpAddr,
        /// `address:port` each.
        targets: Vec<String>,
        /// Size of the large ones, bytes of an IP packet.
        bytes: u16,
        /// How long each size is tried at most, milliseconds.
        timeout_ms: u64,
    },
    /// Measures how fast small writes become durable in a directory, which need not be there yet; nothing is left of
    /// them. Answered by [`Reply::Synced`].
    MeasureSync {
        /// The directory.
        directory: String,
    },
    /// Keeps on the node who founds etcd, durably, before any member starts; answered by [`Reply::Done`]. A node that
    /// keeps other founders refuses.
    RecordFounders {
        /// All of them.
        founders: Founders,
    },
    /// Remembers on the node that etcd's bootstrap is finished: from now on no member may start as part of a new
    /// cluster; answered by [`Reply::Done`].
    MarkBootstrapped {},
    /// Kills the main process of a unit of ours, to prove that it comes back; answered by [`Reply::Done`].
    CrashUnit {
        /// The unit.
        unit: String,
    },
    /// Stops and removes everything kubewright put on the node; answered by [`Reply::Converged`].
    Reset {},
    /// Puts back what the last unfinished run changed on the node, by its journal; answered by [`Reply::Undone`].
    Undo {
        /// Only tells what would be put back.
        only_look: bool,
    },
    /// Puts back what this connection's own run changed of these resources, by the journal, and restarts the units among
    /// them; answered by [`Reply::Undone`].
    TakeBack {
        /// Which.
        resources: Vec<ResourceId>,
    },
    /// Adds lines to the record of a run in the operation log and makes them durable; answered by [`Reply::Done`].
    RecordOperation {
        /// The record's name; names sort by when runs began.
        name: String,
        /// They are the record's first lines: it is made for them. Others are for a record that is there.
        begins: bool,
        /// Whole lines, JSON ([`crate::operation_log`]).
        lines: String,
    },
    /// What the operation log has; answered by [`Reply::Operations`].
    ReadOperations {
        /// The run's id or its beginning; `None` asks for all, without their steps.
        run: Option<String>,
    },
}

/// A condition an agent can wait for on its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum NodeCondition {
    /// The unit is active (running and, with `Type=notify`, ready).
    UnitActive {
        /// The unit.
        unit: String,
    },
    /// An HTTP GET answers 200, over TLS verified against the authority's file and the server's name when the URL says
    /// https.
    HttpOk {
        /// As in `https://127.0.0.1:6443/readyz`.
        url: String,
        /// PEM file of the authority, for https.
        ca_file: Option<String>,
        /// The name in the server's certificate, for https; without one, the URL's address.
        server_name: Option<String>,
        /// The unit that answers there: the last lines of its journal tell why it does not.
        unit: Option<String>,
    },
    /// All of these, one after the other.
    All {
        /// Which.
        of: Vec<Self>,
    },
}

impl NodeCondition {
    /// Returns the condition that a component serves, as its probe tells; that it runs, where it has none.
    pub fn serves(component: &Description) -> Self {
        let unit = unit_name(component.name);
        match component.probe {
            Some(probe) => Self::HttpOk {
                url: probe.url(),
                ca_file: probe.ca_file().map(str::to_owned),
                server_name: probe.server_name.map(str::to_owned),
                unit: Some(unit),
            },
            None => Self::UnitActive { unit },
        }
    }

    /// The unit it depends on, if there is one.
    pub fn unit(&self) -> Option<&str> {
        match self {
            Self::UnitActive { unit } => Some(unit),
            Self::HttpOk { unit, .. } => unit.as_deref(),
            Self::All { of } => of.first().and_then(Self::unit),
        }
    }

    /// Returns the condition that several components serve.
    pub fn all_serve<'d>(components: impl IntoIterator<Item = &'d Description>) -> Self {
        let mut of: Vec<Self> = components.into_iter().map(Self::serves).collect();
        match of.len() {
            1 => of.remove(0),
            _ => Self::All { of },
        }
    }

    /// Returns what has to hold, one by one.
    pub fn parts(&self) -> &[Self] {
        match self {
            Self::All { of } => of,
            one => std::slice::from_ref(one),
        }
    }
}

impl fmt::Display for NodeCondition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnitActive { unit } => write!(formatter, "{unit} is active"),
            Self::HttpOk { url, .. } => write!(formatter, "{url} answers 200"),
            Self::All { of } => {
                let each: Vec<String> = of.iter().map(ToString::to_string).collect();
                formatter.write_str(&each.join(", "))
            }
        }
    }
}

/// What the agent says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromAgent {
    /// Answers [`ToAgent::Hello`].
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// The agent's version.
        version: String,
        /// Who holds the lock, when it was asked for and somebody else has it.
        locked_by: Option<LockHolder>,
    },
    /// Comes before [`FromAgent::Hello`], again and again, while the agent waits for the lock of one whose controller may
    /// have gone.
    Waiting {
        /// Who has the lock.
        holder: LockHolder,
    },
    /// Answers a request.
    Reply {
        /// The request's number.
        id: RequestId,
        /// The answer.
        reply: Result<Reply, NodeError>,
    },
    /// Tells what a [`Request::Converge`] is doing.
    Progress {
        /// Which resource is being made so.
        resource: ResourceId,
        /// It is done (otherwise: begun).
        done: bool,
    },
    /// Asks for content the node lacks.
    NeedBlob {
        /// Its digest.
        sha256: Digest,
    },
    /// Asks for a certificate; answered by [`ToAgent::Signed`].
    NeedSignature {
        /// The certificate's resource.
        resource: ResourceId,
        /// The signing request, PEM.
        request: String,
    },
    /// Asks for a shared secret; answered by [`ToAgent::Secret`].
    NeedSecret {
        /// Its name.
        name: String,
    },
    /// Hands over a secret a control plane holds, in answer to [`Request::ReadSecrets`].
    Secret {
        /// Its name.
        name: String,
        /// The content, base64.
        content: SecretText,
    },
    /// A tunnel is open, or could not be opened.
    Tunnel {
        /// The stream's number.
        stream: StreamId,
        /// Why it could not be opened.
        error: Option<String>,
    },
    /// Says nothing but that the agent is there; sent when there is nothing else to say.
    Heartbeat,
    /// The last word of an agent that heard nothing for too long: it begins no other change, and the lock is free as
    /// soon as the change at hand is finished. A controller that was only paused learns so that it is too late.
    GaveUp {
        /// How long nothing was heard.
        silent_seconds: u64,
    },
}

/// Text whose `Debug` shows nothing; it exists only to cross the wire.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(pub String);

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(redacted)")
    }
}

/// A successful answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Reply {
    /// Nothing more to say.
    Done {},
    /// Answers [`Request::Facts`].
    Facts {
        /// The facts.
        facts: Box<Facts>,
    },
    /// Answers [`Request::Inspect`].
    Inspected {
        /// What differs, in order of convergence; orphaned last.
        differences: Vec<Difference>,
        /// Work done so far in this connection.
        counters: Counters,
    },
    /// Answers [`Request::Converge`] and [`Request::Reset`].
    Converged {
        /// What was changed.
        changed: Vec<ResourceId>,
        /// Work done so far in this connection.
        counters: Counters,
    },
    /// Answers [`Request::Explain`].
    Explained {
        /// Why it does not hold.
        explanation: Explanation,
    },
    /// Answers [`Request::Probe`].
    Probed {
        /// Target to what went wrong; reached targets map to `None`.
        targets: BTreeMap<String, Option<String>>,
    },
    /// Answers [`Request::ProbeDatagrams`].
    Datagrams {
        /// What became of them, by target.
        targets: BTreeMap<String, Datagrams>,
    },
    /// Answers [`Request::MeasureSync`].
    Synced {
        /// What was measured.
        speed: SyncSpeed,
    },
    /// Answers [`Request::Undo`].
    Undone {
        /// What was put back, or would be.
        undone: Undone,
    },
    /// Answers [`Request::ReadOperations`].
    Operations {
        /// The runs, oldest first.
        operations: Vec<RecordedRun>,
    },
}

/// What went wrong on a node; as text it is one line, whatever the node said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{}: {}", sentence(doing), sentence(cause))]
pub struct NodeError {
    /// Which situation it is.
    pub id: ErrorId,
    /// What was being done, as in `write /etc/kubernetes/admin.conf`.
    pub doing: String,
    /// What went wrong, as in `no space left on device`.
    pub cause: String,
    /// The resource it was for.
    pub resource: Option<ResourceId>,
    /// The program that was run, with its arguments, when one was.
    pub command: Option<String>,
    /// The unit concerned, when one is.
    pub unit: Option<String>,
    /// The last lines of the unit's journal, when a unit is concerned.
    pub log: Vec<String>,
    /// What to do about it, when the agent knows.
    pub hint: Option<String>,
}

/// Who holds a node's lock. Agents of other versions may have written it: what they do not tell is left open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockHolder {
    /// As in `ada@workstation`.
    pub operator: String,
    /// The run's id.
    pub run: String,
    /// Since when, seconds since the epoch by the node's clock.
    pub since: i64,
    /// How long ago its agent last heard of its controller, seconds.
    #[serde(default)]
    pub heard_seconds_ago: Option<u64>,
    /// Its controller has hung up, or was given up: the lock is freed as soon as the change at hand is finished.
    #[serde(default)]
    pub has_left: bool,
    /// The change at hand.
    #[serde(default)]
    pub doing: Option<String>,
}

impl LockHolder {
    /// Somebody who takes the lock now.
    pub fn new(operator: &str, run: &str, since: i64) -> Self {
        Self {
            operator: operator.to_owned(),
            run: run.to_owned(),
            since,
            ..Self::default()
        }
    }
}
