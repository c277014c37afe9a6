//! What can be asked of a node, each with its own timeout.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use kubewright_core::journal::Undone;
use kubewright_core::observed::{Counters, Datagrams, Difference, Facts, Founders, SyncSpeed};
use kubewright_core::operation_log::RecordedRun;
use kubewright_core::resource::{NodeState, ResourceId};
use kubewright_core::secret::Secret;
use kubewright_core::wire::{Explanation, NodeCondition, Reply, Request};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::connection::{Answer, Pending};
use super::service::{Planned, Progress, Services};
use super::{Node, NodeCallError};
use crate::pace::Measure;

/// For comparing a whole state, with every file read again.
const INSPECTION: Duration = Duration::from_secs(15 * 60);
/// For putting back what a run changed: units may take minutes to stop.
const UNDOING: Duration = Duration::from_secs(30 * 60);
/// How many messages an agent may send about each resource it changes: that it begins, content, signature or secret it
/// needs, that it is done; twice that for what is asked again.
const MESSAGES_PER_RESOURCE: usize = 8;
/// How many messages it may send besides.
const MESSAGES: usize = 64;
/// What an answer may take on top of what the node itself was told to wait.
const MARGIN: Duration = Duration::from_secs(15);

/// How a node differs from a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What differs, in order of convergence; orphaned last.
    pub differences: Vec<Difference>,
    /// Work the agent did so far in this connection.
    pub counters: Counters,
}

/// What a node did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// What was changed.
    pub changed: Vec<ResourceId>,
    /// Work the agent did so far in this connection.
    pub counters: Counters,
}

/// What comes with a request besides its words.
#[derive(Default)]
struct With {
    progress: Option<Progress>,
    services: Option<Services>,
    /// How many resources are to be changed.
    resources: usize,
    expected: Vec<String>,
}

impl Node {
    /// Asks for everything about the node.
    pub async fn facts(&self) -> Result<Facts, NodeCallError> {
        let doing = "gather facts";
        let asked = Instant::now();
        match self.quick(doing, Request::Facts {}).await? {
            Reply::Facts { facts } => {
                self.pace().note(Measure::Facts, asked.elapsed());
                Ok(*facts)
            }
            _ => Err(self.unexpected(doing)),
        }
    }

    /// Asks a control plane for the shared secrets it holds; `paths` is by secret name.
    pub async fn read_secrets(
        &self,
        paths: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Secret>, NodeCallError> {
        let doing = "read the shared secrets";
        let with = With {
            expected: paths.keys().cloned().collect(),
            ..With::default()
        };
        let answer = self.ask(doing, Request::ReadSecrets { paths }, with)?;
        let answer = self.answer(doing, answer, self.shared.quick()).await?;
        self.checked(answer.reply)?;
        Ok(answer.secrets)
    }

    /// Compares the node with a state, which [`Node::converge`] can then make so.
    pub async fn inspect(&self, state: &NodeState, verify: bool) -> Result<Inspection, NodeCallError> {
        let doing = "inspect";
        let request = Request::Inspect {
            state: state.clone(),
            verify,
        };
        match self.within(INSPECTION, doing, request).await? {
            Reply::Inspected {
                differences,
                counters,
            } => {
                self.shared.state().counters = counters;
                Ok(Inspection {
                    differences,
                    counters,
                })
            }
            _ => Err(self.unexpected(doing)),
        }
    }

    /// Makes resources of a state so that was inspected through this connection.
    pub async fn converge(
        &self,
        state: &NodeState,
        resources: Vec<ResourceId>,
        services: &Services,
        progress: Progress,
    ) -> Result<Work, NodeCallError> {
        let with = With {
            progress: Some(progress),
            services: Some(services.clone()),
            resources: resources.len(),
            ..With::default()
        };
        self.shared.state().planned = Planned::of(state);
        let state = state.digest();
        self.work("converge", Request::Converge { state, resources }, with)
            .await
    }

    /// Stops and removes everything kubewright put on the node.
    pub async fn reset(&self, progress: Progress) -> Result<Work, NodeCallError> {
        let with = With {
            progress: Some(progress),
            ..With::default()
        };
        self.work("reset", Request::Reset {}, with).await
    }

    /// Puts back what the last unfinished run changed on the node, or only tells what that would be.
    pub async fn undo(&self, only_look: bool) -> Result<Undone, NodeCallError> {
        let doing = "undo the last unfinished run";
        match self.within(UNDOING, doing, Request::Undo { only_look }).await? {
            Reply::Undone { undone } => Ok(undone),
            _ => Err(self.unexpected(doing)),
        }
    }

    /// Puts back what this run changed of some resources.
    pub async fn take_back(&self, resources: Vec<ResourceId>) -> Result<Undone, NodeCallError> {
        let doing = "take back what was changed";
        let request = Request::TakeBack { resources };
        match self.within(UNDOING, doing, request).await? {
            Reply::Undone { undone } => Ok(undone),
            _ => Err(self.unexpected(doing)),
        }
    }

    /// Waits on the node until a condition holds.
    pub async fn wait(&self, condition: NodeCondition, limit: Duration) -> Result<(), NodeCallError> {
        let doing = format!("wait until {condition}");
        let request = Request::Wait {
            condition,
            timeout_ms: milliseconds(limit),
        };
        let limit = limit + self.shared.pace().bound(MARGIN);
        match self.within(limit, &doing, request).await? {
            Reply::Done {} => Ok(()),
            _ => Err(self.unexpected(&doing)),
        }
    }

    /// Looks once why a condition does not hold on the node yet.
    pub async fn explain(&self, condition: NodeCondition) -> Result<Explanation, NodeCallError> {
        let doing = format!("look why {condition} does not hold");
        match self.quick(&doing, Request::Explain { condition }).await? {
            Reply::Explained { explanation } => Ok(explanation),
            _ => Err(self.unexpected(&doing)),
        }
    }

    /// Tries TCP connections from the node; targets that were reached map to `None`.
    pub async fn probe(
        &self,
        targets: Vec<String>,
        limit: Duration,
    ) -> Result<BTreeMap<String, Option<String>>, NodeCallError> {
        let doing = "probe other nodes";
        // The agent may try them one after the other.
        let limit = limit * (targets.len() as u32) + self.shared.pace().bound(MARGIN);
        let request = Request::Probe {
            targets,
            timeout_ms: milliseconds(limit),
        };
        match self.within(limit, doing, request).await? {
            Reply::Probed { targets } => Ok(targets),
            _ => Err(self.unexpected(doing)),
        }
    }

    /// Listens on those of the ports that are free, until the connection ends.
    pub async fn listen(&self, address: IpAddr, ports: Vec<u16>) -> Result<(), NodeCallError> {
        self.done("listen for probes", Request::Listen { address, ports })
            .await
    }

    /// Sends datagrams of a check back that come to those of the UDP ports that are free, until the connection ends.
    pub async fn echo(&self, address: IpAddr, ports: Vec<u16>) -> Result<(), NodeCallError> {
        self.done("answer datagrams", Request::Echo { address, ports })
            .await
    }

    /// Sends datagrams from one of the node's addresses to nodes that send them back, large ones of so many bytes.
    pub async fn probe_datagrams(
        &self,
        from: IpAddr,
        targets: Vec<String>,
        bytes: u16,
        limit: Duration,
    ) -> Result<BTreeMap<String, Datagrams>, NodeCallError> {
        let doing = "send datagrams to other nodes";
        let request = Request::ProbeDatagrams {
            from,
            targets,
            bytes,
            timeout_ms: milliseconds(limit),
        };
        // All targets at once, both sizes one after the other.
        let limit = limit * 2 + self.pace().bound(MARGIN);
        match self.within(limit, doing, request).await? {
            Reply::Datagrams { targets } => Ok(targets),
            _ => Err(self.unexpected(doing)),
        }
    }

    /// Measures how fast small writes become durable in a directory.
    pub async fn measure_sync(&self, directory: &str) -> Result<SyncSpeed, NodeCallError> {
        let doing = "measure the disk";
        let directory = directory.to_owned();
        match self.quick(doing, Request::MeasureSync { directory }).await? {
            Reply::Synced { speed } => Ok(speed),
            _ => Err(self.unexpected(doing)),
        }
    }

    /// Keeps on the node who founds etcd.
    pub async fn record_founders(&self, founders: Founders) -> Result<(), NodeCallError> {
        let request = Request::RecordFounders { founders };
        self.done("record the founders of etcd", request).await
    }

    /// Remembers on the node that etcd's bootstrap is finished.
    pub async fn mark_bootstrapped(&self) -> Result<(), NodeCallError> {
        self.done("mark etcd as bootstrapped", Request::MarkBootstrapped {})
            .await
    }

    /// Kills the main process of a unit of ours.
    pub async fn crash_unit(&self, unit: &str) -> Result<(), NodeCallError> {
        let request = Request::CrashUnit {
            unit: unit.to_owned(),
        };
        self.done(&format!("kill {unit}"), request).await
    }

    /// Adds whole lines to a run's record in the node's operation log; they are durable when this returns.
    pub async fn record_operation(
        &self,
        name: &str,
        begins: bool,
        lines: String,
    ) -> Result<(), NodeCallError> {
        let request = Request::RecordOperation {
            name: name.to_owned(),
            begins,
            lines,
        };
        self.done("write the operation log", request).await
    }

    /// What the node's operation log has: all runs without their steps, or those whose id begins with `run`, whole.
    pub async fn read_operations(&self, run: Option<String>) -> Result<Vec<RecordedRun>, NodeCallError> {
        let doing = "read the operation log";
        match self.quick(doing, Request::ReadOperations { run }).await? {
            Reply::Operations { operations } => Ok(operations),
            _ => Err(self.unexpected(doing)),
        }
    }

    async fn done(&self, doing: &str, request: Request) -> Result<(), NodeCallError> {
        match self.quick(doing, request).await? {
            Reply::Done {} => Ok(()),
            _ => Err(self.unexpected(doing)),
        }
    }

    async fn quick(&self, doing: &str, request: Request) -> Result<Reply, NodeCallError> {
        self.within(self.shared.quick(), doing, request).await
    }

    async fn within(&self, limit: Duration, doing: &str, request: Request) -> Result<Reply, NodeCallError> {
        let answer = self.ask(doing, request, With::default())?;
        let answer = self.answer(doing, answer, limit).await?;
        self.checked(answer.reply)
    }

    /// Waits for an answer that takes so long at most, besides other work the node is at.
    async fn answer(
        &self,
        doing: &str,
        answer: oneshot::Receiver<Answer>,
        limit: Duration,
    ) -> Result<Answer, NodeCallError> {
        tokio::pin!(answer);
        let asked = Instant::now();
        loop {
            let due = self.shared.answer_due(asked, limit);
            if due <= Instant::now() {
                return Err(self.shared.timed_out(doing, asked.elapsed()));
            }
            tokio::select! {
                answer = &mut answer => return answer.map_err(|_| self.shared.lost(doing)),
                // Other work may have begun or ended meanwhile.
                () = sleep_until(due.min(Instant::now() + limit)) => {}
            }
        }
    }

    /// Waits as long as something goes on, but not for ever.
    async fn work(&self, doing: &str, request: Request, with: With) -> Result<Work, NodeCallError> {
        self.shared.mark_active();
        self.shared.state().at = None;
        let answer = self.ask(doing, request, with)?;
        tokio::pin!(answer);
        let (longest, silence) = (self.shared.longest_work(), self.shared.silence_at_work());
        let end = Instant::now() + longest;
        let answer = loop {
            let limit = self.shared.last_active() + silence;
            tokio::select! {
                answer = &mut answer => break answer.map_err(|_| self.shared.lost(doing))?,
                () = sleep_until(limit.min(end)) => {
                    if end <= Instant::now() {
                        return Err(self.shared.overdue(doing, longest));
                    }
                    if self.shared.last_active() + silence <= Instant::now() {
                        return Err(self.shared.overdue(doing, silence));
                    }
                }
            }
        };
        match self.checked(answer.reply)? {
            Reply::Converged { changed, counters } => {
                self.shared.state().counters = counters;
                Ok(Work { changed, counters })
            }
            _ => Err(self.unexpected(doing)),
        }
    }

    fn ask(
        &self,
        doing: &str,
        request: Request,
        with: With,
    ) -> Result<oneshot::Receiver<Answer>, NodeCallError> {
        let (answer, receiver) = oneshot::channel();
        let pending = Pending {
            answer,
            progress: with.progress,
            services: with.services,
            messages_left: MESSAGES + MESSAGES_PER_RESOURCE * with.resources,
            expected: with.expected.into_iter().collect(),
            secrets: BTreeMap::new(),
        };
        self.shared.ask(doing, request, pending)?;
        Ok(receiver)
    }

    fn checked(
        &self,
        reply: Result<Reply, kubewright_core::wire::NodeError>,
    ) -> Result<Reply, NodeCallError> {
        reply.map_err(|error| NodeCallError::Node {
            node: self.shared.node.clone(),
            error: Box::new(error),
        })
    }

    fn unexpected(&self, doing: &str) -> NodeCallError {
        NodeCallError::Protocol {
            node: self.shared.node.clone(),
            doing: doing.to_owned(),
            cause: "the answer is of another kind".to_owned(),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
