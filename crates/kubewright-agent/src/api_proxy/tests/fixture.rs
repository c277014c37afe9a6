//! A cluster to test against: a CA, an identity, a directory, and proxies on free ports.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use super::super::config::ProxyConfig;
use super::super::http::{HttpConnection, HttpError};
use super::super::pool::Pool;
use super::super::timing::Timing;
use super::super::tls::Tls;
use super::super::verdict::Health;
use super::super::{Proxy, ProxyError};

/// No test waits longer than this for anything; none depends on how much sooner it comes.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// A certificate authority.
pub(crate) struct Authority {
    pub(crate) certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        parameters
            .distinguished_name
            .push(DnType::CommonName, "kubernetes");
        let key = KeyPair::generate().unwrap();
        let certificate_pem = parameters.self_signed(&key).unwrap().pem();
        Self {
            certificate_pem,
            issuer: Issuer::new(parameters, key),
        }
    }

    /// Issues a certificate and its key, both as PEM.
    pub(crate) fn issue(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (
            parameters.signed_by(&key, &self.issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    }
}

/// What the tests of one cluster share.
pub(crate) struct Fixture {
    pub(crate) directory: TempDir,
    pub(crate) authority: Authority,
    pub(crate) timing: Timing,
}

/// A running proxy.
pub(crate) struct RunningProxy {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) pool: Arc<Pool>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        std::fs::write(directory.path().join("ca.crt"), &authority.certificate_pem).unwrap();
        let timing = Timing {
            check_interval: Duration::from_millis(50),
            check_retry: Duration::from_millis(20),
            check_gap: Duration::from_millis(5),
            check_interval_demoted: Duration::from_millis(50),
            drain: Duration::from_millis(100),
            connect_stagger: Duration::from_millis(100),
            membership_interval: Duration::from_millis(50),
            membership_gap: Duration::from_millis(10),
            first_checks: BOUND,
            ..Timing::default()
        };
        let fixture = Self {
            directory,
            authority,
            timing,
        };
        fixture.write_identity();
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write_identity(&self) {
        let (certificate, key) = self
            .authority
            .issue(&["proxy"], ExtendedKeyUsagePurpose::ClientAuth);
        std::fs::write(self.path("client.key"), key).unwrap();
        std::fs::write(self.path("client.crt"), certificate).unwrap();
    }

    pub(crate) fn config(&self, backends: &[SocketAddr]) -> ProxyConfig {
        ProxyConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            admin: "127.0.0.1:0".parse().unwrap(),
            backends: backends.to_vec(),
            local: None,
            ca_file: self.path("ca.crt"),
            server_name: "kubernetes".to_owned(),
            client_cert_file: Some(self.path("client.crt")),
            client_key_file: Some(self.path("client.key")),
            state_file: self.path("members.json"),
        }
    }

    pub(crate) async fn start(&self, config: &ProxyConfig) -> RunningProxy {
        self.try_start(config).await.unwrap()
    }

    pub(crate) async fn try_start(&self, config: &ProxyConfig) -> Result<RunningProxy, ProxyError> {
        let proxy = Proxy::bind(config, self.timing.clone()).await?;
        let (stop, stopped) = watch::channel(false);
        Ok(RunningProxy {
            address: proxy.listener.local_addr().unwrap(),
            admin: proxy.admin.local_addr().unwrap(),
            pool: Arc::clone(&proxy.pool),
            stop,
            serving: tokio::spawn(proxy.serve(stopped)),
        })
    }

    /// Connects as a client of the API does: TLS end to end, through the proxy or directly.
    pub(crate) async fn client(&self, address: SocketAddr) -> Client {
        let stream = Tls::new(&self.config(&[]))
            .unwrap()
            .connect(address)
            .await
            .unwrap();
        HttpConnection::new(stream, "kubernetes")
    }

    /// Asks on a new connection which server it has reached.
    pub(crate) async fn reached(&self, address: SocketAddr) -> Result<String, String> {
        let tls = Tls::new(&self.config(&[])).unwrap();
        let stream = tls
            .connect(address)
            .await
            .map_err(|failure| failure.to_string())?;
        name(&mut HttpConnection::new(stream, "kubernetes"))
            .await
            .map_err(|error| error.to_string())
    }
}

/// A client's connection.
pub(crate) type Client = HttpConnection<TlsStream<TcpStream>>;

/// Asks for the name of the server on an open connection.
pub(crate) async fn name(client: &mut Client) -> Result<String, HttpError> {
    let response = client.get("/name", 1024).await?;
    Ok(String::from_utf8(response.body).unwrap())
}

impl RunningProxy {
    /// Ends the proxy as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        within(self.serving).await.unwrap();
    }

    pub(crate) fn health(&self, address: SocketAddr) -> Option<Health> {
        let backends = self.pool.backends();
        backends
            .iter()
            .find(|backend| backend.address == address)
            .map(|backend| backend.snapshot().health)
    }

    pub(crate) async fn wait_ready(&self, address: SocketAddr) {
        eventually("backend ready", || self.health(address) == Some(Health::Ready)).await;
    }

    pub(crate) async fn wait_down(&self, address: SocketAddr) {
        eventually("backend down", || {
            matches!(self.health(address), Some(Health::Down(_)))
        })
        .await;
    }
}

/// Waits for a condition, with the tests' one bound.
pub(crate) async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let wait = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(BOUND, wait).await.is_ok(), "never: {what}");
}

/// Waits for a result, with the tests' one bound.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.unwrap()
}
