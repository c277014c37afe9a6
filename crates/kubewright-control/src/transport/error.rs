//! Why a node could not be reached, and what to do about it.

use kubewright_core::errors::ErrorId;
use kubewright_core::spec::NodeName;

use super::known_hosts::KnownKey;

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
    #[error("host key verification failed{}: the key is not known", of(host.as_deref()))]
    HostKeyUnknown {
        /// Whose key it is, as ssh gave it.
        host: Option<String>,
    },
    /// The host key of the node, or of the host on the way there, is not the one that is known.
    #[error("host key verification failed{}: the key has changed{}{}", of(host.as_deref()), known_as(known.as_ref()), shown(fingerprint.as_deref()))]
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
    #[error("sudo asks for a password")]
    SudoPassword,
    /// sudo wants a terminal.
    #[error("sudo requires a terminal (requiretty)")]
    SudoTerminal,
    /// sudo does not allow it.
    #[error("the user may not use sudo")]
    SudoRefused,
    /// There is no sudo.
    #[error("the user is not root, and sudo is not installed on the node")]
    SudoMissing,
    /// There is no agent for this processor.
    #[error("no agent for processor {machine} (available: {available})")]
    Architecture {
        /// What `uname -m` says.
        machine: String,
        /// The processors there are agents for.
        available: String,
    },
    /// The agent cannot be executed where it lies.
    #[error("{directory} is on a file system mounted noexec")]
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
    #[error("the agent was damaged during the transfer")]
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
    #[error("the login shell ran another program instead of the command; output: {said}")]
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
        said => format!("; output: {said}"),
    }
}

fn of(host: Option<&str>) -> String {
    host.map_or_else(String::new, |host| format!(" for {host}"))
}

fn known_as(known: Option<&KnownKey>) -> String {
    known.map_or_else(String::new, |known| {
        format!("; expected: {} ({})", known.fingerprint, known.place)
    })
}

fn shown(fingerprint: Option<&str>) -> String {
    fingerprint.map_or_else(String::new, |fingerprint| format!("; received: {fingerprint}"))
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
                "every node needs four open files; raise the limit in this shell (`ulimit -n`) or in /etc/security/limits.conf"
                    .to_owned()
            }
            Failure::Setting { key, .. } => format!("correct `{key}` in cluster.yaml"),
            Failure::HostKeyUnknown { .. } => format!(
                "compare the output of `ssh-keyscan {0} | ssh-keygen -lf -` here with that of `ssh-keygen -lf \
                 /etc/ssh/ssh_host_ed25519_key.pub` on the machine's console; if they are equal: `ssh-keyscan {0} >> \
                 ~/.ssh/known_hosts`, or set `hostKey` of node {node} in cluster.yaml",
                self.for_keyscan()
            ),
            Failure::HostKeyChanged { pinned: true, .. } => format!(
                "if the machine was reinstalled, change `hostKey` of node {node} in cluster.yaml; if not, the connection \
                 may be intercepted: stop here"
            ),
            Failure::HostKeyChanged {
                pinned: false,
                host,
                known,
                ..
            } => format!(
                "if you do not know why the key changed, the connection may be intercepted: stop here. If the machine was \
                 reinstalled: `ssh-keygen {}-R {}`, then `ssh {}` once by hand, and compare the fingerprint with the output of \
                 `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine's console",
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
            Failure::NoAnswer(_) => format!("check that {node} is up, that its address is right, and that no firewall blocks its SSH port"),
            Failure::ClosedEarly => {
                "read the SSH server's log on the node; MaxStartups may be too low for the number of connections at once"
                    .to_owned()
            }
            Failure::NotRoot => "log in as root, or remove `sudo: false`".to_owned(),
            Failure::SudoPassword => {
                format!(
                    "kubewright never types passwords; on {node}, allow sudo without one, as root: `echo '{} ALL=(ALL) \
                     NOPASSWD: ALL' >> /etc/sudoers.d/kubewright`",
                    self.user()
                )
            }
            Failure::SudoTerminal => format!(
                "on {node}, as root: `echo 'Defaults:{} !requiretty' >> /etc/sudoers.d/kubewright`",
                self.user()
            ),
            Failure::SudoRefused => format!(
                "on {node}, as root: `echo '{} ALL=(ALL) NOPASSWD: ALL' >> /etc/sudoers.d/kubewright`; or log in as \
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
                format!("make {directory} a directory owned by root, on a writable file system")
            }
            Failure::Write { directory, .. } => format!("free space on the file system of {directory}"),
            Failure::Damaged => "run it again; if it repeats, suspect the node's memory or disk".to_owned(),
            Failure::Noise(_) | Failure::Silence { .. } => format!(
                "look at what `ssh {} true` prints: the shell's start files must not wait or print without end, and the \
                 login must not have a forced command",
                self.by_hand()
            ),
            Failure::OtherProgram { .. } => format!(
                "`ssh {} echo works` must print `works`: log in as another user (`ssh.user`), give the user an ordinary shell \
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_hint_that_can_be_typed() {
        let error = TransportError {
            node: "cp-1".parse().unwrap(),
            destination: "root@192.0.2.11 port 2222".to_owned(),
            failure: Failure::LoginRefused {
                methods: "publickey".to_owned(),
            },
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
