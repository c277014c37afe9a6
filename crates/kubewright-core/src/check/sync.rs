//! The disk that etcd will write to: how fast it makes small writes durable.

use super::text::list;
use super::{Found, Kind, Look};
use crate::component::etcd;

/// etcd's own advice: the 99th percentile of `wal_fsync_duration_seconds` is below 10 ms.
const SLOW_US: u64 = 10_000;
/// Half of the heartbeat interval that etcd has by default (100 ms): with a disk that needs longer, leaders change
/// whenever it is busy.
const TOO_SLOW_US: u64 = 50_000;

pub(super) fn judge(look: &Look, found: &mut Found) {
    for (node, speed) in &look.measured.syncs {
        if speed.p99_us < SLOW_US {
            continue;
        }
        let milliseconds = speed.p99_us / 1000;
        let message = format!(
            "of {} small synced writes for etcd one in a hundred took {milliseconds} ms or longer ({})",
            speed.writes,
            etcd::DATA_DIRECTORY
        );
        let fix = format!(
            "give {} a faster disk (SSD); nothing else may be busy on it",
            etcd::DATA_DIRECTORY
        );
        if speed.p99_us < TOO_SLOW_US {
            found.warning(Kind::DiskSync, node, message, fix);
        } else {
            found.error(Kind::DiskSync, node, message, fix);
        }
    }
}

/// What whoever reads a report should know of what was not measured.
pub(super) fn notes(unmeasured: &[String]) -> Option<String> {
    let nodes = list(unmeasured);
    (!unmeasured.is_empty())
        .then(|| format!("the disk was not measured on {nodes}: etcd's directory has a member there"))
}
