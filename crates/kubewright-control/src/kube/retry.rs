//! When a request is sent again, and how often.
//!
//! Only what [`ApiFailure::is_passing`] calls passing, only until a limit, and with pauses that grow. Nothing else in
//! this module's neighbourhood repeats a request on its own.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::failure::ApiFailure;
use crate::pace::{Measure, Pace};

/// How long a request may be repeated, and how long one attempt may take.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// How slow the server has been; what is measured of these requests is noted there.
    pub pace: Pace,
    /// The whole time at a usual server, pauses included.
    pub limit: Duration,
    /// One attempt at a usual server.
    pub attempt: Duration,
    /// The first pause; each following one is twice as long.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// Whether a conflict is met by sending the same again. It is not where the request was made from a version of
    /// the object that has to be read again.
    pub repeats_conflicts: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            limit: Duration::from_secs(30),
            attempt: Duration::from_secs(15),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(2),
            repeats_conflicts: true,
        }
    }
}

/// Why a request was given up.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// What the server answered, or that it did not answer.
    #[error(transparent)]
    Failed(#[from] ApiFailure),
    /// It kept failing in a way that might have passed.
    #[error("gave up after {attempts} attempts in {} s: {last}", .within.as_secs())]
    GaveUp {
        /// How often it was tried.
        attempts: u32,
        /// How long it was tried.
        within: Duration,
        /// The last answer.
        last: ApiFailure,
    },
    /// An attempt brought no answer within the time.
    #[error("no answer from the API server within {} s", .within.as_secs())]
    NoAnswer {
        /// How long it was tried.
        within: Duration,
    },
}

impl RequestError {
    /// Returns the last answer, when there was one.
    pub fn failure(&self) -> Option<&ApiFailure> {
        match self {
            Self::Failed(failure) | Self::GaveUp { last: failure, .. } => Some(failure),
            Self::NoAnswer { .. } => None,
        }
    }

    /// Tells whether the server says that the object, or its kind, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.failure().is_some_and(ApiFailure::is_not_found)
    }

    /// Tells whether the object changed meanwhile or exists already.
    pub fn is_conflict(&self) -> bool {
        self.failure().is_some_and(ApiFailure::is_conflict)
    }
}

impl RetryPolicy {
    /// Sends a request until it succeeds, fails for good, or the time is over.
    pub async fn run<T, F>(&self, mut send: impl FnMut() -> F) -> Result<T, RequestError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let started = Instant::now();
        let mut pause = self.first_pause;
        let mut attempts = 0;
        let mut last = None;
        loop {
            attempts += 1;
            let asked = Instant::now();
            // Other requests may have measured meanwhile how slow the server is.
            let (limit, attempt) = (self.pace.bound(self.limit), self.pace.bound(self.attempt));
            let end = started + limit;
            let Ok(answer) = timeout_at(end.min(asked + attempt), send()).await else {
                if Instant::now() < end {
                    continue;
                }
                return Err(match last {
                    None => RequestError::NoAnswer { within: limit },
                    Some(last) => RequestError::GaveUp {
                        attempts,
                        within: started.elapsed(),
                        last,
                    },
                });
            };
            let failure = match answer {
                Ok(value) => {
                    self.pace.note(Measure::ApiRequest, asked.elapsed());
                    return Ok(value);
                }
                Err(error) => ApiFailure::from(error),
            };
            if !failure.is_passing() || (failure.is_conflict() && !self.repeats_conflicts) {
                return Err(failure.into());
            }
            let asked = failure.retry_after_seconds().map_or(pause, |seconds| {
                Duration::from_secs(u64::from(seconds)).max(pause)
            });
            if Instant::now() + asked >= end {
                return Err(RequestError::GaveUp {
                    attempts,
                    within: started.elapsed(),
                    last: failure,
                });
            }
            tracing::debug!(attempts, %failure, pause = ?asked, "sending the request again");
            last = Some(failure);
            sleep(asked).await;
            pause = (pause * 2).min(self.longest_pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::core::Status;

    use super::*;

    fn quick() -> RetryPolicy {
        RetryPolicy {
            limit: Duration::from_secs(5),
            first_pause: Duration::from_millis(1),
            ..RetryPolicy::default()
        }
    }

    fn answered(code: u16) -> kube::Error {
        kube::Error::Api(Status::failure("no", "No").with_code(code).boxed())
    }

    #[tokio::test]
    async fn what_was_answered_before_the_server_fell_silent_is_told() {
        let attempts = Cell::new(0);
        let policy = RetryPolicy {
            limit: Duration::from_millis(50),
            ..quick()
        };
        let gave_up: Result<(), _> = policy
            .run(|| {
                attempts.set(attempts.get() + 1);
                let is_first = attempts.get() == 1;
                async move {
                    if is_first {
                        return Err(answered(503));
                    }
                    std::future::pending().await
                }
            })
            .await;
        let error = gave_up.unwrap_err();
        assert!(
            matches!(error, RequestError::GaveUp { attempts: 2, .. }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_server_that_was_slow_to_start_is_given_longer() {
        let ask = |pace: Pace| async move {
            let policy = RetryPolicy {
                pace,
                limit: Duration::from_millis(100),
                attempt: Duration::from_millis(50),
                ..quick()
            };
            policy
                .run(|| async {
                    sleep(Duration::from_millis(200)).await;
                    Ok(7)
                })
                .await
        };
        let slow = Pace::default();
        slow.note(Measure::ApiServerStart, Duration::from_secs(130));
        assert!(matches!(
            ask(Pace::default()).await,
            Err(RequestError::NoAnswer { .. })
        ));
        assert_eq!(ask(slow).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_passing_failure_is_tried_again() {
        let attempts = Cell::new(0);
        let answer = quick()
            .run(|| {
                attempts.set(attempts.get() + 1);
                let result = if attempts.get() < 3 {
                    Err(answered(503))
                } else {
                    Ok(7)
                };
                async move { result }
            })
            .await;
        assert_eq!(answer.unwrap(), 7);
        assert_eq!(attempts.get(), 3);
    }

    #[tokio::test]
    async fn any_other_failure_is_not() {
        let attempts = Cell::new(0);
        let answer: Result<(), _> = quick()
            .run(|| {
                attempts.set(attempts.get() + 1);
                async { Err(answered(422)) }
            })
            .await;
        assert!(matches!(answer, Err(RequestError::Failed(_))));
        assert_eq!(attempts.get(), 1);
    }

    #[tokio::test]
    async fn a_conflict_is_handed_back_when_asked_to() {
        let policy = RetryPolicy {
            repeats_conflicts: false,
            ..quick()
        };
        let answer: Result<(), _> = policy.run(|| async { Err(answered(409)) }).await;
        assert!(answer.unwrap_err().is_conflict());
    }

    #[tokio::test]
    async fn the_time_ends_the_attempts() {
        let policy = RetryPolicy {
            limit: Duration::from_millis(5),
            ..quick()
        };
        let answer: Result<(), _> = policy.run(|| async { Err(answered(429)) }).await;
        assert!(matches!(answer, Err(RequestError::GaveUp { attempts, .. }) if attempts > 1));
    }

    #[tokio::test]
    async fn a_silent_server_ends_in_no_answer() {
        let policy = RetryPolicy {
            limit: Duration::from_millis(5),
            ..quick()
        };
        let answer: Result<(), _> = policy.run(std::future::pending).await;
        assert!(matches!(answer, Err(RequestError::NoAnswer { .. })));
    }
}
