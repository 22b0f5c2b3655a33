//! What `campaign` must start, unless it is started before.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use crate::domain::{Push, PushId, Timestamp, limits};

use super::error::unless_refused;
use super::item::{self, n, number, text};
use super::{StoreError, keys};

/// How long after its acceptance a push's fan-out is started again unless it was seen to start: one minute.
const GRACE_SECS: i64 = 60;

/// A push whose fan-out was not seen to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The push.
    pub push: PushId,
    /// Since when it is due: part of its key.
    pub at: Timestamp,
    /// When it is to be looked at again, if it was started anew before.
    pub next: Option<Timestamp>,
}

/// Reads and settles what is due.
#[derive(Clone)]
pub struct DueStore {
    client: Client,
    table: String,
}

impl DueStore {
    /// Over the table of pushes.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// All that is due, however long.
    pub async fn until(&self, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        let to = keys::due_place(now.plus_millis(1));
        let mut due = Vec::new();
        for partition in 0..keys::DUE_PARTITIONS {
            let items = item::query(&self.client, &self.table, &keys::due(partition), "0", &to).await?;
            for item in &items {
                let (at, push) = text(item, "sk").and_then(|sk| sk.split_once('#')).unwrap_or_default();
                let parsed = at.parse().ok().zip(PushId::try_from(push.to_owned()).ok());
                let (at, push) = parsed.ok_or_else(|| StoreError::corrupt("due", "no push"))?;
                let next = number(item, "next").map(Timestamp::from_millis);
                due.push(Due { push, at: Timestamp::from_millis(at), next });
            }
        }
        Ok(due)
    }

    /// Whether the push's fan-out is still to start.
    pub async fn is_due(&self, push: &Push) -> Result<bool, StoreError> {
        Ok(item::get(&self.client, &self.table, &keys::due_push(push.id, due_at(push))).await?.is_some())
    }

    /// The push's fan-out has started: it is due no more.
    pub async fn settle(&self, push: &Push) -> Result<(), StoreError> {
        self.delete(push.id, due_at(push)).await
    }

    /// Takes a due item away.
    pub async fn delete(&self, push: PushId, at: Timestamp) -> Result<(), StoreError> {
        self.client.delete_item().table_name(&self.table).set_key(Some(keys::due_push(push, at).item())).send().await?;
        Ok(())
    }

    /// It was started anew: it is looked at again at `next`, unless it is settled before.
    pub async fn postpone(&self, due: Due, next: Timestamp) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::due_push(due.push, due.at).item()))
            .update_expression("SET #next = :next")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#next", "next")
            .expression_attribute_values(":next", n(next.millis()));
        // Refused if it was settled meanwhile.
        unless_refused(update.send().await).map(drop)
    }
}

/// The write that makes a newly accepted push due in a minute.
pub(super) fn write(table: &str, push: &Push) -> Result<TransactWriteItem, StoreError> {
    let mut item = keys::due_push(push.id, due_at(push)).item();
    item.insert("expires_at".to_owned(), n(push.accepted_at.secs() + limits::PUSH_RETENTION_SECS));
    let put = Put::builder().table_name(table).set_item(Some(item)).build()?;
    Ok(TransactWriteItem::builder().put(put).build())
}

fn due_at(push: &Push) -> Timestamp {
    push.accepted_at.plus_secs(GRACE_SECS)
}
