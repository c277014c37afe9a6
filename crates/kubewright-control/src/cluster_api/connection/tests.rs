//! Two control planes with real connections and servers that are played: what happens when the first is dead.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kube::api::ListParams;
use kubewright_core::resource::{Access, Certificate, Usage};
use kubewright_core::spec::NodeName;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::node::agent_tests::{Root, introduction};
use crate::transport::{Channel, Memory, Opening, Peer, Transport};

/// An API server that knows `/readyz` and says its name to everything else.
struct Server {
    address: String,
    is_ready: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(name: &'static str, authorities: &Authorities) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap().to_string(),
            is_ready: Arc::new(AtomicBool::new(true)),
            asked: Arc::default(),
        };
        let acceptor = TlsAcceptor::from(Arc::new(certificate(authorities)));
        let (is_ready, asked) = (Arc::clone(&server.is_ready), Arc::clone(&server.asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (is_ready, asked) = (Arc::clone(&is_ready), Arc::clone(&asked));
                tokio::spawn(answer(stream, acceptor.clone(), name, is_ready, asked));
            }
        });
        server
    }
}

/// Answers requests on one connection; to all but `/readyz` it hangs up while it is not ready.
async fn answer(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    name: &'static str,
    is_ready: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        request.extend_from_slice(&buffer[..count]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let is_health = request.starts_with(b"GET /readyz");
        let (status, body) = match (is_health, is_ready.load(Ordering::SeqCst)) {
            (true, true) => ("200 OK", "ok"),
            (true, false) => ("500 Internal Server Error", "[-]etcd failed"),
            (false, true) => ("200 OK", name),
            (false, false) => return,
        };
        if !is_health {
            asked.fetch_add(1, Ordering::SeqCst);
        }
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        request.clear();
    }
}

fn certificate(authorities: &Authorities) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap();
    let profile = Certificate {
        name: "apiserver".to_owned(),
        authority: AuthorityName::Kubernetes,
        common_name: "kube-apiserver".to_owned(),
        organizations: Vec::new(),
        dns_names: vec!["kubernetes".to_owned()],
        addresses: vec!["127.0.0.1".parse().unwrap()],
        usages: vec![Usage::ServerAuth],
        lifetime_days: 1,
        renew_before_days: 0,
        certificate_path: String::new(),
        key_path: String::new(),
        key_access: Access::root(0o600),
        superseded_by: None,
    };
    let signed = authorities
        .sign(&profile, &request.pem().unwrap(), SystemTime::now())
        .unwrap();
    let chain = vec![CertificateDer::from_pem_slice(signed.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    ServerConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

/// The way to an agent, until it is cut.
#[derive(Debug)]
struct Cuttable {
    name: NodeName,
    inner: Memory,
    cut: Arc<Notify>,
}

impl Transport for Cuttable {
    fn node(&self) -> &NodeName {
        &self.name
    }

    fn open(&self) -> Opening<'_> {
        Box::pin(async {
            let mut inner = self.inner.open().await?;
            let (writer, mut input) = duplex(64 << 10);
            let (mut output, reader) = duplex(64 << 10);
            let cut = Arc::clone(&self.cut);
            tokio::spawn(async move {
                let carried = async {
                    tokio::join!(
                        copy(&mut input, &mut inner.writer),
                        copy(&mut inner.reader, &mut output)
                    )
                };
                tokio::select! {
                    _ = carried => {}
                    () = cut.notified() => {}
                }
            });
            Ok(Channel {
                reader: Box::new(reader),
                writer: Box::new(writer),
                peer: Peer::default(),
            })
        })
    }
}

const NAMES: [&str; 2] = ["cp-1", "cp-2"];

/// Two control planes, their servers, and what cuts the connection with each.
struct World {
    way: ApiConnection,
    servers: BTreeMap<&'static str, Server>,
    cuts: BTreeMap<&'static str, Arc<Notify>>,
    _roots: Vec<Arc<Root>>,
}

impl World {
    async fn new() -> Self {
        let authorities = Arc::new(Authorities::generate(SystemTime::now()).unwrap());
        let (mut nodes, mut servers, mut cuts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut roots = Vec::new();
        for name in NAMES {
            let (root, cut) = (Root::new(), Arc::new(Notify::new()));
            let transport = Cuttable {
                name: name.parse().unwrap(),
                inner: root.transport(),
                cut: Arc::clone(&cut),
            };
            let node = Node::connect(&transport, &introduction("run")).await.unwrap();
            nodes.insert(name.to_owned(), node);
            servers.insert(name, Server::start(name, &authorities).await);
            cuts.insert(name, cut);
            roots.push(root);
        }
        let mut way = ApiConnection::new(NAMES.map(str::to_owned).to_vec(), nodes, authorities);
        for (name, server) in &servers {
            way.addresses.insert((*name).to_owned(), server.address.clone());
        }
        Self {
            way,
            servers,
            cuts,
            _roots: roots,
        }
    }

    /// Asks whichever server is used for its name.
    async fn ask(&self) -> Result<String, Error> {
        self.way.with(who).await
    }

    fn stop_serving(&self, name: &str) {
        self.servers[name].is_ready.store(false, Ordering::SeqCst);
    }

    fn asked(&self, name: &str) -> usize {
        self.servers[name].asked.load(Ordering::SeqCst)
    }
}

async fn who(client: ApiClient) -> Result<String, Error> {
    let request = kube::core::Request::new("/who")
        .list(&ListParams::default())
        .unwrap();
    let answer = client.request_text(request).await;
    answer.map_err(|error| Error::caused(Kind::Api, "ask who it is", &error))
}

#[tokio::test]
async fn the_first_that_is_ready_is_used_and_kept() {
    let world = World::new().await;
    assert_eq!(world.ask().await.unwrap(), "cp-1");
    assert_eq!(world.ask().await.unwrap(), "cp-1");
    assert_eq!((world.asked("cp-1"), world.asked("cp-2")), (2, 0));
}

#[tokio::test]
async fn a_connection_that_is_lost_at_work_is_left_for_another_control_plane() {
    let world = World::new().await;
    let tries = AtomicUsize::new(0);
    let done = world
        .way
        .with(|client| {
            let is_first = tries.fetch_add(1, Ordering::SeqCst) == 0;
            let cut = &world.cuts["cp-1"];
            async move {
                if is_first {
                    cut.notify_one();
                    // Nothing comes back any more.
                    std::future::pending::<()>().await;
                }
                who(client).await
            }
        })
        .await;
    assert_eq!(done.unwrap(), "cp-2");
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_server_that_died_under_a_living_connection_is_left_too() {
    let world = World::new().await;
    assert_eq!(world.ask().await.unwrap(), "cp-1");
    world.stop_serving("cp-1");
    assert_eq!(world.ask().await.unwrap(), "cp-2");
    assert_eq!(world.ask().await.unwrap(), "cp-2");
}

#[tokio::test]
async fn what_a_server_that_is_ready_refuses_is_not_tried_elsewhere() {
    let world = World::new().await;
    let tries = AtomicUsize::new(0);
    let done: Result<(), Error> = world
        .way
        .with(|_| {
            tries.fetch_add(1, Ordering::SeqCst);
            async { Err(Error::new(Kind::Api, "it is not allowed")) }
        })
        .await;
    assert_eq!(done.unwrap_err().doing, "it is not allowed");
    assert_eq!(tries.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn when_every_way_is_dead_each_is_named() {
    let world = World::new().await;
    for name in NAMES {
        world.stop_serving(name);
    }
    let error = world.ask().await.unwrap_err();
    assert_eq!(error.id, ErrorId::ApiUnreachable);
    let causes = error.causes.join("; ");
    assert!(causes.contains("cp-1: ") && causes.contains("cp-2: "), "{causes}");
}
