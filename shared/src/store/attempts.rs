//! Failed attempts to prove who one is, and the lock-out that follows from too many.
//!
//! One item for each that fails. Only failures write, and each is one atomic step, so that of simultaneous ones none is
//! lost and none is counted beyond the limit.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;

use crate::domain::{AppId, Timestamp};

use super::error::unless_refused;
use super::item::{self, Item, n, number};
use super::{StoreError, keys};

/// How long failures are added up, from the first one on, and how long a lock-out lasts, from the last one on: a minute
/// (Tencent, error 70050: "wait one minute").
const MINUTE_MILLIS: i64 = 60_000;

/// Who tries: what is locked out together.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The app.
    pub app: &'a AppId,
    /// Whoever the caller says it is, unproven: any text.
    pub claimed: &'a str,
    /// Where the call came from. Holds no `#`.
    pub origin: &'a str,
    /// How many failures within a minute lock out. 0 is taken for 1: nobody is locked out who has not failed.
    pub limit: u32,
}

/// What is known of a caller before its proof is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Whether it is locked out.
    pub is_locked: bool,
    /// Whether there are failures to add to.
    is_counted: bool,
}

/// Counts failed attempts.
#[derive(Clone)]
pub struct AttemptStore {
    client: Client,
    table: String,
}

impl AttemptStore {
    /// Over the table of the audience.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// What is known of a caller now, strongly consistent.
    pub async fn look(&self, attempt: Attempt<'_>, now: Timestamp) -> Result<Record, StoreError> {
        let key = keys::attempts(attempt.app, attempt.claimed, attempt.origin);
        let item = item::get(&self.client, &self.table, &key).await?;
        let is_locked = item.as_ref().is_some_and(|item| is_locked(item, attempt, now));
        let is_counted = item.and_then(|item| number(&item, "s")).is_some_and(|since| is_within_a_minute(since, now));
        Ok(Record { is_locked, is_counted })
    }

    /// Counts a failure of a caller of whom `before` was known. Says whether it still counted: the one after the last that
    /// is allowed finds the caller locked out.
    pub async fn fail(&self, attempt: Attempt<'_>, before: Record, now: Timestamp) -> Result<bool, StoreError> {
        // One write, if nobody else fails in the same moment. Otherwise the others are tried: if it is neither the
        // minute's first nor one of those that are allowed after it, the caller is locked out.
        if before.is_counted && self.add(attempt, now).await? {
            return Ok(true);
        }
        Ok(self.begin(attempt, now).await? || self.add(attempt, now).await?)
    }

    async fn add(&self, attempt: Attempt<'_>, now: Timestamp) -> Result<bool, StoreError> {
        let update = self
            .update(attempt, now)
            .update_expression("SET u = :until, expires_at = :end ADD n :one")
            .condition_expression("s > :ago AND n < :limit")
            .expression_attribute_values(":one", n(1));
        done(update).await
    }

    async fn begin(&self, attempt: Attempt<'_>, now: Timestamp) -> Result<bool, StoreError> {
        let update = self
            .update(attempt, now)
            .update_expression("SET n = :one, s = :now, u = :until, expires_at = :end")
            .condition_expression("attribute_not_exists(n) OR u <= :now OR (s <= :ago AND n < :limit)")
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":now", n(now.millis()));
        done(update).await
    }

    fn update(&self, attempt: Attempt<'_>, now: Timestamp) -> UpdateItemFluentBuilder {
        let until = now.plus_millis(MINUTE_MILLIS);
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::attempts(attempt.app, attempt.claimed, attempt.origin).item()))
            .expression_attribute_values(":ago", n(now.plus_millis(-MINUTE_MILLIS).millis()))
            .expression_attribute_values(":limit", n(attempt.limit.max(1)))
            .expression_attribute_values(":until", n(until.millis()))
            .expression_attribute_values(":end", n(until.secs() + 1))
    }
}

async fn done(update: UpdateItemFluentBuilder) -> Result<bool, StoreError> {
    Ok(unless_refused(update.send().await)?.is_some())
}

fn is_within_a_minute(since_millis: i64, now: Timestamp) -> bool {
    since_millis > now.plus_millis(-MINUTE_MILLIS).millis()
}

fn is_locked(item: &Item, attempt: Attempt<'_>, now: Timestamp) -> bool {
    let failures: u32 = number(item, "n").unwrap_or_default();
    let until = number(item, "u").map_or(now, Timestamp::from_millis);
    failures >= attempt.limit.max(1) && now < until
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_failures_as_the_limit_lock_out_for_a_minute() {
        let app = AppId::try_from("a").unwrap();
        let last = Timestamp::from_secs(1_000);
        let item = |failures: u32| {
            Item::from([("n".to_owned(), n(failures)), ("u".to_owned(), n(last.millis() + MINUTE_MILLIS))])
        };
        let locked = |failures, limit, now| {
            is_locked(&item(failures), Attempt { app: &app, claimed: "admin", origin: "192.0.2.1", limit }, now)
        };
        assert!(!locked(19, 20, last) && locked(20, 20, last));
        assert!(locked(20, 20, last.plus_millis(59_999)) && !locked(20, 20, last.plus_millis(60_000)));
        assert!(locked(1, 0, last), "the first failure is the least that locks out");
    }
}
