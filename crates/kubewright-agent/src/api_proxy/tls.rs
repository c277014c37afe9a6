//! TLS towards the API servers: chain against the cluster's CA, name against one SAN, the proxy's own identity.
//!
//! The files are looked at for every new connection and read again when they changed, so a renewed certificate or a new CA
//! needs no restart. Sessions are never resumed: every connection verifies the server again.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::config::ProxyConfig;
use super::log::{Level, chain, event};
use super::verdict::Failure;

/// What is wrong with the files TLS is made of.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file holds no usable PEM.
    #[error("read {path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate and key cannot be used.
    #[error("use {path}")]
    Identity {
        /// The certificate's file.
        path: PathBuf,
        /// What the TLS library said.
        #[source]
        source: rustls::Error,
    },
    /// The library refuses the set-up.
    #[error("set up tls")]
    Setup(#[source] rustls::Error),
    /// The name to verify is not a DNS name or an address.
    #[error("serverName {0:?} is not a name")]
    ServerName(String),
}

/// Identifies a file's content without reading it: change time and inode.
type Stamp = Vec<Option<(i64, i64, u64)>>;

/// Makes verified connections to API servers.
#[derive(Debug)]
pub(super) struct Tls {
    ca_file: PathBuf,
    identity: Option<(PathBuf, PathBuf)>,
    server_name: ServerName<'static>,
    host: String,
    current: Mutex<(Stamp, Arc<ClientConfig>)>,
}

impl Tls {
    /// Reads the files once, so that a missing CA is an error at the start.
    pub(super) fn new(config: &ProxyConfig) -> Result<Self, TlsError> {
        let server_name = ServerName::try_from(config.server_name.clone())
            .map_err(|_| TlsError::ServerName(config.server_name.clone()))?;
        let identity = config
            .client_cert_file
            .clone()
            .zip(config.client_key_file.clone());
        let stamp = stamp(&config.ca_file, identity.as_ref());
        let client = build(&config.ca_file, identity.as_ref())?;
        Ok(Self {
            ca_file: config.ca_file.clone(),
            identity,
            server_name,
            host: config.server_name.clone(),
            current: Mutex::new((stamp, Arc::new(client))),
        })
    }

    /// The name to send as `Host`.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Connects and verifies; without a bound of its own.
    pub(super) async fn connect(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>, Failure> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| failure_of(&error))?;
        let _ = stream.set_nodelay(true);
        let connector = TlsConnector::from(self.client_config());
        connector
            .connect(self.server_name.clone(), stream)
            .await
            .map_err(|error| failure_of(&error))
    }

    fn client_config(&self) -> Arc<ClientConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.ca_file, self.identity.as_ref());
        if stamp != current.0 {
            current.0 = stamp;
            match build(&self.ca_file, self.identity.as_ref()) {
                Ok(client) => {
                    current.1 = Arc::new(client);
                    event(Level::Info, "certificates read again", &[]);
                }
                Err(error) => event(
                    Level::Warn,
                    "keep the earlier certificates",
                    &[("reason", &error)],
                ),
            }
        }
        Arc::clone(&current.1)
    }
}

fn stamp(ca_file: &Path, identity: Option<&(PathBuf, PathBuf)>) -> Stamp {
    let files = identity
        .into_iter()
        .flat_map(|(certificate, key)| [certificate.as_path(), key.as_path()]);
    std::iter::once(ca_file)
        .chain(files)
        .map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.ctime(), metadata.ctime_nsec(), metadata.ino()))
        })
        .collect()
}

fn build(ca_file: &Path, identity: Option<&(PathBuf, PathBuf)>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(ca_file)? {
        roots
            .add(certificate)
            .map_err(|error| file_error(ca_file, &error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_root_certificates(roots);
    let resolver = identity.and_then(|identity| match read_identity(identity) {
        Ok(resolver) => Some(resolver),
        // Health needs no identity, and a node must reach its API also with a missing, half-renewed or broken one.
        Err(error) => {
            event(
                Level::Warn,
                "no identity, membership is not learned",
                &[("reason", &chain(&error))],
            );
            None
        }
    });
    let mut client = match resolver {
        Some(resolver) => builder.with_client_cert_resolver(resolver),
        None => builder.with_no_client_auth(),
    };
    client.resumption = rustls::client::Resumption::disabled();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

fn read_identity((certificate, key): &(PathBuf, PathBuf)) -> Result<Arc<SingleCertAndKey>, TlsError> {
    let certificates = read_certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| file_error(key, &error))?;
    CertifiedKey::from_der(certificates, private, &rustls::crypto::ring::default_provider())
        .map(|certified| Arc::new(SingleCertAndKey::from(certified)))
        .map_err(|source| TlsError::Identity {
            path: certificate.clone(),
            source,
        })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file_error(path, &error))?;
    if certificates.is_empty() {
        return Err(file_error(path, &"no certificate in it"));
    }
    Ok(certificates)
}

fn file_error(path: &Path, problem: &dyn std::fmt::Display) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

/// Tells a foreign certificate from a closed port from a broken connection.
pub(super) fn failure_of(error: &std::io::Error) -> Failure {
    use std::io::ErrorKind;
    if let Some(rustls::Error::InvalidCertificate(_)) = error.get_ref().and_then(|inner| inner.downcast_ref())
    {
        return Failure::Untrusted;
    }
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            Failure::Refused
        }
        ErrorKind::TimedOut => Failure::TimedOut,
        _ => Failure::Broken,
    }
}
