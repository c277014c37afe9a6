//! A few lines play the agent, in this process.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::SystemTime;

use kubewright_core::errors::ErrorId;
use kubewright_core::observed::{Counters, Facts};
use kubewright_core::resource::{
    Access, AuthorityName, Binary, Blob, Certificate, Digest, NodeState, Resource, ResourceId, SharedSecret,
    Stage, Usage,
};
use kubewright_core::wire::frame::{Decoder, Frame, decode_message, encode_data, encode_message};
use kubewright_core::wire::{FromAgent, LockHolder, NodeError, Pulse, Reply, Request, SecretText};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::authority::Authorities;
use crate::transport::{Memory, Reader};

/// The agent's end of a conversation.
struct Agent {
    input: DuplexStream,
    output: DuplexStream,
    decoder: Decoder,
}

impl Agent {
    async fn frame(&mut self) -> Option<Frame> {
        let mut buffer = vec![0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            match self.input.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.push(&buffer[..count]),
            }
        }
    }

    async fn hear(&mut self) -> Option<ToAgent> {
        loop {
            match self.frame().await? {
                Frame::Message(body) => match decode_message(&body).unwrap() {
                    ToAgent::Heartbeat => {}
                    message => return Some(message),
                },
                Frame::Data { stream, .. } => panic!("data of stream {stream}"),
            }
        }
    }

    async fn request(&mut self) -> (u32, Request) {
        match self.hear().await {
            Some(ToAgent::Request { id, request }) => (id, request),
            other => panic!("no request: {other:?}"),
        }
    }

    async fn say(&mut self, message: &FromAgent) {
        let _ = self.output.write_all(&encode_message(message).unwrap()).await;
    }

    async fn data(&mut self, stream: u32, bytes: &[u8]) {
        let _ = self.output.write_all(&encode_data(stream, bytes).unwrap()).await;
    }

    async fn reply(&mut self, id: u32, reply: Reply) {
        self.say(&FromAgent::Reply { id, reply: Ok(reply) }).await;
    }

    async fn greet(&mut self) {
        assert!(matches!(self.hear().await, Some(ToAgent::Hello { .. })));
        self.say(&FromAgent::Hello {
            protocol: PROTOCOL,
            version: "1".to_owned(),
            locked_by: None,
        })
        .await;
    }

    /// Plays the rest of an inspection.
    async fn inspected(&mut self) {
        let (id, request) = self.request().await;
        assert!(matches!(request, Request::Inspect { .. }));
        let reply = Reply::Inspected {
            differences: Vec::new(),
            counters: Counters::default(),
        };
        self.reply(id, reply).await;
    }
}

fn transport<F>(play: impl Fn(Agent) -> F + Send + Sync + 'static) -> Memory
where
    F: Future<Output = ()> + Send + 'static,
{
    Memory::new("n1".parse().unwrap(), move |input, output| {
        tokio::spawn(play(Agent {
            input,
            output,
            decoder: Decoder::default(),
        }));
    })
}

fn introduction() -> Introduction {
    Introduction {
        run: "run-1".to_owned(),
        cluster: "prod".to_owned(),
        operator: "ada@workstation".to_owned(),
        lock: true,
    }
}

/// Connects to an agent that greets and then plays.
async fn talk<F>(play: impl Fn(Agent) -> F + Send + Sync + Clone + 'static) -> Node
where
    F: Future<Output = ()> + Send + 'static,
{
    talk_with(Timing::default(), play).await
}

/// Less patience than a real link needs.
fn hasty() -> Timing {
    let pulse = Pulse {
        every: Duration::from_millis(20),
        silence: Duration::from_secs(1),
    };
    Timing {
        pulse,
        ..Timing::default()
    }
}

async fn talk_with<F>(timing: Timing, play: impl Fn(Agent) -> F + Send + Sync + Clone + 'static) -> Node
where
    F: Future<Output = ()> + Send + 'static,
{
    let transport = transport(move |mut agent| {
        let play = play.clone();
        async move {
            agent.greet().await;
            play(agent).await;
        }
    });
    Node::connect_with(&transport, &introduction(), timing)
        .await
        .unwrap()
}

struct OneBlob(Vec<u8>);

impl Blobs for OneBlob {
    fn open_zstd(&self, _: Digest) -> BlobOpening<'_> {
        let content: Reader = Box::new(std::io::Cursor::new(self.0.clone()));
        Box::pin(async { Ok(content) })
    }
}

fn services(content: &[u8]) -> Services {
    Services {
        authorities: Arc::new(Authorities::generate(SystemTime::now()).unwrap()),
        blobs: Arc::new(OneBlob(content.to_vec())),
    }
}

fn certificate() -> Certificate {
    Certificate {
        name: "kubelet".to_owned(),
        authority: AuthorityName::Kubernetes,
        common_name: "system:node:n1".to_owned(),
        organizations: vec!["system:nodes".to_owned()],
        dns_names: Vec::new(),
        addresses: Vec::new(),
        usages: vec![Usage::ClientAuth],
        lifetime_days: 365,
        renew_before_days: 122,
        certificate_path: "/pki/kubelet.crt".to_owned(),
        key_path: "/pki/kubelet.key".to_owned(),
        key_access: Access::root(0o600),
        superseded_by: None,
    }
}

fn state() -> NodeState {
    let mut state = NodeState::default();
    let binary = Binary {
        path: "/usr/local/bin/etcd".to_owned(),
        name: "etcd".to_owned(),
        version: "3.6.16".to_owned(),
        blob: Some(Blob {
            sha256: Digest::of(b"etcd"),
            size_bytes: 4,
        }),
    };
    let secret = SharedSecret {
        path: "/pki/ca.key".to_owned(),
        access: Access::root(0o600),
        name: "kubernetes-ca-key".to_owned(),
        sha256: None,
    };
    state.extend(
        Stage::Etcd,
        [
            Resource::Binary(binary),
            Resource::SharedSecret(secret),
            Resource::Certificate(certificate()),
        ],
    );
    state
}

fn quiet() -> Progress {
    Arc::new(|_, _| {})
}

fn converged() -> Reply {
    Reply::Converged {
        changed: Vec::new(),
        counters: Counters::default(),
    }
}

#[tokio::test]
async fn gives_each_question_its_own_answer() {
    let node = talk(|mut agent| async move {
        let (first, _) = agent.request().await;
        let (second, request) = agent.request().await;
        assert!(matches!(request, Request::UnitLog { .. }));
        let lines = vec!["line".to_owned()];
        agent.reply(second, Reply::Log { lines }).await;
        let facts = Box::new(Facts {
            hostname: "n1".to_owned(),
            ..Facts::default()
        });
        agent.reply(first, Reply::Facts { facts }).await;
        agent.hear().await;
    })
    .await;
    let (facts, log) = tokio::join!(node.facts(), node.unit_log("etcd.service", 5));
    assert_eq!(facts.unwrap().hostname, "n1");
    assert_eq!(log.unwrap(), ["line"]);
    node.goodbye().await;
}

#[tokio::test]
async fn remembers_what_the_agent_last_said_of_its_work() {
    let node = talk(|mut agent| async move {
        agent.inspected().await;
        let (id, _) = agent.request().await;
        let counters = Counters {
            files_written: 3,
            ..Counters::default()
        };
        let changed = Vec::new();
        agent.reply(id, Reply::Converged { changed, counters }).await;
        agent.hear().await;
    })
    .await;
    node.inspect(&NodeState::default(), false).await.unwrap();
    assert_eq!(node.counters(), Counters::default());
    node.reset(quiet()).await.unwrap();
    assert_eq!(node.counters().files_written, 3);
    node.goodbye().await;
}

#[tokio::test]
async fn tells_who_holds_the_lock() {
    let transport = transport(|mut agent| async move {
        agent.hear().await;
        agent
            .say(&FromAgent::Hello {
                protocol: PROTOCOL,
                version: "1".to_owned(),
                locked_by: Some(LockHolder {
                    operator: "bob@laptop".to_owned(),
                    run: "run-0".to_owned(),
                    since: 1_767_323_045,
                }),
            })
            .await;
        assert_eq!(agent.hear().await, Some(ToAgent::Goodbye));
    });
    let error = Node::connect(&transport, &introduction()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "node n1 is locked by bob@laptop (run run-0) since 2026-01-02T03:04:05Z"
    );
    let reader = Introduction {
        lock: false,
        ..introduction()
    };
    assert!(Node::connect(&transport, &reader).await.is_ok());
}

#[tokio::test]
async fn open_calls_end_with_an_unknown_outcome_when_the_agent_goes() {
    let node = talk(|mut agent| async move {
        agent.request().await;
    })
    .await;
    let error = node.facts().await.unwrap_err();
    assert!(error.is_outcome_unknown());
    assert_eq!(
        error.to_string(),
        "node n1: gather facts: conversation lost (the agent has gone); whether it was done is unknown"
    );
    assert!(node.is_lost());
    let error = node.facts().await.unwrap_err();
    assert!(!error.is_outcome_unknown());
    assert_eq!(
        error.to_string(),
        "node n1: gather facts: conversation lost (the agent has gone); it was not begun"
    );
}

#[tokio::test]
async fn a_link_that_died_without_a_word_is_noticed() {
    let node = talk_with(hasty(), |mut agent| async move {
        agent.request().await;
        std::future::pending::<()>().await;
    })
    .await;
    let error = node.facts().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "node n1: gather facts: conversation lost (nothing heard for 1 s); whether it was done is unknown"
    );
}

#[tokio::test]
async fn long_work_is_no_silence_while_the_agent_beats() {
    let node = talk_with(hasty(), |mut agent| async move {
        let (id, _) = agent.request().await;
        for _ in 0..15 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            agent.say(&FromAgent::Heartbeat).await;
        }
        agent.reply(id, Reply::Done {}).await;
        agent.hear().await;
    })
    .await;
    node.settle().await.unwrap();
}

#[tokio::test]
async fn a_controller_with_nothing_to_say_beats() {
    let (beaten, beat) = tokio::sync::oneshot::channel();
    let beaten = Arc::new(Mutex::new(Some(beaten)));
    let _node = talk_with(hasty(), move |mut agent| {
        let beaten = beaten.clone();
        async move {
            for _ in 0..3 {
                match agent.frame().await.unwrap() {
                    Frame::Message(body) => {
                        assert_eq!(decode_message::<ToAgent>(&body).unwrap(), ToAgent::Heartbeat);
                    }
                    Frame::Data { stream, .. } => panic!("data of stream {stream}"),
                }
                agent.say(&FromAgent::Heartbeat).await;
            }
            beaten.lock().unwrap().take().unwrap().send(()).unwrap();
            agent.frame().await;
        }
    })
    .await;
    beat.await.unwrap();
}

#[tokio::test]
async fn an_agent_that_gave_this_side_up_is_asked_nothing_more() {
    let node = talk(|mut agent| async move {
        agent.request().await;
        agent.say(&FromAgent::GaveUp { silent_seconds: 15 }).await;
    })
    .await;
    let error = node.settle().await.unwrap_err();
    assert!(error.is_outcome_unknown());
    assert_eq!(
        error.to_string(),
        "node n1: settle the bootstrap: the conversation was given up after 15 s of silence, and another run may have \
         changed the node since; whether it was done is unknown"
    );
    let error = node.settle().await.unwrap_err();
    assert!(!error.is_outcome_unknown());
    assert!(error.to_string().ends_with("it was not begun"), "{error}");
}

#[tokio::test]
async fn a_controller_that_slept_too_long_knows_it_before_it_speaks() {
    let uptime = Arc::new(Mutex::new(Duration::ZERO));
    let clock = uptime.clone();
    let timing = Timing {
        uptime: Arc::new(move || *clock.lock().unwrap()),
        ..Timing::default()
    };
    let transport = transport(|mut agent| async move {
        agent.greet().await;
        assert_eq!(agent.hear().await, None);
    });
    let node = Node::connect_with(&transport, &introduction(), timing)
        .await
        .unwrap();
    *uptime.lock().unwrap() = Duration::from_secs(60);
    let error = node.settle().await.unwrap_err();
    assert!(
        matches!(&error, NodeCallError::Fenced { silent, .. } if silent.as_secs() == 60),
        "{error}"
    );
}

#[tokio::test]
async fn ends_the_conversation_with_an_agent_that_breaks_the_protocol() {
    let answers: [&[u8]; 4] = [
        b"Last login: yesterday\n",
        &[1, 0xff, 0xff, 0xff, 0xff],
        &encode_message(&FromAgent::Reply {
            id: 99,
            reply: Ok(Reply::Done {}),
        })
        .unwrap(),
        &encode_data(9, b"data").unwrap(),
    ];
    for answer in answers {
        let answer = answer.to_vec();
        let node = talk(move |mut agent| {
            let answer = answer.clone();
            async move {
                agent.request().await;
                agent.output.write_all(&answer).await.unwrap();
                agent.hear().await;
            }
        })
        .await;
        let error = node.facts().await.unwrap_err().to_string();
        assert!(error.contains("does not keep to the protocol"), "{error}");
    }
}

#[tokio::test]
async fn shows_what_went_wrong_on_the_node() {
    let node = talk(|mut agent| async move {
        let (id, _) = agent.request().await;
        let error = NodeError {
            id: ErrorId::NodeFailed,
            doing: "write /etc/x".to_owned(),
            cause: "no space left on device".to_owned(),
            resource: None,
            command: None,
            unit: None,
            log: Vec::new(),
            hint: Some("free some space".to_owned()),
        };
        agent
            .say(&FromAgent::Reply {
                id,
                reply: Err(error),
            })
            .await;
        agent.hear().await;
    })
    .await;
    let error = node.settle().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "node n1: write /etc/x: no space left on device"
    );
    assert_eq!(error.hint().unwrap(), "free some space");
}

#[tokio::test]
async fn sends_the_content_a_converging_node_lacks() {
    let content: Vec<u8> = (0..600_000_u32).map(|number| number as u8).collect();
    let expected = content.clone();
    let node = talk(move |mut agent| {
        let expected = expected.clone();
        async move {
            agent.inspected().await;
            let (id, _) = agent.request().await;
            let sha256 = Digest::of(b"etcd");
            agent.say(&FromAgent::NeedBlob { sha256 }).await;
            let Some(ToAgent::Blob { stream, .. }) = agent.hear().await else {
                panic!("no blob");
            };
            let mut received = Vec::new();
            loop {
                match agent.frame().await.unwrap() {
                    Frame::Data { stream: of, bytes } if of == stream => {
                        if bytes.is_empty() {
                            break;
                        }
                        received.extend(bytes);
                    }
                    other => panic!("not data: {other:?}"),
                }
            }
            assert!(received == expected);
            let resource = ResourceId::new("binary", "/usr/local/bin/etcd");
            agent.say(&FromAgent::Progress { resource, done: true }).await;
            agent.reply(id, converged()).await;
            agent.hear().await;
        }
    })
    .await;
    node.inspect(&state(), false).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress: Progress = {
        let seen = seen.clone();
        Arc::new(move |resource, done| seen.lock().unwrap().push((resource.clone(), done)))
    };
    node.converge(Vec::new(), &services(&content), progress)
        .await
        .unwrap();
    let expected = (ResourceId::new("binary", "/usr/local/bin/etcd"), true);
    assert_eq!(*seen.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn gives_a_node_only_what_its_own_state_has() {
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::new(vec!["evil.example".to_owned()])
        .unwrap()
        .serialize_request(&key)
        .unwrap()
        .pem()
        .unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let node = {
        let heard = heard.clone();
        talk(move |mut agent| {
            let (heard, request) = (heard.clone(), request.clone());
            async move {
                agent.inspected().await;
                let (id, _) = agent.request().await;
                for path in ["/pki/kubelet.crt", "/pki/admin.crt"] {
                    let resource = ResourceId::new("certificate", path);
                    let request = request.clone();
                    agent.say(&FromAgent::NeedSignature { resource, request }).await;
                    let answer = agent.hear().await.unwrap();
                    heard.lock().unwrap().push(answer);
                }
                for name in ["kubernetes-ca-key", "etcd-ca-key"] {
                    let name = name.to_owned();
                    agent.say(&FromAgent::NeedSecret { name }).await;
                    let answer = agent.hear().await.unwrap();
                    heard.lock().unwrap().push(answer);
                }
                agent.reply(id, converged()).await;
                agent.hear().await;
            }
        })
        .await
    };
    node.inspect(&state(), false).await.unwrap();
    node.converge(Vec::new(), &services(b""), quiet()).await.unwrap();
    let heard = heard.lock().unwrap();
    let (
        ToAgent::Signed {
            certificate: Ok(signed),
            ..
        },
        ToAgent::Signed {
            certificate: Err(_), ..
        },
    ) = (&heard[0], &heard[1])
    else {
        panic!("{heard:?}");
    };
    let (_, pem) = x509_parser::pem::parse_x509_pem(signed.as_bytes()).unwrap();
    let parsed = pem.parse_x509().unwrap();
    assert_eq!(parsed.subject().to_string(), "O=system:nodes, CN=system:node:n1");
    assert!(parsed.subject_alternative_name().unwrap().is_none());
    let (ToAgent::Secret { content: Some(_), .. }, ToAgent::Secret { content: None, .. }) =
        (&heard[2], &heard[3])
    else {
        panic!("{heard:?}");
    };
}

#[tokio::test]
async fn gives_nothing_while_nothing_converges() {
    let asked = [
        FromAgent::NeedSecret {
            name: "kubernetes-ca-key".to_owned(),
        },
        FromAgent::NeedBlob {
            sha256: Digest::of(b"etcd"),
        },
        FromAgent::Secret {
            name: "unwanted".to_owned(),
            content: SecretText(String::new()),
        },
    ];
    for message in asked {
        let node = talk(move |mut agent| {
            let message = message.clone();
            async move {
                agent.inspected().await;
                agent.say(&message).await;
                assert_eq!(agent.hear().await, None);
            }
        })
        .await;
        node.inspect(&state(), false).await.unwrap();
        node.shared.ended().await;
    }
}

#[tokio::test]
async fn collects_the_secrets_a_control_plane_hands_over() {
    let node = talk(|mut agent| async move {
        let (id, _) = agent.request().await;
        let content = SecretText("aGVsbG8=".to_owned());
        let name = "kubernetes-ca-key".to_owned();
        agent.say(&FromAgent::Secret { name, content }).await;
        agent.reply(id, Reply::Done {}).await;
        agent.hear().await;
    })
    .await;
    let paths = BTreeMap::from([("kubernetes-ca-key".to_owned(), "/pki/ca.key".to_owned())]);
    let secrets = node.read_secrets(paths).await.unwrap();
    assert_eq!(secrets["kubernetes-ca-key"].expose(), b"hello");
}

#[tokio::test]
async fn carries_connections_both_ways_until_each_side_ends() {
    let node = talk(|mut agent| async move {
        let Some(ToAgent::OpenTunnel { stream, address }) = agent.hear().await else {
            panic!("no tunnel");
        };
        assert_eq!(address, "127.0.0.1:6443");
        agent.say(&FromAgent::Tunnel { stream, error: None }).await;
        loop {
            match agent.frame().await.unwrap() {
                Frame::Data { bytes, .. } if bytes.is_empty() => break,
                Frame::Data { bytes, .. } => agent.data(stream, &bytes.to_ascii_uppercase()).await,
                Frame::Message(body) => panic!("{body:?}"),
            }
        }
        agent.data(stream, b" BYE").await;
        agent.data(stream, b"").await;
        agent.hear().await;
    })
    .await;
    let forward = node.forward("127.0.0.1:6443").await.unwrap();
    let mut connection = tokio::net::TcpStream::connect(forward.address()).await.unwrap();
    connection.write_all(b"hello").await.unwrap();
    connection.shutdown().await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "HELLO BYE");
}

#[tokio::test]
async fn tells_why_a_tunnel_cannot_be_opened() {
    let node = talk(|mut agent| async move {
        let Some(ToAgent::OpenTunnel { stream, .. }) = agent.hear().await else {
            panic!("no tunnel");
        };
        let error = Some("connection refused".to_owned());
        agent.say(&FromAgent::Tunnel { stream, error }).await;
        agent.hear().await;
    })
    .await;
    let error = node.open_tunnel("127.0.0.1:2379").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "node n1: connect to 127.0.0.1:2379: connection refused"
    );
}

#[tokio::test]
async fn a_tunnel_that_nobody_reads_holds_up_the_rest_only_for_a_while() {
    let node = talk(|mut agent| async move {
        let Some(ToAgent::OpenTunnel { stream, .. }) = agent.hear().await else {
            panic!("no tunnel");
        };
        agent.say(&FromAgent::Tunnel { stream, error: None }).await;
        let (id, _) = agent.request().await;
        for _ in 0..64 {
            agent.data(stream, &vec![0; 64 << 10]).await;
        }
        agent.data(stream, b"").await;
        agent.reply(id, Reply::Done {}).await;
        agent.hear().await;
    })
    .await;
    let tunnel = node.open_tunnel("127.0.0.1:6443").await.unwrap();
    node.settle().await.unwrap();
    drop(tunnel);
}
