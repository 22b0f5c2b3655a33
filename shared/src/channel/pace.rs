//! No more than so many requests in any second.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

const SECOND: Duration = Duration::from_secs(1);

/// How much lateness is made up for. Timers fire up to a millisecond late, so a rate of thousands a second needs some;
/// more would let a stall be followed by a burst.
const SLACK: Duration = Duration::from_millis(20);

/// Hands out turns: the i-th not before `start + i / rate`, and never more than `rate` in any second.
pub(super) struct Pace {
    /// The lock is the queue: whoever holds it sleeps until its turn, the others stand behind it in order.
    turns: Mutex<Turns>,
}

struct Turns {
    rate: u32,
    /// When the next turn is due.
    due: Instant,
    /// When the last `rate` turns were taken, oldest first.
    taken: VecDeque<Instant>,
}

impl Pace {
    /// A pace that starts now, with `rate` turns a second (at least one).
    pub(super) fn new(rate: u32) -> Self {
        Self { turns: Mutex::new(Turns { rate: rate.max(1), due: Instant::now(), taken: VecDeque::new() }) }
    }

    /// Waits for a turn and takes it. Dropped while it waits, it takes none.
    pub(super) async fn turn(&self) {
        let mut turns = self.turns.lock().await;
        let at = turns.earliest(Instant::now());
        sleep_until(at).await;
        turns.take(Instant::now());
    }
}

impl Turns {
    fn earliest(&self, now: Instant) -> Instant {
        let window = match self.taken.front() {
            Some(&oldest) if self.taken.len() >= self.rate as usize => oldest + SECOND,
            _ => now,
        };
        self.due.max(window).max(now)
    }

    fn take(&mut self, now: Instant) {
        if self.taken.len() >= self.rate as usize {
            self.taken.pop_front();
        }
        self.taken.push_back(now);
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        self.due = self.due.max(earliest) + SECOND / self.rate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn starts(rate: u32, count: usize) -> Vec<Duration> {
        let (pace, start) = (Pace::new(rate), Instant::now());
        let mut starts = Vec::new();
        for _ in 0..count {
            pace.turn().await;
            starts.push(start.elapsed());
        }
        starts
    }

    fn keep_within(rate: usize, starts: &[Duration]) -> bool {
        starts.windows(rate + 1).all(|window| window[rate] - window[0] >= SECOND)
    }

    #[tokio::test(start_paused = true)]
    async fn no_turn_comes_before_its_time() {
        for rate in [1, 3, 50, 700, 10_000] {
            for (i, at) in starts(rate, 60).await.into_iter().enumerate() {
                assert!(at >= SECOND / rate * i as u32, "turn {i} at {at:?} with {rate} a second");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_never_sees_more_than_the_rate() {
        for rate in [1, 7, 100, 1_000, 3_000] {
            let starts = starts(rate, rate as usize * 3 + 5).await;
            assert!(keep_within(rate as usize, &starts), "{rate}");
            // And it is used: the timer's coarseness does not slow it down.
            assert!(starts[rate as usize * 3 - 1] <= SECOND * 3 + SLACK, "{rate}: {:?}", starts.last());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_not_followed_by_a_burst() {
        let (pace, mut starts) = (Pace::new(100), Vec::new());
        let start = Instant::now();
        for i in 0..300 {
            if i == 50 {
                tokio::time::sleep(SECOND * 5).await;
            }
            pace.turn().await;
            starts.push(start.elapsed());
        }
        assert!(keep_within(100, &starts));
        // After the stall the old spacing goes on: 20 ms' worth at once, not five seconds' worth.
        assert!(starts[60] - starts[50] >= Duration::from_millis(60), "{:?}", starts[60] - starts[50]);
    }
}
