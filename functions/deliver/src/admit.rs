//! A batch goes in its window, in no one else's, and not while its channel rests.

use std::time::Duration;

use fanfare::channel::{self, Turns};
use fanfare::domain::{App, Channel, Slot, Timestamp, limits};
use fanfare::queue::{DeliverTask, Failure};
use fanfare::store::Rest;
use tokio::time::Instant;

use crate::Deliver;

/// How early a batch may be for its window and wait for it here: queues delay by whole seconds.
const EARLY_MILLIS: i64 = 2_000;
/// How long a batch waits while another tries whether its channel is well again.
const OTHERS_TRY: Duration = Duration::from_secs(10);

/// Whether a batch may go.
pub(crate) enum Admission {
    /// It may go, at these turns.
    Now(Turns),
    /// It comes again after a delay, with this window.
    Later {
        /// What is reserved for it.
        window: Slot,
        /// How long it waits in the queue.
        delay: Duration,
    },
}

impl Deliver {
    /// The rest of the batch's channel, and for how long the batch has to wait because of it. Of those who come when a rest
    /// of failures is over, one goes and tries.
    pub(crate) async fn rest(&self, app: &App, channel: Channel) -> Result<(Rest, Option<Duration>), Failure> {
        if channel == Channel::Ws {
            // No setting of an app's can be wrong there.
            return Ok((Rest::default(), None));
        }
        let (scope, now) = (channel::pace(app, channel).0, self.clock.now());
        let rest = self.rests.get(scope, channel).await.map_err(Failure::of)?;
        let wait = match rest.left(now) {
            Some(left) => Some(left),
            None if rest.failures == 0 => None,
            None => {
                let is_ours = self.rests.probe(scope, channel, &rest, now).await.map_err(Failure::of)?;
                (!is_ours).then_some(OTHERS_TRY)
            }
        };
        Ok((rest, wait))
    }

    /// Waits for the window if it is near; takes a new one for so many units if there is none, or it was missed, or given out
    /// before the vendor asked for a rest.
    pub(crate) async fn admit(
        &self,
        app: &App,
        task: &DeliverTask,
        (window, units): (Option<Slot>, u32),
        rest: &Rest,
        deadline: Timestamp,
    ) -> Result<Admission, Failure> {
        let (scope, pace) = channel::pace(app, task.channel);
        let now = self.clock.now();
        let window = match window.filter(|window| is_of_use(window, now, rest.until)) {
            // It only says from when on.
            Some(window) if window.start.millis_since(now) <= EARLY_MILLIS && window.start == window.end => {
                self.pace.reserve(scope, task.channel, units, pace, now).await.map_err(Failure::of)?
            }
            Some(window) => window,
            None => {
                let reserved = self.pace.reserve(scope, task.channel, units, pace, now).await;
                reserved.map_err(Failure::of)?
            }
        };
        let early = window.start.millis_since(now);
        if early > EARLY_MILLIS || now.plus_millis(early) >= deadline {
            return Ok(Admission::Later { window, delay: delay_until(window.start, now) });
        }
        if let Ok(early) = u64::try_from(early) {
            tokio::time::sleep(Duration::from_millis(early)).await;
        }
        Ok(Admission::Now(self.turns(app, task.channel, window, units)))
    }

    fn turns(&self, app: &App, channel: Channel, window: Slot, units: u32) -> Turns {
        let millis = |millis: i64| Duration::from_millis(millis.unsigned_abs());
        let (now, instant) = (self.clock.now(), Instant::now());
        let start = match window.start.millis_since(now) {
            early @ 0.. => instant + millis(early),
            late => instant.checked_sub(millis(late)).unwrap_or(instant),
        };
        let length = millis(window.end.millis_since(window.start).max(0));
        let most = channel::largest_request(app, channel);
        Turns::new(start, length, units, channel::traits(channel).rate_unit, most)
    }
}

/// Whole seconds in a queue from which a message comes in time for its window.
pub(crate) fn delay_until(start: Timestamp, now: Timestamp) -> Duration {
    Duration::from_secs((start.millis_since(now) / 1_000).clamp(0, limits::QUEUE_DELAY_SECS).unsigned_abs())
}

/// Whether most of a window is still to come.
fn is_of_use(window: &Slot, now: Timestamp, rested: Option<Timestamp>) -> bool {
    let late = now.millis_since(window.start).max(0);
    let length = window.end.millis_since(window.start);
    late <= length / 2 && rested.is_none_or(|rested| window.start >= rested)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn a_window_is_of_use_while_most_of_it_is_to_come_and_it_was_given_after_the_rest() {
        let window = |start| Slot { start: NOW.plus_millis(start), end: NOW.plus_millis(start + 100) };
        for (start, rested, expected) in [
            (0, None, true),
            (5_000, None, true),
            (-50, None, true),
            (-51, None, false),
            (0, Some(-1), true),
            (0, Some(0), true),
            (0, Some(1), false),
            (5_000, Some(6_000), false),
        ] {
            let rested = rested.map(|rested| NOW.plus_millis(rested));
            assert_eq!(is_of_use(&window(start), NOW, rested), expected, "{start} {rested:?}");
        }
    }

    #[test]
    fn a_message_comes_in_time_for_its_window_and_within_the_queues_longest_delay() {
        let delays = [-1, 999, 2_500, 5_000_000].map(|early| delay_until(NOW.plus_millis(early), NOW).as_secs());
        assert_eq!(delays, [0, 0, 2, 900]);
    }
}
