//! Every duration the proxy lives by, in one place.
//!
//! A hung API server is noticed at the latest `check_interval + 2 × check_timeout` after it hung, because a check
//! that ran into its timeout is repeated at once: 2.8 s with the defaults, below the promised 3 s.

use std::time::Duration;

/// The proxy's durations; the defaults are for production, tests use shorter ones.
#[derive(Debug, Clone)]
pub(super) struct Timing {
    /// From the start of one check of a ready backend to the start of the next.
    pub(super) check_interval: Duration,
    /// From a failed check to the next one.
    pub(super) check_retry: Duration,
    /// The least time between the starts of two checks, however often they are asked for.
    pub(super) check_gap: Duration,
    /// The bound of one check, connecting and handshake included.
    pub(super) check_timeout: Duration,
    /// Between checks of a backend that has been down for `long_down`.
    pub(super) check_interval_down: Duration,
    /// Between checks of a backend that is down and no longer listed by the API.
    pub(super) check_interval_demoted: Duration,
    /// When a backend counts as down for long.
    pub(super) long_down: Duration,
    /// The age at which the kept-alive connection for checks is replaced, so that changed certificates are seen.
    pub(super) check_connection_age: Duration,
    /// The bound of connecting to one backend for a client.
    pub(super) connect_timeout: Duration,
    /// How long one backend may take to connect before the next is tried beside it.
    pub(super) connect_stagger: Duration,
    /// How long clients of a backend that says it is not ready, or refuses, may finish before they are cut.
    pub(super) drain: Duration,
    /// Between two looks at the API's list of members.
    pub(super) membership_interval: Duration,
    /// The least time between two looks, however often they are asked for.
    pub(super) membership_gap: Duration,
    /// The bound of one look.
    pub(super) membership_timeout: Duration,
    /// How long the first connections wait for the first checks.
    pub(super) first_checks: Duration,
    /// How long open connections may go on after SIGTERM.
    pub(super) shutdown: Duration,
    /// The silence after which a connection is closed during shutdown.
    pub(super) shutdown_quiet: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            check_interval: Duration::from_secs(1),
            check_retry: Duration::from_millis(300),
            check_gap: Duration::from_millis(100),
            check_timeout: Duration::from_millis(900),
            check_interval_down: Duration::from_secs(1),
            check_interval_demoted: Duration::from_secs(5),
            long_down: Duration::from_secs(60),
            check_connection_age: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(1),
            connect_stagger: Duration::from_millis(250),
            drain: Duration::from_secs(5),
            membership_interval: Duration::from_secs(15),
            membership_gap: Duration::from_secs(1),
            membership_timeout: Duration::from_secs(5),
            first_checks: Duration::from_secs(1),
            shutdown: Duration::from_secs(1),
            shutdown_quiet: Duration::from_millis(200),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_a_hung_backend_within_three_seconds() {
        let timing = Timing::default();
        assert!(timing.check_interval + 2 * timing.check_timeout <= Duration::from_secs(3));
        assert!(timing.connect_timeout <= Duration::from_secs(1));
    }
}
