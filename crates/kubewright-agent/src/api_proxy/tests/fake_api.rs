//! An API server as far as the proxy can see: TLS, `/readyz`, a list of EndpointSlices, and ways to fail.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::ExtendedKeyUsagePurpose;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::fixture::Authority;

/// How a server behaves now.
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    pub(crate) readyz: u16,
    pub(crate) is_hung: bool,
    /// The raw answer to a request for EndpointSlices, head included.
    pub(crate) list: String,
    /// How often it was asked for its name.
    pub(crate) asked: usize,
}

/// A fake API server.
pub(crate) struct FakeApi {
    pub(crate) address: SocketAddr,
    pub(crate) behaviour: Arc<Mutex<Behaviour>>,
    killed: Arc<Notify>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl FakeApi {
    pub(crate) async fn start(authority: &Authority, name: &str) -> Self {
        Self::start_at(authority, name, "127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(authority: &Authority, name: &str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Behaviour {
            readyz: 200,
            is_hung: false,
            list: list_of(&[address]),
            asked: 0,
        };
        let behaviour = Arc::new(Mutex::new(behaviour));
        let killed = Arc::new(Notify::new());
        let acceptor = TlsAcceptor::from(Arc::new(server_config(authority)));
        let (shared, kill, name) = (Arc::clone(&behaviour), Arc::clone(&killed), name.to_owned());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    () = kill.notified() => return,
                    accepted = listener.accept() => {
                        let (stream, _) = accepted.unwrap();
                        connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&shared), name.clone()));
                    }
                }
            }
        });
        Self {
            address,
            behaviour,
            killed,
            task: Some(task),
        }
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }

    /// Closes the port and every connection, like a killed process.
    pub(crate) async fn kill(&mut self) {
        self.killed.notify_one();
        self.task.take().unwrap().await.unwrap();
    }
}

/// The answer that lists these servers.
pub(crate) fn list_of(addresses: &[SocketAddr]) -> String {
    let slices: Vec<_> = addresses
        .iter()
        .map(|address| {
            serde_json::json!({
                "addressType": "IPv4",
                "endpoints": [{"addresses": [address.ip().to_string()], "conditions": {"ready": true}}],
                "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
            })
        })
        .collect();
    let body = serde_json::json!({"kind": "EndpointSliceList", "items": slices}).to_string();
    answer(200, &body)
}

/// An HTTP answer.
pub(crate) fn answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn server_config(authority: &Authority) -> ServerConfig {
    let (certificate, key) =
        authority.issue(&["kubernetes", "127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes()).unwrap())
        .unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .unwrap();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap()
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, behaviour: Arc<Mutex<Behaviour>>, name: String) {
    let is_hung = || behaviour.lock().unwrap().is_hung;
    if is_hung() {
        std::future::pending::<()>().await;
    }
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let is_known = stream.get_ref().1.peer_certificates().is_some();
    let mut buffer = Vec::new();
    loop {
        while !buffer.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        if is_hung() {
            std::future::pending::<()>().await;
        }
        let request = String::from_utf8(std::mem::take(&mut buffer)).unwrap();
        let text = {
            let mut behaviour = behaviour.lock().unwrap();
            match request.split(' ').nth(1).unwrap() {
                "/readyz" => answer(behaviour.readyz, "ok"),
                "/name" => {
                    behaviour.asked += 1;
                    answer(200, &name)
                }
                path if !path.starts_with("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?") => {
                    answer(404, "")
                }
                _ if !is_known => answer(401, ""),
                _ => behaviour.list.clone(),
            }
        };
        if stream.write_all(text.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}
