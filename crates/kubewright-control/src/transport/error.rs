//! Why a node could not be reached, told from what `ssh` and the node's shell said.
//!
//! `ssh` has one exit status for all its troubles, 255; the rest is text. The texts matched here are those of
//! OpenSSH 7 to 10, which does not translate them.

use kubewright_core::catalogue::Platform;
use kubewright_core::errors::ErrorId;
use kubewright_core::spec::NodeName;

use super::known_hosts::KnownKey;
use super::peer::Ending;

/// A node could not be reached.
#[derive(Clone, Debug, thiserror::Error)]
#[error("reach node {node} at {destination}: {failure}")]
pub struct TransportError {
    /// Which node.
    pub node: NodeName,
    /// Where it was looked for, as in `root@192.0.2.11 port 22`.
    pub destination: String,
    /// What went wrong.
    pub failure: Failure,
    /// The last lines on stderr, escaped.
    pub stderr: Box<str>,
}

/// What went wrong while a node was being reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The program could not be started.
    #[error("start {program}: {cause}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        cause: String,
    },
    /// A file that the connection needs could not be written.
    #[error("prepare the connection: {0}")]
    Prepare(String),
    /// This computer grants this process no more open files.
    #[error("too many files are open")]
    Descriptors,
    /// A setting that cannot be used.
    #[error("{key}: {cause}")]
    Setting {
        /// The key in cluster.yaml.
        key: &'static str,
        /// Why.
        cause: String,
    },
    /// Nothing vouches for the host key of the node or of the host on the way there.
    #[error("the host key{} is not known, so nothing was sent", of(host.as_deref()))]
    HostKeyUnknown {
        /// Whose key it is, as ssh gave it.
        host: Option<String>,
    },
    /// The host key of the node, or of the host on the way there, is not the one that is known.
    #[error("the host key{} is not the known one, so nothing was sent{}{}", of(host.as_deref()), known_as(known.as_ref()), shown(fingerprint.as_deref()))]
    HostKeyChanged {
        /// Whose key it is, as ssh gave it.
        host: Option<String>,
        /// The fingerprint of the key the node showed, as ssh gave it.
        fingerprint: Option<String>,
        /// The key that was expected.
        known: Option<KnownKey>,
        /// The key was pinned in cluster.yaml.
        pinned: bool,
    },
    /// No key, agent or certificate was accepted.
    #[error("login refused ({methods})")]
    LoginRefused {
        /// What the node would accept, as in `publickey,password`.
        methods: String,
    },
    /// The name means nothing.
    #[error("the name cannot be resolved")]
    NameNotResolved,
    /// Nothing listens.
    #[error("connection refused")]
    Refused,
    /// Nothing answers.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The SSH server hung up before login.
    #[error("the SSH server closed the connection before login")]
    ClosedEarly,
    /// ssh did not like its configuration.
    #[error("ssh configuration: {0}")]
    Configuration(String),
    /// The login works, but the user is not root and `sudo` is off.
    #[error("the user is not root, and `sudo: false` is set")]
    NotRoot,
    /// sudo wants a password.
    #[error("sudo wants a password")]
    SudoPassword,
    /// sudo wants a terminal.
    #[error("sudo wants a terminal (requiretty)")]
    SudoTerminal,
    /// sudo does not allow it.
    #[error("the user may not use sudo")]
    SudoRefused,
    /// There is no sudo.
    #[error("the user is not root, and there is no sudo on the node")]
    SudoMissing,
    /// There is no agent for this processor.
    #[error("no agent for processor {machine} (there are: {available})")]
    Architecture {
        /// What `uname -m` says.
        machine: String,
        /// The processors there are agents for.
        available: String,
    },
    /// The agent cannot be executed where it lies.
    #[error("{directory} does not allow programs to be executed")]
    NoExec {
        /// The agent's directory.
        directory: String,
    },
    /// The agent's directory cannot be made, or is not root's own.
    #[error("{directory} cannot be used for the agent")]
    Directory {
        /// The agent's directory.
        directory: String,
    },
    /// The agent could not be written.
    #[error("write the agent to {directory}: {cause}")]
    Write {
        /// The agent's directory.
        directory: String,
        /// What the node said.
        cause: String,
    },
    /// What arrived is not what was sent.
    #[error("the agent arrived damaged")]
    Damaged,
    /// The login shell said too much before anything useful.
    #[error("the login shell printed more than {0} KiB before the first answer")]
    Noise(usize),
    /// Nothing useful was said for too long.
    #[error("no answer from the login shell within {seconds} s{}", and_said(said))]
    Silence {
        /// How long was waited.
        seconds: u64,
        /// What was printed until then.
        said: String,
    },
    /// The login works and runs something else.
    #[error("the login runs something else than it is told to; it says: {said}")]
    OtherProgram {
        /// What that printed, or how it ended.
        said: String,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

fn and_said(said: &str) -> String {
    match said {
        "" => String::new(),
        said => format!("; it says: {said}"),
    }
}

fn of(host: Option<&str>) -> String {
    host.map_or_else(String::new, |host| format!(" of {host}"))
}

fn known_as(known: Option<&KnownKey>) -> String {
    known.map_or_else(String::new, |known| {
        format!("; known is {} ({})", known.fingerprint, known.place)
    })
}

fn shown(fingerprint: Option<&str>) -> String {
    fingerprint.map_or_else(String::new, |fingerprint| format!("; it shows {fingerprint}"))
}

impl Failure {
    /// Which situation it is.
    pub const fn id(&self) -> ErrorId {
        match self {
            Self::Start { .. } => ErrorId::SshMissing,
            Self::Prepare(_) | Self::Descriptors => ErrorId::LocalFailure,
            Self::Setting { .. } => ErrorId::SshSetting,
            Self::HostKeyUnknown { .. } => ErrorId::SshHostKeyUnknown,
            Self::HostKeyChanged { .. } => ErrorId::SshHostKeyChanged,
            Self::LoginRefused { .. } => ErrorId::SshLoginRefused,
            Self::NameNotResolved => ErrorId::SshNameNotResolved,
            Self::Refused => ErrorId::SshConnectionRefused,
            Self::NoAnswer(_) => ErrorId::SshNoAnswer,
            Self::ClosedEarly => ErrorId::SshClosedEarly,
            Self::Configuration(_) => ErrorId::SshConfiguration,
            Self::NotRoot => ErrorId::NotRoot,
            Self::SudoPassword => ErrorId::SudoPassword,
            Self::SudoTerminal => ErrorId::SudoTerminal,
            Self::SudoRefused => ErrorId::SudoRefused,
            Self::SudoMissing => ErrorId::SudoMissing,
            Self::Architecture { .. } => ErrorId::AgentMissing,
            Self::NoExec { .. } | Self::Directory { .. } | Self::Write { .. } => ErrorId::AgentPlace,
            Self::Damaged => ErrorId::AgentDamaged,
            Self::Noise(_) | Self::Silence { .. } => ErrorId::SshNoise,
            Self::OtherProgram { .. } => ErrorId::SshOtherProgram,
            Self::Other(_) => ErrorId::SshFailed,
        }
    }
}

impl TransportError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let node = &self.node;
        let hint = match &self.failure {
            Failure::Start { program, .. } => {
                format!("install an OpenSSH client, or put `{program}` on the PATH")
            }
            Failure::Prepare(_) => "make the temporary directory (TMPDIR) writable".to_owned(),
            Failure::Descriptors => {
                "every node takes four open files: allow more of them, in this shell (`ulimit -n`) or in /etc/security/limits.conf"
                    .to_owned()
            }
            Failure::Setting { key, .. } => format!("correct `{key}` in cluster.yaml"),
            Failure::HostKeyUnknown { .. } => format!(
                "compare what `ssh-keyscan {0} | ssh-keygen -lf -` says here with what `ssh-keygen -lf \
                 /etc/ssh/ssh_host_ed25519_key.pub` says on the machine's console; if they agree: `ssh-keyscan {0} >> \
                 ~/.ssh/known_hosts`, or pin the key as `hostKey` of node {node} in cluster.yaml",
                self.for_keyscan()
            ),
            Failure::HostKeyChanged { pinned: true, .. } => format!(
                "if the machine was reinstalled, change `hostKey` of node {node} in cluster.yaml; if not, somebody may \
                 be between you and it"
            ),
            Failure::HostKeyChanged {
                pinned: false,
                host,
                known,
                ..
            } => format!(
                "if you do not know why, somebody may be between you and it: do not go on. If the machine was \
                 reinstalled: `ssh-keygen {}-R {}`, then `ssh {}` once by hand, and compare the fingerprint with what \
                 `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on the machine's console",
                known
                    .as_ref()
                    .and_then(KnownKey::file)
                    .map_or_else(String::new, |file| format!("-f {file} ")),
                host.as_ref().map_or_else(
                    || "ADDRESS".to_owned(),
                    |host| if host.contains('[') {
                        format!("'{host}'")
                    } else {
                        host.clone()
                    }
                ),
                self.by_hand()
            ),
            Failure::LoginRefused { .. } => format!(
                "kubewright never types passwords: load your key into ssh-agent, or set `ssh.identityFile`; `ssh -o \
                 BatchMode=yes {} true` must work",
                self.by_hand()
            ),
            Failure::NameNotResolved => {
                "use an address, or give the name a HostName in ssh_config".to_owned()
            }
            Failure::Refused => {
                format!("start the SSH server on {node}, or set `port` of the node in cluster.yaml")
            }
            Failure::NoAnswer(_) => format!("check that {node} is up, its address and the firewalls between"),
            Failure::ClosedEarly => {
                "see the SSH server's log; MaxStartups may be too low for the number of connections at once"
                    .to_owned()
            }
            Failure::NotRoot => "log in as root, or remove `sudo: false`".to_owned(),
            Failure::SudoPassword => {
                format!(
                    "kubewright never types passwords; on {node}, allow sudo without one: `echo '{} ALL=(ALL) NOPASSWD: \
                     ALL' > /etc/sudoers.d/kubewright` as root",
                    self.user()
                )
            }
            Failure::SudoTerminal => format!(
                "on {node}: `echo 'Defaults:{} !requiretty' >> /etc/sudoers.d/kubewright` as root",
                self.user()
            ),
            Failure::SudoRefused => format!(
                "on {node}: `echo '{} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/kubewright` as root, or log in as \
                 another user (`ssh.user`)",
                self.user()
            ),
            Failure::SudoMissing => "install sudo on the node, or log in as root".to_owned(),
            Failure::Architecture { available, .. } if available == "none" => {
                "this kubewright carries no agent: build it with `cargo xtask dist`".to_owned()
            }
            Failure::Architecture { .. } => {
                "use a machine of a supported processor, or a kubewright built with an agent for it"
                    .to_owned()
            }
            Failure::NoExec { directory } => {
                format!("remount the file system of {directory} without `noexec`")
            }
            Failure::Directory { directory } => {
                format!("see that {directory} is a directory owned by root, on a writable file system")
            }
            Failure::Write { directory, .. } => format!("free some space where {directory} is"),
            Failure::Damaged => "run it again; if it repeats, suspect the node's memory or disk".to_owned(),
            Failure::Noise(_) | Failure::Silence { .. } => format!(
                "see what `ssh {} true` prints; the shell's start files must not wait or print without end, and no other \
                 command may be forced upon the login",
                self.by_hand()
            ),
            Failure::OtherProgram { .. } => format!(
                "`ssh {} echo works` must print works: log in as another user (`ssh.user`), give the user an ordinary shell \
                 (chsh -s /bin/sh), or remove the forced command (`command=` in authorized_keys, ForceCommand in \
                 sshd_config) on {node}",
                self.by_hand()
            ),
            Failure::Configuration(_) | Failure::Other(_) => format!("try `ssh {} true`", self.by_hand()),
        };
        Some(hint)
    }

    /// Whether the same attempt may work a little later: a node that is booting looks like this.
    pub fn may_pass(&self) -> bool {
        matches!(
            self.failure,
            Failure::Refused | Failure::NoAnswer(_) | Failure::ClosedEarly | Failure::Silence { .. }
        )
    }

    /// The user who logs in, as a word of sudoers.
    fn user(&self) -> &str {
        let user = self.destination.split_once('@').map(|(user, _)| user);
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        user.filter(|user| user.chars().all(is_plain)).unwrap_or("USER")
    }

    /// Why, from the outside in: what has to be compared stands in lines of its own.
    pub fn causes(&self) -> Vec<String> {
        let text = self.failure.to_string();
        match self.failure {
            Failure::HostKeyChanged { .. } => text.split("; ").map(str::to_owned).collect(),
            _ => vec![text],
        }
    }

    /// What ssh and the node said, where it tells more than is understood of it.
    pub fn told(&self) -> Vec<String> {
        match self.failure {
            Failure::HostKeyChanged { .. }
            | Failure::HostKeyUnknown { .. }
            | Failure::OtherProgram { .. }
            | Failure::SudoPassword
            | Failure::SudoTerminal
            | Failure::SudoMissing
            | Failure::NameNotResolved
            | Failure::Refused => Vec::new(),
            _ => self.stderr.lines().map(str::to_owned).collect(),
        }
    }

    /// The destination as arguments of an `ssh-keyscan` typed by hand.
    fn for_keyscan(&self) -> String {
        let place = self
            .destination
            .split_once('@')
            .map_or(self.destination.as_str(), |(_, place)| place);
        match place.split_once(" port ") {
            Some((address, port)) => format!("-p {port} {address}"),
            None => place.to_owned(),
        }
    }

    /// The destination as arguments of an `ssh` typed by hand.
    fn by_hand(&self) -> String {
        self.destination.replace(" port ", " -p ")
    }
}

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
    // The names of pins are ours and mean nothing to anybody.
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

/// The processors there are agents for, as people write them.
pub(super) fn available(platforms: impl Iterator<Item = Platform>) -> String {
    let names: Vec<String> = platforms.map(|platform| platform.to_string()).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
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
                .contains("nothing was sent; it shows SHA256:abc")
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

    #[test]
    fn every_failure_has_a_hint_that_can_be_typed() {
        let error = TransportError {
            node: "cp-1".parse().unwrap(),
            destination: "root@192.0.2.11 port 2222".to_owned(),
            failure: failure("root@192.0.2.11: Permission denied (publickey)."),
            stderr: Box::default(),
        };
        assert!(
            error
                .hint()
                .unwrap()
                .contains("ssh -o BatchMode=yes root@192.0.2.11 -p 2222 true")
        );
    }
}
