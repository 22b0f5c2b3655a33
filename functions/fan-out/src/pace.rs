//! Batches come out of their queue at their channel's pace: each waits there until the time that is planned for it. SQS is
//! the timer; nobody sleeps in a paid invocation.

use std::time::Duration;

use fanfare::channel;
use fanfare::domain::{App, Channel, Slot, Timestamp, limits};
use fanfare::queue::Failure;

use crate::FanOut;
use crate::cut::Slice;
use crate::steps::SLICES_AT_ONCE;

impl FanOut {
    /// Sends all slices of one channel. What is planned for later than a queue can delay it comes too early, and waits in
    /// its queue again.
    pub(crate) async fn send_all(&self, app: &App, channel: Channel, slices: &[Slice]) -> Result<(), Failure> {
        for group in slices.chunks(SLICES_AT_ONCE) {
            let window = self.plan(app, channel, group).await?;
            self.send_group(channel, group, window).await?;
        }
        Ok(())
    }

    /// When slices are to come out of their queue, after all that was planned before.
    pub(crate) async fn plan(&self, app: &App, channel: Channel, group: &[Slice]) -> Result<Slot, Failure> {
        let units = group.iter().map(|slice| units(channel, slice)).sum();
        let (scope, pace) = self.rates.pace(app, channel);
        self.pace.plan(scope, channel, units, pace, self.clock.now()).await.map_err(Failure::of)
    }

    /// Sends slices together, each for its share of the window.
    pub(crate) async fn send_group(&self, channel: Channel, group: &[Slice], window: Slot) -> Result<(), Failure> {
        let now = self.clock.now();
        let all_units: u32 = group.iter().map(|slice| units(channel, slice)).sum();
        let length = window.end.millis_since(window.start);
        let at = |before: u32| window.start.plus_millis(length * i64::from(before) / i64::from(all_units.max(1)));
        let mut before = 0;
        let mut tasks = Vec::with_capacity(group.len());
        for slice in group {
            tasks.push((slice.task.clone(), Duration::from_secs(wait(at(before), now).max(0) as u64)));
            before += units(channel, slice);
        }
        self.queues.deliver(channel, &tasks).await.map_err(Failure::of)
    }
}

/// Whether a window begins later than a queue can delay a message.
pub(crate) fn is_far(window: Slot, now: Timestamp) -> bool {
    wait(window.start, now) > limits::QUEUE_DELAY_SECS
}

/// What a batch takes of its channel's rate, as the vendor counts.
fn units(channel: Channel, slice: &Slice) -> u32 {
    channel::units(channel, slice.task.kinds())
}

/// Whole seconds until a moment; a message that comes early waits for the rest.
fn wait(until: Timestamp, now: Timestamp) -> i64 {
    until.millis_since(now).div_euclid(1_000)
}
