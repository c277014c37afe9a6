//! Both directions of one channel: who waits for which answer, and what happens when it ends.
//!
//! One task reads and writes. What is to be written waits in three queues, so that a gigabyte of images holds up
//! neither a question nor a tunnel. The reading side never waits for the writing side: an agent that asks without
//! reading the answers is cut off.
//!
//! A link that died without a word is noticed by its silence, [`Pulse`] tells after how long. The agent does the same and
//! frees its lock, so a controller that was asleep for longer is too late: it finds the connection given up, by the
//! agent's last word or by its own clock, and says nothing more in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kubewright_core::observed::Counters;
use kubewright_core::resource::ResourceId;
use kubewright_core::secret::Secret;
use kubewright_core::spec::NodeName;
use kubewright_core::wire::frame::{Decoder, Frame, FrameError, decode_message, encode_message};
use kubewright_core::wire::{
    FromAgent, LockHolder, NodeError, PROTOCOL, Pulse, Reply, Request, RequestId, StreamId, ToAgent,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::NodeCallError;
use super::service::{Planned, Progress, Services};
use crate::pace::Pace;
use crate::transport::{Channel, Reader, Writer};

/// Messages that may wait to be written; an agent that lets more pile up does not read.
const MESSAGES: usize = 1024;
/// Frames of tunnels that may wait to be written.
pub(super) const TUNNEL_FRAMES: usize = 16;
/// Frames of blobs that may wait to be written: 1 MiB.
const BLOB_FRAMES: usize = 4;
/// How often an agent may say before its first word that it waits: it says so when the holder's work has changed, for a
/// minute.
const WAITING_MESSAGES: usize = 1024;
/// Longest name of a resource an agent may tell, in bytes: a path is no longer.
const RESOURCE_NAME_BYTES: usize = 4096;
/// How long the process at this end has to leave when the connection is over.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a connection ended.
#[derive(Clone, Debug)]
struct Loss {
    end: End,
    stderr: Box<str>,
}

/// What ended a connection.
#[derive(Clone, Debug)]
enum End {
    /// The link, the agent or this side, as the text says.
    Broken(String),
    /// The agent, because this side said nothing for too long.
    Fenced(Duration),
}

/// How long a node may work on one request at all: a gigabyte over a link of 64 KiB/s takes 5 h. Without it, a node that
/// reports something now and then holds the run for as long as it likes.
const LONGEST_WORK: Duration = Duration::from_secs(8 * 60 * 60);

/// How long an agent at work may say nothing of it while nothing is sent to it either; longer than any bound of its own
/// (a unit may take 15 minutes to start). That it is there at all is another matter: its heartbeats tell.
const SILENCE_AT_WORK: Duration = Duration::from_secs(20 * 60);

/// How long answers, silence and work may last, and the clock silence is measured by, which runs on while this computer sleeps.
#[derive(Clone)]
pub(super) struct Timing {
    pub(super) pulse: Pulse,
    /// [`crate::transport::Transport::answer_limit`], unless a test says otherwise.
    pub(super) quick: Option<Duration>,
    pub(super) silence_at_work: Duration,
    pub(super) longest_work: Duration,
    pub(super) uptime: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            pulse: Pulse::default(),
            quick: None,
            silence_at_work: SILENCE_AT_WORK,
            longest_work: LONGEST_WORK,
            uptime: Arc::new(boot_time),
        }
    }
}

/// Time since this computer was started, which nobody sets and which runs on while it sleeps.
pub(crate) fn boot_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// The agent's first word.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) version: String,
    pub(super) locked_by: Option<LockHolder>,
}

/// The answer to a request, with the secrets that came before it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reply: Result<Reply, NodeError>,
    pub(super) secrets: BTreeMap<String, Secret>,
}

/// A request without its answer yet.
pub(super) struct Pending {
    pub(super) answer: oneshot::Sender<Answer>,
    /// Who is told of progress.
    pub(super) progress: Option<Progress>,
    /// Who answers what the agent needs for it.
    pub(super) services: Option<Services>,
    /// How many messages the agent may still send about it before it answers.
    pub(super) messages_left: usize,
    /// The secrets it may hand over.
    pub(super) expected: BTreeSet<String>,
    /// The secrets it has handed over.
    pub(super) secrets: BTreeMap<String, Secret>,
}

/// A tunnel as the reading side sees it.
pub(super) enum Tunnel {
    Opening(oneshot::Sender<Result<mpsc::Receiver<Vec<u8>>, String>>),
    Open(mpsc::Sender<Vec<u8>>),
    /// Nobody here wants what still arrives.
    Abandoned,
}

#[derive(Default)]
pub(super) struct State {
    next_request: RequestId,
    next_stream: StreamId,
    pub(super) pending: BTreeMap<RequestId, Pending>,
    pub(super) tunnels: BTreeMap<StreamId, Tunnel>,
    pub(super) planned: Planned,
    pub(super) blobs: usize,
    pub(super) counters: Counters,
    /// What the agent last said it was at.
    pub(super) at: Option<String>,
    /// When its last work ended.
    worked_until: Option<Instant>,
    /// How often the agent has said that it waits for a lock.
    waiting_messages: usize,
    greeting: Option<oneshot::Sender<Greeting>>,
    is_leaving: bool,
    loss: Option<Loss>,
}

/// What the handles and the task share.
pub(super) struct Shared {
    pub(super) node: NodeName,
    messages: mpsc::Sender<Vec<u8>>,
    pub(super) tunnel_frames: mpsc::Sender<Vec<u8>>,
    pub(super) blob_frames: mpsc::Sender<Vec<u8>>,
    fatal: mpsc::Sender<String>,
    state: Mutex<State>,
    ended: watch::Sender<bool>,
    /// Whose lock the agent waits for.
    waits_for: watch::Sender<Option<LockHolder>>,
    active: Mutex<Instant>,
    pace: Pace,
    /// How long the agent has for a question, on a usual node.
    quick: Duration,
    timing: Timing,
    /// When this side last said something, by the clock of `timing`; nothing while it is being taken.
    spoke: Mutex<Option<Duration>>,
}

/// Ends the connection when the last handle goes.
pub(super) struct Guard(JoinHandle<()>);

impl Guard {
    /// Ends the connection now.
    pub(super) fn end(&self) {
        self.0.abort();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}

/// Queues of what is to be written, most urgent first.
struct Queues {
    messages: mpsc::Receiver<Vec<u8>>,
    tunnel_frames: mpsc::Receiver<Vec<u8>>,
    blob_frames: mpsc::Receiver<Vec<u8>>,
}

/// Starts a connection over a channel; the agent's first word arrives on the receiver.
pub(super) fn start(
    node: NodeName,
    channel: Channel,
    answer_limit: Duration,
    timing: Timing,
) -> (Arc<Shared>, Guard, oneshot::Receiver<Greeting>) {
    let (messages, messages_queue) = mpsc::channel(MESSAGES);
    let (tunnel_frames, tunnel_queue) = mpsc::channel(TUNNEL_FRAMES);
    let (blob_frames, blob_queue) = mpsc::channel(BLOB_FRAMES);
    let (fatal, fatal_queue) = mpsc::channel(1);
    let (greeting, first_word) = oneshot::channel();
    let shared = Arc::new(Shared {
        node,
        messages,
        tunnel_frames,
        blob_frames,
        fatal,
        state: Mutex::new(State {
            greeting: Some(greeting),
            ..State::default()
        }),
        ended: watch::Sender::new(false),
        waits_for: watch::Sender::new(None),
        active: Mutex::new(Instant::now()),
        pace: Pace::default(),
        quick: timing.quick.unwrap_or(answer_limit),
        spoke: Mutex::new(Some((timing.uptime)())),
        timing,
    });
    let queues = Queues {
        messages: messages_queue,
        tunnel_frames: tunnel_queue,
        blob_frames: blob_queue,
    };
    let task = tokio::spawn(run(shared.clone(), channel, queues, fatal_queue));
    (shared, Guard(task), first_word)
}

async fn run(shared: Arc<Shared>, channel: Channel, queues: Queues, mut fatal: mpsc::Receiver<String>) {
    let Channel {
        reader,
        writer,
        mut peer,
    } = channel;
    let on_drop = EndOnDrop(&shared);
    let end = {
        let reading = read(&shared, reader);
        tokio::pin!(reading);
        tokio::select! {
            end = &mut reading => end,
            Some(cause) = fatal.recv() => End::Broken(cause),
            written = write(&shared, writer, queues) => match written {
                // What the agent said before it went may still be on its way.
                Written::Failed(error) => timeout(LAST_WORDS, &mut reading)
                    .await
                    .unwrap_or_else(|_| End::Broken(format!("write: {error}"))),
                Written::TooLate(silent) => End::Fenced(silent),
            },
        }
    };
    let end = match end {
        End::Broken(cause) => {
            let ending = peer.ending(LAST_WORDS).await;
            let last_line = ending
                .stderr
                .lines()
                .last()
                .map(str::trim)
                .filter(|line| !line.is_empty());
            let cause = match last_line {
                Some(line) => format!("{cause}; {line}"),
                None => cause,
            };
            (End::Broken(cause), ending.stderr)
        }
        End::Fenced(silent) => (End::Fenced(silent), peer.stderr()),
    };
    shared.lose(end.0, end.1.into());
    drop(on_drop);
}

/// Makes sure that nobody waits for ever, also when the task is aborted.
struct EndOnDrop<'a>(&'a Shared);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0
            .lose(End::Broken("this side ended it".to_owned()), Box::default());
    }
}

/// Why nothing more is written.
enum Written {
    Failed(std::io::Error),
    /// Nothing was written for so long that the agent has given this side up.
    TooLate(Duration),
}

/// Writes until writing fails, a heartbeat when there is nothing else.
async fn write(shared: &Shared, mut writer: Writer, mut queues: Queues) -> Written {
    let pulse = shared.timing.pulse;
    loop {
        let next = async {
            tokio::select! {
                biased;
                Some(frame) = queues.messages.recv() => Ok(frame),
                Some(frame) = queues.tunnel_frames.recv() => Ok(frame),
                Some(frame) = queues.blob_frames.recv() => Ok(frame),
                else => Err(std::io::Error::other("nobody is left to write for")),
            }
        };
        let next = timeout(pulse.every, next).await;
        let next = next.unwrap_or_else(|_| {
            encode_message(&ToAgent::Heartbeat).map_err(|error| std::io::Error::other(error.to_string()))
        });
        let silent = shared.silent();
        if silent >= pulse.silence {
            return Written::TooLate(silent);
        }
        shared.speak(false);
        let written = match next {
            Ok(frame) => match writer.write_all(&frame).await {
                Ok(()) => writer.flush().await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            return Written::Failed(error);
        }
        shared.speak(true);
    }
}

/// Reads until the connection ends, and tells why it did.
async fn read(shared: &Arc<Shared>, mut reader: Reader) -> End {
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 64 << 10];
    let silence = shared.timing.pulse.silence;
    loop {
        match timeout(silence, reader.read(&mut buffer)).await {
            Ok(Ok(0)) => return shared.broken("the agent has gone".to_owned()),
            Ok(Ok(count)) => decoder.push(&buffer[..count]),
            Ok(Err(error)) => return End::Broken(format!("read: {error}")),
            Err(_) => return shared.broken(format!("nothing heard for {} s", silence.as_secs())),
        }
        loop {
            let handled = match decoder.next_frame() {
                Ok(None) => break,
                Ok(Some(Frame::Message(body))) => match decode_message(&body) {
                    Ok(FromAgent::Heartbeat) => continue,
                    Ok(FromAgent::GaveUp { silent_seconds }) => {
                        let silent = Duration::from_secs(silent_seconds);
                        return End::Fenced(silent.max(shared.silent()));
                    }
                    Ok(message) => {
                        shared.mark_active();
                        shared.hear(message)
                    }
                    Err(error) => Err(error.to_string()),
                },
                Ok(Some(Frame::Data { stream, bytes })) => shared.take(stream, bytes).await,
                Err(error) => Err(error.to_string()),
            };
            if let Err(cause) = handled {
                return End::Broken(format!("the agent does not keep to the protocol: {cause}"));
            }
        }
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long this side has said nothing.
    fn silent(&self) -> Duration {
        let spoke = *self.spoke.lock().unwrap_or_else(PoisonError::into_inner);
        spoke.map_or(Duration::ZERO, |spoke| {
            (self.timing.uptime)().saturating_sub(spoke)
        })
    }

    /// Notes that this side is speaking, or has just spoken.
    fn speak(&self, is_done: bool) {
        let spoke = is_done.then(|| (self.timing.uptime)());
        *self.spoke.lock().unwrap_or_else(PoisonError::into_inner) = spoke;
    }

    /// The end of the connection for a reason that means something else to a side that was asleep.
    fn broken(&self, cause: String) -> End {
        let silent = self.silent();
        if silent >= self.timing.pulse.silence {
            End::Fenced(silent)
        } else {
            End::Broken(cause)
        }
    }

    /// How long the node may work on one request at all.
    pub(super) fn longest_work(&self) -> Duration {
        self.timing.longest_work
    }

    /// How long an agent at work may say nothing of it.
    pub(super) fn silence_at_work(&self) -> Duration {
        self.timing.silence_at_work
    }

    /// How long the agent has for a question that it answers from what it sees, as slow as the node is.
    pub(super) fn quick(&self) -> Duration {
        self.pace.bound(self.quick)
    }

    /// How slow the node has been in this connection.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// When the agent is given up that was asked something at `asked` and has `limit` for it. A node that is at other
    /// work is given as long as that may be silent, and the limit counts from the end of that work. All the while its
    /// heartbeats come, or the connection ends.
    pub(super) fn answer_due(&self, asked: Instant, limit: Duration) -> Instant {
        let state = self.state();
        let is_at_work = state.pending.values().any(|pending| pending.progress.is_some());
        let worked_until = state.worked_until;
        drop(state);
        if is_at_work {
            let quiet = self.last_active().max(asked) + self.timing.silence_at_work.max(limit);
            quiet.min(asked + self.timing.longest_work)
        } else {
            worked_until.map_or(asked, |until| until.max(asked)) + limit
        }
    }

    /// When the agent last said anything but that it is there.
    pub(super) fn last_active(&self) -> Instant {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something goes on, although the agent says nothing.
    pub(super) fn mark_active(&self) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Queues a message.
    pub(super) fn say(&self, doing: &str, message: &ToAgent) -> Result<(), NodeCallError> {
        let frame = encode_message(message).map_err(|error: FrameError| NodeCallError::Protocol {
            node: self.node.clone(),
            doing: doing.to_owned(),
            cause: error.to_string(),
        })?;
        self.messages.try_send(frame).map_err(|_| self.not_asked(doing))
    }

    /// Answers the agent from the reading side.
    pub(super) fn answer(&self, message: &ToAgent) -> Result<(), String> {
        let frame = encode_message(message).map_err(|error| error.to_string())?;
        self.messages
            .try_send(frame)
            .map_err(|_| "it asks without reading the answers".to_owned())
    }

    /// Asks; the answer arrives on the receiver.
    pub(super) fn ask(&self, doing: &str, request: Request, pending: Pending) -> Result<(), NodeCallError> {
        let id = {
            let mut state = self.state();
            if state.loss.is_some() {
                drop(state);
                return Err(self.not_asked(doing));
            }
            state.next_request += 1;
            let id = state.next_request;
            state.pending.insert(id, pending);
            id
        };
        let said = self.say(doing, &ToAgent::Request { id, request });
        if said.is_err() {
            self.state().pending.remove(&id);
        }
        said
    }

    /// Numbers a new stream.
    pub(super) fn new_stream(&self) -> StreamId {
        let mut state = self.state();
        state.next_stream += 1;
        state.next_stream
    }

    /// Ends the connection because of something on this side.
    pub(super) fn give_up(&self, cause: String) {
        // One cause is enough; the queue has room for it.
        let _ = self.fatal.try_send(cause);
    }

    /// Says goodbye.
    pub(super) fn leave(&self) -> Result<(), NodeCallError> {
        self.state().is_leaving = true;
        self.say("say goodbye", &ToAgent::Goodbye)
    }

    pub(super) fn is_lost(&self) -> bool {
        self.state().loss.is_some()
    }

    /// Whose lock the agent waits for before its first word.
    pub(super) fn holders(&self) -> watch::Receiver<Option<LockHolder>> {
        self.waits_for.subscribe()
    }

    /// Waits for the end of the connection.
    pub(super) async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    fn lose(&self, end: End, stderr: Box<str>) {
        let dropped = {
            let mut state = self.state();
            if state.loss.is_none() {
                if !state.is_leaving {
                    tracing::debug!(node = %self.node, ?end, "connection lost");
                }
                state.loss = Some(Loss { end, stderr });
            }
            let pending = std::mem::take(&mut state.pending);
            let tunnels = std::mem::take(&mut state.tunnels);
            (pending, tunnels, state.greeting.take())
        };
        drop(dropped);
        self.ended.send_replace(true);
    }

    /// The error for a call that the end of the connection left without answer.
    pub(super) fn lost(&self, doing: &str) -> NodeCallError {
        self.ended_before(doing, true)
    }

    /// The error for a call that came after the end of the connection.
    fn not_asked(&self, doing: &str) -> NodeCallError {
        self.ended_before(doing, false)
    }

    fn ended_before(&self, doing: &str, asked: bool) -> NodeCallError {
        let (node, doing) = (self.node.clone(), doing.to_owned());
        let (end, stderr) = match &self.state().loss {
            Some(loss) => (loss.end.clone(), loss.stderr.clone()),
            None => (End::Broken("the agent does not read".to_owned()), Box::default()),
        };
        match end {
            End::Broken(cause) => NodeCallError::Lost {
                node,
                doing,
                cause,
                asked,
                stderr,
            },
            End::Fenced(silent) => NodeCallError::Fenced {
                node,
                doing,
                silent,
                asked,
            },
        }
    }

    pub(super) fn timed_out(&self, doing: &str, after: Duration) -> NodeCallError {
        NodeCallError::TimedOut {
            node: self.node.clone(),
            doing: doing.to_owned(),
            after,
            last_seen: None,
        }
    }

    /// The same for work that reported what it was at.
    pub(super) fn overdue(&self, doing: &str, after: Duration) -> NodeCallError {
        NodeCallError::TimedOut {
            node: self.node.clone(),
            doing: doing.to_owned(),
            after,
            last_seen: self.state().at.clone(),
        }
    }

    /// Counts a message about work at hand. Each may be logged and may keep a run waiting, so there are only as many as
    /// the work can need.
    fn count_message(&self) -> Result<(), String> {
        let mut state = self.state();
        let mut open = state.pending.values_mut();
        let Some(pending) = open.find(|pending| pending.progress.is_some()) else {
            return Err("it tells of work that nobody asked for".to_owned());
        };
        let left = pending.messages_left.checked_sub(1);
        pending.messages_left = left.ok_or("it says more than its work can need")?;
        Ok(())
    }

    fn hear(self: &Arc<Self>, message: FromAgent) -> Result<(), String> {
        match message {
            FromAgent::Hello {
                protocol,
                version,
                locked_by,
            } => {
                if protocol != PROTOCOL {
                    return Err(format!("it speaks version {protocol}, not {PROTOCOL}"));
                }
                let greeting = self.state().greeting.take().ok_or("a second hello")?;
                let _ = greeting.send(Greeting { version, locked_by });
            }
            FromAgent::Waiting { holder } => {
                let mut state = self.state();
                if state.greeting.is_none() {
                    return Err("it waits for a lock after its hello".to_owned());
                }
                state.waiting_messages += 1;
                if state.waiting_messages > WAITING_MESSAGES {
                    return Err("it says again and again that it waits for a lock".to_owned());
                }
                drop(state);
                self.waits_for.send_replace(Some(holder));
            }
            FromAgent::Reply { id, reply } => {
                let pending = {
                    let mut state = self.state();
                    let pending = state.pending.remove(&id);
                    if pending.as_ref().is_some_and(|pending| pending.progress.is_some()) {
                        state.worked_until = Some(Instant::now());
                    }
                    pending.ok_or_else(|| format!("reply {id} to nothing that was asked"))?
                };
                let secrets = pending.secrets;
                let _ = pending.answer.send(Answer { reply, secrets });
            }
            FromAgent::Progress { resource, done } => {
                self.count_message()?;
                check_name(&resource)?;
                let listener = {
                    let mut state = self.state();
                    state.at = Some(resource.to_string());
                    state
                        .pending
                        .values()
                        .find_map(|pending| pending.progress.clone())
                };
                if let Some(listener) = listener {
                    listener(&resource, done);
                }
            }
            FromAgent::NeedBlob { sha256 } => {
                self.count_message()?;
                self.serve_blob(sha256)?;
            }
            FromAgent::NeedSignature { resource, request } => {
                self.count_message()?;
                check_name(&resource)?;
                self.serve_signature(resource, &request)?;
            }
            FromAgent::NeedSecret { name } => {
                self.count_message()?;
                self.serve_secret(name)?;
            }
            FromAgent::Secret { name, content } => self.receive_secret(name, content)?,
            FromAgent::Tunnel { stream, error } => self.hear_of_tunnel(stream, error)?,
            FromAgent::Heartbeat | FromAgent::GaveUp { .. } => {}
        }
        Ok(())
    }
}

/// Refuses a name that no resource can have, before it is logged or shown.
fn check_name(resource: &ResourceId) -> Result<(), String> {
    let bytes = resource.as_str().len();
    if bytes > RESOURCE_NAME_BYTES {
        return Err(format!("it names a resource with {bytes} bytes"));
    }
    Ok(())
}
