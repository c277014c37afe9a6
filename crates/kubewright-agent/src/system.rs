//! The node as the agent reaches it: a root directory, programs to run, a clock.
//!
//! There are two: [`RealSystem`], and one for tests on a temporary root with simulated programs. Nothing else in the
//! crate starts a process or asks for the time, so that every resource can be tested, and every effect be made the
//! last one before a simulated power cut ([`System::effect`]).

use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kubewright_core::errors::ErrorId;
use kubewright_core::wire::NodeError;

use crate::fault::{Doing as _, fault};

/// How long a program may take unless its caller knows better.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(180);
/// How much of a program's output is kept, in bytes; the rest is read and dropped.
const OUTPUT_BYTES: usize = 4 << 20;
/// Where programs are looked for: a non-login shell's own list often lacks the last of these.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program and its arguments; never a shell string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program's name or path.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// It is killed after this long.
    pub timeout: Duration,
}

impl Command {
    /// A program with its arguments.
    pub fn new<S: AsRef<str>>(program: &str, arguments: &[S]) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments
                .iter()
                .map(|argument| argument.as_ref().to_owned())
                .collect(),
            timeout: COMMAND_TIMEOUT,
        }
    }

    /// The same with another bound.
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// As a person would type it.
    pub fn line(&self) -> String {
        let mut line = self.program.clone();
        for argument in &self.arguments {
            line.push(' ');
            line.push_str(argument);
        }
        line
    }
}

/// What a program left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Whether it ended with 0.
    pub success: bool,
    /// How it ended, as in `exit status: 1`.
    pub status: String,
    /// Its standard output, with anything that is not UTF-8 replaced.
    pub stdout: String,
    /// Its standard error, likewise.
    pub stderr: String,
}

impl Output {
    /// What went wrong in one line: the last line it said, or how it ended.
    pub fn complaint(&self) -> String {
        let said = self.stderr.lines().chain(self.stdout.lines());
        // systemctl ends with where to look for more, which its caller has done already.
        let tells = |line: &&str| !line.trim().is_empty() && !line.starts_with("See \"systemctl");
        let last = self.stderr.lines().rev().find(tells);
        last.or_else(|| said.last())
            .map_or_else(|| self.status.clone(), |line| line.trim().to_owned())
    }

    /// Itself if the program succeeded, its complaint otherwise.
    ///
    /// # Errors
    /// When the program ended with anything but 0.
    pub fn ok(self, command: &Command) -> Result<Self, NodeError> {
        if self.success {
            return Ok(self);
        }
        let mut error = fault(format!("run {}", command.line()), self.complaint());
        error.id = ErrorId::NodeCommand;
        error.command = Some(command.line());
        Err(error)
    }
}

/// The node the agent acts on.
pub trait System: Send + Sync {
    /// The directory that is the node's `/`.
    fn root(&self) -> &Path;

    /// Runs a program with nothing on its standard input.
    ///
    /// # Errors
    /// When it cannot be started or does not end in time; a program that fails is an [`Output`].
    fn run(&self, command: &Command) -> io::Result<Output>;

    /// Runs a program and feeds its standard input.
    ///
    /// # Errors
    /// As [`System::run`], and when `input` cannot be read.
    fn feed(&self, command: &Command, input: &mut dyn Read) -> io::Result<Output>;

    /// Seconds since the epoch.
    fn now(&self) -> i64;

    /// The clock that times of files are taken from, nanoseconds since the epoch.
    fn file_clock(&self) -> i64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        now.tv_sec
            .saturating_mul(1_000_000_000)
            .saturating_add(now.tv_nsec)
    }

    /// Time that passes evenly, from any beginning: what waits are bounded by.
    fn uptime(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
    }

    /// Lets time pass between two looks at something that is waited for.
    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// The status of an HTTP GET from this node, where the node's network is not this process' own.
    fn http_status(&self, url: &str, ca_file: Option<&str>) -> Option<Result<u16, String>> {
        let _ = (url, ca_file);
        None
    }

    /// Time since the node was started, which cannot be set and which runs on while the node sleeps: how long the
    /// controller has been silent.
    fn boot_time(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
    }

    /// Called before each effect on the node; a test's system can refuse, as a power cut would.
    ///
    /// # Errors
    /// Never, on a real node.
    fn effect(&self, doing: &str) -> io::Result<()> {
        let _ = doing;
        Ok(())
    }

    /// Makes a file with its metadata, or a directory's entries, survive a power cut.
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        Ok(rustix::fs::fsync(file)?)
    }

    /// Makes what was added to a file survive a power cut.
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync_data(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(file)?)
    }

    /// Where a path of the node is for this process.
    fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// A text file of the node's, when it can be read and is UTF-8. For the kernel's files and the system's tables, which
    /// are read where they are, links followed.
    fn text(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.path(path)).ok()
    }
}

/// Runs a program that only looks, and wants it to succeed.
///
/// # Errors
/// When it cannot be run or fails.
pub fn ask(system: &dyn System, command: &Command) -> Result<Output, NodeError> {
    system
        .run(command)
        .doing(|| format!("run {}", command.line()))?
        .ok(command)
}

/// Runs a program that changes the node, and wants it to succeed.
///
/// # Errors
/// When it cannot be run or fails.
pub fn act(system: &dyn System, command: &Command) -> Result<Output, NodeError> {
    system.effect(&command.line()).doing(|| command.line())?;
    ask(system, command)
}

/// This machine.
#[derive(Debug, Default)]
pub struct RealSystem;

impl System for RealSystem {
    fn root(&self) -> &Path {
        Path::new("/")
    }

    fn run(&self, command: &Command) -> io::Result<Output> {
        let child = spawn(command, Stdio::null())?;
        finish(command, child)
    }

    fn feed(&self, command: &Command, input: &mut dyn Read) -> io::Result<Output> {
        let mut child = spawn(command, Stdio::piped())?;
        let stdin = child.stdin.take();
        let (sender, receiver) = mpsc::channel();
        let command = command.clone();
        let runner = std::thread::Builder::new().spawn(move || {
            let _ = sender.send(finish(&command, child));
        })?;
        let fed = stdin.map_or(Ok(()), |stdin| pour(input, stdin));
        let output = receiver
            .recv()
            .map_err(|_| io::Error::other("its runner ended"))?;
        let _ = runner.join();
        // A program that ends early breaks the pipe: what it said tells more than that.
        match (output, fed) {
            (Ok(output), Err(error)) if output.success => Err(error),
            (output, _) => output,
        }
    }

    fn now(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs() as i64)
    }
}

fn pour(input: &mut dyn Read, mut stdin: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        match input.read(&mut buffer)? {
            0 => return stdin.flush(),
            count => stdin.write_all(&buffer[..count])?,
        }
    }
}

fn spawn(command: &Command, stdin: Stdio) -> io::Result<Child> {
    std::process::Command::new(&command.program)
        .args(&command.arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .env("SYSTEMD_PAGER", "")
        .current_dir("/")
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                io::Error::new(error.kind(), format!("{} is not installed", command.program))
            }
            _ => error,
        })
}

/// Gathers what a program says until it ends or its time is over.
fn finish(command: &Command, mut child: Child) -> io::Result<Output> {
    let deadline = Instant::now() + command.timeout;
    let (sender, receiver) = mpsc::channel();
    let mut pending = 0;
    let outputs: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|output| Box::new(output) as _),
        child.stderr.take().map(|output| Box::new(output) as _),
    ];
    for (index, output) in outputs.into_iter().enumerate() {
        let Some(output) = output else { continue };
        let sender = sender.clone();
        pending += 1;
        std::thread::Builder::new().spawn(move || {
            let _ = sender.send((index, gather(output)));
        })?;
    }
    let mut said = [String::new(), String::new()];
    while pending > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok((index, text)) = receiver.recv_timeout(left) else {
            return Err(overdue(command, &mut child));
        };
        said[index] = text;
        pending -= 1;
    }
    let status = wait(command, &mut child, deadline)?;
    let [stdout, stderr] = said;
    Ok(Output {
        success: status.success(),
        status: status.to_string(),
        stdout,
        stderr,
    })
}

/// A program that has closed its outputs has as good as ended; one that goes on is asked again, at a bounded pace.
fn wait(command: &Command, child: &mut Child, deadline: Instant) -> io::Result<ExitStatus> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            return Err(overdue(command, child));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn overdue(command: &Command, child: &mut Child) -> io::Error {
    let _ = child.kill();
    let _ = child.wait();
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("not done after {} s", command.timeout.as_secs()),
    )
}

fn gather(mut output: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(count) = output.read(&mut buffer) {
        if count == 0 {
            break;
        }
        let room = OUTPUT_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_a_program_ended_and_what_it_said() {
        let output = RealSystem
            .run(&Command::new(
                "sh",
                &["-c", "echo out; echo 'went wrong' >&2; exit 3"],
            ))
            .unwrap();
        assert!(!output.success);
        assert_eq!(output.stdout, "out\n");
        assert_eq!(output.complaint(), "went wrong");
    }

    #[test]
    fn feeds_a_programs_standard_input() {
        let output = RealSystem
            .feed(&Command::new("cat", &["-"]), &mut &b"hello"[..])
            .unwrap();
        assert_eq!(output.stdout, "hello");
    }

    #[test]
    fn kills_a_program_that_does_not_end() {
        let command = Command::new("sleep", &["1000"]).within(Duration::from_millis(20));
        let error = RealSystem.run(&command).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn names_a_program_that_is_not_there() {
        let error = RealSystem
            .run(&Command::new("kubewright-no-such-program", &[""; 0]))
            .unwrap_err();
        assert_eq!(error.to_string(), "kubewright-no-such-program is not installed");
    }
}
