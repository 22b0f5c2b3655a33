//! A batch, and how it is sent one target a request.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error;
use std::future::{Future, ready};
use std::sync::{Mutex, Once, PoisonError};

use futures::{FutureExt, StreamExt, stream};
use http::StatusCode;
use tracing::warn;

use crate::domain::{AppId, Channel, Outcome, Push, PushId, Wording};
use crate::runtime::Clock;

use super::Target;
use super::access::GrantError;
use super::check::Unfit;
use super::facts::traits;
use super::http2::{Answer, Failure, shown};
use super::rest::{Client, NoAnswer, Request};
use super::turns::{Missed, Turn, Turns};

/// Why a batch cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unready {
    /// The vendor would not take it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// What the app has set up for the channel leads nowhere.
    #[error("{0} cannot be used")]
    Settings(&'static str),
}

impl Unready {
    /// The address of the vendor is none, or not one of https.
    pub(super) const ENDPOINT: Self = Self::Settings("the endpoint");

    /// What it means for those whom it was for.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Unfit(_) => Outcome::Permanent,
            Self::Settings(_) => Outcome::Config,
        }
    }
}

/// Connections that stand before the first request leaves, where each takes one request; more are opened when they are
/// missed. A second's rate is some sixty requests, so that these do up to a quarter of a second each.
const FIRST_CONNECTIONS: usize = 16;

/// One push, and those it is for.
pub(super) struct Batch<'a> {
    pub(super) push: &'a Push,
    pub(super) targets: &'a [Target],
    pub(super) clock: &'a Clock,
    pub(super) complaint: Complaint,
    channel: Channel,
    turns: Turns,
}

impl<'a> Batch<'a> {
    pub(super) fn new(channel: Channel, push: &'a Push, targets: &'a [Target], clock: &'a Clock, turns: Turns) -> Self {
        Self { push, targets, clock, complaint: Complaint::new(channel, push), channel, turns }
    }

    /// Nothing can be sent.
    pub(super) fn unsendable(&self, error: &(dyn Error + 'static), outcome: &Outcome) -> Vec<Outcome> {
        self.complaint.of_ours(error);
        self.all(outcome)
    }

    /// The vendor cannot be reached: it has no answer for anyone.
    pub(super) fn unreachable(&self, failure: &Failure) -> Vec<Outcome> {
        self.complaint.of_failure(failure);
        self.all(&failure.outcome())
    }

    /// Opens connections for requests that name up to `most` targets.
    ///
    /// # Errors
    ///
    /// If there is none to be had, the outcome of all.
    pub(super) async fn connect(&self, http: &Client, url: &str, most: usize) -> Result<(), Outcome> {
        let requests = self.targets.len().div_ceil(self.largest(most)).min(FIRST_CONNECTIONS);
        http.connect(url, requests).await.map_err(|failure| {
            self.complaint.of_failure(&failure);
            failure.outcome()
        })
    }

    /// How many targets a request names at most, to a vendor that takes so many.
    pub(super) fn largest(&self, most: usize) -> usize {
        most.min(self.turns.most()).max(1)
    }

    /// Sends one of its requests. Without an answer, the outcome of those whom it was for.
    pub(super) async fn ask(&self, http: &Client, turn: &Turn, request: Request) -> Result<Answer, Outcome> {
        let answer = http.send(turn, request).await;
        answer.map_err(|failure| {
            self.complaint.of_failure(&failure);
            failure.outcome()
        })
    }

    /// The same outcome for every target.
    pub(super) fn all(&self, outcome: &Outcome) -> Vec<Outcome> {
        vec![outcome.clone(); self.targets.len()]
    }

    /// The outcome of `send` for each target, of which it is given what is ready for it: `all` are in the order of the targets.
    /// No more than `concurrency` are under way at a time, and none is begun before its turn is near.
    pub(super) async fn each<T, F>(
        &self,
        all: impl IntoIterator<Item = T>,
        concurrency: usize,
        send: impl Fn(T, Turn) -> F,
    ) -> Vec<Outcome>
    where
        F: Future<Output = Outcome>,
    {
        if !self.turns.are_had().await {
            return self.all(&Outcome::Unsent);
        }
        // A target whose outcome should be lost would be tried again.
        let mut outcomes = self.all(&Outcome::Transient(None));
        let mut all = all.into_iter();
        // Over numbers: a stream of what has lifetimes would ask more of them than a spawned task can prove.
        stream::iter(0..self.targets.len())
            .then(|i| near(i, self.turns.after(u32::try_from(i).unwrap_or(u32::MAX))))
            .filter_map(|(i, turn)| ready(all.next().map(|one| (i, one, turn))))
            .map(|(i, one, turn)| send(one, turn).map(move |outcome| (i, outcome)))
            .buffer_unordered(concurrency.max(1))
            .for_each(|(i, outcome)| {
                self.heed(&outcome);
                outcomes[i] = outcome;
                ready(())
            })
            .await;
        outcomes
    }

    /// The outcomes of requests that each name up to `most` targets: those of one request share what `key` says of them,
    /// their wording for one. None is begun before its turn is near, and each then, however long the ones before it take: so
    /// what takes time and is not the request itself has to come before. `send` answers one outcome for each of its targets,
    /// in their order.
    pub(super) async fn each_request<K, F>(
        &self,
        most: usize,
        key: impl Fn(&'a Target) -> K,
        send: impl Fn(Vec<&'a Target>, Turn) -> F,
    ) -> Vec<Outcome>
    where
        K: Ord,
        F: Future<Output = Vec<Outcome>>,
    {
        if !self.turns.are_had().await {
            return self.all(&Outcome::Unsent);
        }
        let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
        for (place, target) in self.targets.iter().enumerate() {
            groups.entry(key(target)).or_default().push(place);
        }
        let requests = groups.values().flat_map(|places| places.chunks(self.largest(most)));
        let mut before = 0;
        // Collected first: a stream that maps would ask more of lifetimes than a spawned task can prove.
        let requests: Vec<_> = requests
            .map(|places| {
                let targets = places.iter().map(|place| &self.targets[*place]).collect();
                let (turn, send) = (self.turns.after(before), &send);
                before += self.turns.units(places.len());
                async move {
                    turn.near().await;
                    (places, send(targets, turn).await)
                }
            })
            .collect();
        let all = requests.len().max(1);
        // A target whose outcome should be lost would be tried again.
        let mut outcomes = self.all(&Outcome::Transient(None));
        stream::iter(requests)
            .buffer_unordered(all)
            .for_each(|(places, answered)| {
                answered.iter().for_each(|outcome| self.heed(outcome));
                places.iter().zip(answered).for_each(|(place, outcome)| outcomes[*place] = outcome);
                ready(())
            })
            .await;
        outcomes
    }

    /// A vendor that asks for time is sent nothing more of the batch.
    fn heed(&self, outcome: &Outcome) {
        if !traits(self.channel).throttles_the_app {
            return;
        }
        match outcome {
            Outcome::Throttled(wait) => self.turns.end(wait.unwrap_or_default()),
            Outcome::Transient(Some(wait)) => self.turns.end(*wait),
            _ => {}
        }
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
        self.get(target.wording)
    }

    /// That of a wording that occurs.
    pub(super) fn get(&self, wording: Wording) -> Option<&T> {
        self.0.get(&wording)
    }
}

/// Says in the log what went wrong with a batch: once, not for every target of it. Remembers the first of it.
pub(super) struct Complaint {
    channel: Channel,
    app: AppId,
    push: PushId,
    answered: Once,
    failed: Once,
    first: Mutex<Option<String>>,
}

impl Complaint {
    fn new(channel: Channel, push: &Push) -> Self {
        let (answered, failed) = (Once::new(), Once::new());
        Self { channel, app: push.app.clone(), push: push.id, answered, failed, first: Mutex::default() }
    }

    /// What went wrong first, in a few words without anybody's data.
    pub(super) fn first(self) -> Option<String> {
        self.first.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer that is not about one device, with the vendor's word for it.
    pub(super) fn of_answer(&self, outcome: &Outcome, status: StatusCode, reason: &str) {
        let is_said = match outcome {
            Outcome::Transient(_)
            | Outcome::Auth
            | Outcome::Permanent
            | Outcome::QuotaUntilTomorrow
            | Outcome::Config
            | Outcome::NotEntitled => true,
            Outcome::Throttled(_) => traits(self.channel).throttles_the_app,
            Outcome::Delivered
            | Outcome::InvalidToken { .. }
            | Outcome::Suspended
            | Outcome::DeviceQuotaUntilTomorrow
            | Outcome::Unsent => false,
        };
        if is_said {
            let (channel, status, reason) = (self.channel, status.as_u16(), shown(reason));
            let outcome = outcome.name();
            self.answered.call_once(|| {
                warn!(%channel, app.id = %self.app, push.id = %self.push, status, reason, outcome, "`{channel}` refused");
                self.remember(format!("{status} {reason}").trim_end().to_owned());
            });
        }
    }

    /// No access token.
    pub(super) fn of_grant(&self, error: &GrantError) {
        let (channel, outcome) = (self.channel, error.outcome());
        let outcome = outcome.name();
        self.answered.call_once(|| {
            warn!(%channel, app.id = %self.app, push.id = %self.push, outcome, "Nothing sent by `{channel}`: {error}");
            self.remember(error.to_string());
        });
    }

    /// No answer: nothing could be asked, or it did not come.
    pub(super) fn of_failure(&self, error: &(dyn Error + 'static)) {
        let (channel, cause) = (self.channel, innermost(error));
        if cause.is::<Missed>() {
            return;
        }
        if let Some(NoAnswer::Unmade) = error.downcast_ref() {
            return self.failed.call_once(|| self.of_ours(&Unready::ENDPOINT));
        }
        self.failed.call_once(|| {
            warn!(%channel, app.id = %self.app, push.id = %self.push, %error, %cause, "`{channel}` did not answer");
            self.remember("no answer".to_owned());
        });
    }

    /// Nothing to send, or nothing to send it with.
    fn of_ours(&self, error: &(dyn Error + 'static)) {
        let channel = self.channel;
        warn!(%channel, app.id = %self.app, push.id = %self.push, "Nothing sent by `{channel}`: {error}");
        self.remember(error.to_string());
    }

    fn remember(&self, what: String) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }
}

fn innermost<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

/// The number again, when its turn is near.
async fn near(i: usize, turn: Turn) -> (usize, Turn) {
    turn.near().await;
    (i, turn)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::{Duration, Instant};

    use super::*;
    use crate::channel::pulse::Pulse;
    use crate::channel::testkit::{a_push, targets};
    use crate::channel::{RateUnit, Window};

    fn batch<'a>(push: &'a Push, targets: &'a [Target], clock: &'a Clock) -> Batch<'a> {
        Batch::new(Channel::Apns, push, targets, clock, Turns::freely())
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_stand_in_the_order_of_the_targets() {
        let (push, targets, clock) = (a_push(), targets(40), Clock::system());
        let outcomes = batch(&push, &targets, &clock)
            .each(&targets, 16, |target, _| async move {
                let n: u64 = target.token.expose().parse().unwrap();
                tokio::time::sleep(Duration::from_millis((n * 37) % 100)).await;
                Outcome::Throttled(Some(Duration::from_secs(n)))
            })
            .await;
        let expected: Vec<Outcome> = (0..40).map(|n| Outcome::Throttled(Some(Duration::from_secs(n)))).collect();
        assert_eq!(outcomes, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn sends_leave_at_their_turns_or_not_at_all() {
        let (push, targets, clock) = (a_push(), targets(50), Clock::system());
        // Ten a second that take 350 ms each: four at a time keep up, two do not.
        for (concurrency, all_leave) in [(4, true), (2, false)] {
            let (now, most, start) = (AtomicUsize::new(0), AtomicUsize::new(0), Instant::now());
            let length = Duration::from_secs(5);
            let window = Window { start, length, units: 50, end: start + length };
            let turns = Turns::new(ready(Some(window)), RateUnit::Requests, 1);
            let (now, most, peer) = (&now, &most, &Pulse::default());
            let outcomes = Batch::new(Channel::Apns, &push, &targets, &clock, turns)
                .each(&targets, concurrency, |target, turn| async move {
                    let place: u32 = target.token.expose().parse().unwrap();
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let outcome = match turn.take(peer).await {
                        Ok(_under_way) => {
                            let late = start.elapsed() - Duration::from_millis(100) * place;
                            assert!(late < Duration::from_millis(30), "{place}: {late:?}");
                            tokio::time::sleep(Duration::from_millis(350)).await;
                            Outcome::Delivered
                        }
                        Err(Missed) => Outcome::Unsent,
                    };
                    now.fetch_sub(1, Ordering::SeqCst);
                    outcome
                })
                .await;
            let left = outcomes.iter().filter(|outcome| **outcome == Outcome::Delivered).count();
            assert_eq!((left == 50, most.load(Ordering::SeqCst)), (all_leave, concurrency));
            assert!(left > 20, "{left}: those who are on time go");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_leave_at_their_turns_however_long_those_before_them_take() {
        let (push, targets, clock) = (a_push(), targets(60), Clock::system());
        let (start, length) = (Instant::now(), Duration::from_secs(1));
        let window = Window { start, length, units: 60, end: start + length };
        let turns = Turns::new(ready(Some(window)), RateUnit::Devices, 2);
        let (peer, left) = (&Pulse::default(), &Mutex::new(Vec::new()));
        let outcomes = Batch::new(Channel::Huawei, &push, &targets, &clock, turns)
            .each_request(
                1_000,
                |target| target.wording,
                |request, turn| async move {
                    let taken = turn.take(peer).await;
                    left.lock().unwrap().push((start.elapsed().as_millis(), request.len()));
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    vec![if taken.is_ok() { Outcome::Delivered } else { Outcome::Unsent }; request.len()]
                },
            )
            .await;
        assert_eq!(outcomes, vec![Outcome::Delivered; 60]);
        let expected: Vec<_> = (0..30).map(|n| ((n * 1_000_u128).div_ceil(30), 2)).collect();
        assert_eq!(*left.lock().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_names_no_more_than_it_may_and_none_of_another_wording() {
        let (push, mut targets, clock) = (a_push(), targets(25), Clock::system());
        targets.iter_mut().enumerate().for_each(|(n, target)| target.wording = Wording(n as u8 % 2));
        let asked = Mutex::new(Vec::new());
        let outcomes = batch(&push, &targets, &clock)
            .each_request(
                5,
                |target| target.wording,
                |request, _| {
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
    fn a_vendor_that_asks_for_time_is_heeded_where_it_means_the_app() {
        let (push, clock) = (a_push(), Clock::system());
        let secs = |secs| Some(Duration::from_secs(secs));
        for (channel, outcomes, expected) in [
            (Channel::Huawei, &[Outcome::Delivered][..], None),
            (Channel::Huawei, &[Outcome::Throttled(None)], Some(Duration::ZERO)),
            (Channel::Huawei, &[Outcome::Throttled(secs(7)), Outcome::Transient(secs(9))], secs(9)),
            (Channel::Fcm, &[Outcome::Transient(None)], None),
            // These say it to one device.
            (Channel::Apns, &[Outcome::Throttled(secs(7))], None),
            (Channel::Webpush, &[Outcome::Throttled(secs(7))], None),
            (Channel::Ws, &[Outcome::Throttled(None)], None),
        ] {
            let turns = Turns::freely();
            let asked = turns.asked_for_time();
            let batch = Batch::new(channel, &push, &[], &clock, turns);
            outcomes.iter().for_each(|outcome| batch.heed(outcome));
            assert_eq!(*asked.borrow(), expected, "{channel} {outcomes:?}");
        }
    }

    #[test]
    fn a_wording_is_made_once_however_many_have_it() {
        let (push, clock, made) = (a_push(), Clock::system(), AtomicUsize::new(0));
        let mut targets = targets(30);
        targets.iter_mut().enumerate().for_each(|(n, target)| target.wording = Wording(n as u8 % 3 * 2));
        let worded = batch(&push, &targets, &clock).by_wording(|wording| {
            made.fetch_add(1, Ordering::SeqCst);
            Ok::<_, ()>(wording.0)
        });
        let worded = worded.unwrap();
        assert!(targets.iter().all(|target| worded.of(target) == Some(&target.wording.0)));
        assert_eq!(made.into_inner(), 3);
        assert!(
            batch(&push, &targets, &clock).by_wording(|wording| if wording.0 == 4 { Err(4) } else { Ok(()) }).is_err()
        );
    }

    #[test]
    fn no_time_is_left_after_the_deadline_and_none_is_named_for_now_or_never() {
        let (mut push, clock) = (a_push(), Clock::system());
        push.accepted_at = clock.now().plus_secs(-1_000_000);
        assert_eq!(batch(&push, &[], &clock).remaining_secs(), Some(0));
        push.lifetime_secs = 0;
        assert_eq!(batch(&push, &[], &clock).remaining_secs(), None);
    }
}
