//! How fast the disk makes small writes durable, measured as etcd uses it: one write after the other, each followed by
//! `fdatasync`, of about the size of a log entry.
//!
//! The file has no name, so nothing is left of it, whatever ends the agent.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use kubewright_core::observed::SyncSpeed;
use kubewright_core::wire::NodeError;
use rustix::fs::{Mode, OFlags};

use crate::fault::{Doing as _, fault};
use crate::system::System;

/// Bytes of each write: what etcd writes for a small change.
const BYTES: usize = 2300;
/// How many writes are made, if there is time.
const WRITES: usize = 500;
/// How long it may take; a slow disk has told enough by then.
const LONGEST: Duration = Duration::from_secs(10);

/// Measures the file system where a directory is or will be.
///
/// # Errors
/// When nothing can be written there.
pub fn measure(system: &dyn System, directory: &str) -> Result<SyncSpeed, NodeError> {
    let doing = || format!("measure how fast {directory} makes writes durable");
    let mut present = directory;
    while !system.path(present).is_dir() && present != "/" {
        present = present.rsplit_once('/').map_or("/", |(parent, _)| parent);
        present = if present.is_empty() { "/" } else { present };
    }
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(system.path(present), flags, Mode::RUSR | Mode::WUSR).doing(doing)?;
    let mut file = File::from(file);
    let mut taken = Vec::with_capacity(WRITES);
    let begun = Instant::now();
    while taken.len() < WRITES && begun.elapsed() < LONGEST {
        let write = Instant::now();
        file.write_all(&[0x5a; BYTES]).doing(doing)?;
        system.sync_data(file.as_fd()).doing(doing)?;
        taken.push(write.elapsed());
    }
    percentile(taken).ok_or_else(|| fault(doing(), "nothing was written"))
}

fn percentile(mut taken: Vec<Duration>) -> Option<SyncSpeed> {
    taken.sort_unstable();
    let last = taken.len().checked_sub(1)?;
    let p99 = taken[last * 99 / 100];
    Some(SyncSpeed {
        writes: u32::try_from(taken.len()).unwrap_or(u32::MAX),
        p99_us: u64::try_from(p99.as_micros()).unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestSystem;

    #[test]
    fn one_slow_write_in_a_hundred_does_not_count_and_two_do() {
        let quick = Duration::from_micros(100);
        let slow = Duration::from_millis(60);
        let with = |count: usize| {
            let mut taken = vec![quick; 100 - count];
            taken.extend(vec![slow; count]);
            percentile(taken).unwrap()
        };
        assert_eq!(with(1).p99_us, 100);
        assert_eq!(with(2).p99_us, 60_000);
        assert_eq!(with(2).writes, 100);
    }

    #[test]
    fn measures_where_the_directory_will_be_and_leaves_nothing() {
        let system = TestSystem::new();
        system.put("/var/lib/.keep", "");
        let before = system.snapshot();
        let speed = measure(&*system, "/var/lib/etcd").unwrap();
        assert!(speed.writes >= 20, "{speed:?}");
        assert_eq!(
            system.snapshot().keys().collect::<Vec<_>>(),
            before.keys().collect::<Vec<_>>()
        );
    }
}
