//! A throw-away control plane on loopback: etcd, an API server with encryption at rest, and a controller-manager.
//!
//! Its programs come from a components directory (`KUBEWRIGHT_COMPONENTS`, what `kubewright-lab components` makes).
//! It is started once per test program and ends with it, however that ends: each process has a watcher that reads
//! from a pipe whose other end only the test program has.

#![expect(
    clippy::unwrap_used,
    reason = "what a test needs and does not get ends the test"
)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use kubewright_control::etcd::EtcdClient;
use kubewright_control::kube::client::ApiClient;
use kubewright_control::kube::{connect, wait};
use kubewright_control::pace::Pace;
use kubewright_core::secret::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// What a test needs to reach the control plane.
pub(crate) struct ControlPlane {
    server: String,
    etcd: String,
    issuer: Authority,
    authority: String,
    certificate: String,
    key: Secret,
    _processes: Vec<Child>,
    _directory: tempfile::TempDir,
}

impl ControlPlane {
    /// Returns the one control plane of this program, ready; `None`, said aloud, when there are no components.
    pub(crate) async fn get() -> Option<&'static Self> {
        static ONE: OnceLock<Option<ControlPlane>> = OnceLock::new();
        let one = ONE
            .get_or_init(|| {
                let Some(components) = std::env::var_os("KUBEWRIGHT_COMPONENTS") else {
                    // The test harness shows it with --nocapture; a skipped test is no failure.
                    #[expect(
                        clippy::print_stderr,
                        reason = "there is no other way to tell that a test was skipped"
                    )]
                    {
                        eprintln!("skipped: KUBEWRIGHT_COMPONENTS names no components directory");
                    }
                    return None;
                };
                Some(start(&PathBuf::from(components).join("bin")))
            })
            .as_ref()?;
        ready(&one.client()).await;
        Some(one)
    }

    pub(crate) fn client(&self) -> ApiClient {
        connect::client(
            &self.server,
            &self.authority,
            &self.certificate,
            &self.key,
            &Pace::default(),
        )
        .unwrap()
    }

    /// A client with an identity of its own.
    pub(crate) fn client_of(&self, user: &str, group: &str) -> ApiClient {
        let (certificate, key) = self.issuer.issue(user, group);
        let key = Secret::new(key.into_bytes());
        connect::client(
            &self.server,
            &self.authority,
            &certificate,
            &key,
            &Pace::default(),
        )
        .unwrap()
    }

    pub(crate) fn etcd(&self) -> EtcdClient {
        EtcdClient::new(
            &self.etcd,
            &self.authority,
            &self.certificate,
            &self.key,
            &Pace::default(),
        )
        .unwrap()
    }
}

/// Waits a minute at most until the server says that it is ready.
async fn ready(client: &ApiClient) {
    let asking = async {
        while wait::readyz(client).await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking)
        .await
        .unwrap();
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(parameters, key),
            pem,
        }
    }

    /// Issues a certificate for servers on loopback and for clients alike.
    fn issue(&self, name: &str, group: &str) -> (String, String) {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters
            .distinguished_name
            .push(DnType::OrganizationName, group);
        parameters.subject_alt_names = vec![
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::DnsName("kubernetes".try_into().unwrap()),
        ];
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

fn start(programs: &Path) -> ControlPlane {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let authority = Authority::new();
    let (certificate, key) = authority.issue("admin", "system:masters");
    let account_key = KeyPair::generate().unwrap();
    let [etcd_port, peer_port, api_port] = free_ports();
    let etcd = format!("https://127.0.0.1:{etcd_port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    let server = format!("https://127.0.0.1:{api_port}");
    fs::write(at("ca.crt"), &authority.pem).unwrap();
    fs::write(at("tls.crt"), &certificate).unwrap();
    fs::write(at("tls.key"), &key).unwrap();
    fs::write(at("sa.key"), account_key.serialize_pem()).unwrap();
    fs::write(at("sa.pub"), account_key.public_key_pem()).unwrap();
    fs::write(at("encryption.yaml"), ENCRYPTION).unwrap();
    let kubeconfig = KUBECONFIG.replace("DIRECTORY", &directory.path().display().to_string());
    fs::write(at("kubeconfig"), kubeconfig.replace("SERVER", &server)).unwrap();
    let run =
        |program: &str, arguments: &[(&str, String)]| run(programs, directory.path(), program, arguments);
    let processes = vec![
        run(
            "etcd",
            &[
                ("name", "test".to_owned()),
                ("data-dir", at("etcd")),
                ("listen-client-urls", etcd.clone()),
                ("advertise-client-urls", etcd.clone()),
                ("listen-peer-urls", peer.clone()),
                ("initial-advertise-peer-urls", peer.clone()),
                ("initial-cluster", format!("test={peer}")),
                ("client-cert-auth", "true".to_owned()),
                ("trusted-ca-file", at("ca.crt")),
                ("cert-file", at("tls.crt")),
                ("key-file", at("tls.key")),
                ("unsafe-no-fsync", "true".to_owned()),
            ],
        ),
        run(
            "kube-apiserver",
            &[
                ("bind-address", "127.0.0.1".to_owned()),
                ("secure-port", api_port.to_string()),
                ("endpoint-reconciler-type", "none".to_owned()),
                ("etcd-servers", etcd.clone()),
                ("etcd-cafile", at("ca.crt")),
                ("etcd-certfile", at("tls.crt")),
                ("etcd-keyfile", at("tls.key")),
                ("tls-cert-file", at("tls.crt")),
                ("tls-private-key-file", at("tls.key")),
                ("client-ca-file", at("ca.crt")),
                ("authorization-mode", "RBAC".to_owned()),
                (
                    "service-account-issuer",
                    "https://kubernetes.default.svc".to_owned(),
                ),
                ("service-account-key-file", at("sa.pub")),
                ("service-account-signing-key-file", at("sa.key")),
                ("service-cluster-ip-range", "10.96.0.0/16".to_owned()),
                ("encryption-provider-config", at("encryption.yaml")),
            ],
        ),
        run(
            "kube-controller-manager",
            &[
                ("kubeconfig", at("kubeconfig")),
                ("leader-elect", "false".to_owned()),
                ("secure-port", "0".to_owned()),
                ("root-ca-file", at("ca.crt")),
                ("service-account-private-key-file", at("sa.key")),
            ],
        ),
    ];
    ControlPlane {
        server,
        etcd,
        authority: authority.pem.clone(),
        issuer: authority,
        certificate,
        key: Secret::new(key.into_bytes()),
        _processes: processes,
        _directory: directory,
    }
}

/// Starts a program, again and again until its watcher's pipe is closed (the controller-manager ends when it finds no
/// API server).
fn run(programs: &Path, directory: &Path, program: &str, arguments: &[(&str, String)]) -> Child {
    const WATCHER: &str = r#"
        exec 3<&0
        (while :; do "$@" 3<&- </dev/null & echo $! >"$LOG.pid"; wait $!; sleep 0.2; done) 3<&- &
        loop=$!
        cat <&3 >/dev/null
        # Killed, not asked: an API server whose etcd has gone takes its time over going.
        kill -KILL "$loop"; kill -KILL "$(cat "$LOG.pid")"
    "#;
    let log = directory.join(format!("{program}.log"));
    Command::new("sh")
        .args(["-c", WATCHER, "sh"])
        .arg(programs.join(program))
        .args(arguments.iter().map(|(name, value)| format!("--{name}={value}")))
        .env("LOG", &log)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(fs::File::create(log).unwrap())
        .spawn()
        .unwrap()
}

/// Finds ports on which nothing listens.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

const ENCRYPTION: &str = "\
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - secretbox: {keys: [{name: k1, secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}]}
      - identity: {}
";

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: SERVER, certificate-authority: DIRECTORY/ca.crt}}]
users: [{name: test, user: {client-certificate: DIRECTORY/tls.crt, client-key: DIRECTORY/tls.key}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
";
