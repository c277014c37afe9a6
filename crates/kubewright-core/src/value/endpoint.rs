//! Where people outside reach the API, and the extra names its certificate carries.

use super::name::domain_problem;
use super::{ValueError, shorten, written_as_string};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A DNS name or an address, as it stands in a certificate's subject alternative names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectAltName {
    /// An address.
    Ip(IpAddr),
    /// A DNS name in lower case, possibly with `*.` in front.
    Dns(String),
}

impl FromStr for SubjectAltName {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Ip(address));
        }
        let looks_like_address = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
        let problem = if looks_like_address {
            Some("is not a complete IPv4 address".to_owned())
        } else {
            domain_problem(text.strip_prefix("*.").unwrap_or(text))
        };
        match problem {
            None => Ok(Self::Dns(text.to_owned())),
            Some(problem) => Err(ValueError::new(
                format!("`{}` {problem}", shorten(text)),
                "write a DNS name or an address, without scheme and port, such as `api.example.org`",
            )),
        }
    }
}

impl fmt::Display for SubjectAltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => f.pad(&address.to_string()),
            Self::Dns(name) => f.pad(name),
        }
    }
}

written_as_string!(SubjectAltName, "SubjectAltName", { "examples": ["api.example.org", "192.0.2.10"] });

/// The name or address, with port, under which people outside the cluster reach the API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The name or address; the API server's certificate carries it.
    pub host: SubjectAltName,
    /// The port, 6443 when none is written.
    pub port: u16,
}

impl FromStr for Endpoint {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        const HINT: &str = "write `host:port`, such as `api.example.org:6443`";
        let shown = shorten(text);
        if text.contains("://") {
            return Err(ValueError::new(
                format!("endpoint `{shown}` has a scheme"),
                "write only `host:port`; it is always https",
            ));
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let Some((host, rest)) = rest.split_once(']') else {
                return Err(ValueError::new(format!("endpoint `{shown}` has no `]`"), HINT));
            };
            (host, rest.strip_prefix(':'))
        } else if text.parse::<IpAddr>().is_ok() {
            (text, None)
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let port = match port {
            None => Some(6443),
            Some(port) => port
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| port.parse::<u16>().ok())
                .flatten(),
        };
        let Some(port) = port.filter(|port| *port != 0) else {
            return Err(ValueError::new(
                format!("endpoint `{shown}` has a port that is not a number from 1 to 65535"),
                HINT,
            ));
        };
        match host.parse::<SubjectAltName>() {
            Ok(SubjectAltName::Dns(name)) if name.starts_with("*.") => {
                Err(ValueError::new(format!("endpoint `{shown}` is a wildcard"), HINT))
            }
            Ok(host) => Ok(Self { host, port }),
            Err(error) => Err(ValueError::new(
                format!("endpoint `{shown}`: {}", error.problem),
                HINT,
            )),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            SubjectAltName::Ip(IpAddr::V6(address)) => f.pad(&format!("[{address}]:{}", self.port)),
            host => f.pad(&format!("{host}:{}", self.port)),
        }
    }
}

written_as_string!(Endpoint, "Endpoint", { "examples": ["api.example.org:6443"] });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_addresses_and_ports() {
        let shown = |text: &str| text.parse::<Endpoint>().unwrap().to_string();
        assert_eq!(shown("api.prod.example:6443"), "api.prod.example:6443");
        assert_eq!(shown("api.prod.example"), "api.prod.example:6443");
        assert_eq!(shown("192.0.2.10:443"), "192.0.2.10:443");
        assert_eq!(shown("[2001:db8::1]:443"), "[2001:db8::1]:443");
        assert_eq!(shown("2001:db8::1"), "[2001:db8::1]:6443");
    }

    #[test]
    fn an_unusable_endpoint_says_why() {
        let message = |text: &str| text.parse::<Endpoint>().unwrap_err().to_string();
        assert_eq!(
            message("https://api:6443"),
            "endpoint `https://api:6443` has a scheme"
        );
        assert!(message("api:0").contains("not a number from 1 to 65535"));
        assert!(message("api:99999").contains("not a number from 1 to 65535"));
        assert!(message("10.0.0:6443").contains("not a complete IPv4 address"));
        assert!(message("*.api:6443").contains("wildcard"));
        assert!(message("[::1").contains("has no `]`"));
        assert!(message("").contains("is empty"));
    }
}
