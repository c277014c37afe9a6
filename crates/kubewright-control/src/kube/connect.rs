//! Makes a client for an API server that is reached through a local forward.
//!
//! The address is a port on this computer that ends at a control plane's own `127.0.0.1:6443`; what is verified is the
//! name that only API servers have.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::AuthInfo;
use kube::{Client, Config};
use kubewright_core::component::apiserver::SERVER_NAME;
use kubewright_core::secret::Secret;

use super::client::ApiClient;
use super::failure::ApiFailure;
use crate::pace::Pace;
use crate::tls::{self, TlsError};

/// The forward is local: a connection that takes longer, with the handshake of TLS, has no server behind it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests are small; a write that takes longer goes nowhere.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not a URL.
    // No hint: the address is made by kubewright.
    #[error("`{url}` is not an address of an API server")]
    Address {
        /// What was given.
        url: String,
    },
    /// The certificates are unusable.
    #[error("prepare the connection to the API server {url}")]
    Tls {
        /// The server's address.
        url: String,
        /// What is wrong with them.
        #[source]
        source: TlsError,
    },
    /// The client's parts did not fit together.
    #[error("prepare the connection to the API server {url}")]
    Client {
        /// The server's address.
        url: String,
        /// What the client says.
        #[source]
        source: ApiFailure,
    },
}

/// Makes a client; nothing is sent yet.
///
/// Requests are neither limited in rate nor repeated by the client: `retry` decides that, per call. There is no read
/// timeout, because watches and forwarded ports are silent for long; callers bound what they wait for. The server has as
/// long as the pace of its node gives it.
pub fn client(
    server_url: &str,
    authority_pem: &str,
    certificate_pem: &str,
    key_pem: &Secret,
    pace: &Pace,
) -> Result<ApiClient, ConnectError> {
    tls::install_provider();
    let address = server_url.parse().map_err(|_| ConnectError::Address {
        url: server_url.to_owned(),
    })?;
    let tls_error = |source| ConnectError::Tls {
        url: server_url.to_owned(),
        source,
    };
    let authority = tls::certificates(authority_pem, "the certificate authority").map_err(tls_error)?;
    if authority.is_empty() {
        return Err(tls_error(TlsError::NoAuthority));
    }
    let mut config = Config::new(address);
    config.root_cert = Some(authority.iter().map(|certificate| certificate.to_vec()).collect());
    config.tls_server_name = Some(SERVER_NAME.to_owned());
    config.connect_timeout = Some(pace.bound(CONNECT_TIMEOUT));
    config.write_timeout = Some(pace.bound(WRITE_TIMEOUT));
    config.default_retry = false;
    config.auth_info = AuthInfo {
        client_certificate_data: Some(STANDARD.encode(certificate_pem)),
        client_key_data: Some(STANDARD.encode(key_pem.expose()).into()),
        ..AuthInfo::default()
    };
    let client = Client::try_from(config).map_err(|source| ConnectError::Client {
        url: server_url.to_owned(),
        source: source.into(),
    })?;
    Ok(ApiClient::new(client, pace.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_without_a_certificate_is_refused() {
        let key = Secret::new(Vec::new());
        let Err(error) = client("https://127.0.0.1:1", "", "", &key, &Pace::default()) else {
            panic!("accepted nothing as an authority");
        };
        assert!(matches!(
            error,
            ConnectError::Tls {
                source: TlsError::NoAuthority,
                ..
            }
        ));
    }
}
