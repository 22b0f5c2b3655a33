//! The acceptance of a push: one transaction, after which it will be delivered whatever dies.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use crate::domain::{AppId, Push, PushId, QuotaError, Quotas, Seq, Spent, Timestamp};

use super::item::{self, Item, backoff, n, number, s, text};
use super::keys::Key;
use super::{StoreError, due, keys, offline, pushes};

/// How often a lost race is run again.
const ROUNDS: u32 = 8;

/// A request that asks to be accepted.
pub struct Intake<'a> {
    /// The app.
    pub app: &'a AppId,
    /// What it may spend.
    pub quotas: &'a Quotas,
    /// What names the request: the same again within the window is a repeat of it, if its fingerprint is the same.
    pub dedup_key: &'a str,
    /// What tells whether it is the same: a digest of its content.
    pub fingerprint: &'a [u8],
    /// When it came.
    pub now: Timestamp,
}

/// What became of a request.
#[derive(Debug)]
pub enum Accepted {
    /// It is a push now, and durable.
    New(Box<Push>),
    /// It was accepted before: this is its push, under the id that the caller was told.
    Repeat {
        /// The push.
        push: PushId,
        /// The id that the caller was told.
        task_id: String,
    },
}

/// Why a request was not accepted; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is not paid for.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Accepts pushes.
#[derive(Clone)]
pub struct IntakeStore {
    client: Client,
    table: String,
}

impl IntakeStore {
    /// Over the table of pushes.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Accepts a request: spends quota, and writes the push, what is kept of it for those offline, what makes it
    /// known as a repeat, and what starts it should this process die — all of it or nothing.
    ///
    /// `push` makes the push of the number it gets. Of simultaneous requests one passes; the others are told what
    /// they would have been told a moment later.
    pub async fn accept(&self, intake: &Intake<'_>, push: impl Fn(Seq) -> Push) -> Result<Accepted, Refusal> {
        let dedup_key = keys::dedup(intake.app, intake.dedup_key, &base16ct::lower::encode_string(intake.fingerprint));
        let quota_key = keys::quota(intake.app);
        for round in 0..ROUNDS {
            let items = item::get_all(&self.client, &self.table, &[dedup_key.clone(), quota_key.clone()]).await?;
            let find = |key: &Key| items.iter().find(|item| Key::of(item).as_ref() == Some(key));
            if let Some(repeat) = find(&dedup_key).and_then(|item| read_repeat(item, intake)) {
                return Ok(repeat);
            }
            let before = find(&quota_key).map_or_else(Spent::default, read_spent);
            let after = before.spend(intake.quotas, intake.now)?;
            let push = push(after.seq);
            // Whoever accepted the same request since this one read has spent quota too: that condition catches it.
            let mut writes = vec![
                self.write_spent(&quota_key, before, after)?,
                self.write_dedup(&dedup_key, intake, &push, None)?,
                pushes::write(&self.table, &push)?,
                due::write(&self.table, &push)?,
            ];
            writes.extend(offline::keep(&self.table, &push)?);
            if item::transact(&self.client, writes).await? {
                return Ok(Accepted::New(Box::new(push)));
            }
            backoff(round).await;
        }
        Err(StoreError::Contended(ROUNDS).into())
    }

    /// Accepts a request that spends no quota and whose push has no number: it meets no other of the app. It cannot be
    /// kept, because what is kept is found by its number.
    pub async fn accept_unnumbered(&self, intake: &Intake<'_>, push: Push) -> Result<Accepted, StoreError> {
        let dedup_key = keys::dedup(intake.app, intake.dedup_key, &base16ct::lower::encode_string(intake.fingerprint));
        for round in 0..ROUNDS {
            let before = item::get(&self.client, &self.table, &dedup_key).await?;
            if let Some(repeat) = before.as_ref().and_then(|item| read_repeat(item, intake)) {
                return Ok(repeat);
            }
            let writes = vec![
                self.write_dedup(&dedup_key, intake, &push, Some(intake.now))?,
                pushes::write(&self.table, &push)?,
                due::write(&self.table, &push)?,
            ];
            if item::transact(&self.client, writes).await? {
                return Ok(Accepted::New(Box::new(push)));
            }
            backoff(round).await;
        }
        Err(StoreError::Contended(ROUNDS))
    }

    fn write_spent(&self, key: &Key, before: Spent, after: Spent) -> Result<TransactWriteItem, StoreError> {
        let mut item = key.item();
        item.extend([
            ("d".to_owned(), n(after.day)),
            ("c".to_owned(), n(after.today)),
            ("l".to_owned(), n(after.last.map_or(0, Timestamp::millis))),
            ("q".to_owned(), n(after.seq)),
        ]);
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR q = :q")
            .expression_attribute_values(":q", n(before.seq));
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }

    /// Makes the request known. With a time, only if none is known whose window still lasts then.
    fn write_dedup(
        &self,
        key: &Key,
        intake: &Intake<'_>,
        push: &Push,
        unless_at: Option<Timestamp>,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut item = key.item();
        item.extend([
            ("i".to_owned(), s(push.id.to_string())),
            ("t".to_owned(), s(push.task_id.clone())),
            ("expires_at".to_owned(), n(intake.now.secs() + i64::from(intake.quotas.dedup_secs))),
        ]);
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = match unless_at {
            None => put,
            Some(now) => put
                .condition_expression("attribute_not_exists(pk) OR expires_at <= :now")
                .expression_attribute_values(":now", n(now.secs())),
        };
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }
}

fn read_repeat(item: &Item, intake: &Intake<'_>) -> Option<Accepted> {
    // What is past its time may still be there: TTL takes hours to get to it.
    let alive = number::<i64>(item, "expires_at")? > intake.now.secs();
    alive.then_some(())?;
    Some(Accepted::Repeat {
        push: PushId::try_from(text(item, "i")?.to_owned()).ok()?,
        task_id: text(item, "t")?.to_owned(),
    })
}

fn read_spent(item: &Item) -> Spent {
    Spent {
        day: number(item, "d").unwrap_or_default(),
        today: number(item, "c").unwrap_or_default(),
        last: number(item, "l").map(Timestamp::from_millis),
        seq: Seq(number(item, "q").unwrap_or_default()),
    }
}
