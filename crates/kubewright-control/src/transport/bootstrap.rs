//! The first words on a fresh SSH channel: become root, find the agent or receive it, run it.
//!
//! Whatever the login shell is and whatever its start files print, one command line is understood by all: `exec
//! /bin/sh -c '…'` with single quotes around text that has no quote, backslash, exclamation mark or newline in it.
//! The script answers with lines that begin with a random mark, which is put together on the node, so that a
//! shell that echoes its command line does not speak for it. `begun` is the first of them: without it, something else
//! ran than was asked for. `ready` is the last; frames follow.

use std::time::Duration;

use kubewright_core::catalogue::Platform;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Agents, Failure, Reader, Writer};

/// Where kubewright keeps its things on a node; agents are in `agent` below it.
pub(super) const STATE_DIRECTORY: &str = "/var/lib/kubewright";
/// How much a login shell may print before the script's first answer, and between two of them.
const NOISE_BYTES: usize = 64 << 10;
/// How much of that is repeated where there is no answer.
const SAID_BYTES: usize = 400;
/// How long the script has until its first answer, after ssh started; ssh's own limits are shorter.
const FIRST_ANSWER: Duration = Duration::from_secs(45);
/// How long sending the agent may take: enough for 100 kbit/s.
const UPLOAD: Duration = Duration::from_secs(300);

/// Becomes root; `$1` is whether sudo may be used, `$2` the next script, then its arguments.
const BECOME_ROOT: &str = concat!(
    r#"s=$1; shift; echo "$3-$4 begun"; "#,
    r#"if [ "$(id -u)" = 0 ]; then exec /bin/sh -c "$@"; fi; "#,
    r#"if [ "$s" = no ]; then echo "$3-$4 error root"; exit 1; fi; "#,
    r#"LC_ALL=C; export LC_ALL; exec sudo -n -- /bin/sh -c "$@""#,
);

/// Finds or receives the agent and runs it; `$1` and `$2` make the mark, `$3` is the state directory, then processor,
/// digest and packed size of each agent. The digest is checked at each use: a rename may outlive a power cut that
/// the content did not.
const RUN_AGENT: &str = concat!(
    r#"k=$1; m=$1-$2; b=$3; shift 3; "#,
    r#"LC_ALL=C; PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export LC_ALL PATH; "#,
    r#"umask 077; cd /; "#,
    r#"fail() { echo "$m error $*"; exit 1; }; "#,
    r#"a=$(uname -m); h=; while [ $# -ge 3 ]; do if [ "$1" = "$a" ]; then h=$2; n=$3; fi; shift 3; done; "#,
    r#"if [ -z "$h" ]; then fail architecture "$a"; fi; "#,
    r#"d=$b/agent; f=$d/$h; "#,
    r#"right() { [ -f "$1" ] || return 1; case $(sha256sum < "$1") in "$h "*) return 0;; esac; return 1; }; "#,
    r#"if [ -L "$d" ]; then fail directory; fi; "#,
    r#"if right "$f"; then :; else "#,
    r#"(umask 022; mkdir -p "$b") && mkdir -p "$d" && chmod 700 "$d" || fail directory; "#,
    r#"find "$d" -name ".new.*" -mmin +60 -exec rm -f {} +; "#,
    r#"t=$d/.new.$k; trap "rm -f $t" EXIT HUP INT TERM; "#,
    r#"echo "$m need $a"; "#,
    r#"set -C; head -c "$n" | gzip -dc > "$t" || fail write; set +C; "#,
    r#"right "$t" || fail damaged; "#,
    r#"chmod 700 "$t" && mv -f "$t" "$f" || fail write; "#,
    r#"ls -t "$d" | tail -n +4 | while read -r o; do rm -f "$d/$o"; done; "#,
    r#"fi; "#,
    r#"if [ -O "$d" ]; then :; else fail directory; fi; "#,
    r#"if [ -x "$f" ]; then :; else fail noexec; fi; "#,
    r#"echo "$m ready"; umask 022; exec "$f" serve"#,
);

/// Two random words that together mark the script's answers.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    halves: [String; 2],
}

impl Mark {
    /// Makes a mark of 16 random bytes.
    pub(super) fn new(random: [u8; 16]) -> Self {
        let text = format!("{:032x}", u128::from_be_bytes(random));
        let (first, second) = text.split_at(16);
        Self {
            halves: [first.to_owned(), second.to_owned()],
        }
    }

    fn text(&self) -> String {
        format!("{}-{} ", self.halves[0], self.halves[1])
    }
}

/// What `uname -m` says on a platform.
const fn machine(platform: Platform) -> &'static str {
    match platform {
        Platform::Amd64 => "x86_64",
        Platform::Arm64 => "aarch64",
    }
}

/// The command line for the node's login shell.
pub(super) fn command(mark: &Mark, agents: &Agents, sudo: bool, state_directory: &str) -> String {
    let sudo = if sudo { "sudo" } else { "no" };
    let [first, second] = &mark.halves;
    let mut command = format!(
        "exec /bin/sh -c '{BECOME_ROOT}' kubewright {sudo} '{RUN_AGENT}' kubewright {first} {second} {state_directory}"
    );
    for (platform, agent) in agents.iter() {
        let part = format!(" {} {} {}", machine(platform), agent.sha256, agent.gzip.len());
        command.push_str(&part);
    }
    command
}

/// Why there is no agent to talk to.
#[derive(Debug)]
pub(super) enum Stop {
    /// The script or this side knows.
    Failed(Failure),
    /// The script says that writing failed; stderr has the reason.
    Write,
    /// The channel ended; stderr and the exit status have the reason.
    Ended {
        /// The script had begun: the login worked and ran the command.
        begun: bool,
        /// What was printed instead of an answer, the end of it.
        said: String,
    },
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Talks to the script until the agent runs; sends the agent if the node lacks it.
pub(super) async fn converse(
    reader: Reader,
    writer: Writer,
    mark: &Mark,
    agents: &Agents,
) -> Result<(Reader, Writer), Stop> {
    let mut answers = Answers {
        reader,
        mark: mark.text(),
        seen: Vec::new(),
        begun: false,
    };
    let mut writer = writer;
    let first = timeout(FIRST_ANSWER, answers.next()).await;
    let mut answer = first.map_err(|_| answers.silence(FIRST_ANSWER))??;
    if let Answer::Need(machine) = &answer {
        let agent = Platform::from_machine(machine)
            .and_then(|platform| agents.get(platform))
            .ok_or_else(|| no_agent(machine, agents))?;
        tracing::debug!(agent = %agent.sha256.short(), bytes = agent.gzip.len(), "sending the agent");
        let send = async {
            writer.write_all(&agent.gzip).await?;
            writer.flush().await
        };
        let both = async {
            // An answer during the upload is an error, and ends it.
            tokio::pin!(send);
            let next = answers.next();
            tokio::pin!(next);
            tokio::select! {
                biased;
                answer = &mut next => answer,
                sent = &mut send => {
                    if let Err(error) = sent {
                        tracing::debug!(%error, "the node stopped listening");
                    }
                    next.await
                }
            }
        };
        let next = timeout(UPLOAD, both).await;
        answer = next.map_err(|_| answers.silence(UPLOAD))??;
    }
    match answer {
        Answer::Ready => {
            let rest = std::io::Cursor::new(answers.seen);
            Ok((Box::new(rest.chain(answers.reader)), writer))
        }
        Answer::Need(_) => Err(Failure::Damaged.into()),
        Answer::Error(what) => Err(explain(&what, agents)),
    }
}

/// The processors there are agents for, as people write them.
fn available(platforms: impl Iterator<Item = Platform>) -> String {
    let names: Vec<String> = platforms.map(|platform| platform.to_string()).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn no_agent(machine: &str, agents: &Agents) -> Failure {
    Failure::Architecture {
        machine: super::peer::escape(machine).chars().take(40).collect(),
        available: available(agents.iter().map(|(platform, _)| platform)),
    }
}

fn explain(what: &str, agents: &Agents) -> Stop {
    let directory = format!("{STATE_DIRECTORY}/agent");
    match what.split_once(' ').unwrap_or((what, "")) {
        ("architecture", machine) => no_agent(machine, agents).into(),
        ("root", _) => Failure::NotRoot.into(),
        ("directory", _) => Failure::Directory { directory }.into(),
        ("noexec", _) => Failure::NoExec { directory }.into(),
        ("damaged", _) => Failure::Damaged.into(),
        ("write", _) => Stop::Write,
        _ => Failure::Other(super::peer::escape(what).chars().take(200).collect()).into(),
    }
}

/// The failure to write, with what the node said about it.
pub(super) fn write_failure(stderr: &str) -> Failure {
    Failure::Write {
        directory: format!("{STATE_DIRECTORY}/agent"),
        cause: stderr.lines().last().unwrap_or("unknown cause").to_owned(),
    }
}

enum Answer {
    Ready,
    Need(String),
    Error(String),
}

/// Finds the script's answers between whatever else is printed.
struct Answers {
    reader: Reader,
    mark: String,
    seen: Vec<u8>,
    begun: bool,
}

impl Answers {
    async fn next(&mut self) -> Result<Answer, Stop> {
        let mut buffer = vec![0; 8 << 10];
        loop {
            if let Some(line) = self.take_line() {
                let answer = match line.split_once(' ').unwrap_or((&line, "")) {
                    ("ready", _) => Answer::Ready,
                    ("need", machine) => Answer::Need(machine.to_owned()),
                    ("error", what) => Answer::Error(what.to_owned()),
                    ("begun", _) => {
                        self.begun = true;
                        continue;
                    }
                    _ => continue,
                };
                return Ok(answer);
            }
            if self.seen.len() > NOISE_BYTES {
                return Err(Failure::Noise(NOISE_BYTES >> 10).into());
            }
            match self.reader.read(&mut buffer).await {
                Ok(0) | Err(_) => {
                    return Err(Stop::Ended {
                        begun: self.begun,
                        said: self.said(),
                    });
                }
                Ok(count) => self.seen.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn silence(&self, limit: Duration) -> Failure {
        Failure::Silence {
            seconds: limit.as_secs(),
            said: self.said(),
        }
    }

    /// The end of what was printed since the last answer, in one line.
    fn said(&self) -> String {
        let end = &self.seen[self.seen.len().saturating_sub(SAID_BYTES)..];
        let text = super::peer::escape(&String::from_utf8_lossy(end));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Takes everything up to the end of the first marked line, and returns what follows the mark in it.
    fn take_line(&mut self) -> Option<String> {
        let mark = self.mark.as_bytes();
        let start = self.seen.windows(mark.len()).position(|window| window == mark)? + mark.len();
        let length = self.seen[start..].iter().position(|byte| *byte == b'\n')?;
        let line = String::from_utf8_lossy(&self.seen[start..start + length])
            .trim()
            .to_owned();
        self.seen.drain(..=start + length);
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_only_characters_that_every_login_shell_leaves_alone() {
        for script in [BECOME_ROOT, RUN_AGENT] {
            assert!(!script.contains(['\'', '\\', '!', '\n', '`']), "{script}");
        }
    }

    #[test]
    fn puts_no_whole_mark_on_the_command_line() {
        let mark = Mark::new([7; 16]);
        assert!(!command(&mark, &Agents::default(), true, STATE_DIRECTORY).contains(mark.text().trim()));
    }

    #[tokio::test]
    async fn finds_answers_between_noise_and_keeps_what_follows() {
        let mark = Mark::new([1; 16]);
        let said = format!("Welcome!\n$ {}ready\nframes", mark.text());
        let (mut reader, _) = converse(
            Box::new(std::io::Cursor::new(said.into_bytes())),
            Box::new(tokio::io::sink()),
            &mark,
            &Agents::default(),
        )
        .await
        .unwrap();
        let mut rest = String::new();
        reader.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "frames");
    }

    #[tokio::test]
    async fn understands_what_the_script_cannot_do() {
        let directory = "/var/lib/kubewright/agent".to_owned();
        for (word, expected) in [
            ("root", Failure::NotRoot),
            (
                "noexec",
                Failure::NoExec {
                    directory: directory.clone(),
                },
            ),
            ("directory", Failure::Directory { directory }),
        ] {
            let mark = Mark::new([1; 16]).text();
            let said = format!("Welcome!\n{mark}begun\nnoise\n{mark}error {word}\n");
            let reader = Box::new(std::io::Cursor::new(said.into_bytes()));
            let writer = Box::new(tokio::io::sink());
            let result = converse(reader, writer, &Mark::new([1; 16]), &Agents::default()).await;
            let failure = result.err();
            assert!(
                matches!(&failure, Some(Stop::Failed(failure)) if *failure == expected),
                "{failure:?}"
            );
        }
    }

    #[tokio::test]
    async fn gives_up_on_a_shell_that_prints_without_end() {
        let result = converse(
            Box::new(tokio::io::repeat(b'x')),
            Box::new(tokio::io::sink()),
            &Mark::new([1; 16]),
            &Agents::default(),
        )
        .await;
        assert!(matches!(result.err(), Some(Stop::Failed(Failure::Noise(64)))));
    }
}
