//! When each request of a batch leaves: at its place in the window that was reserved for the batch, or not at all.
//!
//! The sum of what all workers send is bounded by the windows, which do not overlap. So a request that comes late for its
//! turn is not sent, however little is missing: behind its turn is someone else's.
//!
//! The window is taken when the first request asks for its turn, and a request asks when all else is done: it is encrypted
//! and signed, its access token is there, its connection stands. Turns that were taken before would pass meanwhile.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::RateUnit;
use super::pulse::{Pulse, UnderWay};

/// How late a request may leave. Timers fire late, and a request takes a moment to be made. It is a part of what a pace leaves
/// [spare](super::rate::SPARE_MILLIS).
pub(super) const LATE: Duration = Duration::from_millis(20);

/// The turns of a batch's requests.
#[derive(Clone)]
pub struct Turns {
    /// `None`: a turn is at any time. Without a window there is none.
    window: Option<Shared<BoxFuture<'static, Option<Window>>>>,
    unit: RateUnit,
    /// Most devices in a request.
    most: usize,
    /// For how long the vendor has asked for time.
    asked: watch::Sender<Option<Duration>>,
}

/// What is reserved for a batch.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The first turn.
    pub start: Instant,
    /// Over which the turns are spread.
    pub length: Duration,
    /// For how many units there is room.
    pub units: u32,
    /// No turn is later than this.
    pub end: Instant,
}

/// The turn of a request was over before it could leave, or there is none, or the vendor had asked for time. It was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it came too late for its turn, or the vendor had asked for time")]
pub struct Missed;

impl Turns {
    /// Turns of the window that `reserve` brings when the first is asked for, if it does, for requests that name no more than
    /// `most` devices.
    pub fn new(reserve: impl Future<Output = Option<Window>> + Send + 'static, unit: RateUnit, most: usize) -> Self {
        Self { window: Some(reserve.boxed().shared()), unit, most: most.max(1), asked: watch::Sender::default() }
    }

    /// Turns at any time.
    #[cfg(test)]
    pub(crate) fn freely() -> Self {
        Self { window: None, unit: RateUnit::Requests, most: usize::MAX, asked: watch::Sender::default() }
    }

    /// Most devices in a request.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// What a request to so many devices takes.
    pub(super) fn units(&self, devices: usize) -> u32 {
        match self.unit {
            RateUnit::Devices => u32::try_from(devices).unwrap_or(u32::MAX),
            RateUnit::Requests => 1,
        }
    }

    /// Lets no more leave: the vendor has asked for so much time.
    pub(super) fn end(&self, wait: Duration) {
        self.asked.send_if_modified(|asked| {
            let is_longer = asked.is_none_or(|before| before < wait);
            *asked = Some(wait).max(*asked);
            is_longer
        });
    }

    /// For how long the vendor asks for time, as soon as it does, and again when it asks for more. It ends with the turns.
    pub fn asked_for_time(&self) -> watch::Receiver<Option<Duration>> {
        self.asked.subscribe()
    }

    fn are_over(&self) -> bool {
        self.asked.borrow().is_some()
    }

    /// Asks for the window. Without one nobody has a turn.
    pub(super) async fn are_had(&self) -> bool {
        match &self.window {
            Some(window) => window.clone().await.is_some(),
            None => true,
        }
    }

    /// The turn of a request before which requests of so many units have theirs.
    pub(super) fn after(&self, before: u32) -> Turn {
        Turn { turns: Some(self.clone()), before, is_taken: AtomicBool::new(false) }
    }
}

impl Window {
    /// When the turn is before which so many units have theirs. What is not reserved has no turn.
    fn due(&self, before: u32) -> Option<Instant> {
        let place = self.length.as_nanos() * u128::from(before) / u128::from(self.units.max(1));
        let due = self.start + Duration::from_nanos(u64::try_from(place).unwrap_or(u64::MAX));
        (before < self.units && due <= self.end).then_some(due)
    }
}

/// When one request leaves.
pub(super) struct Turn {
    /// `None`: at any time.
    turns: Option<Turns>,
    before: u32,
    is_taken: AtomicBool,
}

impl Turn {
    /// For what no rate is for, such as asking for an access token.
    pub(super) fn free() -> Self {
        Self { turns: None, before: 0, is_taken: AtomicBool::new(false) }
    }

    /// Waits until it is about to come, so as not to hold meanwhile what others need.
    pub(super) async fn near(&self) {
        if let Some(turns @ Turns { window: Some(window), .. }) = &self.turns
            && let Some(due) = window.clone().await.and_then(|window| window.due(self.before))
            && !turns.are_over()
        {
            sleep_until(due).await;
        }
    }

    /// Waits for it, and takes it, unless the peer it goes to is silent then. A second request has no turn. What no rate is for
    /// is answered otherwise than what one is for, and says nothing of how that is.
    pub(super) async fn take<'a>(&self, peer: &'a Pulse) -> Result<Option<UnderWay<'a>>, Missed> {
        let Some(turns @ Turns { window: Some(window), .. }) = &self.turns else { return Ok(None) };
        if turns.are_over() {
            return Err(Missed);
        }
        let due = window.clone().await.and_then(|window| window.due(self.before)).ok_or(Missed)?;
        self.near().await;
        let is_steady = peer.is_steady_before(due + LATE).await;
        let is_late = due.elapsed() > LATE;
        if !is_steady || turns.are_over() || is_late || self.is_taken.swap(true, Ordering::Relaxed) {
            return Err(Missed);
        }
        Ok(Some(peer.leave()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A window of a second that begins in a second.
    fn window(units: u32) -> Window {
        let start = Instant::now() + SECOND;
        Window { start, length: SECOND, units, end: start + SECOND }
    }

    fn turns(units: u32, unit: RateUnit) -> Turns {
        Turns::new(ready(Some(window(units))), unit, 100)
    }

    /// Whether it was taken, of a peer that was never met.
    async fn has_taken(turn: &Turn) -> bool {
        turn.take(&Pulse::default()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_leaves_to_a_peer_that_is_silent_and_who_is_late_for_that_does_not_leave_at_all() {
        let (turns, peer) = (turns(10, RateUnit::Requests), Pulse::default());
        peer.leave().heard();
        let first = turns.after(0).take(&peer).await.unwrap().unwrap();
        assert!(turns.after(1).take(&peer).await.is_err(), "nothing was heard for a tenth of a second");
        let (third, ()) = futures::join!(async { turns.after(2).take(&peer).await.is_ok() }, async {
            tokio::time::sleep(Duration::from_millis(90)).await;
            first.heard();
        });
        assert!(third);
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_spread_evenly_over_the_window_and_end_with_it() {
        let (turns, now) = (turns(10, RateUnit::Requests), Instant::now());
        for before in 0..10 {
            assert!(has_taken(&turns.after(before)).await);
            assert_eq!(now.elapsed().as_millis(), u128::from(1_000 + before * 100), "{before}");
        }
        assert!(!has_taken(&turns.after(10)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_late_is_not_let_and_nobody_twice() {
        let turns = turns(10, RateUnit::Requests);
        tokio::time::sleep(SECOND + Duration::from_millis(115)).await;
        assert!(!has_taken(&turns.after(0)).await);
        let turn = turns.after(1);
        assert!(has_taken(&turn).await);
        assert!(!has_taken(&turn).await);
        assert!(has_taken(&turns.after(2)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn no_turn_comes_after_the_end() {
        let end = Instant::now() + SECOND + SECOND / 2;
        let turns = Turns::new(ready(Some(Window { end, ..window(10) })), RateUnit::Requests, 100);
        assert!(has_taken(&turns.after(5)).await);
        assert!(!has_taken(&turns.after(6)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_rate_is_for_goes_at_any_time() {
        let (turn, peer) = (Turns::freely().after(1_000_000), Pulse::default());
        for _ in 0..2 {
            assert!(turn.take(&peer).await.unwrap().is_none(), "and is not counted");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_one_leaves_after_the_vendor_has_asked_for_time() {
        let (turns, now) = (turns(10, RateUnit::Requests), Instant::now());
        let before = [turns.after(0), turns.after(1)];
        assert!(has_taken(&before[0]).await);
        let mut asked = turns.asked_for_time();
        [7, 3, 9].into_iter().for_each(|secs| turns.end(SECOND * secs));
        assert!(asked.has_changed().unwrap());
        assert_eq!(*asked.borrow_and_update(), Some(SECOND * 9));
        turns.end(SECOND);
        assert!(!asked.has_changed().unwrap(), "it has as much already");
        assert_eq!((has_taken(&before[1]).await, has_taken(&turns.after(9)).await), (false, false));
        assert_eq!(now.elapsed(), SECOND, "and none waits in vain");
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_is_reserved_once_and_when_the_first_is_ready() {
        let reserved = Arc::new(AtomicU32::new(0));
        let count = reserved.clone();
        let reserve = async move {
            tokio::time::sleep(SECOND).await;
            count.fetch_add(1, Ordering::Relaxed);
            Some(window(10))
        };
        let (turns, now) = (Turns::new(reserve, RateUnit::Requests, 100), Instant::now());
        let (first, second) = (turns.after(0), turns.after(5));
        tokio::time::sleep(SECOND).await;
        assert_eq!(reserved.load(Ordering::Relaxed), 0, "nobody has asked");
        let taken = futures::join!(has_taken(&second), has_taken(&first));
        assert_eq!((taken, reserved.load(Ordering::Relaxed)), ((true, true), 1));
        assert_eq!(now.elapsed(), SECOND * 7 / 2, "a second each for getting ready, reserving and waiting");
    }

    #[tokio::test]
    async fn without_a_window_nobody_leaves() {
        let turns = Turns::new(ready(None), RateUnit::Requests, 100);
        turns.after(0).near().await;
        assert!(!has_taken(&turns.after(0)).await);
    }

    #[tokio::test]
    async fn a_request_takes_what_its_vendor_counts() {
        assert_eq!(turns(10, RateUnit::Requests).units(7), 1);
        assert_eq!(turns(10, RateUnit::Devices).units(7), 7);
    }
}
