//! The pace of what has a rate, a channel or an app's webhook: when its next unit may go, agreed by all workers in one
//! item.
//!
//! GCRA: the item holds the theoretical arrival time, the moment at which all that is reserved will have gone.
//! A reservation moves it on by what it takes, from now or from where it stands, whichever is later.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValue;

use crate::domain::{AppId, Channel, Timestamp};

use super::error::unless_refused;
use super::item::{backoff, n, number};
use super::{StoreError, keys};

const ROUNDS: u32 = 20;

/// A stretch of time in which a number of units may go, evenly spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// When the first may go.
    pub start: Timestamp,
    /// When the first of whoever comes next may go.
    pub end: Timestamp,
}

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

    /// Reserves `units` of a rate of `per_second` units. The slot may lie in the future.
    /// `scope` is the app whose rate it is, or `None` for what all apps share.
    pub async fn reserve(
        &self,
        scope: Option<&AppId>,
        paced: impl Into<Paced>,
        units: u32,
        per_second: u32,
        now: Timestamp,
    ) -> Result<Slot, StoreError> {
        let paced = paced.into();
        let micros = Micros::of(units, per_second);
        let now = Micros(now.millis().saturating_mul(1_000));
        for round in 0..ROUNDS {
            // Most often others have reserved beyond now, or no one has for a while: one write either way,
            // and a second only when the guess was wrong.
            if let Some(end) = self.append(scope, paced, micros, now).await? {
                return Ok(slot(end, micros));
            }
            if let Some(end) = self.restart(scope, paced, micros, now).await? {
                return Ok(slot(end, micros));
            }
            backoff(round.min(3)).await;
        }
        Err(StoreError::Contended(ROUNDS))
    }

    /// Keeps everyone from a channel until a moment: the vendor said so.
    pub async fn push_back(
        &self,
        scope: Option<&AppId>,
        paced: impl Into<Paced>,
        wait: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let paced = paced.into();
        let until =
            now.millis().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)).saturating_mul(1_000);
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::pace(scope, paced).item()))
            .update_expression("SET t = :until")
            .condition_expression("attribute_not_exists(t) OR t < :until")
            .expression_attribute_values(":until", n(until));
        unless_refused(update.send().await).map(drop)
    }

    /// Forgets what is reserved: the next unit may go at once. Whoever holds a slot that is to come keeps it, so for a while
    /// more may go than the rate.
    pub async fn reset(&self, scope: Option<&AppId>, paced: impl Into<Paced>) -> Result<(), StoreError> {
        let key = keys::pace(scope, paced.into()).item();
        self.client.delete_item().table_name(&self.table).set_key(Some(key)).send().await?;
        Ok(())
    }

    async fn append(
        &self,
        scope: Option<&AppId>,
        paced: Paced,
        Micros(cost): Micros,
        Micros(now): Micros,
    ) -> Result<Option<Micros>, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::pace(scope, paced).item()))
            .update_expression("SET t = t + :cost")
            .condition_expression("t >= :now")
            .expression_attribute_values(":cost", n(cost))
            .expression_attribute_values(":now", n(now))
            .return_values(ReturnValue::UpdatedNew);
        let answer = unless_refused(update.send().await)?;
        Ok(answer.and_then(|answer| number(answer.attributes.as_ref()?, "t")).map(Micros))
    }

    async fn restart(
        &self,
        scope: Option<&AppId>,
        paced: Paced,
        Micros(cost): Micros,
        Micros(now): Micros,
    ) -> Result<Option<Micros>, StoreError> {
        let end = now.saturating_add(cost);
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::pace(scope, paced).item()))
            .update_expression("SET t = :end")
            .condition_expression("attribute_not_exists(t) OR t < :now")
            .expression_attribute_values(":end", n(end))
            .expression_attribute_values(":now", n(now));
        Ok(unless_refused(update.send().await)?.map(|_| Micros(end)))
    }
}

#[derive(Debug, Clone, Copy)]
struct Micros(i64);

impl Micros {
    fn of(units: u32, per_second: u32) -> Self {
        // Rounded up, so that many reservations do not add up to more than the rate.
        let cost = (u64::from(units) * 1_000_000).div_ceil(u64::from(per_second.max(1)));
        Self(i64::try_from(cost).unwrap_or(i64::MAX))
    }
}

/// Rounded so that it never begins early.
fn slot(Micros(end): Micros, Micros(cost): Micros) -> Slot {
    let up = |micros: i64| Timestamp::from_millis(micros.div_euclid(1_000) + i64::from(micros.rem_euclid(1_000) > 0));
    Slot { start: up(end - cost), end: up(end) }
}
