//! An agent on another machine, over the operator's own `ssh`.
//!
//! Keys, agents, certificates, jump hosts and aliases are what ssh_config says. What must hold whatever it says —
//! strict host keys, no prompt, no forwarding, a dead link noticed within 15 s — is written into a configuration
//! file of one connection that includes the operator's: ssh takes the first value it finds, and hands the file on to
//! the ssh it starts for a jump host, which options on the command line would not reach.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kubewright_core::spec::{Cluster, Node, NodeName};
use tempfile::TempDir;
use tokio::process::Command;

use super::bootstrap::{self, Mark, STATE_DIRECTORY, Stop};
use super::descriptors;
use super::diagnosis::{after_login, classify};
use super::known_hosts::KnownKey;
use super::{Agents, Channel, Failure, Opening, Peer, Transport, TransportError};
use crate::random;

/// How long ssh has to end by itself once its output has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The first part; what cluster.yaml sets follows, then the operator's own.
const CONFIGURATION: &str = "\
Host *
  BatchMode yes
  StrictHostKeyChecking yes
  ServerAliveInterval 5
  ServerAliveCountMax 2
  ConnectTimeout 10
  ControlMaster no
  ControlPath none
  ClearAllForwardings yes
  ForwardAgent no
  ForwardX11 no
  PermitLocalCommand no
  LogLevel INFO
";
const OPERATORS: &str = "\
Include ~/.ssh/config
Include /etc/ssh/ssh_config
";

/// How one node is reached over SSH; what is `None` is left to ssh_config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshSettings {
    /// The node.
    pub node: NodeName,
    /// Its address, or a name ssh knows.
    pub address: String,
    /// The user to log in as.
    pub user: Option<String>,
    /// The port of the SSH server.
    pub port: Option<u16>,
    /// The only private key offered.
    pub identity_file: Option<String>,
    /// The known_hosts file to use instead of the operator's.
    pub known_hosts: Option<String>,
    /// The host to go through.
    pub jump: Option<String>,
    /// Whether sudo may be used; `None` and `true` use it when the user is not root.
    pub sudo: Option<bool>,
    /// The only host key accepted, as in `ssh-ed25519 AAAA…`.
    pub host_key: Option<String>,
}

impl SshSettings {
    /// Reads the settings of a node; relative paths are relative to `directory`, cluster.yaml's.
    pub fn of(cluster: &Cluster, node: &Node, directory: &Path) -> Self {
        let ssh = cluster.ssh_of(node);
        let path = |text: &str| {
            if text.starts_with('~') {
                text.to_owned()
            } else {
                directory.join(text).display().to_string()
            }
        };
        Self {
            node: node.name.clone(),
            address: node.address.to_string(),
            user: ssh.user.map(str::to_owned),
            port: ssh.port,
            identity_file: ssh.identity_file.map(path),
            known_hosts: ssh.known_hosts.map(path),
            jump: ssh.jump.map(str::to_owned),
            sudo: ssh.sudo,
            host_key: ssh.host_key.map(str::to_owned),
        }
    }

    /// Where this leads, for messages.
    fn destination(&self) -> String {
        let mut text = match &self.user {
            Some(user) => format!("{user}@{}", self.address),
            None => self.address.clone(),
        };
        if let Some(port) = self.port {
            let _ = write!(text, " port {port}");
        }
        text
    }

    /// The arguments of `ssh` up to the remote command.
    fn arguments(&self, configuration: &Path, pins: Option<&Path>) -> Vec<String> {
        let mut arguments = vec![
            "-F".to_owned(),
            configuration.display().to_string(),
            "-T".to_owned(),
        ];
        let mut option = |text: String| arguments.extend(["-o".to_owned(), text]);
        option("RemoteCommand=none".to_owned());
        if let Some(pins) = pins {
            option(format!("HostKeyAlias={}", self.alias()));
            option(format!(
                "UserKnownHostsFile={}",
                quoted(&pins.display().to_string())
            ));
            option("GlobalKnownHostsFile=/dev/null".to_owned());
            option("UpdateHostKeys=no".to_owned());
        }
        for (flag, value) in [
            ("-J", self.jump.clone()),
            ("-p", self.port.map(|port| port.to_string())),
            ("-l", self.user.clone()),
        ] {
            if let Some(value) = value {
                arguments.extend([flag.to_owned(), value]);
            }
        }
        arguments.extend(["--".to_owned(), self.address.clone()]);
        arguments
    }

    /// The configuration file; what it says holds for a jump host too.
    fn configuration(&self) -> String {
        let mut text = CONFIGURATION.to_owned();
        if let Some(known_hosts) = &self.known_hosts {
            let _ = writeln!(text, "  UserKnownHostsFile {}", quoted(known_hosts));
        }
        if let Some(identity) = &self.identity_file {
            let _ = writeln!(text, "  IdentityFile {}\n  IdentitiesOnly yes", quoted(identity));
        }
        text + OPERATORS
    }

    /// The name under which a pinned key is filed.
    fn alias(&self) -> String {
        format!("kubewright-{}", self.node)
    }

    /// The known_hosts line of a pinned key.
    fn pin(&self) -> Result<Option<String>, Failure> {
        let Some(key) = &self.host_key else {
            return Ok(None);
        };
        let mut words = key.split_whitespace();
        let (kind, text) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let is_plain = |word: &str| {
            word.chars()
                .all(|c| c.is_ascii_alphanumeric() || "+/=-.@".contains(c))
        };
        if text.is_empty() || kind.starts_with('@') || !is_plain(kind) || !is_plain(text) {
            return Err(Failure::Setting {
                key: "hostKey",
                cause: "not a public key, as in `ssh-ed25519 AAAA…`".to_owned(),
            });
        }
        Ok(Some(format!("{} {kind} {text}\n", self.alias())))
    }
}

/// Quotes a path for ssh: spaces are kept, `%` begins no token.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('%', "%%"))
}

/// Reaches a node over SSH.
#[derive(Clone, Debug)]
pub struct Ssh {
    /// The program.
    program: PathBuf,
    settings: SshSettings,
    agents: Agents,
    state_directory: String,
}

impl Ssh {
    /// Reaches a node with `ssh` from the PATH, bringing one of `agents`.
    pub fn new(settings: SshSettings, agents: Agents) -> Self {
        Self {
            program: PathBuf::from("ssh"),
            settings,
            agents,
            state_directory: STATE_DIRECTORY.to_owned(),
        }
    }

    /// Uses another program instead of `ssh` from the PATH.
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// Keeps agents below another directory of the node; a plain absolute path.
    pub fn with_state_directory(mut self, directory: &str) -> Self {
        directory.clone_into(&mut self.state_directory);
        self
    }

    async fn connect(&self) -> Result<Channel, TransportError> {
        let failed = |failure: Failure| self.error(failure, "");
        let (files, configuration, pins) = self.prepare().map_err(failed)?;
        let mark = random::bytes().map_err(|error| failed(Failure::Prepare(error.to_string())))?;
        let mark = Mark::new(mark);
        let may_sudo = self.settings.sudo != Some(false);
        let mut command = Command::new(&self.program);
        command
            .args(self.settings.arguments(&configuration, pins.as_deref()))
            .arg(bootstrap::command(
                &mark,
                &self.agents,
                may_sudo,
                &self.state_directory,
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // An interrupt typed at the terminal is for this program, which ends connections in order.
            .process_group(0)
            .kill_on_drop(true);
        let start = |cause: String| {
            failed(Failure::Start {
                program: self.program.display().to_string(),
                cause,
            })
        };
        let mut child = command.spawn().map_err(|error| {
            if descriptors::is_exhausted(&error) {
                failed(Failure::Descriptors)
            } else {
                start(error.to_string())
            }
        })?;
        let (Some(writer), Some(reader)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(start("no pipes".to_owned()));
        };
        let mut peer = Peer::of(child);
        let met = bootstrap::converse(Box::new(reader), Box::new(writer), &mark, &self.agents).await;
        drop(files);
        match met {
            Ok((reader, writer)) => Ok(Channel { reader, writer, peer }),
            Err(stop) => {
                let ending = peer.ending(LAST_WORDS).await;
                let failure = match stop {
                    Stop::Failed(failure) => failure,
                    Stop::Write => bootstrap::write_failure(&ending.stderr),
                    Stop::Ended { begun: true, .. } => after_login(&ending),
                    Stop::Ended { begun: false, said } => {
                        let failure = classify(&ending, pins.is_some(), &said);
                        self.with_known_key(failure, &ending.stderr)
                    }
                };
                Err(self.error(failure, &ending.stderr))
            }
        }
    }

    /// Says which key was expected, so that both can be compared.
    fn with_known_key(&self, failure: Failure, stderr: &str) -> Failure {
        let Failure::HostKeyChanged {
            host,
            fingerprint,
            pinned,
            ..
        } = failure
        else {
            return failure;
        };
        let known = match &self.settings.host_key {
            Some(key) if pinned => KnownKey::pinned(key),
            _ => KnownKey::offending(stderr),
        };
        Failure::HostKeyChanged {
            host,
            fingerprint,
            known,
            pinned,
        }
    }

    fn error(&self, failure: Failure, stderr: &str) -> TransportError {
        tracing::debug!(node = %self.settings.node, %failure, stderr, "no agent to talk to");
        TransportError {
            node: self.settings.node.clone(),
            destination: self.settings.destination(),
            failure,
            stderr: stderr.into(),
        }
    }

    /// Writes the files of one connection; they are needed until the login is done.
    fn prepare(&self) -> Result<(TempDir, PathBuf, Option<PathBuf>), Failure> {
        let failed = |error: std::io::Error| {
            if descriptors::is_exhausted(&error) {
                Failure::Descriptors
            } else {
                Failure::Prepare(error.to_string())
            }
        };
        let pin = self.settings.pin()?;
        for (key, path) in [
            ("ssh.knownHosts", &self.settings.known_hosts),
            ("ssh.identityFile", &self.settings.identity_file),
        ] {
            if path.as_ref().is_some_and(|path| path.contains(['"', '\n'])) {
                let cause = "a path with a quotation mark or a newline in it".to_owned();
                return Err(Failure::Setting { key, cause });
            }
        }
        let directory = tempfile::Builder::new()
            .prefix("kubewright-ssh-")
            .tempdir()
            .map_err(failed)?;
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            options.open(&path)?.write_all(text.as_bytes())?;
            Ok::<_, std::io::Error>(path)
        };
        let configuration = write("config", &self.settings.configuration()).map_err(failed)?;
        let pins = pin
            .map(|pin| write("known_hosts", &pin))
            .transpose()
            .map_err(failed)?;
        Ok((directory, configuration, pins))
    }
}

impl Transport for Ssh {
    fn node(&self) -> &NodeName {
        &self.settings.node
    }

    fn open(&self) -> Opening<'_> {
        Box::pin(self.connect())
    }
}

#[cfg(test)]
#[path = "ssh_tests.rs"]
mod tests;
