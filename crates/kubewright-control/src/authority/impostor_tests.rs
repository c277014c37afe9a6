//! An attacker with root on one worker and a place on the path plays the API server for another node.
//!
//! All that node's clients reach the API at the proxy's loopback address, and the proxy relays bytes: what keeps them from
//! an impostor is what they verify. The impostor shows the certificate of a worker's kubelet, which is of the same
//! authority as those of API servers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kubewright_agent::system::RealSystem;
use kubewright_agent::wait::wait;
use kubewright_core::catalogue::release;
use kubewright_core::offline::blank;
use kubewright_core::resource::{NodeState, Resource, ResourceId};
use kubewright_core::spec::parse;
use kubewright_core::wire::NodeCondition;
use rcgen::CertificateParams;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const CLUSTER: &str = "apiVersion: kubewright/v1alpha1
kind: Cluster
metadata: { name: prod }
spec:
  nodes:
    - { name: cp-1, address: 192.0.2.11, roles: [control-plane] }
    - { name: w-1, address: 192.0.2.21, roles: [worker] }
    - { name: w-2, address: 192.0.2.22, roles: [worker] }
";

fn states() -> BTreeMap<String, NodeState> {
    let cluster = parse(CLUSTER, "cluster.yaml").unwrap().spec;
    blank(&cluster, &release(&cluster.kubernetes).unwrap(), Vec::new())
        .unwrap()
        .desired
        .states
}

/// Serves with a certificate as it is planned for a node, and answers every request with 200.
async fn serve(authorities: &Authorities, state: &NodeState, certificate_path: &str) -> SocketAddr {
    let id = ResourceId::new("certificate", certificate_path);
    let Resource::Certificate(planned) = &state.get(&id).unwrap().resource else {
        panic!("no certificate {certificate_path}");
    };
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap();
    let signed = authorities
        .sign(planned, &request.pem().unwrap(), SystemTime::now())
        .unwrap();
    let chain = vec![CertificateDer::from_pem_slice(signed.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let _ = stream.read(&mut [0; 4096]).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

/// Whether a client that has this kubeconfig would talk to the server: it verifies `tls-server-name`, or else the host.
async fn trusts(kubeconfig: &str, authority_pem: &str, server: SocketAddr) -> bool {
    let kubeconfig: Value = serde_saphyr::from_str(kubeconfig).unwrap();
    let cluster = &kubeconfig["clusters"][0]["cluster"];
    let host = cluster["server"].as_str().unwrap();
    let host = host.trim_start_matches("https://").rsplit_once(':').unwrap().0;
    let name = cluster["tls-server-name"].as_str().unwrap_or(host).to_owned();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority_pem.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector
        .connect(ServerName::try_from(name).unwrap(), stream)
        .await
        .is_ok()
}

/// Every kubeconfig of a node, by its path.
fn kubeconfigs(state: &NodeState) -> Vec<(&str, &str)> {
    let files = state
        .resources
        .iter()
        .filter_map(|staged| match &staged.resource {
            Resource::File(file) if file.content.contains("kind: Config\n") => {
                Some((file.path.as_str(), file.content.as_str()))
            }
            _ => None,
        });
    files.collect()
}

#[tokio::test]
async fn a_kubelets_certificate_passes_for_an_api_server_with_no_client_of_any_node() {
    let authorities = Authorities::generate(SystemTime::now()).unwrap();
    let certificates = authorities.certificates();
    let authority = &certificates[&AuthorityName::Kubernetes];
    let states = states();
    let impostor = serve(&authorities, &states["w-1"], "/var/lib/kubelet/pki/kubelet.crt").await;
    let api_server = serve(&authorities, &states["cp-1"], "/etc/kubernetes/pki/apiserver.crt").await;
    let mut seen = 0;
    for (node, state) in &states {
        for (path, kubeconfig) in kubeconfigs(state) {
            assert!(
                !trusts(kubeconfig, authority, impostor).await,
                "{node}: {path} trusts a kubelet"
            );
            assert!(
                trusts(kubeconfig, authority, api_server).await,
                "{node}: {path} trusts no API server"
            );
            seen += 1;
        }
    }
    // kubelet, kube-proxy, flannel everywhere; controller manager, scheduler and the administrator on the control plane.
    assert_eq!(seen, 3 * 3 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_api_does_not_take_a_kubelet_for_it() {
    let authorities = Authorities::generate(SystemTime::now()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.crt");
    let certificates = authorities.certificates();
    std::fs::write(&ca_file, &certificates[&AuthorityName::Kubernetes]).unwrap();
    let states = states();
    // The units' own wait, word for word.
    let unit = ResourceId::new("unit", "kube-proxy.service");
    let Resource::Unit(unit) = &states["w-2"].get(&unit).unwrap().resource else {
        panic!("no unit");
    };
    let words: Vec<&str> = unit.content.split_whitespace().collect();
    let name = words.iter().position(|word| *word == "--server-name");
    let server_name = name.map(|position| words[position + 1].to_owned());
    for (node, certificate, passes) in [
        ("w-1", "/var/lib/kubelet/pki/kubelet.crt", false),
        ("cp-1", "/etc/kubernetes/pki/apiserver.crt", true),
    ] {
        let address = serve(&authorities, &states[node], certificate).await;
        let condition = NodeCondition::HttpOk {
            url: format!("https://{address}/readyz"),
            ca_file: Some(ca_file.display().to_string()),
            server_name: server_name.clone(),
            unit: None,
        };
        let waited = tokio::task::spawn_blocking(move || {
            wait(&RealSystem, &condition, Duration::from_millis(300), &|| false)
        });
        assert_eq!(waited.await.unwrap().is_ok(), passes, "{certificate}");
    }
}
