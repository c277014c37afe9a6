//! Both directions of one channel: who waits for which answer, and what happens when it ends.
//!
//! One task reads and writes. What is to be written waits in three queues, so that a gigabyte of images holds up
//! neither a question nor a tunnel. The reading side never waits for the writing side: an agent that asks without
//! reading the answers is cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kubewright_core::observed::Counters;
use kubewright_core::secret::Secret;
use kubewright_core::spec::NodeName;
use kubewright_core::wire::frame::{Decoder, Frame, FrameError, decode_message, encode_data, encode_message};
use kubewright_core::wire::{
    FromAgent, LockHolder, NodeError, PROTOCOL, Reply, Request, RequestId, StreamId, ToAgent,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::NodeCallError;
use super::service::{Planned, Progress, Services};
use crate::transport::{Channel, Reader, Writer};

/// Messages that may wait to be written; an agent that lets more pile up does not read.
const MESSAGES: usize = 1024;
/// Frames of tunnels that may wait to be written.
const TUNNEL_FRAMES: usize = 16;
/// Frames of blobs that may wait to be written: 1 MiB.
const BLOB_FRAMES: usize = 4;
/// How long a tunnel may hold up everything else because nobody takes what arrives on it.
const SLOW_TUNNEL: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 10_000 });
/// How long the process at this end has to leave when the conversation is over.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a conversation ended.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    cause: String,
    stderr: Box<str>,
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
    active: Mutex<Instant>,
}

/// Ends the conversation when the last handle goes.
pub(super) struct Guard(JoinHandle<()>);

impl Guard {
    /// Ends the conversation now.
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

/// Starts a conversation over a channel; the agent's first word arrives on the receiver.
pub(super) fn start(node: NodeName, channel: Channel) -> (Arc<Shared>, Guard, oneshot::Receiver<Greeting>) {
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
        active: Mutex::new(Instant::now()),
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
    let end = EndOnDrop(&shared);
    let cause = {
        let reading = read(&shared, reader);
        tokio::pin!(reading);
        tokio::select! {
            cause = &mut reading => cause,
            Some(cause) = fatal.recv() => cause,
            error = write(writer, queues) => {
                // What the agent said before it went may still be on its way.
                let last = timeout(LAST_WORDS, &mut reading).await.ok();
                last.unwrap_or_else(|| format!("write: {error}"))
            }
        }
    };
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
    shared.lose(cause, ending.stderr.into());
    drop(end);
}

/// Makes sure that nobody waits for ever, also when the task is aborted.
struct EndOnDrop<'a>(&'a Shared);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lose("this side ended it".to_owned(), Box::default());
    }
}

/// Writes until writing fails.
async fn write(mut writer: Writer, mut queues: Queues) -> std::io::Error {
    loop {
        let frame = tokio::select! {
            biased;
            Some(frame) = queues.messages.recv() => frame,
            Some(frame) = queues.tunnel_frames.recv() => frame,
            Some(frame) = queues.blob_frames.recv() => frame,
            else => return std::io::Error::other("nobody is left to write for"),
        };
        if let Err(error) = writer.write_all(&frame).await {
            return error;
        }
        if let Err(error) = writer.flush().await {
            return error;
        }
    }
}

/// Reads until the conversation ends, and tells why it did.
async fn read(shared: &Arc<Shared>, mut reader: Reader) -> String {
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return "the agent has gone".to_owned(),
            Ok(count) => decoder.push(&buffer[..count]),
            Err(error) => return format!("read: {error}"),
        }
        *shared.active.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        loop {
            let handled = match decoder.next_frame() {
                Ok(None) => break,
                Ok(Some(Frame::Message(body))) => match decode_message(&body) {
                    Ok(message) => shared.hear(message),
                    Err(error) => Err(error.to_string()),
                },
                Ok(Some(Frame::Data { stream, bytes })) => shared.take(stream, bytes).await,
                Err(error) => Err(error.to_string()),
            };
            if let Err(cause) = handled {
                return format!("the agent does not keep to the protocol: {cause}");
            }
        }
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the agent last said anything.
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
        self.messages.try_send(frame).map_err(|_| self.lost(doing))
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
                return Err(self.lost(doing));
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

    /// Ends the conversation because of something on this side.
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

    /// Waits for the end of the conversation.
    pub(super) async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    fn lose(&self, cause: String, stderr: Box<str>) {
        let dropped = {
            let mut state = self.state();
            if state.loss.is_none() {
                if !state.is_leaving {
                    tracing::debug!(node = %self.node, %cause, "conversation lost");
                }
                state.loss = Some(Loss { cause, stderr });
            }
            let pending = std::mem::take(&mut state.pending);
            let tunnels = std::mem::take(&mut state.tunnels);
            (pending, tunnels, state.greeting.take())
        };
        drop(dropped);
        self.ended.send_replace(true);
    }

    /// The error for a call that the end of the conversation left without answer.
    pub(super) fn lost(&self, doing: &str) -> NodeCallError {
        let state = self.state();
        let (cause, stderr) = match &state.loss {
            Some(loss) => (loss.cause.clone(), loss.stderr.clone()),
            None => ("the agent does not read".to_owned(), Box::default()),
        };
        NodeCallError::Lost {
            node: self.node.clone(),
            doing: doing.to_owned(),
            cause,
            stderr,
        }
    }

    pub(super) fn timed_out(&self, doing: &str, after: Duration) -> NodeCallError {
        NodeCallError::TimedOut {
            node: self.node.clone(),
            doing: doing.to_owned(),
            after,
        }
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
            FromAgent::Reply { id, reply } => {
                let pending = self.state().pending.remove(&id);
                let pending = pending.ok_or_else(|| format!("reply {id} to nothing that was asked"))?;
                let secrets = pending.secrets;
                let _ = pending.answer.send(Answer { reply, secrets });
            }
            FromAgent::Progress { resource, done } => {
                let listener = {
                    let state = self.state();
                    state
                        .pending
                        .values()
                        .find_map(|pending| pending.progress.clone())
                };
                if let Some(listener) = listener {
                    listener(&resource, done);
                }
            }
            FromAgent::NeedBlob { sha256 } => self.serve_blob(sha256)?,
            FromAgent::NeedSignature { resource, request } => self.serve_signature(resource, &request)?,
            FromAgent::NeedSecret { name } => self.serve_secret(name)?,
            FromAgent::Secret { name, content } => self.receive_secret(name, content)?,
            FromAgent::Tunnel { stream, error } => self.hear_of_tunnel(stream, error)?,
        }
        Ok(())
    }

    fn hear_of_tunnel(&self, stream: StreamId, error: Option<String>) -> Result<(), String> {
        let mut state = self.state();
        match state.tunnels.remove(&stream) {
            Some(Tunnel::Opening(opened)) => {
                let outcome = if let Some(error) = error {
                    Err(error)
                } else {
                    let (sender, receiver) = mpsc::channel(TUNNEL_FRAMES);
                    state.tunnels.insert(stream, Tunnel::Open(sender));
                    Ok(receiver)
                };
                let is_open = outcome.is_ok();
                if opened.send(outcome).is_err() && is_open {
                    state.tunnels.insert(stream, Tunnel::Abandoned);
                    // Nobody waits any more; when the queue is full, the agent learns it at the end.
                    let end = encode_data(stream, &[]).map_err(|error| error.to_string())?;
                    let _ = self.tunnel_frames.try_send(end);
                }
                Ok(())
            }
            _ => Err(format!("tunnel {stream} that nobody opens")),
        }
    }

    /// Takes data of a tunnel; no bytes end it.
    async fn take(&self, stream: StreamId, bytes: Vec<u8>) -> Result<(), String> {
        let sender = {
            let mut state = self.state();
            let is_end = bytes.is_empty();
            match state.tunnels.get(&stream) {
                Some(Tunnel::Open(_) | Tunnel::Abandoned) if is_end => {
                    state.tunnels.remove(&stream);
                    return Ok(());
                }
                Some(Tunnel::Open(sender)) => sender.clone(),
                Some(Tunnel::Abandoned) => return Ok(()),
                Some(Tunnel::Opening(_)) | None => {
                    return Err(format!("data on stream {stream}, which is not open"));
                }
            }
        };
        let taken = timeout(SLOW_TUNNEL, sender.send(bytes)).await;
        if !matches!(taken, Ok(Ok(()))) {
            if taken.is_err() {
                tracing::debug!(node = %self.node, stream, "nobody takes what arrives on a tunnel; closing it");
            }
            self.state().tunnels.insert(stream, Tunnel::Abandoned);
        }
        Ok(())
    }
}
