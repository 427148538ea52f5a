//! Stops calling a plugin that fails, and tries it again now and then.
//!
//! It opens at 5 failures that are at least half of the last 20 calls within 30 s; while it is open, callers
//! are refused at once. A single probe is let through after 1 s, then after twice as long, up to 5 min.
//!
//! ```text
//!            5 failures, half of the calls           back-off is over
//!   Closed ──────────────────────────────▶ Open ───────────────────────▶ Probing
//!     ▲                                     ▲  the probe fails: longer ────┤
//!     └─────────────────────────────────────┼─── the probe succeeds ───────┘
//! ```
//!
//! A guest that refuses an object has not failed: traps, limits and broken answers are failures.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(30);
const WINDOW_CALLS: usize = 20;
const OPENS_AT_FAILURES: usize = 5;
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// A probe that has not reported by then was given up with its request.
const PROBE_LOST_AFTER: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    calls: VecDeque<(Instant, bool)>,
    backoff: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed,
    Open { until: Instant },
    Probing { since: Instant },
}

/// What a report changed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Opened { retry_after: Duration },
    Closed,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Closed,
            calls: VecDeque::new(),
            backoff: BACKOFF_MIN,
        }
    }

    /// Whether a call may begin; if not, when to come again.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.state {
            State::Closed => Ok(()),
            State::Open { until } if now < until => Err(until - now),
            State::Probing { since } if now < since + PROBE_LOST_AFTER => Err(BACKOFF_MIN),
            State::Open { .. } | State::Probing { .. } => {
                self.state = State::Probing { since: now };
                Ok(())
            }
        }
    }

    pub(crate) fn report(&mut self, now: Instant, has_succeeded: bool) -> Option<Change> {
        match (self.state, has_succeeded) {
            (State::Probing { .. }, true) => {
                self.state = State::Closed;
                self.calls.clear();
                self.backoff = BACKOFF_MIN;
                Some(Change::Closed)
            }
            (State::Probing { .. }, false) => {
                self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
                Some(self.open(now))
            }
            // A call that began before the breaker opened says nothing new.
            (State::Open { .. }, _) => None,
            (State::Closed, _) => {
                self.calls.push_back((now, has_succeeded));
                while self.calls.len() > WINDOW_CALLS
                    || self.calls.front().is_some_and(|(at, _)| now - *at > WINDOW)
                {
                    self.calls.pop_front();
                }
                let failures = self.calls.iter().filter(|(_, success)| !success).count();
                let is_failing = failures >= OPENS_AT_FAILURES && failures * 2 >= self.calls.len();
                is_failing.then(|| self.open(now))
            }
        }
    }

    fn open(&mut self, now: Instant) -> Change {
        self.state = State::Open {
            until: now + self.backoff,
        };
        Change::Opened {
            retry_after: self.backoff,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(breaker: &mut Breaker, now: Instant, times: usize) {
        for _ in 0..times {
            breaker.report(now, false);
        }
    }

    #[tokio::test]
    async fn opens_at_five_failures_and_half_of_the_calls() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for _ in 0..6 {
            breaker.report(now, true);
        }
        failed(&mut breaker, now, 5);
        assert_eq!(breaker.admit(now), Ok(()), "5 of 11 failed");
        breaker.report(now, false);
        assert_eq!(breaker.admit(now), Err(BACKOFF_MIN), "6 of 12 failed");
    }

    #[tokio::test]
    async fn forgets_failures_after_thirty_seconds() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        failed(&mut breaker, now, 4);
        let later = now + Duration::from_secs(31);
        failed(&mut breaker, later, 4);
        assert_eq!(breaker.admit(later), Ok(()));
    }

    #[tokio::test]
    async fn lets_one_probe_through_and_closes_when_it_succeeds() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        failed(&mut breaker, now, 5);
        let later = now + BACKOFF_MIN;
        assert_eq!(breaker.admit(later), Ok(()));
        assert!(breaker.admit(later).is_err(), "one probe at a time");
        assert_eq!(breaker.report(later, true), Some(Change::Closed));
        assert_eq!(breaker.admit(later), Ok(()));
    }

    #[tokio::test]
    async fn backs_off_up_to_five_minutes() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new();
        failed(&mut breaker, now, 5);
        let mut waits = Vec::new();
        for _ in 0..10 {
            let wait = breaker.admit(now).expect_err("it is open");
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.report(now, false);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    }

    #[tokio::test]
    async fn lets_another_probe_through_when_one_is_lost() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        failed(&mut breaker, now, 5);
        let later = now + BACKOFF_MIN;
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later + PROBE_LOST_AFTER), Ok(()));
    }
}
