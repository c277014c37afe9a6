//! The proxy's configuration file, a JSON object.
//!
//! ```json
//! {
//!   "listen": "127.0.0.1:7443",
//!   "admin": "127.0.0.1:7445",
//!   "backends": ["192.0.2.11:6443", "192.0.2.12:6443", "192.0.2.13:6443"],
//!   "local": "192.0.2.11:6443",
//!   "caFile": "/etc/kubernetes/pki/ca.crt",
//!   "serverName": "kubernetes",
//!   "clientCertFile": "/etc/kubernetes/pki/api-proxy.crt",
//!   "clientKeyFile": "/etc/kubernetes/pki/api-proxy.key",
//!   "stateFile": "/var/lib/kubewright-proxy/members.json"
//! }
//! ```
//!
//! `backends` may be empty when `stateFile` remembers some. `local`, and the pair `clientCertFile` and
//! `clientKeyFile`, may be left out: without an identity membership is not learned. Unknown keys are errors.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The largest configuration file that is read, in bytes.
const MAX_CONFIG_BYTES: u64 = 256 * 1024;

/// The proxy's configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxyConfig {
    /// Where clients of the API connect; a loopback address.
    pub listen: SocketAddr,
    /// Where metrics and state are served; a loopback address.
    pub admin: SocketAddr,
    /// The API servers known when the file was written.
    #[serde(default)]
    pub backends: Vec<SocketAddr>,
    /// The API server of this node, preferred whenever it is ready.
    #[serde(default)]
    pub local: Option<SocketAddr>,
    /// The certificates (PEM) every API server's chain must end in.
    pub ca_file: PathBuf,
    /// The DNS name every API server's certificate must be valid for.
    #[serde(default = "default_server_name")]
    pub server_name: String,
    /// The certificate (PEM) this proxy shows to API servers.
    #[serde(default)]
    pub client_cert_file: Option<PathBuf>,
    /// The private key (PEM) of `client_cert_file`.
    #[serde(default)]
    pub client_key_file: Option<PathBuf>,
    /// Where learned members are remembered; its directory must be writable.
    pub state_file: PathBuf,
}

fn default_server_name() -> String {
    "kubernetes".to_owned()
}

/// What is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not readable.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than any sensible configuration.
    #[error("{path} is larger than {MAX_CONFIG_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not the expected JSON.
    #[error("parse {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: serde_json::Error,
    },
    /// The values contradict each other or the proxy's rules.
    #[error("{path}: {problem}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The rule that is broken.
        problem: String,
    },
}

impl ProxyConfig {
    /// Reads and validates the file.
    pub(super) fn load(path: &Path) -> Result<Self, ConfigError> {
        let read_error = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let size_bytes = std::fs::metadata(path).map_err(read_error)?.len();
        if size_bytes > MAX_CONFIG_BYTES {
            return Err(ConfigError::TooLarge {
                path: path.to_owned(),
            });
        }
        let text = std::fs::read(path).map_err(read_error)?;
        let config: Self = serde_json::from_slice(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source,
        })?;
        config.validate().map_err(|problem| ConfigError::Invalid {
            path: path.to_owned(),
            problem,
        })?;
        Ok(config)
    }

    /// Checks the rules that types cannot express; the error names the key.
    pub(super) fn validate(&self) -> Result<(), String> {
        for (key, address) in [("listen", self.listen), ("admin", self.admin)] {
            if !address.ip().is_loopback() {
                return Err(format!("{key}: {address} is not a loopback address"));
            }
        }
        if self.listen == self.admin && self.listen.port() != 0 {
            return Err("admin: must differ from listen".to_owned());
        }
        for backend in self.backends.iter().chain(&self.local) {
            if *backend == self.listen {
                return Err(format!("backends: {backend} is this proxy itself"));
            }
            if backend.port() == 0 || backend.ip().is_unspecified() {
                return Err(format!("backends: {backend} is not an address to connect to"));
            }
        }
        if self.client_cert_file.is_some() != self.client_key_file.is_some() {
            return Err("clientCertFile and clientKeyFile: set both or neither".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ProxyConfig, String> {
        let config: ProxyConfig = serde_json::from_str(text).map_err(|error| error.to_string())?;
        config.validate()?;
        Ok(config)
    }

    fn with(extra: &str) -> String {
        format!(
            r#"{{"listen":"127.0.0.1:7443","admin":"127.0.0.1:7445","caFile":"/ca.crt","stateFile":"/m.json"{extra}}}"#
        )
    }

    #[test]
    fn fills_in_what_may_be_left_out() {
        let config = parse(&with(r#","backends":["10.0.0.11:6443"]"#)).unwrap();
        assert_eq!(config.server_name, "kubernetes");
        assert_eq!(config.local, None);
        assert_eq!(config.backends, ["10.0.0.11:6443".parse().unwrap()]);
    }

    #[test]
    fn refuses_unknown_keys() {
        assert!(
            parse(&with(r#","backend":[]"#))
                .unwrap_err()
                .contains("unknown field `backend`")
        );
    }

    #[test]
    fn refuses_to_listen_beyond_the_node() {
        let text = with("").replace("127.0.0.1:7443", "0.0.0.0:7443");
        assert!(parse(&text).unwrap_err().contains("not a loopback address"));
    }

    #[test]
    fn refuses_itself_as_backend() {
        assert!(
            parse(&with(r#","backends":["127.0.0.1:7443"]"#))
                .unwrap_err()
                .contains("itself")
        );
    }

    #[test]
    fn refuses_half_an_identity() {
        assert!(
            parse(&with(r#","clientCertFile":"/c.crt""#))
                .unwrap_err()
                .contains("both or neither")
        );
    }
}
