//! How many descriptors this process may have open.
//!
//! Every channel over a process takes four: its three pipes and the one that tells of its end. Shells grant 1024 unless told
//! otherwise, for the sake of programs that use select(2), and permit many more.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process's limit of open descriptors as far as it is permitted to.
pub fn allow_many_channels() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, ?limit, "the limit of open descriptors stays");
    }
}

/// Whether something could not be done because too many are open.
pub(super) fn is_exhausted(error: &std::io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE]
        .map(|errno| Some(errno.raw_os_error()))
        .contains(&error.raw_os_error())
}
