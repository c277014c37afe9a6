//! A value that must not be seen: it cannot be printed, compared in a message or serialized, and is wiped when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// Secret bytes, redacted in every rendering and overwritten when dropped.
///
/// Deliberately without `Serialize`: a secret crosses the wire only in the one message made for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes ownership of secret bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Lends the bytes; the name is long so that every use is seen in review.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(redacted)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("redacted")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn never_shows_its_bytes() {
        let secret = Secret::new(b"canary".to_vec());
        assert!(!format!("{secret} {secret:?}").contains("canary"));
    }
}
