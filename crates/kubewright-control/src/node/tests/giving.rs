//! What a converging node is given, and what it is not.

use std::sync::Mutex;
use std::time::SystemTime;

use kubewright_core::observed::Counters;
use kubewright_core::resource::{
    Access, AuthorityName, Binary, Blob, Certificate, Digest, NodeState, Resource, ResourceId, SharedSecret,
    Stage, Usage,
};
use kubewright_core::wire::SecretText;

use super::*;
use crate::authority::Authorities;
use crate::transport::Reader;

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

fn converged() -> Reply {
    Reply::Converged {
        changed: Vec::new(),
        counters: Counters::default(),
    }
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
    node.converge(&state(), Vec::new(), &services(&content), progress)
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
    node.converge(&state(), Vec::new(), &services(b""), quiet())
        .await
        .unwrap();
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
