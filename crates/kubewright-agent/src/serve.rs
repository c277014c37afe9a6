//! The connection with the controller over one pair of pipes.
//!
//! One thread reads frames and never works: it hands requests that change or inspect the node to one worker, which does
//! them in order; requests that only ask run beside it. Answers to the worker's questions and bytes of streams find
//! their way by number. When the controller goes away (a frame that is none counts as that, and so does a silence of
//! [`Pulse::silence`]), the change at hand is finished, no other is begun, and the lock is freed by the end of the process.
//! A controller that was only paused finds its pipes closed: none of its later words reaches anybody.

mod arriving;
mod controller;
mod locking;
mod worker;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubewright_core::secret::Secret;
use kubewright_core::wire::frame::{Decoder, Frame, FrameError, decode_message};
use kubewright_core::wire::{
    FromAgent, LockHolder, NodeError, PROTOCOL, Pulse, Reply, Request, RequestId, StreamId, ToAgent,
};

use self::arriving::{Arriving, Heard};
use self::controller::Answer;
use self::locking::{Ear, Locking};
use self::worker::Job;
use crate::datagrams::Echo;
use crate::fault::fault;
use crate::journal::Run;
use crate::link::Link;
use crate::lock::Lock;
use crate::pipe::Pipe;
use crate::system::System;
use crate::{datagrams, facts, operations, probe, secrets, sync_speed, tunnel, wait};

/// Requests that wait for the worker, at most.
const JOBS: usize = 64;
/// Answers the worker has not taken yet, at most.
const ANSWERS: usize = 512;
/// How long the last words to the controller may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Streams and asking requests at a time, at most; each takes a thread.
const THREADS: usize = 128;
/// How long a tunnel's far end may refuse to take bytes before the tunnel is given up for the sake of the others.
const TUNNEL_PATIENCE: Duration = Duration::from_secs(15);

/// What ends a connection early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The controller sent something that is no frame or message.
    #[error("the controller's words are not understood")]
    Frame(#[from] FrameError),
    /// A message came that has no place there.
    #[error("the controller said {0} out of turn")]
    OutOfTurn(&'static str),
    /// A thread could not be started.
    #[error("start a thread")]
    Thread(#[source] std::io::Error),
}

/// Speaks with the controller until it says goodbye or goes away.
///
/// # Errors
/// When the controller does not speak as agreed; a controller that goes away is no error.
pub fn serve(
    system: &Arc<dyn System>,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
) -> Result<(), ServeError> {
    serve_with(system, input, output, Pulse::default())
}

/// The same with another timeout, for tests.
///
/// # Errors
/// As [`serve`].
pub fn serve_with(
    system: &Arc<dyn System>,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    pulse: Pulse,
) -> Result<(), ServeError> {
    let link = Arc::new(Link::new(output, pulse.every).map_err(ServeError::Thread)?);
    let mut connection = None;
    let result = match Arriving::from(input, pulse) {
        Ok(arriving) => listen(system, &link, &arriving, &mut connection),
        Err(error) => Err(ServeError::Thread(error)),
    };
    match &result {
        Ok(End::Silence(silent)) => link.close_with(&FromAgent::GaveUp {
            silent_seconds: silent.as_secs(),
        }),
        _ => link.close(),
    }
    if let Some(connection) = connection {
        if let Some(lock) = &connection.lock {
            lock.left();
        }
        let said_goodbye = matches!(result, Ok(End::Goodbye));
        connection.finish(said_goodbye);
    }
    link.drain(LAST_WORDS);
    result.map(|_| ())
}

enum End {
    Goodbye,
    Gone,
    Silence(Duration),
}

fn listen(
    system: &Arc<dyn System>,
    link: &Arc<Link>,
    arriving: &Arriving,
    connection: &mut Option<Connection>,
) -> Result<End, ServeError> {
    let mut decoder = Decoder::default();
    loop {
        while let Some(frame) = decoder.next_frame()? {
            match (frame, &mut *connection) {
                (Frame::Data { stream, bytes }, Some(connection)) => connection.data(stream, bytes),
                (Frame::Data { .. }, None) => return Err(ServeError::OutOfTurn("data")),
                (Frame::Message(body), _) => match (decode_message(&body)?, &mut *connection) {
                    (ToAgent::Goodbye, _) => return Ok(End::Goodbye),
                    (ToAgent::Heartbeat, _) => {}
                    (hello @ ToAgent::Hello { .. }, None) => {
                        let decoder = &mut decoder;
                        let mut ear = Ear {
                            system,
                            link,
                            arriving,
                            decoder,
                        };
                        match Connection::open(&mut ear, hello)? {
                            Ok(opened) => *connection = Some(opened),
                            Err(end) => return Ok(end),
                        }
                    }
                    (ToAgent::Hello { .. }, Some(_)) => return Err(ServeError::OutOfTurn("hello")),
                    (_, None) => return Err(ServeError::OutOfTurn("something before hello")),
                    (message, Some(connection)) => connection.message(message)?,
                },
            }
        }
        match arriving.next(system.as_ref()) {
            Heard::Bytes(bytes) => {
                if let Some(lock) = connection.as_ref().and_then(|open| open.lock.as_ref()) {
                    lock.heard();
                }
                decoder.push(&bytes);
            }
            Heard::End => return Ok(End::Gone),
            Heard::Silence(silent) => return Ok(End::Silence(silent)),
        }
        if link.is_gone() {
            return Ok(End::Gone);
        }
    }
}

/// Everything a connection has begun.
struct Connection {
    system: Arc<dyn System>,
    link: Arc<Link>,
    jobs: SyncSender<Job>,
    answers: SyncSender<Answer>,
    worker: std::thread::JoinHandle<()>,
    streams: BTreeMap<StreamId, Stream>,
    threads: Arc<AtomicUsize>,
    listeners: Arc<Mutex<Vec<TcpListener>>>,
    echoes: Arc<Mutex<Vec<Echo>>>,
    /// Whether the lock is held; otherwise why nothing may be changed.
    may_change: Result<(), NodeError>,
    lock: Option<Arc<Lock>>,
}

struct Stream {
    pipe: Pipe,
    limit: Option<Duration>,
}

impl Connection {
    /// Answers hello; tells how the connection ended when none came of it.
    fn open(ear: &mut Ear<'_>, hello: ToAgent) -> Result<Result<Self, End>, ServeError> {
        let (system, link) = (ear.system, ear.link);
        let ToAgent::Hello {
            protocol,
            run,
            cluster,
            operator,
            lock: wants_lock,
            lock_timeout_ms,
        } = hello
        else {
            return Ok(Err(End::Gone));
        };
        let holder = LockHolder::new(&operator, &run, system.now());
        let (mut lock, mut locked_by) = (None, None);
        let mut broken = None;
        if wants_lock && protocol == PROTOCOL {
            match ear.lock(&holder, Duration::from_millis(lock_timeout_ms))? {
                Locking::Held(taken) => {
                    // It has just said hello.
                    taken.heard();
                    lock = Some(Arc::new(taken));
                }
                Locking::Refused(other) => locked_by = Some(other),
                Locking::Broken(error) => broken = Some(error),
                Locking::Ended(end) => return Ok(Err(end)),
            }
        }
        link.send(&FromAgent::Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            locked_by: locked_by.clone(),
        });
        if protocol != PROTOCOL {
            return Ok(Err(End::Gone));
        }
        let may_change = match (&lock, locked_by, broken) {
            (Some(_), _, _) => Ok(()),
            (None, Some(holder), _) => Err(fault(
                "change the node",
                format!("{} holds its lock, for run {}", holder.operator, holder.run),
            )),
            (None, None, Some(error)) => Err(error),
            (None, None, None) => Err(fault("change the node", "its lock was not asked for")),
        };
        let (jobs, job_queue) = mpsc::sync_channel(JOBS);
        let (answers, answer_queue) = mpsc::sync_channel(ANSWERS);
        let run = Run {
            id: run,
            operator,
            cluster,
        };
        let setting = worker::Setting {
            system: Arc::clone(system),
            link: Arc::clone(link),
            run,
            may_change: may_change.clone(),
            lock: lock.clone(),
        };
        let worker = std::thread::Builder::new()
            .name("worker".to_owned())
            .spawn(move || worker::run(setting, &job_queue, answer_queue))
            .map_err(ServeError::Thread)?;
        Ok(Ok(Self {
            system: Arc::clone(system),
            link: Arc::clone(link),
            jobs,
            answers,
            worker,
            streams: BTreeMap::new(),
            threads: Arc::default(),
            listeners: Arc::default(),
            echoes: Arc::default(),
            may_change,
            lock,
        }))
    }

    fn message(&mut self, message: ToAgent) -> Result<(), ServeError> {
        match message {
            ToAgent::Request { id, request } => self.request(id, request),
            ToAgent::Blob { stream, sha256 } => {
                let (pipe, reader) = Pipe::new();
                self.open_stream(stream, pipe, None);
                return self.answer(Answer::Blob { sha256, reader });
            }
            ToAgent::Signed {
                resource,
                certificate,
            } => {
                return self.answer(Answer::Signed {
                    resource,
                    certificate,
                });
            }
            ToAgent::Secret { name, content } => {
                let content = content.map(|text| {
                    let text = zeroize::Zeroizing::new(text.0);
                    STANDARD.decode(text.as_bytes()).map(Secret::new).ok()
                });
                return self.answer(Answer::Secret {
                    name,
                    content: content.flatten(),
                });
            }
            ToAgent::OpenTunnel { stream, address } => self.open_tunnel(stream, address),
            ToAgent::Hello { .. } | ToAgent::Heartbeat | ToAgent::Goodbye => {}
        }
        Ok(())
    }

    fn answer(&self, answer: Answer) -> Result<(), ServeError> {
        // The worker is asked for far fewer answers than fit; more is no connection.
        self.answers
            .try_send(answer)
            .map_err(|_| ServeError::OutOfTurn("more answers than there were questions"))
    }

    fn request(&mut self, id: RequestId, request: Request) {
        match request {
            Request::Inspect { state, verify } => self.job(id, Job::Inspect { id, state, verify }),
            Request::Converge { state, resources } => self.job(id, Job::Converge { id, state, resources }),
            Request::RecordFounders { founders } => self.job(id, Job::RecordFounders { id, founders }),
            Request::MarkBootstrapped {} => self.job(id, Job::MarkBootstrapped { id }),
            Request::CrashUnit { unit } => self.job(id, Job::CrashUnit { id, unit }),
            Request::Reset {} => self.job(id, Job::Reset { id }),
            Request::Undo { only_look } => self.job(id, Job::Undo { id, only_look }),
            Request::TakeBack { resources } => self.job(id, Job::TakeBack { id, resources }),
            Request::Listen { address, ports } => {
                let listeners = Arc::clone(&self.listeners);
                self.beside(id, move |_, _| {
                    let held = probe::listen(address, &ports)?;
                    listeners
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend(held);
                    Ok(Reply::Done {})
                });
            }
            Request::Echo { address, ports } => {
                let echoes = Arc::clone(&self.echoes);
                self.beside(id, move |_, _| {
                    let held = datagrams::echo(address, &ports)?;
                    echoes.lock().unwrap_or_else(PoisonError::into_inner).extend(held);
                    Ok(Reply::Done {})
                });
            }
            Request::ProbeDatagrams {
                from,
                targets,
                bytes,
                timeout_ms,
            } => self.beside(id, move |_, _| {
                let timeout = Duration::from_millis(timeout_ms);
                let targets = datagrams::probe(from, &targets, bytes, timeout)?;
                Ok(Reply::Datagrams { targets })
            }),
            Request::MeasureSync { directory } => self.beside(id, move |system, _| {
                let speed = sync_speed::measure(system.as_ref(), &directory)?;
                Ok(Reply::Synced { speed })
            }),
            Request::Facts {} => self.beside(id, |system, _| {
                let facts = Box::new(facts::gather(system)?);
                Ok(Reply::Facts { facts })
            }),
            Request::ReadSecrets { paths } => self.beside(id, move |system, link| {
                for (name, content) in secrets::read(system, &paths)? {
                    link.send(&FromAgent::Secret { name, content });
                }
                Ok(Reply::Done {})
            }),
            Request::Wait {
                condition,
                timeout_ms,
            } => self.beside(id, move |system, link| {
                let timeout = Duration::from_millis(timeout_ms);
                wait::wait(system.as_ref(), &condition, timeout, &|| link.is_gone())?;
                Ok(Reply::Done {})
            }),
            Request::Explain { condition } => self.beside(id, move |system, _| {
                let explanation = wait::explain(system.as_ref(), &condition)?;
                Ok(Reply::Explained { explanation })
            }),
            Request::Probe { targets, timeout_ms } => self.beside(id, move |_, _| {
                let targets = probe::probe(&targets, Duration::from_millis(timeout_ms))?;
                Ok(Reply::Probed { targets })
            }),
            Request::RecordOperation { name, begins, lines } => {
                if let Err(error) = &self.may_change {
                    return self.link.reply(id, Err(error.clone()));
                }
                self.beside(id, move |system, _| {
                    operations::record(system, &name, begins, &lines)?;
                    Ok(Reply::Done {})
                });
            }
            Request::ReadOperations { run } => self.beside(id, move |system, _| {
                let operations = operations::read(system, run.as_deref())?;
                Ok(Reply::Operations { operations })
            }),
        }
    }

    fn job(&self, id: RequestId, job: Job) {
        if self.jobs.try_send(job).is_err() {
            self.link
                .reply(id, Err(fault("take the request", "too many wait already")));
        }
    }

    /// Answers a request on a thread of its own.
    fn beside(
        &self,
        id: RequestId,
        work: impl FnOnce(&Arc<dyn System>, &Arc<Link>) -> Result<Reply, NodeError> + Send + 'static,
    ) {
        let (system, link) = (Arc::clone(&self.system), Arc::clone(&self.link));
        let begun = self.thread(move || link.reply(id, work(&system, &link)));
        if !begun {
            self.link.reply(
                id,
                Err(fault("take the request", "too many are being answered already")),
            );
        }
    }

    /// Starts a thread unless there are too many.
    fn thread(&self, work: impl FnOnce() + Send + 'static) -> bool {
        let threads = Arc::clone(&self.threads);
        if threads.fetch_add(1, Ordering::SeqCst) >= THREADS {
            threads.fetch_sub(1, Ordering::SeqCst);
            return false;
        }
        let counted = Arc::clone(&threads);
        let begun = std::thread::Builder::new().spawn(move || {
            work();
            counted.fetch_sub(1, Ordering::SeqCst);
        });
        if begun.is_err() {
            threads.fetch_sub(1, Ordering::SeqCst);
        }
        begun.is_ok()
    }

    fn open_tunnel(&mut self, stream: StreamId, address: String) {
        let (pipe, reader) = Pipe::new();
        let link = Arc::clone(&self.link);
        if self.thread(move || tunnel::run(&link, stream, &address, reader)) {
            self.open_stream(stream, pipe, Some(TUNNEL_PATIENCE));
        } else {
            self.link.send(&FromAgent::Tunnel {
                stream,
                error: Some("too many are open already".to_owned()),
            });
        }
    }

    fn open_stream(&mut self, stream: StreamId, pipe: Pipe, limit: Option<Duration>) {
        if let Some(old) = self.streams.insert(stream, Stream { pipe, limit }) {
            old.pipe.break_off();
        }
    }

    /// Passes bytes to their stream; those of an unknown stream are dropped.
    fn data(&mut self, stream: StreamId, bytes: Vec<u8>) {
        let Some(open) = self.streams.get(&stream) else {
            return;
        };
        if bytes.is_empty() {
            open.pipe.end();
            self.streams.remove(&stream);
        } else if open.pipe.push(bytes, open.limit).is_err() {
            open.pipe.break_off();
            self.streams.remove(&stream);
        }
    }

    /// Ends everything: the worker finishes the change at hand; the lock is freed last.
    fn finish(self, said_goodbye: bool) {
        let Self {
            jobs,
            answers,
            worker,
            streams,
            lock,
            ..
        } = self;
        drop(answers);
        for stream in streams.values() {
            stream.pipe.break_off();
        }
        if said_goodbye {
            // When the queue is full there is work left, and the run has not finished.
            let _ = jobs.try_send(Job::Goodbye);
        }
        drop(jobs);
        let _ = worker.join();
        drop(lock);
    }
}

#[cfg(test)]
mod tests;
