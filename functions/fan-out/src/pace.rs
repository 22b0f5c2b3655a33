//! Batches come out of their queue at their channel's pace: each waits there until the time that is planned for it. SQS is
//! the timer; nobody sleeps in a paid invocation.

use std::time::Duration;

use fanfare::channel;
use fanfare::domain::{App, Channel, Push, Shard, Slot, Timestamp, limits};
use fanfare::queue::{Failure, FanOutTask, Resume};
use tracing::info;

use crate::FanOut;
use crate::cut::Slice;

/// Slices that are planned and sent together.
const SLICES_AT_ONCE: usize = 10;

/// What becomes of batches whose time is further off than a queue can delay them.
#[derive(Clone, Copy)]
pub(crate) enum Overflow<'a> {
    /// The shard's task goes on with them later; it may have done so before, from there.
    GoesOn(Option<&'a Resume>),
    /// They wait in their queue, and may come too early.
    Waits,
}

impl FanOut {
    /// Sends slices of one channel, as far as its pace lets them leave within the longest delay of a queue; what does
    /// not is left to a task that goes on there. Returns how many batches were sent.
    pub(crate) async fn send_paced(
        &self,
        app: &App,
        push: &Push,
        shard: Shard,
        channel: Channel,
        slices: Vec<Slice>,
        overflow: Overflow<'_>,
    ) -> Result<usize, Failure> {
        let mut rest: &[Slice] = &slices;
        let resume = match overflow {
            Overflow::GoesOn(resume) => resume,
            Overflow::Waits => None,
        };
        // What is planned already is used first.
        let mut planned = resume.map(|resume| (resume.window, resume.slices));
        if let Some(resume) = resume {
            rest = &rest[rest.partition_point(|slice| slice.number < resume.slice)..];
        }
        let mut sent = 0;
        while let Some(first) = rest.first() {
            let size = planned.map_or(SLICES_AT_ONCE, |(_, slices)| slices.max(1)).min(rest.len());
            let (group, after) = rest.split_at(size);
            let units: u32 = group.iter().map(|slice| units(channel, slice)).sum();
            let window = match planned.take() {
                Some((window, _)) => window,
                None => self.plan(app, channel, units).await?,
            };
            let is_far = wait(window.start, self.clock.now()) > limits::QUEUE_DELAY_SECS;
            if is_far && matches!(overflow, Overflow::GoesOn(_)) {
                let resume = Resume { channel, slice: first.number, window, slices: group.len() };
                let task = FanOutTask::Shard { push: push.id, shard, resume: Some(resume) };
                // A little early, so that the first batch still gets a delay of its own.
                let delay = Duration::from_secs(limits::QUEUE_DELAY_SECS as u64 - 30);
                self.queues.fan_out(&[task], delay).await.map_err(Failure::of)?;
                info!(push.id = %push.id, channel = %channel, shard = shard.0, "The channel is busy: going on later");
                return Ok(sent);
            }
            self.send_group(channel, group, window, units).await?;
            sent += group.len();
            rest = after;
        }
        Ok(sent)
    }

    pub(crate) async fn plan(&self, app: &App, channel: Channel, units: u32) -> Result<Slot, Failure> {
        let (scope, pace) = self.rates.pace(app, channel);
        self.pace.plan(scope, channel, units, pace, self.clock.now()).await.map_err(Failure::of)
    }

    /// Sends slices together, each for its share of the window.
    async fn send_group(&self, channel: Channel, group: &[Slice], window: Slot, all_units: u32) -> Result<(), Failure> {
        let now = self.clock.now();
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

/// What a batch takes of its channel's rate, as the vendor counts.
fn units(channel: Channel, slice: &Slice) -> u32 {
    channel::units(channel, slice.task.kinds())
}

/// Whole seconds until a moment; a message that comes early waits for the rest.
fn wait(until: Timestamp, now: Timestamp) -> i64 {
    until.millis_since(now).div_euclid(1_000)
}
