//! Asks all API servers over and over whether they are ready, each for itself, while something happens to them.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::tool;

/// How often they are asked.
const INTERVAL: Duration = Duration::from_millis(100);

/// After so many seconds a server counts as one that does not answer.
const PATIENCE: &str = "2";

/// Questions that go on until they are counted.
#[derive(Debug)]
pub(super) struct Probe {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Counted>>,
}

/// What was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// How often all were asked.
    pub(super) rounds: usize,
    /// The fewest that were ready at once.
    pub(super) fewest: usize,
    /// In how many rounds not all were ready.
    pub(super) short: usize,
}

impl Probe {
    /// Begins; each address is one of an API server.
    pub(super) fn begin(addresses: Vec<String>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut counted = Counted {
                fewest: addresses.len(),
                ..Counted::default()
            };
            while !told.load(Ordering::Relaxed) {
                let begin = Instant::now();
                let ready = ask(&addresses)?;
                counted.rounds += 1;
                counted.fewest = counted.fewest.min(ready);
                counted.short += usize::from(ready < addresses.len());
                thread::sleep(INTERVAL.saturating_sub(begin.elapsed()));
            }
            Ok(counted)
        });
        Self { over, thread }
    }

    /// Ends and tells what was answered.
    pub(super) fn finish(self) -> Result<Counted> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the probe panicked")?
    }
}

/// How many of the servers answer 200, all asked at once.
fn ask(addresses: &[String]) -> Result<usize> {
    let mut curl = tool::command("curl");
    curl.args([
        "--silent",
        "--insecure",
        "--parallel",
        "--parallel-immediate",
        "--max-time",
        PATIENCE,
    ]);
    curl.args(["--write-out", "%{http_code}\\n"]);
    for address in addresses {
        // A server says 200 only when it is ready; what it says besides could get mixed with another's words.
        curl.args(["--output", "/dev/null"]);
        curl.arg(format!("https://{address}:6443/readyz"));
    }
    let output = curl.stderr(Stdio::null()).output().context("start curl")?;
    Ok(count(&String::from_utf8_lossy(&output.stdout)))
}

fn count(answers: &str) -> usize {
    answers.lines().filter(|line| *line == "200").count()
}

impl Counted {
    /// Refuses anything below so many ready servers, and too few questions to know.
    pub(super) fn at_least(self, servers: usize) -> Result<Self> {
        ensure!(
            self.rounds > 20,
            "the API servers were asked only {} times",
            self.rounds
        );
        ensure!(
            self.fewest >= servers,
            "only {} API servers were ready at once, in {} rounds",
            self.fewest,
            self.rounds
        );
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ready_servers_are_counted() {
        assert_eq!(count("200\n500\n000\n200\n"), 2);
    }

    #[test]
    fn too_few_servers_or_too_few_questions_are_refused() {
        let counted = |rounds, fewest| Counted {
            rounds,
            fewest,
            short: 1,
        };
        assert!(counted(100, 2).at_least(2).is_ok());
        assert!(counted(100, 1).at_least(2).is_err());
        assert!(counted(5, 3).at_least(2).is_err());
    }
}
