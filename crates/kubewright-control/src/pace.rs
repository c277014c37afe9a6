//! How slow a node is, as this run has measured it, and how long it is waited for because of that.
//!
//! Every bound has a figure for usual machines. One that needed 130 s for what others do in ten will not answer in five:
//! what is measured on a node in a run stretches every later bound for it, and for the API server that runs there. A
//! slow one is also asked for less at a time. Bounds only grow, so one slow answer costs nothing but patience.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// No bound grows further than this: what takes longer is broken.
const SLOWEST: u32 = 20;
/// Slowness is kept in hundredths.
const HUNDRED: u32 = 100;

/// What is measured of a node, and how long it takes at most on usual ones, even if they are busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The agent gathers its facts: a few dozen files and a dozen short programs.
    Facts,
    /// A request to the API brings its answer.
    ApiRequest,
    /// An API server becomes ready after its start; it needs about three seconds of a processor.
    ApiServerStart,
    /// A member of etcd becomes healthy after its start.
    EtcdStart,
}

impl Measure {
    /// How long it takes at most on usual nodes.
    pub const fn usual(self) -> Duration {
        match self {
            Self::Facts | Self::ApiRequest => Duration::from_secs(2),
            Self::ApiServerStart => Duration::from_secs(20),
            Self::EtcdStart => Duration::from_secs(15),
        }
    }
}

/// How many times slower than usual a node has been; clones are of the same node.
#[derive(Clone, Debug, Default)]
pub struct Pace(Arc<AtomicU32>);

impl Pace {
    /// Notes how long something took.
    pub fn note(&self, measure: Measure, took: Duration) {
        let slowness = took.as_millis() * u128::from(HUNDRED) / measure.usual().as_millis().max(1);
        let slowness = u32::try_from(slowness).unwrap_or(u32::MAX).min(SLOWEST * HUNDRED);
        let before = self.0.fetch_max(slowness, Ordering::Relaxed);
        if slowness > before.max(HUNDRED) {
            tracing::debug!(?measure, ?took, slowness, "slower than usual, in hundredths");
        }
    }

    fn hundredths(&self) -> u32 {
        self.0.load(Ordering::Relaxed).max(HUNDRED)
    }

    /// How long is waited at most, instead of so long on usual nodes.
    pub fn bound(&self, usual: Duration) -> Duration {
        usual * self.hundredths() / HUNDRED
    }

    /// How many requests are under way at once, instead of so many on usual nodes.
    pub fn at_once(&self, usual: usize) -> usize {
        (usual * HUNDRED as usize / self.hundredths() as usize).max(1)
    }

    /// Whichever is slower.
    #[must_use]
    pub fn slower(self, other: Self) -> Self {
        if other.hundredths() > self.hundredths() {
            other
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn usual_nodes_have_the_usual_bounds() {
        let pace = Pace::default();
        assert_eq!((pace.bound(5 * SECOND), pace.at_once(16)), (5 * SECOND, 16));
        pace.note(Measure::Facts, SECOND / 4);
        assert_eq!((pace.bound(5 * SECOND), pace.at_once(16)), (5 * SECOND, 16));
    }

    #[test]
    fn an_api_server_that_took_long_to_start_is_given_longer_and_less_at_once() {
        let pace = Pace::default();
        pace.note(Measure::ApiServerStart, 130 * SECOND);
        assert_eq!(pace.bound(5 * SECOND), Duration::from_millis(32_500));
        assert_eq!(pace.at_once(16), 2);
        // A quick answer afterwards proves nothing.
        pace.note(Measure::ApiRequest, Duration::from_millis(3));
        assert_eq!(pace.bound(30 * SECOND), 195 * SECOND);
    }

    #[test]
    fn nothing_is_waited_for_without_end() {
        let pace = Pace::default();
        pace.note(Measure::ApiRequest, 100_000 * SECOND);
        assert_eq!((pace.bound(SECOND), pace.at_once(4)), (20 * SECOND, 1));
    }

    #[test]
    fn of_two_the_slower_counts() {
        let (slow, usual) = (Pace::default(), Pace::default());
        slow.note(Measure::Facts, 6 * SECOND);
        assert_eq!(usual.clone().slower(slow.clone()).bound(SECOND), 3 * SECOND);
        assert_eq!(slow.slower(usual).bound(SECOND), 3 * SECOND);
    }
}
