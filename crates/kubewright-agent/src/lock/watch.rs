//! Whether the lock of another run is worth waiting for: its controller has gone, or is not heard any more.
//!
//! That a controller lives is proved by hearing it once more, a moment after the first look: what a controller that was
//! killed had sent may still be arriving then. That it is dead is proved by its agent, which reports it.

use std::time::Duration;

use super::Held;

/// Looks again and again at who holds the lock.
#[derive(Debug)]
pub struct Watch {
    limit: Duration,
    silence: Duration,
    begun: Option<Duration>,
    /// The run that is watched, and since when.
    watched: Option<(String, Duration)>,
}

impl Watch {
    /// Waits for `timeout` at most; `silence` is after how long agents give their controllers up.
    pub fn new(limit: Duration, silence: Duration) -> Self {
        Self {
            limit,
            silence,
            begun: None,
            watched: None,
        }
    }

    /// Whether to look again; times are by the node's clock since boot.
    pub fn is_worth_waiting(&mut self, held: &Held, now: Duration) -> bool {
        let begun = *self.begun.get_or_insert(now);
        if now.saturating_sub(begun) >= self.limit {
            return false;
        }
        // Words that were on their way, and a holder that has not said its name yet.
        let grace = self.silence / 10;
        if !held.is_named {
            return now.saturating_sub(begun) < grace;
        }
        let run = &held.holder.run;
        let since = match &self.watched {
            Some((watched, since)) if watched == run => *since,
            _ => {
                self.watched = Some((run.clone(), now));
                now
            }
        };
        // A holder without a controller is a person on the node.
        held.holder.has_left || held.heard.is_some_and(|heard| heard <= since + grace)
    }
}

#[cfg(test)]
mod tests {
    use kubewright_core::wire::LockHolder;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn watch() -> Watch {
        Watch::new(seconds(60), seconds(15))
    }

    fn held(run: &str, heard: u64) -> Held {
        Held {
            holder: LockHolder::new("ada", run, 1),
            heard: Some(seconds(heard)),
            is_named: true,
        }
    }

    fn left(run: &str) -> Held {
        let mut held = held(run, 90);
        held.holder.has_left = true;
        held
    }

    #[test]
    fn a_controller_that_is_heard_again_is_not_waited_for() {
        let mut watch = watch();
        assert!(watch.is_worth_waiting(&held("a", 99), seconds(100)));
        assert!(watch.is_worth_waiting(&held("a", 99), seconds(102)));
        assert!(!watch.is_worth_waiting(&held("a", 103), seconds(103)));
    }

    #[test]
    fn what_was_on_its_way_from_a_dead_controller_proves_no_life() {
        let mut watch = watch();
        assert!(watch.is_worth_waiting(&held("a", 100), seconds(100)));
        assert!(watch.is_worth_waiting(&held("a", 101), seconds(101)));
        assert!(watch.is_worth_waiting(&left("a"), seconds(110)));
    }

    #[test]
    fn a_controller_that_has_gone_is_waited_for_as_long_as_there_is_patience() {
        let mut watch = watch();
        assert!(watch.is_worth_waiting(&left("a"), seconds(100)));
        assert!(watch.is_worth_waiting(&left("a"), seconds(159)));
        assert!(!watch.is_worth_waiting(&left("a"), seconds(160)));
    }

    #[test]
    fn a_run_that_was_faster_is_watched_anew() {
        let mut watch = watch();
        assert!(watch.is_worth_waiting(&left("a"), seconds(100)));
        assert!(watch.is_worth_waiting(&held("b", 120), seconds(120)));
        assert!(!watch.is_worth_waiting(&held("b", 123), seconds(123)));
    }

    #[test]
    fn a_person_on_the_node_is_not_waited_for() {
        let mut nobody_to_hear = held("undo", 0);
        nobody_to_hear.heard = None;
        assert!(!watch().is_worth_waiting(&nobody_to_hear, seconds(100)));
    }

    #[test]
    fn a_holder_without_a_name_has_a_moment_to_say_it() {
        let nameless = Held {
            is_named: false,
            heard: None,
            ..held("unknown", 0)
        };
        let mut watch = watch();
        assert!(watch.is_worth_waiting(&nameless, seconds(100)));
        assert!(!watch.is_worth_waiting(&nameless, seconds(102)));
    }

    #[test]
    fn without_patience_nobody_is_waited_for() {
        let mut watch = Watch::new(Duration::ZERO, seconds(15));
        assert!(!watch.is_worth_waiting(&left("a"), seconds(100)));
    }
}
