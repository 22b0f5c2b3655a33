//! A batch goes in its window, and in no one else's.

use std::time::Duration;

use fanfare::channel;
use fanfare::domain::{App, Timestamp, limits};
use fanfare::queue::{DeliverTask, Failure, Window};

use crate::Deliver;

/// How early a batch may be for its window and wait for it here: queues delay by whole seconds.
const EARLY_MILLIS: i64 = 2_000;
/// How late it may be: by less than what the spacing of its requests is exact to. A window that is gone is someone else's:
/// a batch that is later than this takes a new one.
const LATE_MILLIS: i64 = 100;

/// Whether a batch may go.
pub(crate) enum Admission {
    /// It may go now, at this many requests a second.
    Now {
        /// Requests a second.
        rate: u32,
    },
    /// It comes again after a delay, with this window.
    Later {
        /// What is reserved for it.
        window: Window,
        /// How long it waits in the queue.
        delay: Duration,
    },
}

impl Deliver {
    /// Waits for the batch's window if it is near; takes a new one if the batch has none, or missed it.
    pub(crate) async fn admit(&self, app: &App, task: &DeliverTask, deadline: Timestamp) -> Result<Admission, Failure> {
        let (scope, per_second) = channel::rate(app, task.channel);
        let now = self.clock.now();
        let window = match task.window.filter(|window| now.millis_since(window.start) <= LATE_MILLIS) {
            Some(window) => window,
            None => {
                let units = channel::units(task.channel, task.kinds());
                let reserved = self.pace.reserve(scope, task.channel, units, per_second, now).await;
                let slot = reserved.map_err(Failure::of)?;
                Window { start: slot.start, end: slot.end }
            }
        };
        let early = window.start.millis_since(now);
        if early > EARLY_MILLIS || now.plus_millis(early) >= deadline {
            let delay = Duration::from_secs((early / 1_000).clamp(0, limits::QUEUE_DELAY_SECS) as u64);
            return Ok(Admission::Later { window, delay });
        }
        if let Ok(early) = u64::try_from(early) {
            tokio::time::sleep(Duration::from_millis(early)).await;
        }
        Ok(Admission::Now { rate: requests_per_second(task, per_second) })
    }
}

/// The batch's own pace: its requests are spread over its window as the channel's rate spreads units.
fn requests_per_second(task: &DeliverTask, units_per_second: u32) -> u32 {
    let requests = channel::requests(task.channel, task.kinds()) as u64;
    let units = u64::from(channel::units(task.channel, task.kinds()).max(1));
    u32::try_from(u64::from(units_per_second) * requests / units).unwrap_or(u32::MAX).max(1)
}
