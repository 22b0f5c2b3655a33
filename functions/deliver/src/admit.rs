//! A batch goes when its turn comes, and not while its channel rests.

use std::time::Duration;

use fanfare::channel::{self, Window};
use fanfare::domain::{App, Channel, Push, Slot, Timestamp, limits};
use fanfare::queue::Failure;
use fanfare::store::Rest;
use tokio::time::Instant;

use crate::Deliver;

/// How far off a batch's turn may be for it to be waited for here: queues delay by whole seconds, so batches come up to a
/// second early.
const NEAR_MILLIS: i64 = 2_000;
/// With the spread, a queue's longest delay.
const LONGEST_PATIENCE_MILLIS: i64 = limits::QUEUE_DELAY_SECS * 1_000 * 4 / 5;
/// What an invocation needs when the last request has left: the longest that a vendor is waited for, and the writing.
const AFTER_SENDING_MILLIS: i64 = 13_000;
/// How long a batch waits while another tries whether its channel is well again.
const OTHERS_TRY: Duration = Duration::from_secs(10);

/// How long before a batch's first turn it is asked for the last time whether its push was withdrawn: what the store takes to
/// answer, on most days.
const LAST_LOOK: Duration = Duration::from_millis(20);

/// What must be left for requests to leave in, for turns to be taken: about what a batch needs. Who comes with less would take
/// turns from others to miss them.
const SENDING_MILLIS: u64 = 3_000;

/// Two clocks that are read within this time are read at once.
const AT_ONCE: Duration = Duration::from_millis(1);
/// How often they are read.
const MOST_TRIES: u32 = 5;

/// Why nothing of a batch can leave now.
pub(crate) enum NotNow {
    /// Others have taken all turns until then.
    Later(Timestamp),
    /// Too little is left of the invocation.
    Late,
    /// The push was withdrawn.
    Recalled,
    /// The store does not say when it may.
    Failed(Failure),
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
        let (scope, now) = (channel::scope(app, channel), self.clock.now());
        let rest = self.rests.get(scope, channel).await.map_err(Failure::of)?;
        let wait = match rest.left(now) {
            Some(left) => Some(left.max(patience(&rest, now))),
            None if rest.failures == 0 || !may_try => None,
            None => {
                let is_ours = self.rests.probe(scope, channel, &rest, now).await.map_err(Failure::of)?;
                (!is_ours).then_some(OTHERS_TRY)
            }
        };
        Ok((rest, wait))
    }

    /// Takes the next turns for so many units, none before the `lead` is over, if others have not taken all that are near, and
    /// waits until shortly before them.
    pub(crate) async fn admit(
        &self,
        app: &App,
        channel: Channel,
        units: u32,
        lead: Duration,
        deadline: Timestamp,
    ) -> Result<Window, NotNow> {
        let ((scope, pace), now) = (self.rates.pace(app, channel), self.clock.now());
        if self.left_to_send(deadline) < SENDING_MILLIS {
            return Err(NotNow::Late);
        }
        let soonest = (now.plus(lead), now.plus_millis(NEAR_MILLIS));
        let taken = self.pace.take(scope, channel, units, pace, soonest).await;
        let slot = taken.map_err(|error| NotNow::Failed(Failure::of(error)))?.map_err(|next| {
            self.full.note(scope, next, now);
            NotNow::Later(next)
        })?;
        let early = slot.start.left(self.clock.now()).unwrap_or_default();
        tokio::time::sleep(early.saturating_sub(LAST_LOOK)).await;
        Ok(self.window(slot, units, deadline))
    }

    /// What is known, without asking, of a channel whose turns others have taken.
    pub(crate) fn unless_full(&self, app: &App, channel: Channel) -> Result<(), NotNow> {
        let near = self.clock.now().plus_millis(NEAR_MILLIS);
        match self.full.beyond(channel::scope(app, channel), near) {
            Some(next) => Err(NotNow::Later(next)),
            None => Ok(()),
        }
    }

    /// As late as can be: whatever waited before, in a queue or for its turns, is not sent once it is withdrawn.
    pub(crate) async fn unless_recalled(&self, push: &Push) -> Result<(), NotNow> {
        match self.pushes.is_recalled(push).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(NotNow::Recalled),
            Err(error) => Err(NotNow::Failed(Failure::of(error))),
        }
    }

    /// For how long a batch should wait for which there are no turns until `next`. Those who wait for the same are told
    /// apart by a plan, unless a queue cannot delay them as long: then they are when they come again.
    pub(crate) async fn plan(
        &self,
        app: &App,
        channel: Channel,
        units: u32,
        next: Timestamp,
    ) -> Result<Duration, Failure> {
        let ((scope, pace), now) = (self.rates.pace(app, channel), self.clock.now());
        if next.millis_since(now) > limits::QUEUE_DELAY_SECS * 1_000 {
            return Ok(delay_until(next, now));
        }
        let planned = self.pace.plan(scope, channel, units, pace, now).await.map_err(Failure::of)?;
        Ok(delay_until(planned.start, now))
    }

    /// Milliseconds in which requests may leave: the last one's answer, and writing how it ended, take theirs.
    fn left_to_send(&self, deadline: Timestamp) -> u64 {
        u64::try_from(deadline.millis_since(self.clock.now()) - AFTER_SENDING_MILLIS).unwrap_or(0)
    }

    /// The moment, by both clocks. A process that is made to wait between the two takes its wait for being early.
    fn now(&self) -> (Timestamp, Instant) {
        let mut tries = 0;
        loop {
            let (before, now, instant) = (Instant::now(), self.clock.now(), Instant::now());
            tries += 1;
            if instant - before < AT_ONCE || tries == MOST_TRIES {
                return (now, instant);
            }
        }
    }

    /// A slot by the clock that turns go by.
    fn window(&self, slot: Slot, units: u32, deadline: Timestamp) -> Window {
        let millis = |millis: i64| Duration::from_millis(millis.unsigned_abs());
        let (now, instant) = self.now();
        let start = match slot.start.millis_since(now) {
            early @ 0.. => instant + millis(early),
            late => instant.checked_sub(millis(late)).unwrap_or(instant),
        };
        let length = millis(slot.end.millis_since(slot.start).max(0));
        Window { start, length, units, end: instant + Duration::from_millis(self.left_to_send(deadline)) }
    }
}

/// How long a batch waits at least for a channel that has been stopped for long: longer the longer it is, so that those of
/// one that stays wrong come some dozens of times and not hundreds; not all at the same moment.
fn patience(rest: &Rest, now: Timestamp) -> Duration {
    let age =
        rest.since.map_or(0, |since| now.millis_since(since)).clamp(0, LONGEST_PATIENCE_MILLIS * 4).unsigned_abs();
    Duration::from_millis(age / 4 + fastrand::u64(0..=age / 16))
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
