//! Running the program under test: to its end, or in the background where something happens to it.
//!
//! Its working directory is the scenario's and its logs are kept there, so that whatever it writes can be looked at.
//! Everything it says is also kept in `transcript.log`.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, ensure};

use super::Stage;
use crate::tool;
use crate::wait::{Limit, wait_until};

/// The longest any run may take before it counts as hanging.
const RUN: Limit = Limit::Seconds(600);

/// How a line of the debug log says that a resource was changed.
const CHANGED: &str = "\"resource changed\"";

/// How a run ended and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// How many resources of nodes it changed.
    pub(crate) changes: usize,
    what: String,
}

impl Said {
    /// Both streams.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Refuses any other end than the one with this exit code.
    pub(crate) fn expect(self, code: i32) -> Result<Self> {
        ensure!(
            self.status.code() == Some(code),
            "{}: {}, not {code}\n{}",
            self.what,
            self.status,
            self.all().trim_end()
        );
        Ok(self)
    }

    /// Refuses what does not say so.
    pub(crate) fn mentions(self, words: &[&str]) -> Result<Self> {
        for word in words {
            ensure!(
                self.all().contains(word),
                "{} does not mention {word:?}:\n{}",
                self.what,
                self.all()
            );
        }
        Ok(self)
    }
}

/// A run that goes on.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    what: String,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<()>,
    lines: Arc<Mutex<Vec<String>>>,
    transcript: PathBuf,
    logs: PathBuf,
}

impl Stage {
    /// Runs `kubewright` on the stage's cluster file; returns all it said on both streams.
    pub(crate) fn kubewright(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.try_kubewright(arguments)?.expect(0)?.all())
    }

    /// Runs `kubewright` for data: returns its standard output only.
    pub(crate) fn kubewright_data(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.try_kubewright(arguments)?.expect(0)?.stdout)
    }

    /// Runs `kubewright` to its end, whatever that is.
    pub(crate) fn try_kubewright(&self, arguments: &[&str]) -> Result<Said> {
        self.start_kubewright(arguments)?.finish()
    }

    /// An apply that must find nothing to do.
    pub(crate) fn nothing_to_do(&self) -> Result<()> {
        self.try_kubewright(&["--yes", "apply"])?
            .expect(0)?
            .mentions(&["0 changes"])
            .map(drop)
    }

    /// Runs `kubewright` to its end with a clock that is wrong by so much, as in `+10m`.
    pub(crate) fn try_kubewright_with_clock(&self, offset: &str, arguments: &[&str]) -> Result<Said> {
        tool::require(&["faketime"])?;
        let mut command = tool::command("faketime");
        command.args(["-f", offset]).arg(self.program());
        // What is timed is still timed by the right clock.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        self.start(command, arguments)?.finish()
    }

    /// Starts `kubewright`.
    pub(crate) fn start_kubewright(&self, arguments: &[&str]) -> Result<Running> {
        self.start(tool::command(&self.program().to_string_lossy()), arguments)
    }

    fn start(&self, mut command: Command, arguments: &[&str]) -> Result<Running> {
        let state = self.directory().join("state");
        command.arg("--file").arg(self.cluster_file()).args(arguments);
        command
            .env("NO_COLOR", "1")
            .env("XDG_STATE_HOME", &state)
            .current_dir(self.directory())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("start kubewright")?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::clone(&lines);
        Ok(Running {
            child,
            what: format!("kubewright {}", arguments.join(" ")),
            stdout: thread::spawn(move || {
                let mut text = Vec::new();
                // What was read before an error is all there is.
                let _ = stdout.map(|mut stream| stream.read_to_end(&mut text));
                String::from_utf8_lossy(&text).into_owned()
            }),
            stderr: thread::spawn(move || {
                let Some(stream) = stderr else { return };
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            }),
            lines,
            transcript: self.directory().join("transcript.log"),
            logs: state.join("kubewright/logs"),
        })
    }
}

impl Running {
    /// What it has said on standard error so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what it has said so far is as wanted; an error when it ends before.
    pub(crate) fn wait_until(&mut self, condition: &str, holds: impl Fn(&[String]) -> bool) -> Result<()> {
        wait_until(condition, RUN, || {
            let ended = self.child.try_wait()?;
            let lines = self.lines();
            ensure!(
                ended.is_none() || holds(&lines),
                "{} ended before {condition}:\n{}",
                self.what,
                lines.join("\n")
            );
            Ok(holds(&lines))
        })
    }

    /// Waits until it has changed so many resources; an error when it ends before.
    pub(crate) fn wait_for_changes(&mut self, count: usize) -> Result<()> {
        wait_until(&format!("{count} changes"), RUN, || {
            let ended = self.child.try_wait()?;
            let done = changes(&self.logs, self.child.id())? >= count;
            ensure!(
                ended.is_none() || done,
                "{} ended before {count} changes",
                self.what
            );
            Ok(done)
        })
    }

    /// Ends it with SIGKILL, wherever it is.
    pub(crate) fn kill(mut self) -> Result<Said> {
        self.child.kill().with_context(|| format!("kill {}", self.what))?;
        self.finish()
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Result<Said> {
        let mut ended = None;
        let waited = wait_until(&format!("{} to end", self.what), RUN, || {
            ended = self.child.try_wait()?;
            Ok(ended.is_some())
        });
        if waited.is_err() {
            // It hangs: what it said so far is the news.
            let _ = self.child.kill();
        }
        let status = match ended {
            Some(status) => status,
            None => self.child.wait()?,
        };
        // Children of a killed run may hold the streams open a little longer; they end with their connections.
        let stdout = self.stdout.join().unwrap_or_default();
        let _ = self.stderr.join();
        let mut stderr = self
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n");
        stderr.push('\n');
        let mut transcript = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.transcript)
            .with_context(|| format!("open {}", self.transcript.display()))?;
        write!(transcript, "$ {}\n{stdout}{stderr}{status}\n\n", self.what).context("keep the transcript")?;
        waited?;
        let changes = changes(&self.logs, self.child.id())?;
        Ok(Said {
            status,
            stdout,
            stderr,
            changes,
            what: self.what,
        })
    }
}

/// How many resources of nodes a run has changed so far, by its debug log.
fn changes(logs: &Path, process: u32) -> Result<usize> {
    let own = format!("-{process}.log");
    let Ok(entries) = fs::read_dir(logs) else {
        return Ok(0);
    };
    let mut paths = entries.flatten().map(|entry| entry.path());
    let Some(log) = paths.find(|path| path.to_string_lossy().ends_with(&own)) else {
        return Ok(0);
    };
    let text = fs::read_to_string(&log).with_context(|| format!("read {}", log.display()))?;
    Ok(text.lines().filter(|line| line.contains(CHANGED)).count())
}
