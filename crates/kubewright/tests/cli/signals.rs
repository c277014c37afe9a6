//! What a run does when somebody interrupts it, when its terminal goes, and when nobody reads what it says.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::World;
use super::fake_node::Machines;

/// Far longer than any of it takes.
const LIMIT: Duration = Duration::from_secs(60);

/// An apply that goes on.
struct Run {
    child: Child,
    said: Receiver<String>,
    heard: String,
}

impl Run {
    /// Starts an apply as a shell in a terminal would: whoever runs the tests may have some signals ignored.
    fn start(machines: &Machines) -> Self {
        Self::by(machines, &["env", "--default-signal=INT,TERM,HUP"])
    }

    /// Starts an apply by another program.
    fn by(machines: &Machines, starter: &[&str]) -> Self {
        let own = machines.command(&["apply", "--yes"]);
        let mut command = Command::new(starter[0]);
        command
            .args(&starter[1..])
            .arg(own.get_program())
            .args(own.get_args())
            .current_dir(own.get_current_dir().unwrap())
            .env_clear()
            .envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            said,
            heard: String::new(),
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits until it says a line that begins so.
    fn wait_for(&mut self, beginning: &str) {
        loop {
            let line = self.said.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| panic!("no {beginning:?} in:\n{}", self.heard));
            self.heard.push_str(&line);
            self.heard.push('\n');
            if line.starts_with(beginning) {
                return;
            }
        }
    }

    /// Its exit code and everything it said.
    fn end(mut self) -> (Option<i32>, String) {
        while let Ok(line) = self.said.recv_timeout(LIMIT) {
            self.heard.push_str(&line);
            self.heard.push('\n');
        }
        let code = self.child.wait().unwrap().code();
        (code, std::mem::take(&mut self.heard))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A first run changes the control planes first, as a worker needs their authority.
const FIRST: [usize; 4] = [1, 1, 1, 0];
/// The run after it changes all machines.
const SECOND: [usize; 4] = [2, 2, 2, 1];

fn wait_for_changes(machines: &Machines, begun: [usize; 4]) {
    wait_until("the changes to begin", || machines.count("converge") == begun);
}

/// Lets a run begin its first changes, which are these, and be interrupted there.
fn stopped_by(signal: &str, machines: &Machines, begun: [usize; 4]) -> String {
    machines.make_busy();
    let mut run = Run::start(machines);
    wait_for_changes(machines, begun);
    run.signal(signal);
    run.wait_for("stopping: waiting for the running steps to finish");
    machines.go_on();
    let (code, said) = run.end();
    assert_eq!(code, Some(10), "{said}");
    assert!(said.contains("stopped on request: "), "{said}");
    assert!(
        said.contains("to continue, run: kubewright apply --file cluster.yaml"),
        "{said}"
    );
    // No other step was begun, and nobody is left on the machines.
    assert_eq!(machines.count("converge"), begun);
    wait_until("the locks to be free", || machines.are_free());
    said
}

#[test]
fn the_first_signal_finishes_the_steps_at_hand_and_a_further_run_continues() {
    for signal in ["INT", "TERM", "HUP"] {
        let machines = Machines::new();
        let first = stopped_by(signal, &machines, FIRST);
        assert!(first.contains("cp-1, cp-2, cp-3: done host"), "{first}");
        let second = stopped_by(signal, &machines, SECOND);
        assert!(
            second.contains("cp-1, cp-2, cp-3: done founders, etcd"),
            "{second}"
        );
    }
}

#[test]
fn the_second_signal_ends_it_at_once_and_a_further_run_continues() {
    let machines = Machines::new();
    machines.make_busy();
    let mut run = Run::start(&machines);
    wait_for_changes(&machines, FIRST);
    run.signal("INT");
    run.wait_for("stopping: waiting for the running steps to finish");
    run.signal("TERM");
    // The machines are still busy, and nobody waits for them.
    let (code, said) = run.end();
    assert!(!machines.are_free());
    assert_eq!(code, Some(10), "{said}");
    assert!(said.contains("error: stopped immediately [stopped]"), "{said}");
    assert!(
        said.contains("to continue, run: kubewright apply --file cluster.yaml"),
        "{said}"
    );
    machines.go_on();
    wait_until("the locks to be free", || machines.are_free());
    // They had finished what was at hand, so the next run is a stage further.
    let next = stopped_by("TERM", &machines, SECOND);
    assert!(next.contains("cp-1, cp-2, cp-3: done founders, etcd"), "{next}");
}

#[test]
fn under_nohup_a_terminal_that_goes_stops_nothing() {
    let machines = Machines::new();
    machines.make_busy();
    let run = Run::by(
        &machines,
        &[
            "env",
            "--default-signal=INT,TERM",
            "sh",
            "-c",
            "trap '' HUP; exec \"$@\"",
            "sh",
        ],
    );
    wait_for_changes(&machines, FIRST);
    run.signal("HUP");
    machines.go_on();
    wait_until("the next stage to begin", || machines.count("converge")[0] > 1);
    run.signal("KILL");
    let said = run.end().1;
    assert!(!said.contains("stopping"), "{said}");
}

#[test]
fn a_run_goes_on_when_nobody_reads_what_it_says() {
    let machines = Machines::new();
    machines.make_busy();
    let mut command = machines.command(&["apply", "--yes", "-vv"]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    // As by `2>&1 | head -n 1`.
    let mut first = [0];
    child.stderr.take().unwrap().read_exact(&mut first).unwrap();
    wait_for_changes(&machines, FIRST);
    machines.go_on();
    wait_until("the next stage to begin", || machines.count("converge")[0] > 1);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_plan_nobody_reads_to_its_end_is_no_error() {
    let world = World::new();
    world.write("cluster.yaml", super::SMALL);
    for arguments in [["plan", "--offline", "-otext"], ["plan", "--offline", "-ojson"]] {
        let mut child = world
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("error") && !said.contains("panicked"), "{said}");
    }
}
