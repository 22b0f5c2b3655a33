//! What each device has acknowledged.
//!
//! Not part of the contact, which every push reads: acknowledgements are read when a device asks what it missed.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt, TryStreamExt, stream};

use crate::domain::{AppId, DeviceId, Seq, Timestamp, UserId, limits};

use super::StoreError;
use super::error::unless_refused;
use super::item::{self, Item, n, number};
use super::keys::{self, Key};

/// Acknowledgements that are kept of a device beyond its floor, before more are let be: a device that acknowledges for
/// as long as its socket lives, and does not sync, comes to this at one push in four seconds. A sync drops those that no
/// longer say anything. What was let be is sent again by a sync, if it is still kept.
const MOST: usize = 2_000;
/// Items deleted side by side.
const DELETIONS_AT_ONCE: usize = 8;

/// What a device has acknowledged: every push up to a floor is settled for it, but for a few, and those listed beyond.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acknowledged {
    /// Pushes up to this one are settled: acknowledged, not for its user, or past their lifetime.
    pub floor: Seq,
    /// Those up to it of which it is not known yet whether they are for the device.
    pub open: BTreeSet<Seq>,
    /// Pushes that were acknowledged, beyond the floor or among those.
    pub seqs: BTreeSet<Seq>,
}

impl Acknowledged {
    /// Whether the push need not be sent to the device again.
    pub fn covers(&self, seq: Seq) -> bool {
        (seq <= self.floor && !self.open.contains(&seq)) || self.seqs.contains(&seq)
    }
}

/// Reads and writes acknowledgements.
#[derive(Clone)]
pub struct AckStore {
    client: Client,
    table: String,
}

impl AckStore {
    /// Over the table of the audience.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// What a device has acknowledged, strongly consistent.
    pub async fn get(&self, app: &AppId, user: &UserId, device: &DeviceId) -> Result<Acknowledged, StoreError> {
        let item = item::get(&self.client, &self.table, &keys::acks(app, user, device)).await?.unwrap_or_default();
        Ok(Acknowledged {
            floor: Seq(number(&item, "f").unwrap_or(0)),
            open: read_numbers(&item, "o"),
            seqs: read_numbers(&item, "a"),
        })
    }

    /// Adds acknowledgements, blindly: a second time changes nothing. Those of a device that has thousands beyond its
    /// floor are let be, so that none fills its item with what was never pushed.
    pub async fn add(
        &self,
        app: &AppId,
        user: &UserId,
        device: &DeviceId,
        seqs: &BTreeSet<Seq>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if seqs.is_empty() {
            return Ok(());
        }
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::acks(app, user, device).item()))
            .update_expression("SET expires_at = :end ADD a :seqs")
            .condition_expression("attribute_not_exists(a) OR size(a) < :most")
            .expression_attribute_values(":seqs", numbers(seqs))
            .expression_attribute_values(":most", n(MOST))
            .expression_attribute_values(":end", n(end(now)));
        unless_refused(update.send().await).map(drop)
    }

    /// Forgets what all devices of a user have acknowledged.
    pub(super) async fn forget(&self, app: &AppId, user: &UserId) -> Result<(), StoreError> {
        // Device ids are of printable ASCII without these two.
        let items = item::query(&self.client, &self.table, &keys::acks_of(app, user), " ", "~").await?;
        stream::iter(items.iter().filter_map(Key::of))
            .map(|key| self.client.delete_item().table_name(&self.table).set_key(Some(key.item())).send())
            .buffer_unordered(DELETIONS_AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        Ok(())
    }

    /// Writes how far everything is settled, and drops acknowledgements that say nothing more: those that are in
    /// `read` and no longer in `settled`. What was acknowledged meanwhile stays.
    pub async fn settle(
        &self,
        app: &AppId,
        user: &UserId,
        device: &DeviceId,
        read: &Acknowledged,
        settled: &Acknowledged,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut sets, mut rest) = ("SET f = :floor, expires_at = :end".to_owned(), String::new());
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::acks(app, user, device).item()))
            .expression_attribute_values(":floor", n(settled.floor))
            .expression_attribute_values(":end", n(end(now)));
        if settled.open.is_empty() {
            rest.push_str(" REMOVE o");
        } else {
            sets.push_str(", o = :open");
            update = update.expression_attribute_values(":open", numbers(&settled.open));
        }
        let dropped: BTreeSet<Seq> = read.seqs.difference(&settled.seqs).copied().collect();
        if !dropped.is_empty() {
            rest.push_str(" DELETE a :dropped");
            update = update.expression_attribute_values(":dropped", numbers(&dropped));
        }
        // Refused if another socket of the device has settled more: what holds was read before it.
        let floor = if read.floor == Seq(0) { "attribute_not_exists(f) OR f = :floor_read" } else { "f = :floor_read" };
        update = update.expression_attribute_values(":floor_read", n(read.floor));
        let open = if read.open.is_empty() {
            "attribute_not_exists(o)"
        } else {
            update = update.expression_attribute_values(":open_read", numbers(&read.open));
            "o = :open_read"
        };
        let update = update.update_expression(sets + &rest).condition_expression(format!("({floor}) AND {open}"));
        unless_refused(update.send().await).map(drop)
    }
}

/// Nothing acknowledged can outlive this: a push is kept for seven days at most.
fn end(now: Timestamp) -> i64 {
    now.secs() + i64::from(limits::LIFETIME_SECS) + 86_400
}

fn read_numbers(item: &Item, name: &str) -> BTreeSet<Seq> {
    let numbers = item.get(name).and_then(|value| value.as_ns().ok()).into_iter().flatten();
    numbers.filter_map(|number| number.parse().ok()).map(Seq).collect()
}

fn numbers(seqs: &BTreeSet<Seq>) -> AttributeValue {
    AttributeValue::Ns(seqs.iter().map(ToString::to_string).collect())
}
