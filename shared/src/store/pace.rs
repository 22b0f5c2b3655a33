//! The pace of what has a rate, a channel or an app's webhook: when its next unit may go, agreed by all workers in one
//! item.
//!
//! GCRA: the item holds the theoretical arrival time, the moment at which all that is reserved will have gone.
//! A reservation moves it on by what it takes, from now or from where it stands, whichever is later.
//!
//! A channel has two such times. By the one, batches are [planned](PaceStore::plan) when they are enqueued, so that they come
//! out of their queue one after the other; queues are not punctual, so a plan is no right to anything. By the other, a batch
//! that is at hand [takes](PaceStore::take) the next slot, a moment before it is sent: nothing is held for one that is
//! late, and whatever slows the channel down slows everyone down at once.
//!
//! Where a pace [ramps](Pace::ramp_secs), the item also holds when the ramp began: a pace that rested for longer than its
//! ramp begins a new one, on which the units that have gone grow with the square of the time.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use crate::domain::{AppId, Channel, Pace, Slot, Timestamp};

use super::StoreError;
use super::error::{condition_failed, unless_refused};
use super::item::{self, backoff, n, number};
use super::keys::{self, Key};

const ROUNDS: u32 = 20;

/// What has a rate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paced {
    /// Sending through a channel.
    Channel(Channel),
    /// Calling an app's own server.
    Webhook,
}

impl Paced {
    /// Its name in keys. No channel is called `webhook`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Channel(channel) => channel.name(),
            Self::Webhook => "webhook",
        }
    }
}

impl From<Channel> for Paced {
    fn from(channel: Channel) -> Self {
        Self::Channel(channel)
    }
}

/// Reserves units of rates.
#[derive(Clone)]
pub struct PaceStore {
    client: Client,
    table: String,
}

impl PaceStore {
    /// Over the table of pushes.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Reserves `units` at a pace. The slot may lie in the future.
    /// `scope` is the app whose pace it is, or `None` for what all apps share.
    pub async fn reserve(
        &self,
        scope: Option<&AppId>,
        paced: impl Into<Paced>,
        units: u32,
        pace: Pace,
        now: Timestamp,
    ) -> Result<Slot, StoreError> {
        self.last(&keys::pace(scope, paced.into()), TAKEN, units, pace, now).await
    }

    /// The same, if it begins before a moment. If it would not, nothing is reserved, and the answer is when it would.
    pub async fn take(
        &self,
        scope: Option<&AppId>,
        paced: impl Into<Paced>,
        units: u32,
        pace: Pace,
        (now, before): (Timestamp, Timestamp),
    ) -> Result<Result<Slot, Timestamp>, StoreError> {
        self.next(&keys::pace(scope, paced.into()), TAKEN, units, pace, (now, Some(before))).await
    }

    /// When so many units should come to [take](Self::take) their slot, after all that was planned before.
    pub async fn plan(
        &self,
        scope: Option<&AppId>,
        paced: impl Into<Paced>,
        units: u32,
        pace: Pace,
        now: Timestamp,
    ) -> Result<Slot, StoreError> {
        self.last(&keys::pace(scope, paced.into()), PLANNED, units, pace, now).await
    }

    /// Keeps everyone from a channel until a moment: the vendor said so.
    pub async fn push_back(
        &self,
        scope: Option<&AppId>,
        paced: impl Into<Paced>,
        wait: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = keys::pace(scope, paced.into());
        let until = micros(now.plus(wait));
        for line in [TAKEN, PLANNED] {
            let update = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key.item()))
                .update_expression("SET #t = :until")
                .condition_expression("attribute_not_exists(#t) OR #t < :until")
                .expression_attribute_names("#t", line.arrival)
                .expression_attribute_values(":until", n(until));
            unless_refused(update.send().await)?;
        }
        Ok(())
    }

    /// Forgets what is reserved: the next unit may go at once. Whoever holds a slot that is to come keeps it, so for a while
    /// more may go than the rate.
    pub async fn reset(&self, scope: Option<&AppId>, paced: impl Into<Paced>) -> Result<(), StoreError> {
        let key = keys::pace(scope, paced.into()).item();
        self.client.delete_item().table_name(&self.table).set_key(Some(key)).send().await?;
        Ok(())
    }

    /// The next slot, however far off it is.
    async fn last(&self, key: &Key, line: Line, units: u32, pace: Pace, now: Timestamp) -> Result<Slot, StoreError> {
        // No slot is too far without a limit.
        self.next(key, line, units, pace, (now, None)).await?.map_err(|_| StoreError::Contended(ROUNDS))
    }

    /// The next slot, or when it would begin if that is too far off.
    async fn next(
        &self,
        key: &Key,
        line: Line,
        units: u32,
        pace: Pace,
        (now, before): (Timestamp, Option<Timestamp>),
    ) -> Result<Result<Slot, Timestamp>, StoreError> {
        let (now, before) = (micros(now), before.map_or(i64::MAX, micros));
        let cost = i64::try_from(pace.time_of(units).as_micros()).unwrap_or(i64::MAX);
        for round in 0..ROUNDS {
            // Most often others have reserved beyond now, or no one has for a while: one write either way,
            // and a second only when the guess was wrong.
            match self.append(key, line, cost, pace, (now, before)).await? {
                Appended::Until(end) => return Ok(Ok(slot(end - cost, end))),
                Appended::TooFar(start) => return Ok(Err(slot(start, start).start)),
                Appended::Not => {}
            }
            let reserved = match pace.ramp_secs {
                0 => self.restart(key, line, cost, now).await?,
                _ => self.climb(key, line, units, pace, (now, before)).await?,
            };
            match reserved {
                Reserved::Slot(start, end) => return Ok(Ok(slot(start, end))),
                Reserved::TooFar(start) => return Ok(Err(slot(start, start).start)),
                Reserved::Lost => backoff(round.min(3)).await,
            }
        }
        Err(StoreError::Contended(ROUNDS))
    }

    /// Reserves behind what is reserved, at full pace.
    async fn append(
        &self,
        key: &Key,
        line: Line,
        cost: i64,
        pace: Pace,
        (now, before): (i64, i64),
    ) -> Result<Appended, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression("SET #t = #t + :cost")
            .expression_attribute_names("#t", line.arrival)
            .expression_attribute_values(":cost", n(cost))
            .expression_attribute_values(":now", n(now))
            .expression_attribute_values(":before", n(before))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = match pace.ramp_secs {
            0 => update.condition_expression("#t BETWEEN :now AND :before"),
            _ => update
                .condition_expression("#t BETWEEN :now AND :before AND #s <= :climbed")
                .expression_attribute_names("#s", line.foot)
                .expression_attribute_values(":climbed", n(now - ramp(pace))),
        };
        match update.send().await {
            Ok(answer) => {
                let end = answer.attributes.as_ref().and_then(|item| number(item, line.arrival));
                Ok(end.map_or(Appended::Not, Appended::Until))
            }
            Err(error) if condition_failed(&error) => {
                let old = match error.into_service_error() {
                    UpdateItemError::ConditionalCheckFailedException(failed) => failed.item,
                    _ => None,
                };
                let arrival = old.as_ref().and_then(|item| number::<i64>(item, line.arrival));
                Ok(arrival.filter(|arrival| *arrival > before).map_or(Appended::Not, Appended::TooFar))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn restart(&self, key: &Key, line: Line, cost: i64, now: i64) -> Result<Reserved, StoreError> {
        let end = now.saturating_add(cost);
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression("SET #t = :end")
            .condition_expression("attribute_not_exists(#t) OR #t < :now")
            .expression_attribute_names("#t", line.arrival)
            .expression_attribute_values(":end", n(end))
            .expression_attribute_values(":now", n(now));
        Ok(unless_refused(update.send().await)?.map_or(Reserved::Lost, |_| Reserved::Slot(now, end)))
    }

    /// Reserves on a ramp, which takes a read.
    async fn climb(
        &self,
        key: &Key,
        line: Line,
        units: u32,
        pace: Pace,
        (now, before): (i64, i64),
    ) -> Result<Reserved, StoreError> {
        let item = item::get(&self.client, &self.table, key).await?.unwrap_or_default();
        let seen: Option<i64> = number(&item, line.arrival);
        let start = seen.unwrap_or(now).max(now);
        if start > before {
            return Ok(Reserved::TooFar(start));
        }
        let foot = number(&item, line.foot);
        if let (Some(seen), Some(foot)) = (seen, foot)
            && seen >= now
        {
            // Whoever came between has moved it on, to where the pace is higher: the cost is no less than it has to be, and
            // nobody has to be the first.
            let cost = foot + climbed(seen - foot, units, pace) - seen;
            return self.follow(key, line, cost, (seen, foot)).await;
        }
        let foot = match (seen, foot) {
            (Some(seen), Some(foot)) => foot_after_idling(foot, seen, start, pace),
            _ => start,
        };
        let end = foot + climbed(start - foot, units, pace);
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression("SET #t = :end, #s = :foot")
            .expression_attribute_names("#t", line.arrival)
            .expression_attribute_names("#s", line.foot)
            .expression_attribute_values(":end", n(end))
            .expression_attribute_values(":foot", n(foot));
        let update = match seen {
            Some(seen) => update.condition_expression("#t = :seen").expression_attribute_values(":seen", n(seen)),
            None => update.condition_expression("attribute_not_exists(#t)"),
        };
        Ok(unless_refused(update.send().await)?.map_or(Reserved::Lost, |_| Reserved::Slot(start, end)))
    }

    /// Reserves behind those who are on the same ramp.
    async fn follow(&self, key: &Key, line: Line, cost: i64, (seen, foot): (i64, i64)) -> Result<Reserved, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression("SET #t = #t + :cost")
            .condition_expression("#t >= :seen AND #s = :foot")
            .expression_attribute_names("#t", line.arrival)
            .expression_attribute_names("#s", line.foot)
            .expression_attribute_values(":cost", n(cost))
            .expression_attribute_values(":seen", n(seen))
            .expression_attribute_values(":foot", n(foot))
            .return_values(ReturnValue::UpdatedNew);
        let answer = unless_refused(update.send().await)?;
        let end = answer.and_then(|answer| number(answer.attributes.as_ref()?, line.arrival));
        Ok(end.map_or(Reserved::Lost, |end| Reserved::Slot(end - cost, end)))
    }
}

/// The attributes of one of the times that an item holds, in microseconds: the theoretical arrival, and the foot of its ramp.
#[derive(Debug, Clone, Copy)]
struct Line {
    arrival: &'static str,
    foot: &'static str,
}

const TAKEN: Line = Line { arrival: "t", foot: "s" };
const PLANNED: Line = Line { arrival: "p", foot: "q" };

enum Appended {
    /// Behind the others, up to this moment.
    Until(i64),
    /// The others reach too far: up to this moment.
    TooFar(i64),
    /// There are no others, or the pace is still growing.
    Not,
}

enum Reserved {
    /// From when, up to when.
    Slot(i64, i64),
    /// It would begin at this moment.
    TooFar(i64),
    /// Somebody was faster.
    Lost,
}

fn micros(time: Timestamp) -> i64 {
    time.millis().saturating_mul(1_000)
}

/// How long a ramp is, in microseconds.
fn ramp(pace: Pace) -> i64 {
    i64::from(pace.ramp_secs) * 1_000_000
}

/// How long after the foot of a ramp so many units are over that begin `from` after it, in microseconds. Until the ramp's
/// end the pace grows evenly from nothing; behind it, it is the full one.
fn climbed(from: i64, units: u32, pace: Pace) -> i64 {
    let (from, ramp, full) = (from as f64, ramp(pace) as f64, pace.time_of(units).as_micros() as f64);
    // In units of time at full pace: what the ramp up to a moment is worth is the square of it over twice the ramp.
    let worth = |at: f64| if at < ramp { at * at / (2.0 * ramp) } else { at - ramp / 2.0 };
    let end = worth(from) + full;
    let end = if end < ramp / 2.0 { (2.0 * ramp * end).sqrt() } else { end + ramp / 2.0 };
    end.ceil() as i64
}

/// Where a ramp begins that began at `foot` and was climbed up to `seen`, when it is gone on with at `start`: idleness is no
/// climbing, and takes back as much of it as it is long.
fn foot_after_idling(foot: i64, seen: i64, start: i64, pace: Pace) -> i64 {
    let idle = start - seen;
    if idle > 0 { (foot.max(seen - ramp(pace)) + 2 * idle).min(start) } else { foot }
}

/// Rounded so that it never begins early.
fn slot(start: i64, end: i64) -> Slot {
    let up = |micros: i64| Timestamp::from_millis(micros.div_euclid(1_000) + i64::from(micros.rem_euclid(1_000) > 0));
    Slot { start: up(start), end: up(end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOGLE: Pace = Pace { units: 10_000, millis: 1_000, ramp_secs: 60 };

    #[test]
    fn a_ramp_begins_at_nothing_and_ends_at_the_full_pace() {
        let secs = |from: i64, units| (climbed(from * 1_000_000, units, GOOGLE) as f64 / 100_000.0).round() / 10.0;
        // A single notification waits for nobody, and takes a tenth of a second from those behind it.
        assert_eq!(secs(0, 1), 0.1);
        // Half of what a minute has at full pace goes in the first.
        assert_eq!(secs(0, 300_000), 60.0);
        assert_eq!(secs(30, 10_000), 31.9);
        assert_eq!(secs(60, 10_000), 61.0);
        assert_eq!(secs(100, 20_000), 102.0);
        assert_eq!(secs(0, 310_000), 61.0);
    }

    #[test]
    fn idleness_takes_back_what_was_climbed() {
        let secs = 1_000_000;
        let climbed = |foot: i64, seen: i64, start: i64| {
            (start - foot_after_idling(foot * secs, seen * secs, start * secs, GOOGLE) / secs).min(60)
        };
        assert_eq!(climbed(0, 1_000, 1_000), 60, "all of it, without a pause");
        assert_eq!(climbed(0, 1_000, 1_010), 50);
        assert_eq!(climbed(0, 1_000, 1_060), 0);
        assert_eq!(climbed(0, 1_000, 9_000), 0);
        assert_eq!(climbed(990, 1_000, 1_004), 6, "and of a part of it");
    }

    #[test]
    fn however_a_ramp_is_climbed_it_is_as_long() {
        for step in [1_u32, 7, 450, 4_500] {
            let (mut at, mut gone) = (0, 0);
            while gone < 90_000 {
                at = climbed(at, step, GOOGLE);
                gone += step;
            }
            let whole = climbed(0, gone, GOOGLE);
            assert!((at - whole).abs() < whole / 100, "{step}: {at} and {whole}");
        }
    }
}
