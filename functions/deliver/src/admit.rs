//! A batch goes when its turn comes, and not while its channel rests.

use std::time::Duration;

use fanfare::channel::{self, Turns};
use fanfare::domain::{App, Channel, Slot, Timestamp, limits};
use fanfare::queue::Failure;
use fanfare::store::Rest;
use tokio::time::Instant;

use crate::Deliver;

/// How far off a batch's turn may be for it to be waited for here: queues delay by whole seconds, so batches come up to a
/// second early.
const NEAR_MILLIS: i64 = 2_000;
/// How long a batch waits while another tries whether its channel is well again.
const OTHERS_TRY: Duration = Duration::from_secs(10);

/// Whether a batch may go.
pub(crate) enum Admission {
    /// It may go, at these turns.
    Now(Turns),
    /// It comes again after a delay.
    Later(Duration),
}

impl Deliver {
    /// The rest of the batch's channel, and for how long the batch has to wait because of it. Of those who come when a rest
    /// of failures is over, one goes and tries: one that `may_try`.
    pub(crate) async fn rest(
        &self,
        app: &App,
        channel: Channel,
        may_try: bool,
    ) -> Result<(Rest, Option<Duration>), Failure> {
        if channel == Channel::Ws {
            // No setting of an app's can be wrong there.
            return Ok((Rest::default(), None));
        }
        let (scope, now) = (channel::pace(app, channel).0, self.clock.now());
        let rest = self.rests.get(scope, channel).await.map_err(Failure::of)?;
        let wait = match rest.left(now) {
            Some(left) => Some(left),
            None if rest.failures == 0 || !may_try => None,
            None => {
                let is_ours = self.rests.probe(scope, channel, &rest, now).await.map_err(Failure::of)?;
                (!is_ours).then_some(OTHERS_TRY)
            }
        };
        Ok((rest, wait))
    }

    /// Takes the next turns for so many units, none before the `lead` is over, and waits for them; if others have taken all
    /// that are near, plans when the batch should come again.
    pub(crate) async fn admit(
        &self,
        app: &App,
        channel: Channel,
        units: u32,
        lead: Duration,
        deadline: Timestamp,
    ) -> Result<Admission, Failure> {
        let (scope, pace) = channel::pace(app, channel);
        let now = self.clock.now();
        let before = now.plus_millis(NEAR_MILLIS).min(deadline);
        let soonest = now.plus_millis(i64::try_from(lead.as_millis()).unwrap_or(NEAR_MILLIS));
        let taken = self.pace.take(scope, channel, units, pace, (soonest, before)).await.map_err(Failure::of)?;
        let Some(slot) = taken else {
            let planned = self.pace.plan(scope, channel, units, pace, now).await.map_err(Failure::of)?;
            return Ok(Admission::Later(delay_until(planned.start, now)));
        };
        let early = slot.start.millis_since(self.clock.now());
        if let Ok(early) = u64::try_from(early) {
            tokio::time::sleep(Duration::from_millis(early)).await;
        }
        Ok(Admission::Now(self.turns(app, channel, slot, units)))
    }

    fn turns(&self, app: &App, channel: Channel, slot: Slot, units: u32) -> Turns {
        let millis = |millis: i64| Duration::from_millis(millis.unsigned_abs());
        let (now, instant) = (self.clock.now(), Instant::now());
        let start = match slot.start.millis_since(now) {
            early @ 0.. => instant + millis(early),
            late => instant.checked_sub(millis(late)).unwrap_or(instant),
        };
        let length = millis(slot.end.millis_since(slot.start).max(0));
        let most = channel::largest_request(app, channel);
        Turns::new(start, length, units, channel::traits(channel).rate_unit, most)
    }
}

/// Whole seconds in a queue from which a message comes in time; at least one.
pub(crate) fn delay_until(time: Timestamp, now: Timestamp) -> Duration {
    Duration::from_secs((time.millis_since(now) / 1_000).clamp(1, limits::QUEUE_DELAY_SECS).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_in_time_for_its_turn_and_within_the_queues_longest_delay() {
        let now = Timestamp::from_secs(1_700_000_000);
        let delays = [-1, 999, 2_500, 5_000_000].map(|early| delay_until(now.plus_millis(early), now).as_secs());
        assert_eq!(delays, [1, 1, 2, 900]);
    }
}
