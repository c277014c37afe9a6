//! The controller as the worker sees it: questions go out over the link, answers come back from the reader of frames.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use kubewright_core::resource::{Digest, ResourceId};
use kubewright_core::secret::Secret;
use kubewright_core::wire::{FromAgent, NodeError};

use crate::fault::{fault, hinted};
use crate::link::Link;
use crate::lock::Lock;
use crate::peer::Peer;
use crate::pipe::PipeReader;

/// What the controller answered.
pub(super) enum Answer {
    /// A certificate, or why there is none.
    Signed {
        resource: ResourceId,
        certificate: Result<String, String>,
    },
    /// A shared secret, if the controller has it.
    Secret { name: String, content: Option<Secret> },
    /// The stream a blob comes on.
    Blob { sha256: Digest, reader: PipeReader },
}

/// The worker's end of the connection.
pub(super) struct Controller {
    link: Arc<Link>,
    /// Where the current change is published.
    lock: Option<Arc<Lock>>,
    answers: Receiver<Answer>,
    signed: BTreeMap<ResourceId, Result<String, String>>,
    /// Signing requests without an answer yet; those of a batch that failed are answered all the same.
    unanswered: BTreeMap<ResourceId, u32>,
    received: Arc<AtomicU64>,
}

impl Controller {
    pub(super) fn new(link: Arc<Link>, lock: Option<Arc<Lock>>, answers: Receiver<Answer>) -> Self {
        Self {
            link,
            lock,
            answers,
            signed: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            received: Arc::default(),
        }
    }

    /// Compressed bytes of blobs received so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }

    /// The next answer; certificates asked for ahead are put aside.
    fn next(&mut self, doing: &str) -> Result<Answer, NodeError> {
        let answer = self.answers.recv();
        answer.map_err(|_| fault(doing, "the controller has disconnected"))
    }

    /// Keeps a certificate for the last request; what was not requested is dropped.
    fn put_aside(&mut self, answer: Answer) {
        let Answer::Signed {
            resource,
            certificate,
        } = answer
        else {
            return;
        };
        let unanswered = self.unanswered.entry(resource.clone()).or_default();
        match *unanswered {
            0 => {}
            1 => {
                *unanswered = 0;
                self.signed.insert(resource, certificate);
            }
            _ => *unanswered -= 1,
        }
    }

    /// Asks a question; what was said before it is no answer to it.
    fn ask(&mut self, question: &FromAgent) {
        while let Ok(answer) = self.answers.try_recv() {
            self.put_aside(answer);
        }
        self.link.send(question);
    }
}

impl Peer for Controller {
    fn progress(&mut self, resource: &ResourceId, done: bool) {
        if let Some(lock) = &self.lock {
            lock.doing((!done).then(|| resource.what()));
        }
        let resource = resource.clone();
        self.link.send(&FromAgent::Progress { resource, done });
    }

    fn is_gone(&self) -> bool {
        self.link.is_gone()
    }

    fn blob(&mut self, wanted: Digest) -> Result<Box<dyn Read + Send>, NodeError> {
        let doing = format!("receive {}", wanted.short());
        self.ask(&FromAgent::NeedBlob { sha256: wanted });
        loop {
            match self.next(&doing)? {
                Answer::Blob { sha256, reader } if sha256 == wanted => {
                    return Ok(Box::new(Counting {
                        inner: reader,
                        count: Arc::clone(&self.received),
                    }));
                }
                other => self.put_aside(other),
            }
        }
    }

    fn request_signature(&mut self, resource: &ResourceId, request: String) -> Result<(), NodeError> {
        if self.is_gone() {
            return Err(fault("request a certificate", "the controller has disconnected"));
        }
        let resource = resource.clone();
        self.ask(&FromAgent::NeedSignature {
            resource: resource.clone(),
            request,
        });
        self.signed.remove(&resource);
        *self.unanswered.entry(resource).or_default() += 1;
        Ok(())
    }

    fn signature(&mut self, resource: &ResourceId) -> Result<String, NodeError> {
        let doing = format!("have {} signed", resource.what());
        loop {
            if let Some(certificate) = self.signed.remove(resource) {
                return certificate.map_err(|reason| fault(doing, reason));
            }
            let answer = self.next(&doing)?;
            self.put_aside(answer);
        }
    }

    fn secret(&mut self, wanted: &str) -> Result<Secret, NodeError> {
        let doing = format!("receive the secret {wanted}");
        self.ask(&FromAgent::NeedSecret {
            name: wanted.to_owned(),
        });
        loop {
            match self.next(&doing)? {
                Answer::Secret { name, content } if name == wanted => {
                    return content.ok_or_else(|| {
                        let error = fault(&doing, "the controller does not have it");
                        hinted(
                            error,
                            "it is on the control planes: check that one of them is reachable",
                        )
                    });
                }
                other => self.put_aside(other),
            }
        }
    }
}

struct Counting {
    inner: PipeReader,
    count: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::SeqCst);
        Ok(count)
    }
}
