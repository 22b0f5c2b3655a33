//! The acceptance of a push: one transaction, after which it will be delivered whatever dies.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use crate::domain::{AppId, Push, PushId, QuotaError, Quotas, Seq, Spent, Timestamp};

use super::item::{self, Item, backoff, n, number, s, text};
use super::keys::Key;
use super::{StoreError, due, keys, offline, pushes, recall};

/// How often a lost race is run again.
const ROUNDS: u32 = 8;

/// A request that asks to be accepted.
pub struct Intake<'a> {
    /// The app.
    pub app: &'a AppId,
    /// What makes another request a repeat of it.
    pub repeated: Repeated<'a>,
    /// The number that its push gets, and what it spends.
    pub number: Number<'a>,
    /// When it came.
    pub now: Timestamp,
}

/// What makes another request a repeat of one: then it is answered as the first was, and makes no push of its own.
pub enum Repeated<'a> {
    /// Nothing: each is meant.
    Never,
    /// The same name and the same content, for a time.
    BySameContent {
        /// What names the request.
        key: &'a str,
        /// A digest of its content.
        fingerprint: &'a [u8],
        /// For how long, in seconds.
        secs: u32,
    },
    /// That it withdraws the same push. The withdrawn push is marked, and no longer kept for those who are offline, in the
    /// same transaction.
    ByWithdrawing(&'a Push),
}

/// The number of a push within its app. What is kept needs one, by which it is found and acknowledged.
#[derive(Clone, Copy)]
pub enum Number<'a> {
    /// None. The push meets no other of the app.
    None,
    /// The next one.
    Next,
    /// The next one, if the app's quota pays for it.
    Paid(&'a Quotas),
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

    /// Accepts a request: takes a number, spends quota, and writes the push, what is kept of it for those offline, what
    /// makes it known as a repeat, and what starts it should this process die — all of it or nothing.
    ///
    /// `push` makes the push of the number it gets. Of simultaneous requests that take one, one passes; the others are
    /// told what they would have been told a moment later.
    pub async fn accept(&self, intake: &Intake<'_>, push: impl Fn(Option<Seq>) -> Push) -> Result<Accepted, Refusal> {
        let known_key = intake.known_key();
        let quota_key = (!matches!(intake.number, Number::None)).then(|| keys::quota(intake.app));
        let asked: Vec<Key> = known_key.iter().chain(&quota_key).cloned().collect();
        for round in 0..ROUNDS {
            let items = item::get_all(&self.client, &self.table, &asked).await?;
            let find = |key: &Option<Key>| items.iter().find(|item| Key::of(item).as_ref() == key.as_ref());
            let known = find(&known_key).and_then(|item| read_known(item, intake));
            if let Some(known) = &known
                && !self.is_withdrawn(intake, known).await?
            {
                return Ok(known.as_repeat());
            }
            let before = find(&quota_key).map_or_else(Spent::default, read_spent);
            let after = match intake.number {
                Number::None => None,
                Number::Next => Some(before.take_number()),
                Number::Paid(quotas) => Some(before.spend(quotas, intake.now)?),
            };
            let push = push(after.map(|after| after.seq));
            let mut writes = vec![pushes::write(&self.table, &push)?, due::write(&self.table, &push)?];
            writes.extend(offline::keep(&self.table, &push)?);
            if let (Some(key), Some(after)) = (&quota_key, after) {
                writes.push(self.write_spent(key, before, after)?);
            }
            if let Some(key) = &known_key {
                writes.push(self.write_known(key, intake, &push, known.as_ref())?);
            }
            if let Repeated::ByWithdrawing(withdrawn) = intake.repeated {
                writes.extend(recall::forget(&self.table, withdrawn)?);
            }
            if item::transact(&self.client, writes).await? {
                return Ok(Accepted::New(Box::new(push)));
            }
            backoff(round).await;
        }
        Err(StoreError::Contended(ROUNDS).into())
    }

    /// What a request is a repeat of, if it is one; nothing is changed. Strongly consistent, for a unit.
    pub async fn repeat(&self, intake: &Intake<'_>) -> Result<Option<Accepted>, StoreError> {
        let Some(key) = intake.known_key() else { return Ok(None) };
        let item = item::get(&self.client, &self.table, &key).await?;
        match item.and_then(|item| read_known(&item, intake)) {
            Some(known) if !self.is_withdrawn(intake, &known).await? => Ok(Some(known.as_repeat())),
            _ => Ok(None),
        }
    }

    /// Whether the push that the same content made was withdrawn: then the same again is meant, and no repeat.
    async fn is_withdrawn(&self, intake: &Intake<'_>, known: &Known) -> Result<bool, StoreError> {
        match intake.repeated {
            Repeated::BySameContent { .. } => {
                Ok(item::get(&self.client, &self.table, &keys::recalled(known.push)).await?.is_some())
            }
            Repeated::Never | Repeated::ByWithdrawing(_) => Ok(false),
        }
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

    /// Makes the request known, unless one is known already by which it is a repeat: any but the one whose push was
    /// `withdrawn`.
    fn write_known(
        &self,
        key: &Key,
        intake: &Intake<'_>,
        push: &Push,
        withdrawn: Option<&Known>,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut item = key.item();
        item.extend([
            ("i".to_owned(), s(push.id.to_string())),
            ("t".to_owned(), s(push.task_id.clone())),
            ("expires_at".to_owned(), n(intake.known_until())),
        ]);
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let is_free = "attribute_not_exists(pk) OR expires_at <= :now";
        let put = match withdrawn {
            None => put.condition_expression(is_free),
            Some(known) => put
                .condition_expression(format!("{is_free} OR i = :withdrawn"))
                .expression_attribute_values(":withdrawn", s(known.push.to_string())),
        };
        let put = put.expression_attribute_values(":now", n(intake.now.secs()));
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }
}

impl Intake<'_> {
    /// The item by which a repeat is known, if there is such a thing.
    fn known_key(&self) -> Option<Key> {
        match self.repeated {
            Repeated::Never => None,
            Repeated::BySameContent { key, fingerprint, .. } => {
                Some(keys::dedup(self.app, key, &base16ct::lower::encode_string(fingerprint)))
            }
            Repeated::ByWithdrawing(withdrawn) => Some(keys::recalled(withdrawn.id)),
        }
    }

    /// When that item ends, in seconds since the epoch.
    fn known_until(&self) -> i64 {
        match self.repeated {
            Repeated::Never => self.now.secs(),
            Repeated::BySameContent { secs, .. } => self.now.secs() + i64::from(secs),
            Repeated::ByWithdrawing(withdrawn) => recall::marked_until(withdrawn),
        }
    }
}

/// What a request was answered before.
struct Known {
    push: PushId,
    task_id: String,
}

impl Known {
    fn as_repeat(&self) -> Accepted {
        Accepted::Repeat { push: self.push, task_id: self.task_id.clone() }
    }
}

fn read_known(item: &Item, intake: &Intake<'_>) -> Option<Known> {
    // What is past its time may still be there: TTL takes hours to get to it.
    let alive = number::<i64>(item, "expires_at")? > intake.now.secs();
    alive.then_some(())?;
    Some(Known { push: PushId::try_from(text(item, "i")?.to_owned()).ok()?, task_id: text(item, "t")?.to_owned() })
}

fn read_spent(item: &Item) -> Spent {
    Spent {
        day: number(item, "d").unwrap_or_default(),
        today: number(item, "c").unwrap_or_default(),
        last: number(item, "l").map(Timestamp::from_millis),
        seq: Seq(number(item, "q").unwrap_or_default()),
    }
}
