//! Errors on a node, with what a person needs to act on them.
//!
//! The wire's [`NodeError`] is the error of the whole agent: every failure here is reported to the controller,
//! so there is no second type to translate from. A fault says what was being done and what went wrong; the resource it
//! was for is added by the loop that knows it.

use std::io;

use kubewright_core::errors::ErrorId;
use kubewright_core::wire::NodeError;

/// The text of a failure, as it ends an error: lower-case, without the number the operating system gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    id: ErrorId,
    text: String,
    hint: Option<String>,
}

impl From<&str> for Cause {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Self {
            id: ErrorId::NodeFailed,
            text,
            hint: None,
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        let mut letters = text.chars();
        let text = letters
            .next()
            .map(|first| first.to_lowercase().chain(letters).collect())
            .unwrap_or_default();
        let (id, hint) = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
                ErrorId::NodeNoSpace,
                Some("free space or inodes on that file system, then run the same command again"),
            ),
            io::ErrorKind::ReadOnlyFilesystem => (
                ErrorId::NodeReadOnly,
                Some("the file system is mounted read-only: check `dmesg` for disk errors and remount it"),
            ),
            _ => (ErrorId::NodeFailed, None),
        };
        Self {
            id,
            text,
            hint: hint.map(str::to_owned),
        }
    }
}

impl From<rustix::io::Errno> for Cause {
    fn from(error: rustix::io::Errno) -> Self {
        io::Error::from(error).into()
    }
}

impl From<serde_json::Error> for Cause {
    fn from(error: serde_json::Error) -> Self {
        error.to_string().into()
    }
}

/// Makes a fault out of what was being done and what went wrong.
pub fn fault(doing: impl Into<String>, cause: impl Into<Cause>) -> NodeError {
    let cause = cause.into();
    NodeError {
        id: cause.id,
        doing: doing.into(),
        cause: cause.text,
        resource: None,
        command: None,
        unit: None,
        log: Vec::new(),
        hint: cause.hint,
    }
}

/// Adds what to do about a fault.
pub fn hinted(mut error: NodeError, hint: impl Into<String>) -> NodeError {
    error.hint = Some(hint.into());
    error
}

/// Says what was being done when a result is an error.
pub trait Doing<T> {
    /// Turns the error into a fault of doing this.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, NodeError>;
}

impl<T, E: Into<Cause>> Doing<T> for Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, NodeError> {
        self.map_err(|error| fault(doing(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_a_sentence_without_error_numbers() {
        let error = Err::<(), _>(io::Error::from_raw_os_error(28))
            .doing(|| "write /etc/x".to_owned())
            .unwrap_err();
        assert_eq!(error.to_string(), "write /etc/x: no space left on device");
        assert_eq!(error.id, ErrorId::NodeNoSpace);
        assert!(error.hint.is_some());
    }
}
