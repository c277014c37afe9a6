//! Whole connections over a socket pair, well-behaved and hostile.

mod asking;
mod converging;
mod hostile;
mod leaving;
mod lock;
mod waiting;

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use kubewright_core::resource::{
    Access, AuthorityName, Binary, Blob, Certificate, Digest, NodeState, Resource, ResourceId, SharedSecret,
    Stage, Usage,
};
use kubewright_core::wire::SecretText;
use kubewright_core::wire::frame::{encode_data, encode_message};

use super::*;
use crate::testing::{TestController, TestSystem};

/// The controller's end of a connection with an agent on a thread.
struct Talk {
    input: UnixStream,
    output: UnixStream,
    decoder: Decoder,
    agent: JoinHandle<Result<(), ServeError>>,
}

impl Talk {
    fn begin(system: &Arc<TestSystem>) -> Self {
        // One for each way: like a pipe, each is closed by whoever ends.
        let (input, agents_input) = UnixStream::pair().unwrap();
        let (output, agents_output) = UnixStream::pair().unwrap();
        let system = Arc::clone(system) as Arc<dyn System>;
        // Silence is measured by the simulated clock; this is only how often it is looked at.
        let pulse = Pulse {
            every: Duration::from_millis(5),
            ..Pulse::default()
        };
        let agent = std::thread::spawn(move || serve_with(&system, agents_input, agents_output, pulse));
        Self {
            input,
            output,
            decoder: Decoder::default(),
            agent,
        }
    }

    fn hello(system: &Arc<TestSystem>, run: &str, lock: bool) -> (Self, Option<LockHolder>) {
        let mut talk = Self::wanting(system, run, lock, Duration::ZERO);
        match talk.hear() {
            Some(FromAgent::Hello {
                protocol: PROTOCOL,
                locked_by,
                ..
            }) => (talk, locked_by),
            other => panic!("{other:?}"),
        }
    }

    /// Says hello and does not wait for the answer.
    fn wanting(system: &Arc<TestSystem>, run: &str, lock: bool, limit: Duration) -> Self {
        let mut talk = Self::begin(system);
        talk.say(&ToAgent::Hello {
            protocol: PROTOCOL,
            run: run.to_owned(),
            cluster: "prod".to_owned(),
            operator: "ada@workstation".to_owned(),
            lock,
            lock_timeout_ms: limit.as_millis() as u64,
        });
        talk
    }

    fn say(&mut self, message: &ToAgent) {
        self.write(&encode_message(message).unwrap());
    }

    fn ask(&mut self, id: RequestId, request: Request) {
        self.say(&ToAgent::Request { id, request });
    }

    /// Asks how the node differs from a state; the answer has number 1.
    fn inspect(&mut self, state: &NodeState) {
        let state = state.clone();
        self.ask(1, Request::Inspect { state, verify: false });
    }

    /// Asks for all of a state that was looked at.
    fn converge(&mut self, id: RequestId, state: &NodeState) {
        let (resources, state) = (ids(state), state.digest());
        self.ask(id, Request::Converge { state, resources });
    }

    fn write(&mut self, bytes: &[u8]) {
        // An agent that has hung up is what some of these tests are about.
        let _ = self.input.write_all(bytes);
    }

    fn frame(&mut self) -> Option<Frame> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            match self.output.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.push(&buffer[..count]),
            }
        }
    }

    fn hear(&mut self) -> Option<FromAgent> {
        loop {
            match self.frame()? {
                Frame::Message(body) => match decode_message(&body).unwrap() {
                    FromAgent::Heartbeat => {}
                    message => return Some(message),
                },
                Frame::Data { .. } => panic!("data where a message was expected"),
            }
        }
    }

    /// The reply to a request, with everything said before it.
    fn reply(&mut self, wanted: RequestId) -> (Result<Reply, NodeError>, Vec<FromAgent>) {
        let mut before = Vec::new();
        loop {
            match self.hear().expect("the agent hung up") {
                FromAgent::Reply { id, reply } if id == wanted => return (reply, before),
                other => before.push(other),
            }
        }
    }

    fn end(self) -> Result<(), ServeError> {
        let _ = self.input.shutdown(Shutdown::Both);
        let _ = self.output.shutdown(Shutdown::Both);
        self.agent.join().unwrap()
    }
}

fn binary(blob: Blob) -> Resource {
    Resource::Binary(Binary {
        path: "/usr/local/bin/tool".to_owned(),
        name: "tool".to_owned(),
        version: "1".to_owned(),
        blob: Some(blob),
    })
}

fn state(controller: &mut TestController) -> NodeState {
    let mut state = NodeState::default();
    state
        .authorities
        .insert(AuthorityName::Etcd, controller.authority_pem.clone());
    let certificate = |name: &str| {
        Resource::Certificate(Certificate {
            name: name.to_owned(),
            authority: AuthorityName::Etcd,
            common_name: name.to_owned(),
            organizations: Vec::new(),
            dns_names: Vec::new(),
            addresses: Vec::new(),
            usages: vec![Usage::ClientAuth],
            lifetime_days: 365,
            renew_before_days: 122,
            certificate_path: format!("/etc/demo/{name}.crt"),
            key_path: format!("/etc/demo/{name}.key"),
            key_access: Access::root(0o600),
            superseded_by: None,
        })
    };
    state.extend(
        Stage::Etcd,
        [
            certificate("one"),
            certificate("two"),
            Resource::SharedSecret(SharedSecret {
                path: "/etc/demo/secret".to_owned(),
                access: Access::root(0o600),
                name: "demo".to_owned(),
                sha256: Some(Digest::of(b"canary")),
            }),
            binary(controller.offer(&vec![7; 600_000])),
        ],
    );
    state
}

fn ids(state: &NodeState) -> Vec<ResourceId> {
    state
        .resources
        .iter()
        .map(|staged| staged.resource.id())
        .collect()
}

/// Answers the agent's questions until the reply to a request comes.
fn serve_questions(
    talk: &mut Talk,
    controller: &TestController,
    wanted: RequestId,
) -> Result<Reply, NodeError> {
    loop {
        match talk.hear().expect("the agent hung up") {
            FromAgent::Reply { id, reply } if id == wanted => return reply,
            FromAgent::NeedSignature { resource, request } => talk.say(&ToAgent::Signed {
                resource,
                certificate: Ok(controller.sign(&request)),
            }),
            FromAgent::NeedSecret { name } => {
                let content = Some(SecretText(STANDARD.encode("canary")));
                talk.say(&ToAgent::Secret { name, content });
            }
            FromAgent::NeedBlob { sha256 } => {
                talk.say(&ToAgent::Blob { stream: 9, sha256 });
                let blob = controller.blobs[&sha256].clone();
                for part in blob.chunks(1000) {
                    talk.write(&encode_data(9, part).unwrap());
                }
                talk.write(&encode_data(9, &[]).unwrap());
            }
            FromAgent::Progress { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}
