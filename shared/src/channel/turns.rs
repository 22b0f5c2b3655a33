//! When each request of a batch leaves: at its place in the window that was reserved for the batch, or not at all.
//!
//! The sum of what all workers send is bounded by the windows, which do not overlap. So a request that comes late for its
//! turn is not sent, however little is missing: behind its turn is someone else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::RateUnit;

/// How late a request may leave. Timers fire late, and a request takes a moment to be made: half of what a pace leaves
/// [spare](super::rate::SPARE_MILLIS), the other half of which is for the way to the vendor.
const LATE: Duration = Duration::from_millis(25);

/// The turns of a batch's requests.
#[derive(Debug, Clone)]
pub struct Turns {
    window: Option<Span>,
    /// Most devices in a request.
    most: usize,
    /// Whether the vendor has asked for time.
    is_over: Arc<AtomicBool>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: Instant,
    length: Duration,
    units: u32,
    unit: RateUnit,
    /// Nothing leaves later than this.
    end: Option<Instant>,
}

/// The turn of a request was over before it could leave, or the vendor had asked for time. It was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it came too late for its turn, or the vendor had asked for time")]
pub(super) struct Missed;

impl Turns {
    /// Turns of a window that begins `start` and has room for so many `units`, for requests that name no more than `most`
    /// devices.
    pub fn new(start: Instant, length: Duration, units: u32, unit: RateUnit, most: usize) -> Self {
        Self {
            window: Some(Span { start, length, units, unit, end: None }),
            most: most.max(1),
            is_over: Arc::default(),
        }
    }

    /// The same, without those that come after a moment.
    #[must_use]
    pub fn until(self, end: Instant) -> Self {
        let window = self.window.map(|window| Span { end: Some(end), ..window });
        Self { window, ..self }
    }

    /// Turns at any time.
    #[cfg(test)]
    pub(crate) fn freely() -> Self {
        Self { window: None, most: usize::MAX, is_over: Arc::default() }
    }

    /// Most devices in a request.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// What a request to so many devices takes.
    pub(super) fn units(&self, devices: usize) -> u32 {
        match self.window.map(|window| window.unit) {
            Some(RateUnit::Devices) => u32::try_from(devices).unwrap_or(u32::MAX),
            Some(RateUnit::Requests) | None => 1,
        }
    }

    /// Lets no more leave.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// The turn of a request before which requests of so many units have theirs.
    pub(super) fn after(&self, before: u32) -> Turn {
        let due = self.window.map(|Span { start, length, units, end, .. }| {
            // What is not reserved has no turn.
            let place = length.as_nanos() * u128::from(before) / u128::from(units.max(1));
            let due = start + Duration::from_nanos(u64::try_from(place).unwrap_or(u64::MAX));
            (before < units && end.is_none_or(|end| due <= end)).then_some(due)
        });
        Turn { due, is_taken: AtomicBool::new(false), is_over: self.is_over.clone() }
    }
}

/// When one request leaves.
#[derive(Debug)]
pub(super) struct Turn {
    /// `None`: at any time. `Some(None)`: never.
    due: Option<Option<Instant>>,
    is_taken: AtomicBool,
    is_over: Arc<AtomicBool>,
}

impl Turn {
    /// For what no rate is for, such as asking for an access token.
    pub(super) fn free() -> Self {
        Self { due: None, is_taken: AtomicBool::new(false), is_over: Arc::default() }
    }

    /// Waits until it is about to come, so as not to hold meanwhile what others need.
    pub(super) async fn near(&self) {
        if let Some(Some(due)) = self.due
            && !self.is_over.load(Ordering::Relaxed)
        {
            sleep_until(due).await;
        }
    }

    /// Waits for it, and takes it. A second request has no turn.
    pub(super) async fn take(&self) -> Result<(), Missed> {
        let due = match self.due {
            None => return Ok(()),
            Some(due) => due.ok_or(Missed)?,
        };
        self.near().await;
        if self.is_over.load(Ordering::Relaxed) {
            return Err(Missed);
        }
        let is_late = due.elapsed() > LATE;
        if is_late || self.is_taken.swap(true, Ordering::Relaxed) { Err(Missed) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn turns(units: u32, unit: RateUnit) -> Turns {
        Turns::new(Instant::now() + SECOND, SECOND, units, unit, 100)
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_spread_evenly_over_the_window_and_end_with_it() {
        let (turns, now) = (turns(10, RateUnit::Requests), Instant::now());
        for before in 0..10 {
            turns.after(before).take().await.unwrap();
            assert_eq!(now.elapsed().as_millis(), u128::from(1_000 + before * 100), "{before}");
        }
        assert_eq!(turns.after(10).take().await, Err(Missed));
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_late_is_not_let_and_nobody_twice() {
        let turns = turns(10, RateUnit::Requests);
        tokio::time::sleep(SECOND + Duration::from_millis(125)).await;
        assert_eq!(turns.after(0).take().await, Err(Missed));
        let turn = turns.after(1);
        assert_eq!(turn.take().await, Ok(()));
        assert_eq!(turn.take().await, Err(Missed));
        assert_eq!(turns.after(2).take().await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn no_turn_comes_after_the_end() {
        let turns = turns(10, RateUnit::Requests).until(Instant::now() + SECOND + SECOND / 2);
        assert_eq!(turns.after(5).take().await, Ok(()));
        assert_eq!(turns.after(6).take().await, Err(Missed));
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_rate_is_for_goes_at_any_time() {
        let turn = Turns::freely().after(1_000_000);
        assert_eq!((turn.take().await, turn.take().await), (Ok(()), Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn no_one_leaves_after_the_vendor_has_asked_for_time() {
        let (turns, now) = (turns(10, RateUnit::Requests), Instant::now());
        let before = [turns.after(0), turns.after(1)];
        assert_eq!(before[0].take().await, Ok(()));
        turns.end();
        assert_eq!((before[1].take().await, turns.after(9).take().await), (Err(Missed), Err(Missed)));
        assert_eq!(now.elapsed(), SECOND, "and none waits in vain");
    }

    #[tokio::test]
    async fn a_request_takes_what_its_vendor_counts() {
        assert_eq!(turns(10, RateUnit::Requests).units(7), 1);
        assert_eq!(turns(10, RateUnit::Devices).units(7), 7);
    }
}
