//! Pushes kept for those who are offline: one item a push, however many users.
//!
//! It holds what decides whether a user is to have it. What it says is in the push itself, read by those who are.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use crate::domain::{AppId, Audience, Push, PushId, Seq, Timestamp};

use super::item::{self, Item, n, number, s, text};
use super::{StoreError, keys};

/// A push that is kept for those who are offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offline {
    /// Its number in the app.
    pub seq: Seq,
    /// The push.
    pub push: PushId,
    /// Users from this ordinal on came after it.
    pub population: u32,
    /// Whether it is for everyone; if not, the snapshots tell.
    pub everyone: bool,
    /// The end of its lifetime.
    pub expires_at: Timestamp,
}

/// Reads what is kept.
#[derive(Clone)]
pub struct OfflineStore {
    client: Client,
    table: String,
}

impl OfflineStore {
    /// Over the table of pushes.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// What an app has kept after a push, oldest first, strongly consistent. Some may be past their lifetime.
    pub async fn after(&self, app: &AppId, floor: Seq) -> Result<Vec<Offline>, StoreError> {
        let (from, to) = (keys::offline_place(floor.next()), keys::offline_place(Seq(u64::MAX)));
        let items = item::query(&self.client, &self.table, &keys::offline(app), &from, &to).await?;
        items.iter().map(whole).collect()
    }

    /// What an app has kept among some of its pushes, strongly consistent, in no order.
    pub async fn among(&self, app: &AppId, seqs: &BTreeSet<Seq>) -> Result<Vec<Offline>, StoreError> {
        let keys: Vec<_> = seqs.iter().map(|seq| keys::offline_push(app, *seq)).collect();
        item::get_all(&self.client, &self.table, &keys).await?.iter().map(whole).collect()
    }
}

/// The write that keeps a push, or `None` if it is not kept.
pub(super) fn keep(table: &str, push: &Push) -> Result<Option<TransactWriteItem>, StoreError> {
    let Some((seq, end)) = push.kept() else { return Ok(None) };
    let mut item = keys::offline_push(&push.app, seq).item();
    item.extend([
        ("i".to_owned(), s(push.id.to_string())),
        ("p".to_owned(), n(push.population)),
        ("x".to_owned(), n(end.millis())),
        // Up to a second late, so that TTL never deletes what may still be read.
        ("expires_at".to_owned(), n(end.secs() + 1)),
    ]);
    match push.audience {
        Audience::Everyone => {}
        Audience::Matching(_) | Audience::Users(_) => {
            item.insert("c".to_owned(), aws_sdk_dynamodb::types::AttributeValue::Bool(true));
        }
    }
    let put = Put::builder().table_name(table).set_item(Some(item)).build()?;
    Ok(Some(TransactWriteItem::builder().put(put).build()))
}

fn whole(item: &Item) -> Result<Offline, StoreError> {
    read(item).ok_or_else(|| StoreError::corrupt("offline", "not whole"))
}

fn read(item: &Item) -> Option<Offline> {
    Some(Offline {
        seq: Seq(text(item, "sk")?.parse().ok()?),
        push: PushId::try_from(text(item, "i")?.to_owned()).ok()?,
        population: number(item, "p")?,
        everyone: !item.contains_key("c"),
        expires_at: Timestamp::from_millis(number(item, "x")?),
    })
}
