//! What checks say about one backend, and what follows from a row of them. Pure.
//!
//! Two failures in a row eject a ready backend, one success brings it back. A certificate that does not verify
//! ejects at once: whatever answers there is not one of the cluster's API servers.

use std::fmt;
use std::time::Duration;

use super::timing::Timing;

/// How many failures in a row eject a ready backend.
const FALL: u32 = 2;

/// Why a check did not find a ready API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// `/readyz` was answered with another status than 200.
    Status(u16),
    /// Nothing listens, or the network says it cannot be reached.
    Refused,
    /// The connection broke, or what came was not HTTP.
    Broken,
    /// No answer in time: hung, overloaded, or cut off.
    TimedOut,
    /// The certificate does not belong to this cluster.
    Untrusted,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(formatter, "not ready (status {status})"),
            Self::Refused => formatter.write_str("connection refused"),
            Self::Broken => formatter.write_str("broken answer"),
            Self::TimedOut => formatter.write_str("no answer in time"),
            Self::Untrusted => formatter.write_str("certificate not trusted"),
        }
    }
}

/// What is believed about one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// Not checked yet.
    Unknown,
    /// Serves requests.
    Ready,
    /// Ejected, or never found ready.
    Down(Failure),
}

/// A change of belief that others must hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The backend became ready.
    Risen,
    /// The backend was ready or unknown and is down now.
    Fallen(Failure),
}

/// Turns a row of check results into belief.
#[derive(Debug, Clone)]
pub(super) struct Tracker {
    health: Health,
    failures: u32,
    last: Option<Failure>,
}

impl Tracker {
    /// A backend nothing is known about.
    pub(super) const fn new() -> Self {
        Self {
            health: Health::Unknown,
            failures: 0,
            last: None,
        }
    }

    /// What is believed now.
    pub(super) const fn health(&self) -> Health {
        self.health
    }

    /// Takes in one check's result.
    pub(super) fn record(&mut self, result: Result<(), Failure>) -> Option<Change> {
        let Err(failure) = result else {
            self.failures = 0;
            self.last = None;
            let is_news = self.health != Health::Ready;
            self.health = Health::Ready;
            return is_news.then_some(Change::Risen);
        };
        self.failures = self.failures.saturating_add(1);
        self.last = Some(failure);
        match self.health {
            Health::Ready if self.failures < FALL && failure != Failure::Untrusted => None,
            Health::Ready | Health::Unknown => {
                self.health = Health::Down(failure);
                Some(Change::Fallen(failure))
            }
            Health::Down(_) => {
                self.health = Health::Down(failure);
                None
            }
        }
    }

    /// How long to wait for the next check; `elapsed` is what the last one took, `down_for` the time since the fall.
    pub(super) fn next_check(
        &self,
        timing: &Timing,
        elapsed: Duration,
        down_for: Duration,
        is_demoted: bool,
    ) -> Duration {
        match (self.health, self.last) {
            // The timeout has been the waiting: a hung backend must be out within three seconds.
            (Health::Ready, Some(Failure::TimedOut)) => Duration::ZERO,
            (Health::Down(_), _) if is_demoted => timing.check_interval_demoted,
            (Health::Down(_), _) if down_for >= timing.long_down => timing.check_interval_down,
            (Health::Ready, Some(_)) | (Health::Down(_), _) => timing.check_retry,
            (Health::Ready | Health::Unknown, _) => timing.check_interval.saturating_sub(elapsed),
        }
    }
}

/// Says whether connections through a backend that has been down for `down_for` are to be closed.
///
/// Never while no other backend is ready: the clients would have nowhere to go, and an overloaded API server would get all
/// of them again at once. A hung or foreign one is left at once; one that says it is not ready or has closed its port may
/// be shutting down in good order, so requests in flight get the time to end.
pub(super) fn should_cut(
    failure: Failure,
    down_for: Duration,
    drain: Duration,
    another_is_ready: bool,
) -> bool {
    another_is_ready
        && match failure {
            Failure::TimedOut | Failure::Untrusted => true,
            Failure::Status(_) | Failure::Refused | Failure::Broken => down_for >= drain,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_on_the_second_failure_and_rises_on_the_first_success() {
        let mut tracker = Tracker::new();
        assert_eq!(tracker.record(Ok(())), Some(Change::Risen));
        assert_eq!(tracker.record(Err(Failure::Status(500))), None);
        assert_eq!(tracker.health(), Health::Ready);
        assert_eq!(
            tracker.record(Err(Failure::TimedOut)),
            Some(Change::Fallen(Failure::TimedOut))
        );
        assert_eq!(tracker.record(Err(Failure::Refused)), None);
        assert_eq!(tracker.health(), Health::Down(Failure::Refused));
        assert_eq!(tracker.record(Ok(())), Some(Change::Risen));
    }

    #[test]
    fn a_success_between_failures_starts_the_count_again() {
        let mut tracker = Tracker::new();
        for result in [Ok(()), Err(Failure::Broken), Ok(()), Err(Failure::Broken)] {
            tracker.record(result);
        }
        assert_eq!(tracker.health(), Health::Ready);
    }

    #[test]
    fn an_unknown_backend_is_down_after_one_failure() {
        assert_eq!(
            Tracker::new().record(Err(Failure::Refused)),
            Some(Change::Fallen(Failure::Refused))
        );
    }

    #[test]
    fn a_foreign_certificate_ejects_at_once() {
        let mut tracker = Tracker::new();
        tracker.record(Ok(()));
        assert_eq!(
            tracker.record(Err(Failure::Untrusted)),
            Some(Change::Fallen(Failure::Untrusted))
        );
    }

    #[test]
    fn a_timeout_is_repeated_at_once_until_the_backend_is_out() {
        let timing = Timing::default();
        let mut tracker = Tracker::new();
        tracker.record(Ok(()));
        let next =
            |tracker: &Tracker| tracker.next_check(&timing, timing.check_timeout, Duration::ZERO, false);
        assert_eq!(
            next(&tracker),
            timing.check_interval.checked_sub(timing.check_timeout).unwrap()
        );
        tracker.record(Err(Failure::TimedOut));
        assert_eq!(next(&tracker), Duration::ZERO);
        tracker.record(Err(Failure::TimedOut));
        assert_eq!(next(&tracker), timing.check_retry);
    }

    #[test]
    fn cuts_the_hung_at_once_and_the_draining_later_but_never_the_last() {
        let drain = Duration::from_secs(5);
        assert!(should_cut(Failure::TimedOut, Duration::ZERO, drain, true));
        assert!(!should_cut(Failure::TimedOut, Duration::ZERO, drain, false));
        assert!(!should_cut(Failure::Status(500), Duration::ZERO, drain, true));
        assert!(should_cut(Failure::Status(500), drain, drain, true));
        assert!(!should_cut(Failure::Refused, drain, drain, false));
    }
}
