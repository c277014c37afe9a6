//! Understands what `ssh` and the node's shell said when a node could not be reached.
//!
//! `ssh` has one exit status for all its troubles, 255; the rest is text. The texts matched here are those of
//! OpenSSH 7 to 10, which does not translate them, and of sudo and sudo-rs.

use super::error::Failure;
use super::peer::Ending;

/// What a line with some words in it means; the first rule that fits wins.
type Rule = (&'static str, fn(String) -> Failure);

const RULES: [Rule; 15] = [
    ("Could not resolve hostname", |_| Failure::NameNotResolved),
    ("Connection refused", |_| Failure::Refused),
    ("timed out", Failure::NoAnswer),
    ("No route to host", Failure::NoAnswer),
    ("Network is unreachable", Failure::NoAnswer),
    ("not responding", Failure::NoAnswer),
    ("Host is down", Failure::NoAnswer),
    ("Bad configuration option", Failure::Configuration),
    ("Bad owner or permissions", Failure::Configuration),
    ("terminating,", Failure::Configuration),
    ("Too many authentication failures", |line| Failure::LoginRefused {
        methods: line,
    }),
    ("kex_exchange_identification", |_| Failure::ClosedEarly),
    ("Connection closed by", |_| Failure::ClosedEarly),
    ("Connection reset by", |_| Failure::ClosedEarly),
    ("Password change required", |_| Failure::LoginRefused {
        methods: "the password has expired".to_owned(),
    }),
];

/// The same for what is said after the login, by sudo and by sudo-rs.
const SUDO_RULES: [Rule; 11] = [
    ("sudo: a password is required", |_| Failure::SudoPassword),
    ("sudo: a terminal is required", |_| Failure::SudoPassword),
    ("sudo: no tty present and no askpass", |_| Failure::SudoPassword),
    ("sudo: interactive authentication is required", |_| {
        Failure::SudoPassword
    }),
    ("you must have a tty to run sudo", |_| Failure::SudoTerminal),
    ("is not in the sudoers", |_| Failure::SudoRefused),
    ("is not allowed to", |_| Failure::SudoRefused),
    ("may not run sudo", |_| Failure::SudoRefused),
    ("sudo: not found", |_| Failure::SudoMissing),
    ("sudo: command not found", |_| Failure::SudoMissing),
    ("exec: sudo", |_| Failure::SudoMissing),
];
/// ssh's own exit status where it is not that of the command.
const SSH_FAILED: i32 = 255;

/// Understands how the script ended before the agent spoke. What a banner said before is of no account.
pub(super) fn after_login(ending: &Ending) -> Failure {
    sudo(&ending.stderr).unwrap_or_else(|| other(ending))
}

/// What sudo said at last.
fn sudo(stderr: &str) -> Option<Failure> {
    stderr.lines().rev().find_map(|line| {
        let (_, failure) = SUDO_RULES.iter().find(|(words, _)| line.contains(words))?;
        Some(failure(line.trim().to_owned()))
    })
}

/// Understands how `ssh` or the login ended before the script began; `said` is what was printed on stdout.
pub(super) fn classify(ending: &Ending, pinned: bool, said: &str) -> Failure {
    let text = &ending.stderr;
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // The names of pins are ours and mean nothing to users.
    let host = between(text, "Host key for ", " has changed")
        .or_else(|| between(text, "host key is known for ", " and you have"))
        .filter(|host| !host.starts_with("kubewright-"));
    let fingerprint = text
        .split_whitespace()
        .find(|word| word.starts_with("SHA256:"))
        .map(|word| word.trim_end_matches('.').to_owned());
    let is_changed = has(&["REMOTE HOST IDENTIFICATION HAS CHANGED"]);
    let is_unknown = has(&["Host key verification failed", "requested strict checking"]);
    let is_pinned = pinned && host.is_none();
    if is_changed || (is_unknown && is_pinned) {
        return Failure::HostKeyChanged {
            host,
            fingerprint,
            known: None,
            pinned: is_pinned,
        };
    }
    if is_unknown {
        return Failure::HostKeyUnknown { host };
    }
    if let Some(methods) = text.lines().rev().find_map(methods_refused) {
        return Failure::LoginRefused { methods };
    }
    for (word, failure) in RULES {
        if let Some(line) = text.lines().rev().find(|line| line.contains(word)) {
            return failure(line.trim().to_owned());
        }
    }
    if let Some(failure) = sudo(text) {
        return failure;
    }
    let status = ending.status.and_then(|status| status.code());
    if status.is_some_and(|status| status != SSH_FAILED) {
        let last = text.lines().last().unwrap_or_default().trim();
        let said = match [said, last].into_iter().find(|said| !said.is_empty()) {
            Some(said) => said.to_owned(),
            None => format!("nothing (exit status {})", status.unwrap_or_default()),
        };
        return Failure::OtherProgram { said };
    }
    other(ending)
}

/// The last words, where nothing more is understood.
fn other(ending: &Ending) -> Failure {
    let last = ending.stderr.lines().last().unwrap_or_default().trim();
    let status = ending
        .status
        .map_or_else(String::new, |status| format!(" ({status})"));
    match last {
        "" => Failure::Other(format!("the connection ended before the agent spoke{status}")),
        last => Failure::Other(format!("{last}{status}")),
    }
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    let (found, _) = rest.split_once(after)?;
    Some(found.to_owned())
}

/// `root@192.0.2.11: Permission denied (publickey,password).`
fn methods_refused(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("Permission denied (")?;
    let (methods, _) = rest.split_once(')')?;
    Some(methods.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(stderr: &str) -> Failure {
        let ending = Ending {
            stderr: stderr.to_owned(),
            status: None,
        };
        classify(&ending, false, "")
    }

    #[test]
    fn tells_a_changed_host_key_and_shows_its_fingerprint() {
        let text = "@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nThe fingerprint for the ED25519 key \
                    sent by the remote host is\nSHA256:abc.\nHost key for 192.0.2.1 has changed and you have requested \
                    strict checking.\nHost key verification failed.";
        let expected = Failure::HostKeyChanged {
            host: Some("192.0.2.1".to_owned()),
            fingerprint: Some("SHA256:abc".to_owned()),
            known: None,
            pinned: false,
        };
        assert_eq!(failure(text), expected);
        assert!(
            expected
                .to_string()
                .contains("the key has changed; received: SHA256:abc")
        );
    }

    #[test]
    fn tells_the_troubles_of_ssh_apart() {
        let cases = [
            (
                "No ED25519 host key is known for 192.0.2.1 and you have requested strict checking.\n\
                 Host key verification failed.",
                Failure::HostKeyUnknown {
                    host: Some("192.0.2.1".to_owned()),
                },
            ),
            (
                "root@192.0.2.1: Permission denied (publickey,password).",
                Failure::LoginRefused {
                    methods: "publickey,password".to_owned(),
                },
            ),
            (
                "ssh: connect to host 192.0.2.1 port 22: Connection refused",
                Failure::Refused,
            ),
            (
                "ssh: connect to host 192.0.2.1 port 22: Connection timed out",
                Failure::NoAnswer("ssh: connect to host 192.0.2.1 port 22: Connection timed out".to_owned()),
            ),
            (
                "ssh: Could not resolve hostname nowhere: Name or service not known",
                Failure::NameNotResolved,
            ),
            (
                "kex_exchange_identification: Connection closed by remote host",
                Failure::ClosedEarly,
            ),
            (
                "WARNING: Your password has expired.\nPassword change required but no TTY available.",
                Failure::LoginRefused {
                    methods: "the password has expired".to_owned(),
                },
            ),
            ("sudo: a password is required", Failure::SudoPassword),
            (
                "sudo: a terminal is required to read the password; either use the -S option to read from standard input \
                 or configure an askpass helper\nsudo: a password is required",
                Failure::SudoPassword,
            ),
            (
                "sudo: interactive authentication is required",
                Failure::SudoPassword,
            ),
            ("ada may not run sudo on w-1.", Failure::SudoRefused),
            (
                "sudo: sorry, you must have a tty to run sudo",
                Failure::SudoTerminal,
            ),
            ("ada is not in the sudoers file.", Failure::SudoRefused),
            ("/bin/sh: 1: exec: sudo: not found", Failure::SudoMissing),
        ];
        for (text, expected) in cases {
            assert_eq!(failure(text), expected, "{text}");
        }
    }

    #[test]
    fn a_banner_is_not_taken_for_what_went_wrong() {
        let ending = Ending {
            stderr:
                "Whoever is not allowed to use this system: Connection refused, sessions are timed out.\n\
                     sudo: a password is required"
                    .to_owned(),
            status: None,
        };
        assert_eq!(after_login(&ending), Failure::SudoPassword);
    }
}
