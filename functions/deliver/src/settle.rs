//! What outcomes mean: for the account, for the next attempt, and for the devices.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fanfare::channel::traits;
use fanfare::domain::{App, Channel, ConnectionId, Outcome, Push, Tally, Timestamp, limits};
use fanfare::queue::{self, DeliverTask, Destination};
use fanfare::runtime::metrics::{BatchMetrics, MetricName};
use fanfare::store::{Done, StoreError};
use futures::{StreamExt, stream};
use tracing::{info, warn};

use crate::Deliver;
use crate::health::{is_unwell, tomorrow};

/// The longest that a vendor is believed when it asks for time.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// Dead devices that are forgotten side by side.
const AT_ONCE: usize = 8;

/// How a batch ended, from the outcome of each of its devices.
pub(crate) fn settle(task: &DeliverTask, push: &Push, outcomes: &[Outcome], now: Timestamp) -> Done {
    let is_tried = |outcome: &Outcome| outcome.is_retryable() && !waits(task.channel, outcome);
    // A vendor that is unwell to those who were sent to is left alone by those who were not.
    let others_wait = is_unwell(outcomes).then(|| now.plus(queue::retry_delay(task.tries)));
    let has_room = task.attempt < u8::MAX;
    let last = task.tries + 1 >= limits::ATTEMPTS;
    let mut done = Done::default();
    let Tally { delivered, failed, invalid, suppressed, expired } = &mut done.tally;
    for (place, outcome) in outcomes.iter().enumerate() {
        // Each by its own time: what one has to wait is not the end of another.
        let next = next_try(task, outcome, now);
        let in_time = push.is_alive_on(task.channel, next.unwrap_or(now));
        match outcome {
            Outcome::Delivered => *delivered += 1,
            Outcome::InvalidToken { .. } => *invalid += 1,
            Outcome::Suspended => *suppressed += 1,
            Outcome::Permanent => *failed += 1,
            // What waits was not tried, and so not tried too often.
            retryable if has_room && in_time && (!last || !is_tried(retryable)) => {
                done.retry.push(place as u16);
                done.not_before = done.not_before.max(next.or(others_wait));
                done.is_try |= is_tried(retryable);
            }
            _ if !in_time => *expired += 1,
            _ => *failed += 1,
        }
    }
    if task.channel == Channel::Ws {
        done.readdress = gone_users(task, outcomes);
        done.reached = reached_users(task, outcomes, &done.retry);
    }
    done
}

/// Whether it is no try: a device that was not sent to, has had its share, or met a channel that was too fast for its vendor.
fn waits(channel: Channel, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Unsent | Outcome::DeviceQuotaUntilTomorrow => true,
        Outcome::Throttled(_) => traits(channel).throttles_the_app,
        _ => false,
    }
}

/// When a device goes again: the later the more often it was tried, and not sooner than its vendor asked for; whose day is
/// full tomorrow; who only missed its turn at once.
fn next_try(task: &DeliverTask, outcome: &Outcome, now: Timestamp) -> Option<Timestamp> {
    let (own, asked) = match outcome {
        Outcome::Throttled(wait) if waits(task.channel, outcome) => (task.attempt, *wait),
        Outcome::Throttled(wait) | Outcome::Transient(wait) => (task.tries, *wait),
        Outcome::Auth | Outcome::QuotaUntilTomorrow | Outcome::Config | Outcome::NotEntitled => (task.tries, None),
        Outcome::DeviceQuotaUntilTomorrow => return Some(tomorrow(now)),
        _ => return None,
    };
    let wait = asked.unwrap_or_default().min(LONGEST_WAIT).max(queue::retry_delay(own));
    Some(now.plus(wait))
}

/// Users with a connection that was gone, and none in this attempt or one before that was not.
fn gone_users(task: &DeliverTask, outcomes: &[Outcome]) -> Vec<u16> {
    let mut users: BTreeMap<u16, bool> = BTreeMap::new();
    for (to, outcome) in task.to.iter().zip(outcomes) {
        let gone = matches!(outcome, Outcome::InvalidToken { .. });
        users.entry(to.0).and_modify(|all| *all &= gone).or_insert(gone);
    }
    let lost = users.into_iter().filter(|(low, all_gone)| *all_gone && !task.reached.contains(low));
    lost.map(|(low, _)| low).collect()
}

/// Users of the next attempt who have it on another connection, from this attempt or one before.
fn reached_users(task: &DeliverTask, outcomes: &[Outcome], retry: &[u16]) -> Vec<u16> {
    let delivered = task.to.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Delivered);
    let reached: BTreeSet<u16> = delivered.map(|(to, _)| to.0).chain(task.reached.iter().copied()).collect();
    let retried: BTreeSet<u16> = retry.iter().filter_map(|place| Some(task.to.get(usize::from(*place))?.0)).collect();
    reached.intersection(&retried).copied().collect()
}

impl Deliver {
    /// Forgets what is dead: connections at once, devices if the verdict on them is to be believed. What cannot be
    /// forgotten now will be found dead by the next push. Returns what was counted of it.
    pub(crate) async fn clean_up(
        &self,
        app: &App,
        task: &DeliverTask,
        outcomes: &[Outcome],
        sent_at: Timestamp,
    ) -> BatchMetrics {
        let (mut burials, mut doubted) = (Vec::new(), 0);
        for (to, outcome) in task.to.iter().zip(outcomes) {
            let Outcome::InvalidToken { since, .. } = outcome else { continue };
            // A closed socket says so itself; no setting of ours could make it.
            if task.channel == Channel::Ws || self.breaker.believes(&app.id, task.channel, outcome) {
                burials.push(self.forget(app, task, to, died_by(*since, sent_at)));
            } else {
                doubted += 1;
            }
        }
        if doubted > 0 {
            warn!(app.id = %app.id, channel = %task.channel, doubted, "Verdicts on {doubted} tokens are not believed: kept them");
        }
        let results: Vec<_> = stream::iter(burials).buffer_unordered(AT_ONCE).collect().await;
        if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
            warn!(app.id = %app.id, channel = %task.channel, error = %error, "Dead devices could not be forgotten");
        }
        let forgotten = results.into_iter().filter(|result| matches!(result, Ok(true))).count();
        if forgotten > 0 {
            info!(app.id = %app.id, channel = %task.channel, forgotten, "Forgot {forgotten} dead devices");
        }
        let count = |meant: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| meant(outcome)).count();
        BatchMetrics::of(task.channel, &app.id)
            .count(MetricName::Throttled, count(|outcome| matches!(outcome, Outcome::Throttled(_))))
            .count(MetricName::Unsent, count(|outcome| *outcome == Outcome::Unsent))
            .count(MetricName::Forgotten, forgotten)
            .count(MetricName::Doubted, doubted)
    }

    /// Says whether there was anything to forget.
    async fn forget(
        &self,
        app: &App,
        task: &DeliverTask,
        to: &Destination,
        verdict: Timestamp,
    ) -> Result<bool, StoreError> {
        let ordinal = task.shard.ordinal(to.0);
        if task.channel != Channel::Ws {
            return self.contacts.bury(&app.id, ordinal, (task.channel, &to.1), verdict).await;
        }
        let Ok(connection) = ConnectionId::try_from(to.1.expose()) else { return Ok(false) };
        self.contacts.drop_connection(&app.id, ordinal, &connection).await?;
        self.connections.delete(&connection).await?;
        Ok(true)
    }
}

/// The moment by which a device was gone. A vendor's clock may be ahead, or its word be anything: whoever registered after
/// the push was sent is there.
fn died_by(since: Option<Timestamp>, sent_at: Timestamp) -> Timestamp {
    since.map_or(sent_at, |since| since.min(sent_at))
}

#[cfg(test)]
mod tests {
    use fanfare::domain::{AppId, Audience, DeviceFilter, DeviceToken, Message, PushId, Seq, Shard, Wording};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const DEAD: Outcome = Outcome::InvalidToken { since: None, doubtful: false };

    fn push(lifetime_secs: u32) -> Push {
        Push {
            id: PushId::from_u128(1),
            app: AppId::try_from("app").unwrap(),
            seq: Some(Seq(1)),
            accepted_at: NOW,
            audience: Audience::Everyone,
            devices: DeviceFilter::default(),
            population: 10,
            message: Some(Message {
                sender: "admin".to_owned(),
                body: serde_json::json!([]),
                notification: None,
                kept: true,
                recallable: false,
            }),
            lifetime_secs,
            notification: None,
            task_id: "task".to_owned(),
            revokes: None,
            data_id: None,
        }
    }

    fn task(channel: Channel, tries: u8, lows: &[u16]) -> DeliverTask {
        DeliverTask {
            push: PushId::from_u128(1),
            shard: Shard(0),
            channel,
            slice: "0".to_owned(),
            attempt: tries,
            tries,
            held: false,
            not_before: None,
            reached: vec![],
            packages: vec![],
            to: lows.iter().map(|low| Destination(*low, DeviceToken::new("t"), None, Wording::default())).collect(),
        }
    }

    #[test]
    fn who_registered_after_the_push_was_sent_is_not_gone_whatever_a_vendor_says() {
        let before = NOW.plus_secs(-7);
        for (since, expected) in [
            (None, NOW),
            (Some(before), before),
            (Some(NOW.plus_secs(7)), NOW),
            (Some(Timestamp::from_millis(i64::MAX)), NOW),
        ] {
            assert_eq!(died_by(since, NOW), expected, "{since:?}");
        }
    }

    #[test]
    fn every_device_is_settled_or_tried_again() {
        let outcomes =
            [Outcome::Delivered, DEAD, Outcome::Suspended, Outcome::Permanent, Outcome::Transient(None), Outcome::Auth];
        let done = settle(&task(Channel::Fcm, 0, &[0, 1, 2, 3, 4, 5]), &push(3_600), &outcomes, NOW);
        assert_eq!(done.tally, Tally { delivered: 1, invalid: 1, suppressed: 1, failed: 1, expired: 0 });
        assert_eq!(done.retry, [4, 5]);
        assert_eq!(done.tally.total() as usize + done.retry.len(), outcomes.len());
        assert_eq!(done.readdress, [] as [u16; 0], "only connections make users offline");
    }

    #[test]
    fn who_was_not_sent_to_goes_again_without_having_been_tried() {
        let last = DeliverTask { attempt: 9, ..task(Channel::Fcm, limits::ATTEMPTS - 1, &[0, 1]) };
        let done = settle(&last, &push(3_600), &[Outcome::Delivered, Outcome::Unsent], NOW);
        assert_eq!((done.retry.as_slice(), done.is_try, done.not_before), (&[1][..], false, None));
        // Beside one that was tried it waits as long as that.
        let both = task(Channel::Fcm, 1, &[0, 1]);
        let done = settle(&both, &push(3_600), &[Outcome::Transient(None), Outcome::Unsent], NOW);
        assert_eq!((done.retry.as_slice(), done.is_try, done.not_before), (&[0, 1][..], true, Some(NOW.plus_secs(8))));
        // Also when there is no other try for that one; and it has all of its own before it.
        let last = task(Channel::Fcm, limits::ATTEMPTS - 1, &[0, 1]);
        let done = settle(&last, &push(3_600), &[Outcome::Transient(None), Outcome::Unsent], NOW);
        assert_eq!((done.tally.failed, done.retry.as_slice(), done.is_try), (1, &[1][..], false));
        assert_eq!(done.not_before, Some(NOW.plus_secs(900)));
        // One failure among others' deliveries is no reason to wait.
        let last = task(Channel::Fcm, limits::ATTEMPTS - 1, &[0, 1, 2]);
        let outcomes = [Outcome::Transient(None), Outcome::Delivered, Outcome::Unsent];
        let done = settle(&last, &push(3_600), &outcomes, NOW);
        assert_eq!((done.tally.failed, done.retry.as_slice(), done.not_before), (1, &[2][..], None));
        // No ledger has names for more parts of a slice.
        let end = DeliverTask { attempt: u8::MAX, ..task(Channel::Fcm, 0, &[0, 1]) };
        let done = settle(&end, &push(3_600), &[Outcome::Unsent, Outcome::Transient(None)], NOW);
        assert_eq!((done.tally.failed, done.retry.len()), (2, 0));
    }

    #[test]
    fn what_one_device_has_to_wait_is_not_the_end_of_another() {
        let outcomes =
            [Outcome::Throttled(Some(Duration::from_secs(3_600))), Outcome::Unsent, Outcome::Transient(None)];
        let done = settle(&task(Channel::Webpush, 0, &[0, 1, 2]), &push(600), &outcomes, NOW);
        assert_eq!((done.tally.expired, done.retry.as_slice()), (1, &[1, 2][..]));
        assert_eq!(done.not_before, Some(NOW.plus_secs(2)));
    }

    #[test]
    fn a_vendor_for_whom_the_app_is_too_fast_has_not_tried_the_devices() {
        let fast = [Outcome::Throttled(None), Outcome::Unsent];
        let done = settle(&task(Channel::Huawei, limits::ATTEMPTS - 1, &[0, 1]), &push(86_400), &fast, NOW);
        assert_eq!((done.is_try, done.retry.as_slice()), (false, &[0, 1][..]));
        let done = settle(&task(Channel::Apns, limits::ATTEMPTS - 1, &[0, 1]), &push(86_400), &fast, NOW);
        // Whoever goes again was not tried.
        assert_eq!((done.is_try, done.retry.as_slice(), done.tally.failed), (false, &[1][..], 1));
    }

    #[test]
    fn a_device_that_has_had_enough_today_waits_for_tomorrow_if_the_push_lives_as_long() {
        let (outcomes, task) =
            ([Outcome::Delivered, Outcome::DeviceQuotaUntilTomorrow], task(Channel::Meizu, 0, &[0, 1]));
        let done = settle(&task, &push(86_400), &outcomes, NOW);
        assert_eq!((done.retry.as_slice(), done.not_before, done.is_try), (&[1][..], Some(tomorrow(NOW)), false));
        let done = settle(&task, &push(600), &outcomes, NOW);
        assert_eq!((done.tally.delivered, done.tally.expired, done.retry.len()), (1, 1, 0));
    }

    #[test]
    fn the_last_attempt_fails_and_one_past_the_lifetime_expires() {
        let outcomes = [Outcome::Transient(None)];
        let last = settle(&task(Channel::Fcm, limits::ATTEMPTS - 1, &[0]), &push(3_600), &outcomes, NOW);
        assert_eq!((last.tally.failed, last.retry.len()), (1, 0));
        let late = settle(&task(Channel::Fcm, 0, &[0]), &push(60), &outcomes, NOW.plus_secs(59));
        assert_eq!((late.tally.expired, late.retry.len()), (1, 0));
    }

    #[test]
    fn retries_wait_longer_each_time_and_as_long_as_the_vendor_says() {
        let wait = |tries, outcome| {
            next_try(&task(Channel::Fcm, tries, &[0]), &outcome, NOW).unwrap().millis_since(NOW) / 1_000
        };
        let waits: Vec<i64> = (0..6).map(|tries| wait(tries, Outcome::Config)).collect();
        assert_eq!(waits, [2, 8, 32, 128, 512, 900]);
        assert_eq!(wait(0, Outcome::Throttled(Some(Duration::from_secs(60)))), 60);
        assert_eq!(wait(0, Outcome::Transient(Some(Duration::from_secs(999_999)))), 3_600);
        assert_eq!(next_try(&task(Channel::Fcm, 0, &[0]), &Outcome::Unsent, NOW), None);
    }

    #[test]
    fn a_user_is_offline_once_all_its_connections_are_gone() {
        let task = task(Channel::Ws, 0, &[1, 1, 2, 2, 3]);
        let outcomes = [DEAD, DEAD, DEAD, Outcome::Delivered, DEAD];
        assert_eq!(settle(&task, &push(60), &outcomes, NOW).readdress, [1, 3]);
    }

    #[test]
    fn a_user_reached_on_one_connection_is_not_offline_when_the_other_is_found_gone_later() {
        let first = task(Channel::Ws, 0, &[1, 1, 2]);
        let outcomes = [Outcome::Delivered, Outcome::Transient(None), Outcome::Transient(None)];
        let done = settle(&first, &push(60), &outcomes, NOW);
        assert_eq!((done.retry.as_slice(), done.reached.as_slice()), (&[1, 2][..], &[1][..]));
        let second = DeliverTask { reached: done.reached, ..task(Channel::Ws, 1, &[1, 2]) };
        assert_eq!(settle(&second, &push(60), &[DEAD, DEAD], NOW).readdress, [2]);
    }
}
