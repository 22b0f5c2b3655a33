//! The ledger: what came of each batch. A batch has one item and is overwritten, not incremented,
//! so the account stays exact when a batch is delivered twice.

use std::fmt;
use std::str::FromStr;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use serde::{Deserialize, Serialize};

use crate::domain::{Channel, PushId, Shard, Tally, Timestamp, limits};

use super::error::{condition_failed, unless_refused};
use super::item::{self, Item, b, bytes, n, number, s, text};
use super::{Cuts, StoreError, keys};

/// What the slices of users addressed again begin with, before the slice they come from.
const AGAIN: char = 'r';

/// Which batch: one slice of one shard of a push, through one channel, at its n-th attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BatchKey {
    /// The push.
    pub push: PushId,
    /// The shard.
    pub shard: Shard,
    /// The way out.
    pub channel: Channel,
    /// The slice: a number, or what it was addressed again from.
    pub slice: String,
    /// Which try it is, from 0.
    pub attempt: u8,
}

impl BatchKey {
    /// The batch of what is to be tried again, if there is a name left for it.
    pub fn next_attempt(&self) -> Option<Self> {
        Some(Self { attempt: self.attempt.checked_add(1)?, ..self.clone() })
    }

    /// The slice, of the given number, of its users who are addressed again.
    pub fn readdressed_slice(&self, number: usize) -> String {
        format!("{AGAIN}{}.{}.{number}", self.slice, self.attempt)
    }

    /// How often in a row the users of a slice were addressed again.
    pub fn times_readdressed(slice: &str) -> usize {
        slice.chars().filter(|character| *character == AGAIN).count()
    }
}

impl fmt::Display for BatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}#{:02}", self.channel, self.slice, self.attempt)
    }
}

/// What the ledger says of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How many devices it was for.
    pub targets: u32,
    /// Its end, if it came to one.
    pub done: Option<Done>,
}

/// How a batch ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Done {
    /// The devices that are settled.
    pub tally: Tally,
    /// Places in the batch of the devices that go into its next attempt.
    pub retry: Vec<u16>,
    /// When that attempt may go; `None`: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Whether this one counts as a try of theirs: not where they only came too late for their turns.
    #[serde(default)]
    pub is_try: bool,
    /// What went wrong, in a few words, if it was not about one device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complaint: Option<String>,
    /// Ordinals of the users whose last connection was gone: they are addressed again, as offline.
    pub readdress: Vec<u16>,
    /// Places of users in the next attempt who have it on another connection already.
    #[serde(default)]
    pub reached: Vec<u16>,
}

/// Whether a batch may be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// It is ours until the given moment.
    Granted,
    /// Someone else is sending it.
    Held,
    /// It was sent: this is how it ended.
    Done(Done),
}

/// Users addressed again after their connections were found gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Readdressed {
    /// How their batches were cut.
    pub cuts: Cuts,
}

/// Reads and writes the ledger.
#[derive(Clone)]
pub struct LedgerStore {
    client: Client,
    table: String,
}

impl LedgerStore {
    /// Over the table of pushes.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Takes a batch for sending, until `until`, unless it is done or another has it.
    pub async fn lease(
        &self,
        batch: &BatchKey,
        targets: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Lease, StoreError> {
        let mut item = keys::batch(batch.push, batch.shard, &batch.to_string()).item();
        item.extend([
            ("n".to_owned(), n(targets)),
            ("l".to_owned(), n(until.millis())),
            ("expires_at".to_owned(), n(now.secs() + limits::PUSH_RETENTION_SECS)),
        ]);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR (attribute_not_exists(d) AND l < :now)")
            .expression_attribute_values(":now", n(now.millis()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(Lease::Granted),
            Err(error) if condition_failed(&error) => {
                let old = error.into_service_error();
                let old = match &old {
                    aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(failed) => {
                        failed.item()
                    }
                    _ => None,
                };
                Ok(old.map(read).transpose()?.and_then(|record| record.done).map_or(Lease::Held, Lease::Done))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes how a batch ended that is leased until `until`. Says whether the lease still held: if not, another has
    /// taken the batch over, and its end counts.
    pub async fn finish(
        &self,
        batch: &BatchKey,
        targets: u32,
        done: &Done,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let document = serde_json::to_vec(done).map_err(|error| StoreError::corrupt("batch", error))?;
        let mut item = keys::batch(batch.push, batch.shard, &batch.to_string()).item();
        item.extend([
            ("n".to_owned(), n(targets)),
            ("d".to_owned(), b(document)),
            ("expires_at".to_owned(), n(now.secs() + limits::PUSH_RETENTION_SECS)),
        ]);
        // A write whose answer was lost is tried again, and finds its own end.
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .condition_expression("l = :until OR d = :done")
            .expression_attribute_values(":until", n(until.millis()))
            .expression_attribute_values(":done", item["d"].clone())
            .set_item(Some(item));
        Ok(unless_refused(put.send().await)?.is_some())
    }

    /// Settles a batch that is not sent, unless there is one of its name: its devices have expired. There are none of a
    /// batch that a repeat found empty.
    pub async fn put_unsent(&self, batch: &BatchKey, targets: u32, now: Timestamp) -> Result<(), StoreError> {
        let done = Done { tally: Tally { expired: targets, ..Tally::default() }, ..Done::default() };
        let done = serde_json::to_vec(&done).map_err(|error| StoreError::corrupt("batch", error))?;
        let mut item = keys::batch(batch.push, batch.shard, &batch.to_string()).item();
        item.extend([
            ("n".to_owned(), n(targets)),
            ("d".to_owned(), b(done)),
            ("expires_at".to_owned(), n(now.secs() + limits::PUSH_RETENTION_SECS)),
        ]);
        item::put_new(&self.client, &self.table, item).await.map(drop)
    }

    /// Gives back a lease until `until`: nothing was sent.
    pub async fn release(&self, batch: &BatchKey, until: Timestamp) -> Result<(), StoreError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::batch(batch.push, batch.shard, &batch.to_string()).item()))
            .condition_expression("l = :until AND attribute_not_exists(d)")
            .expression_attribute_values(":until", n(until.millis()));
        unless_refused(delete.send().await).map(drop)
    }

    /// Writes how the batches of users addressed again are cut, unless that was done; returns what holds.
    pub async fn put_readdressed(
        &self,
        from: &BatchKey,
        readdressed: Readdressed,
        now: Timestamp,
    ) -> Result<Readdressed, StoreError> {
        let key = keys::readdressed(from.push, from.shard, &from.to_string());
        let document =
            serde_json::to_string(&readdressed).map_err(|error| StoreError::corrupt("readdressed", error))?;
        let mut item = key.item();
        item.extend([
            ("r".to_owned(), s(document)),
            ("expires_at".to_owned(), n(now.secs() + limits::PUSH_RETENTION_SECS)),
        ]);
        if item::put_new(&self.client, &self.table, item).await? {
            return Ok(readdressed);
        }
        let held = item::get(&self.client, &self.table, &key).await?;
        held.as_ref().map_or(Ok(readdressed), read_readdressed)
    }

    /// All batches of one shard of a push, strongly consistent, by their names in the ledger.
    pub async fn batches(&self, push: PushId, shard: Shard) -> Result<Vec<(BatchKey, Record)>, StoreError> {
        let pk = keys::ledger(push, shard);
        item::query_as(&self.client, &self.table, &pk, ("batch#", "batch#~"), |item| {
            let key = text(item, "sk").and_then(|sk| parse_key(push, shard, sk.strip_prefix("batch#")?));
            Ok((key.ok_or_else(|| StoreError::corrupt("batch", "no key"))?, read(item)?))
        })
        .await
    }

    /// All users of one shard of a push who were addressed again, strongly consistent.
    pub async fn readdressed(&self, push: PushId, shard: Shard) -> Result<Vec<(BatchKey, Readdressed)>, StoreError> {
        let pk = keys::ledger(push, shard);
        item::query_as(&self.client, &self.table, &pk, ("readdressed#", "readdressed#~"), |item| {
            let from = text(item, "sk").and_then(|sk| parse_key(push, shard, sk.strip_prefix("readdressed#")?));
            Ok((from.ok_or_else(|| StoreError::corrupt("readdressed", "no key"))?, read_readdressed(item)?))
        })
        .await
    }
}

fn read(item: &Item) -> Result<Record, StoreError> {
    let corrupt = || StoreError::corrupt("batch", "not whole");
    let done = bytes(item, "d").map(|document| serde_json::from_slice(document).map_err(|_| corrupt())).transpose()?;
    Ok(Record { targets: number(item, "n").ok_or_else(corrupt)?, done })
}

fn read_readdressed(item: &Item) -> Result<Readdressed, StoreError> {
    let document = text(item, "r").and_then(|document| serde_json::from_str(document).ok());
    document.ok_or_else(|| StoreError::corrupt("readdressed", "not whole"))
}

fn parse_key(push: PushId, shard: Shard, name: &str) -> Option<BatchKey> {
    let (channel, rest) = name.split_once('#')?;
    let (slice, attempt) = rest.rsplit_once('#')?;
    Some(BatchKey {
        push,
        shard,
        channel: Channel::from_str(channel).ok()?,
        slice: slice.to_owned(),
        attempt: attempt.parse().ok()?,
    })
}
