//! The process at this end of a channel: its last words, and how it ended.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How much of what a process says on stderr is kept: the end of it.
const TAIL_BYTES: usize = 16 << 10;

/// What a process says on stderr, its last part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    fn push(&self, bytes: &[u8]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        let orphaned = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..orphaned);
    }

    /// The text, with everything a terminal would act on made visible.
    pub(crate) fn text(&self) -> String {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = tail.iter().copied().collect();
        escape(&String::from_utf8_lossy(&bytes))
    }
}

/// Makes control characters visible; lines stay lines.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => escaped.push(character),
            '\r' => {}
            character if character.is_control() => {
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(character));
            }
            character => escaped.push(character),
        }
    }
    escaped.trim().to_owned()
}

/// How the other end of a channel ended.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// The last lines it wrote on stderr, escaped.
    pub stderr: String,
    /// Its exit status, when it had a process and that has ended.
    pub status: Option<ExitStatus>,
}

/// The process that carries a channel; it is killed when this is dropped.
#[derive(Debug, Default)]
pub struct Peer {
    child: Option<Child>,
    tail: Tail,
    stderr: Option<JoinHandle<()>>,
}

impl Peer {
    /// Follows a child process, whose stderr it takes.
    pub(crate) fn of(mut child: Child) -> Self {
        let tail = Tail::default();
        let stderr = child
            .stderr
            .take()
            .map(|stderr| tokio::spawn(follow(stderr, tail.clone())));
        Self {
            child: Some(child),
            tail,
            stderr,
        }
    }

    /// What it said on stderr until now.
    pub fn stderr(&self) -> String {
        self.tail.text()
    }

    /// Waits for the end, at most `timeout`, then kills.
    pub async fn ending(&mut self, limit: Duration) -> Ending {
        let mut status = None;
        if let Some(child) = &mut self.child {
            if let Ok(ended) = timeout(limit, child.wait()).await {
                status = ended.ok();
            } else {
                let _ = child.kill().await;
            }
        }
        if let Some(stderr) = &mut self.stderr {
            // A proxy command of the operator's may outlive ssh and keep stderr open.
            let _ = timeout(Duration::from_millis(500), stderr).await;
            self.stderr = None;
        }
        Ending {
            stderr: self.tail.text(),
            status,
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(stderr) = &self.stderr {
            stderr.abort();
        }
    }
}

async fn follow(mut stderr: impl AsyncRead + Unpin, tail: Tail) {
    let mut buffer = [0; 4096];
    while let Ok(count) = stderr.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        tail.push(&buffer[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_of_what_was_said() {
        let tail = Tail::default();
        for _ in 0..100 {
            tail.push(&[b'a'; 1000]);
        }
        tail.push(&vec![b'b'; 2 * TAIL_BYTES]);
        tail.push(b"end");
        assert_eq!(tail.0.lock().unwrap().len(), TAIL_BYTES);
        assert!(tail.text().ends_with("bend"));
    }

    #[test]
    fn shows_what_a_terminal_would_act_on() {
        assert_eq!(escape("a\u{1b}[2Jb\r\nc\0"), "a\\u{1b}[2Jb\nc\\u{0}");
    }
}
