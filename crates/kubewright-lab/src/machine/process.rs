//! Processes by pid and start time, so that a reused pid is never taken for the old process.

use std::fs;

use rustix::process::{Pid, Signal};

/// One process of this computer, past or present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessId {
    pub(crate) pid: i32,
    /// In clock ticks since the computer booted, as /proc tells.
    start_time: u64,
}

/// What /proc tells about a living process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    pub(crate) parent: i32,
    pub(crate) command: String,
}

impl Process {
    /// Looks at a process; a zombie counts as ended.
    pub(crate) fn look(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Reads `PID (COMMAND) STATE PARENT … START …`; the command may hold spaces and brackets.
    fn parse(pid: i32, stat: &str) -> Option<Self> {
        let (head, tail) = stat.rsplit_once(')')?;
        let command = head.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = tail.split_whitespace().collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        let parent = fields.get(1)?.parse().ok()?;
        let start_time = fields.get(19)?.parse().ok()?;
        Some(Self {
            id: ProcessId { pid, start_time },
            parent,
            command,
        })
    }
}

impl ProcessId {
    /// Whether this very process still runs.
    pub(crate) fn is_alive(self) -> bool {
        Process::look(self.pid).is_some_and(|process| process.id == self)
    }

    /// Ends the process by SIGKILL, unless its pid belongs to another one by now.
    pub(crate) fn kill(self) {
        if self.is_alive()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // The only failure is that it has just ended by itself.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(state: &str) -> String {
        let rest: Vec<String> = (5..=52)
            .map(|field: i32| if field == 22 { "777".into() } else { "0".to_owned() })
            .collect();
        format!("42 (a) b (c) {state} 7 {}", rest.join(" "))
    }

    #[test]
    fn reads_a_stat_line_whatever_the_command_is_called() {
        let process = Process::parse(42, &stat("S")).unwrap();
        assert_eq!(process.command, "a) b (c");
        assert_eq!(process.parent, 7);
        assert_eq!(
            process.id,
            ProcessId {
                pid: 42,
                start_time: 777
            }
        );
    }

    #[test]
    fn a_process_nobody_collected_is_not_alive() {
        assert_eq!(Process::parse(42, &stat("Z")), None);
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let own = Process::look(i32::try_from(std::process::id()).unwrap())
            .unwrap()
            .id;
        assert!(own.is_alive());
        assert!(
            !ProcessId {
                start_time: own.start_time + 1,
                ..own
            }
            .is_alive()
        );
    }
}
