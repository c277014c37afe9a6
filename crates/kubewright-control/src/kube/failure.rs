//! A request to the API that did not succeed, in words for people and with what can be done about it.
//!
//! The client's own errors print themselves with their insides; here the server's sentence is shown as it is, and a
//! connection's chain of causes is reduced to the one that says something.

use std::error::Error;
use std::fmt;
use std::io;

use kube::core::Status;

/// A failed request.
#[derive(Debug)]
pub struct ApiFailure(Box<kube::Error>);

impl ApiFailure {
    /// Returns the server's own answer, when there was one.
    pub fn status(&self) -> Option<&Status> {
        match self.0.as_ref() {
            kube::Error::Api(status) => Some(status),
            _ => None,
        }
    }

    /// Tells whether the server says that the object, or its kind, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(|status| status.code == 404)
    }

    /// Tells whether the object changed meanwhile or exists already.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409)
    }

    /// Tells whether no server answered: refused, cut off, or timed out before an answer came.
    pub fn is_unreachable(&self) -> bool {
        match self.0.as_ref() {
            kube::Error::HyperError(error) => !is_refused_by_tls(error),
            kube::Error::Service(error) => !is_refused_by_tls(error.as_ref()),
            kube::Error::ReadEvents(_) => true,
            _ => false,
        }
    }

    /// Tells whether the same request may well succeed in a moment: the object changed meanwhile (409), the server is
    /// busy (429) or not ready (503, 504, etcd between leaders), or there was no answer.
    ///
    /// Only for requests that may be repeated, as server-side apply and reads may.
    pub fn is_passing(&self) -> bool {
        match self.status() {
            Some(status) => match status.code {
                409 | 429 | 503 | 504 => true,
                // etcd's own errors (`leader changed`, `request timed out`) arrive as 500.
                500 => status.message.contains("etcdserver: "),
                _ => false,
            },
            None => self.is_unreachable(),
        }
    }

    /// Returns how long the server asks to wait before the next attempt, seconds.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        let seconds = self.status()?.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then_some(seconds)
    }
}

impl From<kube::Error> for ApiFailure {
    fn from(error: kube::Error) -> Self {
        Self(Box::new(error))
    }
}

impl Error for ApiFailure {}

impl fmt::Display for ApiFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_ref() {
            kube::Error::Api(status) if status.message.trim().is_empty() => {
                write!(
                    formatter,
                    "the API server answered {} {}",
                    status.code, status.reason
                )
            }
            kube::Error::Api(status) => formatter.write_str(status.message.trim()),
            kube::Error::HyperError(error) => formatter.write_str(&root_cause(error)),
            kube::Error::Service(error) => formatter.write_str(&root_cause(error.as_ref())),
            kube::Error::ReadEvents(error) => formatter.write_str(&root_cause(error)),
            other => formatter.write_str(&root_cause(other)),
        }
    }
}

/// Walks to the last cause, which names the thing that happened, as in `connection refused`.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// A certificate that is not accepted stays so: repeating does not help.
fn is_refused_by_tls(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                .is_some()
        {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16, message: &str) -> ApiFailure {
        kube::Error::Api(Status::failure(message, "Reason").with_code(code).boxed()).into()
    }

    fn io(error: io::Error) -> ApiFailure {
        kube::Error::Service(Box::new(error)).into()
    }

    #[test]
    fn shows_the_servers_sentence_alone() {
        let failure = answered(404, "deployments.apps \"coredns\" not found");
        assert_eq!(failure.to_string(), "deployments.apps \"coredns\" not found");
        assert!(failure.is_not_found());
    }

    #[test]
    fn only_what_may_pass_is_called_passing() {
        for code in [409, 429, 503, 504] {
            assert!(answered(code, "x").is_passing(), "{code}");
        }
        for code in [400, 401, 403, 404, 422, 500] {
            assert!(!answered(code, "x").is_passing(), "{code}");
        }
        assert!(answered(500, "etcdserver: leader changed").is_passing());
        assert!(io(io::Error::from(io::ErrorKind::ConnectionRefused)).is_passing());
    }

    #[test]
    fn a_refused_certificate_does_not_pass() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let failure = io(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert!(!failure.is_passing());
        assert!(failure.to_string().contains("UnknownIssuer"), "{failure}");
    }
}
