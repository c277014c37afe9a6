//! The key that was expected, when a host shows another one: an operator has to be able to compare both.
//!
//! `ssh` names the file and the line of the key that does not fit; the fingerprint is made as OpenSSH makes it, from
//! the key's own bytes. Nothing here changes a file.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

/// Most of a known_hosts file that is read.
const LONGEST: u64 = 64 << 20;

/// A host key that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// Its fingerprint, as OpenSSH prints it.
    pub fingerprint: String,
    /// Where it is written, as in `/root/.ssh/known_hosts line 12`.
    pub place: String,
}

impl KnownKey {
    /// The key that cluster.yaml pins.
    pub(super) fn pinned(key: &str) -> Option<Self> {
        Some(Self {
            fingerprint: fingerprint(key.split_whitespace())?,
            place: "hostKey in cluster.yaml".to_owned(),
        })
    }

    /// The key that ssh names as the one that does not fit.
    pub(super) fn offending(stderr: &str) -> Option<Self> {
        let (file, line) = stderr.lines().find_map(named)?;
        let text = BufReader::new(File::open(file).ok()?.take(LONGEST))
            .lines()
            .nth(line.checked_sub(1)?)?
            .ok()?;
        Some(Self {
            fingerprint: fingerprint(text.split_whitespace())?,
            place: format!("{file} line {line}"),
        })
    }

    /// The known_hosts file it is in, if it is in one and the path can be typed as it is.
    pub(super) fn file(&self) -> Option<&str> {
        let (file, _) = self.place.rsplit_once(" line ")?;
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
        file.chars().all(is_plain).then_some(file)
    }
}

/// `Offending ED25519 key in /root/.ssh/known_hosts:12`, or `Offending key for IP in …`.
fn named(line: &str) -> Option<(&str, usize)> {
    let (_, place) = line.trim().strip_prefix("Offending ")?.split_once(" in ")?;
    let (file, line) = place.rsplit_once(':')?;
    Some((file, line.parse().ok()?))
}

/// The fingerprint of the first word that is a key: what begins with its own length and type.
fn fingerprint<'a>(words: impl Iterator<Item = &'a str>) -> Option<String> {
    let key = words
        .filter(|word| word.starts_with("AAAA"))
        .find_map(|word| STANDARD.decode(word).ok())?;
    let digest = Sha256::digest(&key);
    Some(format!("SHA256:{}", STANDARD_NO_PAD.encode(digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with ssh-keygen, and so is its fingerprint.
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFvKfCa6q9A1fTryCus8jXS/jAq0SzzqKps1u2B2e6sK";
    const FINGERPRINT: &str = "SHA256:wtde5iXSPPnWoo5eBZD/h7HOHUvWsS77zCdkbhW14yk";

    #[test]
    fn says_the_fingerprint_of_a_key_as_openssh_does() {
        let known = KnownKey::pinned(KEY).unwrap();
        assert_eq!(known.fingerprint, FINGERPRINT);
        assert_eq!(known.file(), None);
        assert_eq!(KnownKey::pinned("ssh-ed25519 nonsense"), None);
    }

    #[test]
    fn finds_the_key_that_ssh_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("known_hosts").display().to_string();
        std::fs::write(&path, format!("# mine\n192.0.2.11 {KEY}\n")).unwrap();
        let stderr =
            format!("@@@@\nOffending ED25519 key in {path}:2\n  remove with:\nHost key verification failed.");
        let known = KnownKey::offending(&stderr).unwrap();
        assert_eq!(known.fingerprint, FINGERPRINT);
        assert_eq!(known.file(), Some(path.as_str()));
        assert_eq!(KnownKey::offending(&stderr.replace(":2", ":1")), None);
        assert_eq!(KnownKey::offending(&stderr.replace(":2", ":0")), None);
        assert_eq!(
            KnownKey::offending("Offending key in /nowhere/known_hosts:1"),
            None
        );
    }
}
