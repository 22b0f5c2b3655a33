//! A batch, and how it is sent one target a request.

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::time::{Duration, Instant, sleep_until};

use crate::domain::{Outcome, Push};
use crate::runtime::Clock;

use super::Target;

/// One push, and those it is for.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) push: &'a Push,
    pub(super) targets: &'a [Target],
    pub(super) clock: &'a Clock,
    /// Requests a second that the batch may start; at least one.
    pub(super) rate: u32,
}

impl<'a> Batch<'a> {
    /// The same outcome for every target.
    pub(super) fn all(&self, outcome: &Outcome) -> Vec<Outcome> {
        vec![outcome.clone(); self.targets.len()]
    }

    /// The outcome of `send` for each target, no more than `concurrency` of them under way at a time, and the i-th not
    /// begun before `i / rate` seconds have passed.
    ///
    /// This only keeps those waiting for their time from holding connections. The strict bound is kept by a
    /// [`Pace`](super::pace::Pace), where a request leaves.
    pub(super) async fn each<'s>(
        &self,
        concurrency: usize,
        send: impl Fn(&'a Target) -> BoxFuture<'s, Outcome>,
    ) -> Vec<Outcome> {
        let start = Instant::now();
        // A target whose outcome should be lost would be tried again.
        let mut outcomes = self.all(&Outcome::Transient(None));
        let mut under_way = FuturesUnordered::new();
        let mut waiting = self.targets.iter().enumerate().peekable();
        loop {
            let next =
                waiting.peek().filter(|_| under_way.len() < concurrency.max(1)).map(|(i, _)| slot(*i, self.rate));
            tokio::select! {
                () = sleep_until(start + next.unwrap_or_default()), if next.is_some() => {
                    under_way.extend(waiting.next().map(|(i, target)| send(target).map(move |outcome| (i, outcome))));
                }
                Some((i, outcome)) = under_way.next() => outcomes[i] = outcome,
                else => return outcomes,
            }
        }
    }

    /// Whether the push may still leave.
    pub(super) fn is_alive(&self) -> bool {
        self.push.is_alive(self.clock.now())
    }

    /// Whole seconds until the deadline, never less than none; `None` for a push that is for now or never.
    pub(super) fn remaining_secs(&self) -> Option<u32> {
        let left = self.push.expires_at()?.millis_since(self.clock.now()) / 1_000;
        Some(u32::try_from(left.max(0)).unwrap_or(u32::MAX))
    }
}

fn slot(i: usize, rate: u32) -> Duration {
    Duration::from_nanos((i as u64).saturating_mul(1_000_000_000) / u64::from(rate))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::channel::testkit::{a_push, targets};

    fn batch<'a>(push: &'a Push, targets: &'a [Target], clock: &'a Clock, rate: u32) -> Batch<'a> {
        Batch { push, targets, clock, rate }
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_stand_in_the_order_of_the_targets() {
        let (push, targets, clock) = (a_push(), targets(40), Clock::system());
        let outcomes = batch(&push, &targets, &clock, 10_000)
            .each(16, |target| {
                async move {
                    let n: u64 = target.token.expose().parse().unwrap();
                    tokio::time::sleep(Duration::from_millis((n * 37) % 100)).await;
                    Outcome::Throttled(Some(Duration::from_secs(n)))
                }
                .boxed()
            })
            .await;
        let expected: Vec<Outcome> = (0..40).map(|n| Outcome::Throttled(Some(Duration::from_secs(n)))).collect();
        assert_eq!(outcomes, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn sends_are_spaced_by_the_rate_and_bounded_in_number() {
        let (push, targets, clock) = (a_push(), targets(50), Clock::system());
        let (begun, now, most) = (Mutex::new(Vec::new()), AtomicUsize::new(0), AtomicUsize::new(0));
        let start = Instant::now();
        batch(&push, &targets, &clock, 10)
            .each(4, |_| {
                async {
                    begun.lock().unwrap().push(start.elapsed());
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(350)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    Outcome::Delivered
                }
                .boxed()
            })
            .await;
        for (i, at) in begun.into_inner().unwrap().into_iter().enumerate() {
            assert!(at >= Duration::from_millis(100 * i as u64), "{i}: {at:?}");
        }
        assert_eq!(most.into_inner(), 4);
    }

    #[test]
    fn no_time_is_left_after_the_deadline_and_none_is_named_for_now_or_never() {
        let (mut push, clock) = (a_push(), Clock::system());
        push.accepted_at = clock.now().plus_secs(-1_000_000);
        assert_eq!(batch(&push, &[], &clock, 1).remaining_secs(), Some(0));
        push.message.lifetime_secs = 0;
        assert_eq!(batch(&push, &[], &clock, 1).remaining_secs(), None);
    }
}
