//! How often commands are called: one counter for each command of an app and each second, minute, hour or day.
//!
//! What a call costs is one write unit for each time that it is counted over. An hour and a day are counted in one
//! transaction, for two units each: what the hour refuses must not be taken from the day, which goes on. Seconds and
//! minutes come before them, one by one: a hundred calls at once would be a hundred transactions at one item of the day,
//! most of which lose. So a call that a longer time refuses has counted in its second, which does no harm: it is over
//! before the longer one is. A command that is not limited costs nothing, nor does one that may never be called.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};

use crate::domain::{AppId, Per, Rate, Timestamp};

use super::error::{conflicted, transaction_lost, unless_refused};
use super::item::{Item, backoff, n};
use super::{StoreError, keys};

/// How long a counter stays after its time: any time, for nobody looks at it again. A minute suits clocks that differ.
const KEPT_SECS: i64 = 60;
/// How often a lost race is run again: for some seconds in all.
const ROUNDS: u32 = 12;

/// A call that asks to be counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// The app.
    pub app: &'a AppId,
    /// Its command. Calls of one command are counted together.
    pub command: &'a str,
    /// As how many it counts.
    pub weight: u32,
    /// How many may come, each in another time, the shortest first. None: as many as like.
    pub rates: &'a [Rate],
    /// Where the app's days begin: minutes east of UTC.
    pub utc_offset_minutes: i32,
}

/// Counts calls.
#[derive(Clone)]
pub struct CallStore {
    client: Client,
    table: String,
}

impl CallStore {
    /// Over the table of the audience.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Counts a call, if that makes no more than any of its rates allows; otherwise says which it would exceed: a second
    /// or a minute, or else of an hour and a day the longer. What one of these refuses has counted in neither.
    ///
    /// However many come at once, exactly as many pass as may. (If an answer is lost on the way, a call of one rate may
    /// count twice. More than the limit never pass.)
    pub async fn count(&self, call: Counted<'_>, now: Timestamp) -> Result<Result<(), Rate>, StoreError> {
        if let Some(never) = call.rates.iter().rev().find(|rate| rate.times < call.weight) {
            return Ok(Err(*never));
        }
        let (short, long) = call.rates.split_at(call.rates.partition_point(|rate| is_short(*rate)));
        for rate in short {
            if let Err(full) = self.count_one(call, *rate, now).await? {
                return Ok(Err(full));
            }
        }
        match long {
            [] => Ok(Ok(())),
            [rate] => self.count_one(call, *rate, now).await,
            rates => self.count_all(call, rates, now).await,
        }
    }

    /// Takes back what a call was counted as at `now`: it is to be as if it had not come. Of the hour and the day only,
    /// for a second or a minute is over before it comes again.
    ///
    /// Once, whatever is lost on the way: a transaction that is sent again is known.
    pub async fn give_back(&self, call: Counted<'_>, now: Timestamp) -> Result<(), StoreError> {
        let long = call.rates.iter().filter(|rate| !is_short(**rate));
        let steps: Vec<_> = long.map(|rate| Step::back(call, *rate, now)).collect();
        if steps.is_empty() {
            return Ok(());
        }
        // Of what is refused there is nothing to take back.
        self.write_all(&steps).await.map(drop)
    }

    async fn count_one(&self, call: Counted<'_>, rate: Rate, now: Timestamp) -> Result<Result<(), Rate>, StoreError> {
        for round in 0..ROUNDS {
            let step = Step::of(call, rate, now);
            let update = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(step.key))
                .update_expression(step.update)
                .condition_expression(step.condition)
                .set_expression_attribute_values(Some(step.values));
            match update.send().await {
                // Something is being given back.
                Err(error) if conflicted(&error) => backoff(round).await,
                answer => return Ok(unless_refused(answer)?.map(drop).ok_or(rate)),
            }
        }
        Err(StoreError::Contended(ROUNDS))
    }

    async fn count_all(
        &self,
        call: Counted<'_>,
        rates: &[Rate],
        now: Timestamp,
    ) -> Result<Result<(), Rate>, StoreError> {
        let steps: Vec<_> = rates.iter().map(|rate| Step::of(call, *rate, now)).collect();
        Ok(self.write_all(&steps).await?.map_or(Ok(()), |refused| Err(rates[refused])))
    }

    /// Takes all steps or none, in one transaction. If none, says which was refused: the last of them.
    async fn write_all(&self, steps: &[Step]) -> Result<Option<usize>, StoreError> {
        for round in 0..ROUNDS {
            let writes = steps.iter().map(|step| self.write(step.clone())).collect::<Result<Vec<_>, _>>()?;
            let error = match self.client.transact_write_items().set_transact_items(Some(writes)).send().await {
                Ok(_) => return Ok(None),
                Err(error) => error,
            };
            if let Some(refused) = last_refused(&error) {
                return Ok(Some(refused));
            }
            if !transaction_lost(&error) {
                return Err(error.into());
            }
            backoff(round).await;
        }
        Err(StoreError::Contended(ROUNDS))
    }

    fn write(&self, step: Step) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(step.key))
            .update_expression(step.update)
            .condition_expression(step.condition)
            .set_expression_attribute_values(Some(step.values));
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }
}

/// Whether a time is over soon enough that nobody waits for it.
fn is_short(rate: Rate) -> bool {
    rate.per <= Per::Minute
}

/// The counter of one rate, and what is done to it.
#[derive(Clone)]
struct Step {
    key: Item,
    update: &'static str,
    condition: &'static str,
    values: Item,
}

impl Step {
    fn of(call: Counted<'_>, rate: Rate, now: Timestamp) -> Self {
        let window = rate.per.window(now, call.utc_offset_minutes);
        let value = |name: &str, value: AttributeValue| (name.to_owned(), value);
        let values = Item::from([
            value(":end", n(window.end_secs + KEPT_SECS)),
            value(":weight", n(call.weight)),
            value(":room", n(rate.times.saturating_sub(call.weight))),
        ]);
        Self {
            key: keys::calls(call.app, call.command, rate.per, window.start_secs).item(),
            update: "SET expires_at = :end ADD n :weight",
            condition: "attribute_not_exists(n) OR n <= :room",
            values,
        }
    }

    /// What makes it undone.
    fn back(call: Counted<'_>, rate: Rate, now: Timestamp) -> Self {
        let window = rate.per.window(now, call.utc_offset_minutes);
        Self {
            key: keys::calls(call.app, call.command, rate.per, window.start_secs).item(),
            update: "SET n = n - :weight",
            condition: "n >= :weight",
            values: Item::from([(":weight".to_owned(), n(call.weight))]),
        }
    }
}

/// Which of a transaction's writes was refused because its condition did not hold: the last of them.
fn last_refused<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<usize> {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        return None;
    };
    cancelled.cancellation_reasons().iter().rposition(|reason| reason.code() == Some("ConditionalCheckFailed"))
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;

    use crate::domain::Per;

    use super::*;

    #[test]
    fn a_call_takes_what_it_weighs_from_each_of_its_windows() {
        let app = AppId::try_from("a").unwrap();
        let now = Timestamp::from_secs(1_700_000_000);
        let step = |times, per, weight| {
            let call = Counted { app: &app, command: "/c", weight, rates: &[], utc_offset_minutes: 480 };
            Step::of(call, Rate { times, per }, now)
        };
        for (per, pk, end) in [
            (Per::Second, "a#r#/c#s001700000000", 1_700_000_061),
            (Per::Minute, "a#r#/c#m001699999980", 1_700_000_100),
            (Per::Hour, "a#r#/c#h001699999200", 1_700_002_860),
            (Per::Day, "a#r#/c#d001699977600", 1_700_064_060),
        ] {
            let step = step(100, per, 30);
            assert_eq!(step.key["pk"].as_s().map(String::as_str), Ok(pk));
            assert_eq!((&step.values[":end"], &step.values[":weight"]), (&n(end), &n(30)));
            assert_eq!(step.values[":room"], n(70));
        }
        assert_eq!(step(1, Per::Day, 1).values[":room"], n(0));
    }

    #[test]
    fn the_longest_time_that_is_full_is_told() {
        let refused = |codes: &[&str]| {
            let reasons = codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect();
            let error = TransactionCanceledException::builder().set_cancellation_reasons(Some(reasons)).build();
            let error = TransactWriteItemsError::TransactionCanceledException(error);
            last_refused(&SdkError::service_error(error, ()))
        };
        assert_eq!(refused(&["ConditionalCheckFailed", "None"]), Some(0));
        assert_eq!(refused(&["ConditionalCheckFailed", "ConditionalCheckFailed"]), Some(1));
        assert_eq!(refused(&["TransactionConflict", "ConditionalCheckFailed"]), Some(1));
        assert_eq!(refused(&["TransactionConflict", "None"]), None);
    }
}
