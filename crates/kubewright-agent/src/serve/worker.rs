//! The one thread that inspects and changes the node, request by request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use kubewright_core::observed::{Counters, Founders};
use kubewright_core::resource::{Digest, NodeState, ResourceId};
use kubewright_core::wire::{NodeError, Reply, RequestId};

use super::controller::{Answer, Controller};
use crate::bootstrapped;
use crate::converge;
use crate::fault::fault;
use crate::founding;
use crate::journal::{Journal, Run};
use crate::link::Link;
use crate::lock::Lock;
use crate::node::Node;
use crate::peer::Peer as _;
use crate::reset;
use crate::resource::unit;
use crate::system::System;
use crate::undo;

/// What the worker is asked to do.
pub(super) enum Job {
    Inspect {
        id: RequestId,
        state: NodeState,
        verify: bool,
    },
    Converge {
        id: RequestId,
        state: Digest,
        resources: Vec<ResourceId>,
    },
    Reset {
        id: RequestId,
    },
    Undo {
        id: RequestId,
        only_look: bool,
    },
    TakeBack {
        id: RequestId,
        resources: Vec<ResourceId>,
    },
    RecordFounders {
        id: RequestId,
        founders: Founders,
    },
    MarkBootstrapped {
        id: RequestId,
    },
    CrashUnit {
        id: RequestId,
        unit: String,
    },
    Goodbye,
}

/// What the worker works with.
pub(super) struct Setting {
    pub(super) system: Arc<dyn System>,
    pub(super) link: Arc<Link>,
    pub(super) run: Run,
    /// Whether the lock is held; otherwise why nothing may be changed.
    pub(super) may_change: Result<(), NodeError>,
    /// The lock, when it is held.
    pub(super) lock: Option<Arc<Lock>>,
}

struct Worker {
    setting: Setting,
    controller: Controller,
    journal: Journal,
    node: Option<Node>,
    /// The states that were inspected in this connection.
    inspected: BTreeMap<Digest, Arc<NodeState>>,
}

/// Does jobs in order until there are no more, or the controller has gone.
pub(super) fn run(setting: Setting, jobs: &Receiver<Job>, answers: Receiver<Answer>) {
    let mut worker = Worker {
        controller: Controller::new(Arc::clone(&setting.link), setting.lock.clone(), answers),
        journal: Journal::new(setting.run.clone()),
        setting,
        node: None,
        inspected: BTreeMap::new(),
    };
    for job in jobs {
        let (id, reply) = match job {
            Job::Goodbye => return worker.goodbye(),
            // Nobody waits for the answer any more.
            _ if worker.controller.is_gone() => continue,
            Job::Inspect { id, state, verify } => (id, worker.inspect(state, verify)),
            Job::Converge { id, state, resources } => (id, worker.converge(state, &resources)),
            Job::RecordFounders { id, founders } => (id, worker.record_founders(&founders)),
            Job::MarkBootstrapped { id } => (id, worker.mark_bootstrapped()),
            Job::CrashUnit { id, unit } => (id, worker.crash(&unit)),
            Job::Reset { id } => (id, worker.reset()),
            Job::Undo { id, only_look } => (id, worker.undo(only_look)),
            Job::TakeBack { id, resources } => (id, worker.take_back(resources)),
        };
        worker.setting.link.reply(id, reply);
    }
}

impl Worker {
    /// The node as remembered; read again for each look of somebody who does not hold the lock.
    fn node(&mut self) -> Result<(&mut Node, &mut Journal, &mut Controller), NodeError> {
        if self.node.is_none() || self.setting.may_change.is_err() {
            self.node = Some(Node::open(Arc::clone(&self.setting.system))?);
        }
        let node = self
            .node
            .as_mut()
            .ok_or_else(|| fault("open the node", "nothing there"))?;
        Ok((node, &mut self.journal, &mut self.controller))
    }

    fn inspect(&mut self, state: NodeState, verify: bool) -> Result<Reply, NodeError> {
        let may_write = self.setting.may_change.is_ok();
        let (node, _, _) = self.node()?;
        if verify {
            node.hashes.read_everything();
        }
        let differences = converge::inspect(node, &state);
        node.hashes.trust();
        let differences = differences?;
        if may_write {
            node.hashes.save(&node.tree)?;
        }
        self.inspected.insert(state.digest(), Arc::new(state));
        let counters = self.counters();
        Ok(Reply::Inspected {
            differences,
            counters,
        })
    }

    /// Converges only a state that was shown: its differences are what the operator agreed to.
    fn converge(&mut self, state: Digest, resources: &[ResourceId]) -> Result<Reply, NodeError> {
        self.setting.may_change.clone()?;
        let Some(state) = self.inspected.get(&state).map(Arc::clone) else {
            let cause = format!("state {} was not inspected in this connection", state.short());
            return Err(fault("change the node", cause));
        };
        let (node, journal, controller) = self.node()?;
        let changed = converge::converge(node, journal, &state, controller, resources)?;
        let counters = self.counters();
        Ok(Reply::Converged { changed, counters })
    }

    fn record_founders(&mut self, founders: &Founders) -> Result<Reply, NodeError> {
        self.setting.may_change.clone()?;
        founding::record(&self.node()?.0.tree, founders)?;
        Ok(Reply::Done {})
    }

    fn mark_bootstrapped(&mut self) -> Result<Reply, NodeError> {
        self.setting.may_change.clone()?;
        bootstrapped::mark(self.node()?.0)?;
        Ok(Reply::Done {})
    }

    fn crash(&mut self, unit: &str) -> Result<Reply, NodeError> {
        let (node, _, _) = self.node()?;
        unit::crash(node, unit)?;
        Ok(Reply::Done {})
    }

    fn reset(&mut self) -> Result<Reply, NodeError> {
        self.setting.may_change.clone()?;
        let (node, journal, controller) = self.node()?;
        let changed = reset::reset(node, journal, controller)?;
        self.inspected.clear();
        let counters = self.counters();
        Ok(Reply::Converged { changed, counters })
    }

    fn undo(&mut self, only_look: bool) -> Result<Reply, NodeError> {
        self.setting.may_change.clone()?;
        let lock = self.setting.lock.clone();
        let (node, journal, _) = self.node()?;
        let chosen = undo::choose(&node.tree, None)?;
        let undone = if only_look {
            undo::look(&node.tree, &chosen)?
        } else {
            if let Some(lock) = &lock {
                lock.doing(Some(&format!("the undoing of run {}", chosen.run())));
            }
            undo::perform(node, journal, &chosen)?
        };
        Ok(Reply::Undone { undone })
    }

    fn take_back(&mut self, resources: Vec<ResourceId>) -> Result<Reply, NodeError> {
        self.setting.may_change.clone()?;
        let (lock, run) = (self.setting.lock.clone(), self.setting.run.id.clone());
        if let Some(lock) = &lock {
            lock.doing(Some("taking back a change"));
        }
        let (node, journal, _) = self.node()?;
        let undone = undo::take_back(node, journal, &run, resources)?;
        Ok(Reply::Undone { undone })
    }

    fn goodbye(mut self) {
        let Some(node) = &self.node else { return };
        let (system, changed) = (node.system.as_ref(), node.changed);
        // The changes themselves are journalled; that the run ended well is only nice to know.
        let _ = self.journal.finish(system, &node.tree, changed);
    }

    fn counters(&self) -> Counters {
        let counters = self.node.as_ref().map(Node::counters).unwrap_or_default();
        Counters {
            blob_bytes: self.controller.received(),
            ..counters
        }
    }
}
