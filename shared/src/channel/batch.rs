//! A batch, and how it is sent one target a request.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error;
use std::future::{Future, ready};
use std::sync::Once;

use futures::{FutureExt, StreamExt, stream};
use http::StatusCode;
use tokio::time::{Duration, Instant, sleep_until};
use tracing::warn;

use crate::domain::{AppId, Channel, Outcome, Push, PushId, Wording};
use crate::runtime::Clock;

use super::Target;
use super::http2::shown;

/// One push, and those it is for.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) channel: Channel,
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
    pub(super) async fn each<F>(&self, concurrency: usize, send: impl Fn(&'a Target) -> F) -> Vec<Outcome>
    where
        F: Future<Output = Outcome>,
    {
        let (start, rate) = (Instant::now(), self.rate);
        // A target whose outcome should be lost would be tried again.
        let mut outcomes = self.all(&Outcome::Transient(None));
        stream::iter(0..self.targets.len())
            .then(|i| due(i, start, rate))
            .map(|i| send(&self.targets[i]).map(move |outcome| (i, outcome)))
            .buffer_unordered(concurrency.max(1))
            .for_each(|(i, outcome)| {
                outcomes[i] = outcome;
                ready(())
            })
            .await;
        outcomes
    }

    /// The outcomes of requests that each name up to `most` targets: those of one request share what `key` says of them,
    /// their wording for one. No more than `concurrency` requests are under way at a time. `send` answers one outcome for
    /// each of its targets, in their order.
    pub(super) async fn each_request<K, F>(
        &self,
        most: usize,
        concurrency: usize,
        key: impl Fn(&'a Target) -> K,
        send: impl Fn(Vec<&'a Target>) -> F,
    ) -> Vec<Outcome>
    where
        K: Ord,
        F: Future<Output = Vec<Outcome>>,
    {
        let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
        for (place, target) in self.targets.iter().enumerate() {
            groups.entry(key(target)).or_default().push(place);
        }
        let requests = groups.values().flat_map(|places| places.chunks(most.max(1)));
        // Collected first: a stream that maps would ask more of lifetimes than a spawned task can prove.
        let requests: Vec<_> = requests
            .map(|places| {
                let targets = places.iter().map(|place| &self.targets[*place]).collect();
                send(targets).map(move |outcomes| (places, outcomes))
            })
            .collect();
        // A target whose outcome should be lost would be tried again.
        let mut outcomes = self.all(&Outcome::Transient(None));
        stream::iter(requests)
            .buffer_unordered(concurrency.max(1))
            .for_each(|(places, answered)| {
                places.iter().zip(answered).for_each(|(place, outcome)| outcomes[*place] = outcome);
                ready(())
            })
            .await;
        outcomes
    }

    /// What is the same for all targets with the same wording, made once for each wording that occurs.
    pub(super) fn by_wording<T, E>(&self, make: impl Fn(Wording) -> Result<T, E>) -> Result<ByWording<T>, E> {
        let mut made = BTreeMap::new();
        for target in self.targets {
            if let Entry::Vacant(place) = made.entry(target.wording) {
                place.insert(make(target.wording)?);
            }
        }
        Ok(ByWording(made))
    }

    /// Whether the push may still leave.
    pub(super) fn is_alive(&self) -> bool {
        self.push.is_alive_on(self.channel, self.clock.now())
    }

    /// Whole seconds until the deadline, never less than none; `None` for a push that is for now or never.
    pub(super) fn remaining_secs(&self) -> Option<u32> {
        let left = self.push.expires_at()?.millis_since(self.clock.now()) / 1_000;
        Some(u32::try_from(left.max(0)).unwrap_or(u32::MAX))
    }
}

/// One thing for each wording of a batch.
pub(super) struct ByWording<T>(BTreeMap<Wording, T>);

impl<T> ByWording<T> {
    /// That of a target of the batch.
    pub(super) fn of(&self, target: &Target) -> Option<&T> {
        self.0.get(&target.wording)
    }
}

/// Says in the log what went wrong with a batch: once, not for every target of it.
pub(super) struct Complaint {
    channel: Channel,
    app: AppId,
    push: PushId,
    answered: Once,
    failed: Once,
}

impl Complaint {
    pub(super) fn new(batch: &Batch<'_>) -> Self {
        Self {
            channel: batch.channel,
            app: batch.push.app.clone(),
            push: batch.push.id,
            answered: Once::new(),
            failed: Once::new(),
        }
    }

    /// An answer that is not about one device, with the vendor's word for it.
    pub(super) fn of_answer(&self, outcome: &Outcome, status: StatusCode, reason: &str) {
        match outcome {
            Outcome::Transient(_)
            | Outcome::Auth
            | Outcome::Permanent
            | Outcome::QuotaUntilTomorrow
            | Outcome::Config => {
                let (channel, status, reason) = (self.channel, status.as_u16(), shown(reason));
                let outcome = outcome.name();
                self.answered.call_once(|| {
                    warn!(%channel, app.id = %self.app, push.id = %self.push, status, reason, outcome, "`{channel}` refused");
                });
            }
            Outcome::Delivered | Outcome::InvalidToken { .. } | Outcome::Suspended | Outcome::Throttled(_) => {}
        }
    }

    /// No answer.
    pub(super) fn of_failure(&self, error: &(dyn Error + 'static)) {
        let channel = self.channel;
        self.failed.call_once(|| {
            let cause = innermost(error);
            warn!(%channel, app.id = %self.app, push.id = %self.push, %error, %cause, "`{channel}` did not answer");
        });
    }
}

fn innermost<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

/// The number again, when its time has come.
async fn due(i: usize, start: Instant, rate: u32) -> usize {
    sleep_until(start + slot(i, rate)).await;
    i
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
        Batch { channel: Channel::Apns, push, targets, clock, rate }
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_stand_in_the_order_of_the_targets() {
        let (push, targets, clock) = (a_push(), targets(40), Clock::system());
        let outcomes = batch(&push, &targets, &clock, 10_000)
            .each(16, |target| async move {
                let n: u64 = target.token.expose().parse().unwrap();
                tokio::time::sleep(Duration::from_millis((n * 37) % 100)).await;
                Outcome::Throttled(Some(Duration::from_secs(n)))
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
            .each(4, |_| async {
                begun.lock().unwrap().push(start.elapsed());
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(350)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Outcome::Delivered
            })
            .await;
        for (i, at) in begun.into_inner().unwrap().into_iter().enumerate() {
            assert!(at >= Duration::from_millis(100 * i as u64), "{i}: {at:?}");
        }
        assert_eq!(most.into_inner(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_names_no_more_than_it_may_and_none_of_another_wording() {
        let (push, mut targets, clock) = (a_push(), targets(25), Clock::system());
        targets.iter_mut().enumerate().for_each(|(n, target)| target.wording = Wording(n as u8 % 2));
        let asked = Mutex::new(Vec::new());
        let outcomes = batch(&push, &targets, &clock, 1)
            .each_request(
                5,
                2,
                |target| target.wording,
                |request| {
                    asked.lock().unwrap().push((request.len(), request[0].wording));
                    async move {
                        assert!(request.iter().all(|target| target.wording == request[0].wording));
                        let after = |target: &&Target| Duration::from_secs(target.token.expose().parse().unwrap());
                        // The last of each is forgotten.
                        request[1..].iter().map(|target| Outcome::Throttled(Some(after(target)))).rev().collect()
                    }
                },
            )
            .await;
        let mut asked = asked.into_inner().unwrap();
        asked.sort_unstable();
        assert_eq!(asked.iter().map(|(count, _)| *count).collect::<Vec<_>>(), [2, 3, 5, 5, 5, 5]);
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Transient(None)).count(), 6);
        // The first request names 0, 2, 4, 6 and 8, and answers the last first.
        assert_eq!(outcomes[0], Outcome::Throttled(Some(Duration::from_secs(8))));
    }

    #[test]
    fn a_wording_is_made_once_however_many_have_it() {
        let (push, clock, made) = (a_push(), Clock::system(), AtomicUsize::new(0));
        let mut targets = targets(30);
        targets.iter_mut().enumerate().for_each(|(n, target)| target.wording = Wording(n as u8 % 3 * 2));
        let worded = batch(&push, &targets, &clock, 1).by_wording(|wording| {
            made.fetch_add(1, Ordering::SeqCst);
            Ok::<_, ()>(wording.0)
        });
        let worded = worded.unwrap();
        assert!(targets.iter().all(|target| worded.of(target) == Some(&target.wording.0)));
        assert_eq!(made.into_inner(), 3);
        assert!(
            batch(&push, &targets, &clock, 1)
                .by_wording(|wording| if wording.0 == 4 { Err(4) } else { Ok(()) })
                .is_err()
        );
    }

    #[test]
    fn no_time_is_left_after_the_deadline_and_none_is_named_for_now_or_never() {
        let (mut push, clock) = (a_push(), Clock::system());
        push.accepted_at = clock.now().plus_secs(-1_000_000);
        assert_eq!(batch(&push, &[], &clock, 1).remaining_secs(), Some(0));
        push.lifetime_secs = 0;
        assert_eq!(batch(&push, &[], &clock, 1).remaining_secs(), None);
    }
}
