//! How fast an app's server is called, over all workers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fanfare::domain::{App, AppId, Pace, Slot, Timestamp, Webhook, limits};
use fanfare::queue::Failure;
use fanfare::store::Paced;

use crate::WebhookFunction;

/// How early a call may be for its turn and wait for it here, at most: queues delay by whole seconds.
const EARLY_MILLIS: i64 = 2_000;
/// How many calls to one app's server may wait here for their turns. At a high rate that makes the wait short: an
/// environment does nothing else meanwhile.
const WAITING_AT_ONCE: u32 = 10;
/// How late a call may be. What is later has to reserve anew, behind all others: on a bad day of the queue, for ever, if this
/// were as short as a queue is late. The rate is exceeded by what is late at a time, and never by more than the workers
/// there are.
const LATE_MILLIS: i64 = 5_000;
/// How many calls to one app's server are to be under way at a time: a quarter of what all environments do together, one
/// each (`MaximumConcurrency` in the template). A slow server is called less often, so that it does not take the
/// workers from the others.
const CALLS_AT_ONCE: u32 = 25;
/// Apps whose servers' slowness one environment remembers.
const REMEMBERED: usize = 1_000;

/// Whether a call may be made.
pub(crate) enum Admission {
    /// As soon as this time has passed.
    After(Duration),
    /// It comes again after a delay, with what is reserved for it.
    Later {
        /// What is reserved for it.
        window: Slot,
        /// How long it waits in the queue.
        delay: Duration,
    },
}

impl WebhookFunction {
    /// Reserves a call at the app's rate, unless one is reserved that was not missed.
    pub(crate) async fn admit(&self, app: &App, webhook: &Webhook, window: Option<Slot>) -> Result<Admission, Failure> {
        let now = self.clock.now();
        let rate = self.slowness.rate(&app.id, webhook.rate);
        let window = match window.filter(|window| now.millis_since(window.start) <= LATE_MILLIS) {
            Some(window) => window,
            None => {
                let reserved = self.pace.reserve(Some(&app.id), Paced::Webhook, 1, Pace::per_second(rate), now).await;
                reserved.map_err(Failure::of)?
            }
        };
        Ok(admission(window, rate, now))
    }
}

fn admission(window: Slot, rate: u32, now: Timestamp) -> Admission {
    let early = window.start.millis_since(now);
    let here = i64::from(WAITING_AT_ONCE * 1_000 / rate.max(1)).min(EARLY_MILLIS);
    if early > here {
        // Late rather than early: to be early again would be one more way through the queue.
        let secs = ((early - here + 999) / 1_000).clamp(1, limits::QUEUE_DELAY_SECS);
        return Admission::Later { window, delay: Duration::from_secs(secs.unsigned_abs()) };
    }
    Admission::After(Duration::from_millis(early.max(0).unsigned_abs()))
}

/// How long the servers of apps take to answer, as this environment has seen.
#[derive(Debug, Default)]
pub(crate) struct Slowness {
    /// A moving average, in milliseconds.
    millis: Mutex<HashMap<AppId, u32>>,
}

impl Slowness {
    /// Takes note of how long a call took.
    pub(crate) fn note(&self, app: &AppId, took: Duration) {
        let took = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
        let mut millis = self.millis.lock().unwrap_or_else(PoisonError::into_inner);
        if millis.len() >= REMEMBERED && !millis.contains_key(app) {
            millis.clear();
        }
        let average = millis.entry(app.clone()).or_insert(took);
        *average = average.midpoint(took);
    }

    /// Calls a second: as many as the app allows, and no more than keep so many under way.
    fn rate(&self, app: &AppId, allowed: u32) -> u32 {
        let millis = self.millis.lock().unwrap_or_else(PoisonError::into_inner);
        let average = millis.get(app).copied().unwrap_or(0).max(1);
        allowed.min(CALLS_AT_ONCE * 1_000 / average).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn admitted(early: i64, rate: u32) -> (Option<u128>, Option<u64>) {
        let start = NOW.plus_millis(early);
        match admission(Slot { start, end: start.plus_millis(1) }, rate, NOW) {
            Admission::After(wait) => (Some(wait.as_millis()), None),
            Admission::Later { window, delay } => {
                assert_eq!(window.start, start, "what is reserved is kept");
                (None, Some(delay.as_secs()))
            }
        }
    }

    #[test]
    fn a_call_waits_here_for_a_turn_that_is_near_and_in_the_queue_for_one_that_is_not() {
        for (early, rate, expected) in [
            (-5_000, 1, (Some(0), None)),
            (0, 1_000, (Some(0), None)),
            (2_000, 1, (Some(2_000), None)),
            (2_001, 1, (None, Some(1))),
            (10_900, 5, (None, Some(9))),
            (13_100, 5, (None, Some(12))),
            // Ten calls' time.
            (400, 25, (Some(400), None)),
            (401, 25, (None, Some(1))),
            (10, 1_000, (Some(10), None)),
            (11, 1_000, (None, Some(1))),
            (1_500, 1_000, (None, Some(2))),
            (5_000_000, 1_000, (None, Some(900))),
        ] {
            assert_eq!(admitted(early, rate), expected, "{early} ms early at {rate} a second");
        }
    }

    #[test]
    fn a_slow_server_is_called_so_that_few_calls_are_under_way() {
        let (slowness, app) = (Slowness::default(), AppId::try_from("app").unwrap());
        assert_eq!(slowness.rate(&app, 1_000), 1_000);
        slowness.note(&app, Duration::from_millis(10));
        assert_eq!(slowness.rate(&app, 1_000), 1_000);
        for _ in 0..12 {
            slowness.note(&app, Duration::from_secs(2));
        }
        let slow = slowness.rate(&app, 1_000);
        assert!((12..=13).contains(&slow), "{slow}: 25 calls of two seconds each");
        assert_eq!(slowness.rate(&app, 5), 5, "never more than the app allows");
        for _ in 0..12 {
            slowness.note(&app, Duration::from_millis(5));
        }
        assert_eq!(slowness.rate(&app, 1_000), 1_000, "it has recovered");
        assert_eq!(slowness.rate(&AppId::try_from("other").unwrap(), 1_000), 1_000);
    }
}
