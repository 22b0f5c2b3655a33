//! Reading and writing items.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::paginator::QueryPaginatorItems;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, TransactWriteItem};
use futures::{StreamExt, TryStreamExt, stream};

use super::StoreError;
use super::error::{transaction_lost, unless_refused};
use super::keys::Key;

pub(super) type Item = HashMap<String, AttributeValue>;

/// Most keys of one `BatchGetItem` (DynamoDB service quotas).
const KEYS_PER_BATCH: usize = 100;
/// How often a batch is asked for in vain, one time after the other: for four seconds, most likely, and never for seven.
const TRIES_PER_BATCH: u32 = 10;
/// Batches read side by side.
const BATCHES_AT_ONCE: usize = 4;

pub(super) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn b(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// An attribute of an item, as text.
pub(super) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// An attribute of an item, as a number.
pub(super) fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// An attribute of an item, as bytes.
pub(super) fn bytes<'a>(item: &'a Item, name: &str) -> Option<&'a [u8]> {
    item.get(name)?.as_b().ok().map(AsRef::as_ref)
}

/// Writes all or nothing. Says whether it was all: if not, someone else came first.
pub(super) async fn transact(client: &Client, writes: Vec<TransactWriteItem>) -> Result<bool, StoreError> {
    match client.transact_write_items().set_transact_items(Some(writes)).send().await {
        Ok(_) => Ok(true),
        Err(error) if transaction_lost(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// One item, strongly consistent.
pub(super) async fn get(client: &Client, table: &str, key: &Key) -> Result<Option<Item>, StoreError> {
    let answer = client.get_item().table_name(table).set_key(Some(key.item())).consistent_read(true).send().await?;
    Ok(answer.item)
}

/// Puts an item unless one is there. Says whether it was put.
pub(super) async fn put_new(client: &Client, table: &str, item: Item) -> Result<bool, StoreError> {
    let put = client.put_item().table_name(table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
    Ok(unless_refused(put.send().await)?.is_some())
}

/// Whether a read sees every write that was answered before it. One that need not costs half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consistency {
    Strong,
    Eventual,
}

/// The items among `keys` that exist, strongly consistent, in no order. Keys must differ.
pub(super) async fn get_all(client: &Client, table: &str, keys: &[Key]) -> Result<Vec<Item>, StoreError> {
    get_all_at(client, table, keys, Consistency::Strong).await
}

/// As [`get_all`], at a consistency.
pub(super) async fn get_all_at(
    client: &Client,
    table: &str,
    keys: &[Key],
    consistency: Consistency,
) -> Result<Vec<Item>, StoreError> {
    stream::iter(keys.chunks(KEYS_PER_BATCH).map(<[Key]>::to_vec))
        .map(|keys| get_batch(client, table, keys, consistency))
        .buffer_unordered(BATCHES_AT_ONCE)
        .try_concat()
        .await
}

async fn get_batch(
    client: &Client,
    table: &str,
    keys: Vec<Key>,
    consistency: Consistency,
) -> Result<Vec<Item>, StoreError> {
    until_processed(keys.iter().map(Key::item).collect(), |wanted| async {
        let request = KeysAndAttributes::builder()
            .set_keys(Some(wanted))
            .consistent_read(consistency == Consistency::Strong)
            .build()?;
        let answer = client.batch_get_item().request_items(table, request).send().await?;
        let items = answer.responses.into_iter().flatten().flat_map(|(_, items)| items).collect();
        let rest = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, rest)| rest.keys).collect();
        Ok((items, rest))
    })
    .await
}

/// Reads the keys of a batch, and those again that were left unprocessed, after pauses that grow while nothing is read: at
/// once they would most likely be left again (DynamoDB, `BatchGetItem`). A table that gives a few keys at a time is read to
/// the end. `read` returns the items and the keys that it left.
async fn until_processed<Reading>(
    mut wanted: Vec<Item>,
    read: impl Fn(Vec<Item>) -> Reading,
) -> Result<Vec<Item>, StoreError>
where
    Reading: Future<Output = Result<(Vec<Item>, Vec<Item>), StoreError>>,
{
    let mut items = Vec::with_capacity(wanted.len());
    let mut in_vain = 0;
    while !wanted.is_empty() {
        let before = wanted.len();
        let (read, left) = read(wanted).await?;
        items.extend(read);
        wanted = left;
        if wanted.is_empty() {
            break;
        }
        in_vain = if wanted.len() < before { 0 } else { in_vain + 1 };
        if in_vain == TRIES_PER_BATCH {
            return Err(StoreError::Unprocessed(in_vain));
        }
        backoff(in_vain).await;
    }
    Ok(items)
}

/// The items of a partition whose sort keys lie between two others (both included), strongly consistent, in order.
pub(super) async fn query(
    client: &Client,
    table: &str,
    pk: &str,
    from: &str,
    to: &str,
) -> Result<Vec<Item>, StoreError> {
    query_at(client, table, pk, (from, to), Consistency::Strong).await
}

/// As [`query`], at a consistency.
pub(super) async fn query_at(
    client: &Client,
    table: &str,
    pk: &str,
    range: (&str, &str),
    consistency: Consistency,
) -> Result<Vec<Item>, StoreError> {
    let items = between(client, table, pk, range, consistency).send();
    items.try_collect().await.map_err(StoreError::from)
}

/// What is read of each item of such a range, strongly consistent, in order. Of the items a page is held at a time.
pub(super) async fn query_as<T>(
    client: &Client,
    table: &str,
    pk: &str,
    range: (&str, &str),
    read: impl Fn(&Item) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut items = between(client, table, pk, range, Consistency::Strong).send();
    let mut all = Vec::new();
    while let Some(item) = items.next().await {
        all.push(read(&item?)?);
    }
    Ok(all)
}

fn between(
    client: &Client,
    table: &str,
    pk: &str,
    (from, to): (&str, &str),
    consistency: Consistency,
) -> QueryPaginatorItems {
    client
        .query()
        .table_name(table)
        .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
        .expression_attribute_values(":pk", s(pk))
        .expression_attribute_values(":from", s(from))
        .expression_attribute_values(":to", s(to))
        .consistent_read(consistency == Consistency::Strong)
        .into_paginator()
        .items()
}

/// Waits before the next try of something that others get in the way of: a random part of a growing span.
pub(super) async fn backoff(round: u32) {
    let ceiling = 20_u64 << round.min(6);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(ceiling / 4..=ceiling))).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::{Instant, timeout};

    use super::*;

    fn item(number: u32) -> Item {
        Item::from([("pk".to_owned(), n(number))])
    }

    /// What is read of so many keys by a database that processes so many at a time, after it has left everything so many
    /// times; and when it was asked for how many.
    async fn read_by(
        keys: u32,
        at_once: usize,
        in_vain: usize,
    ) -> (Result<Vec<Item>, StoreError>, Vec<(Duration, usize)>) {
        let (begin, asked) = (Instant::now(), Mutex::new(Vec::new()));
        let reading = until_processed((0..keys).map(item).collect(), |mut wanted| {
            let mut asked = asked.lock().unwrap();
            asked.push((begin.elapsed(), wanted.len()));
            let at_once = if asked.len() % (in_vain + 1) == 0 { at_once } else { 0 };
            let left = wanted.split_off(at_once.min(wanted.len()));
            async { Ok((wanted, left)) }
        });
        let result = timeout(Duration::from_secs(60), reading).await.unwrap();
        (result, asked.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_read_later() {
        for (at_once, expected) in [(7, &[7][..]), (3, &[7, 4, 1]), (1, &[7, 6, 5, 4, 3, 2, 1])] {
            let (read, asked) = read_by(7, at_once, 0).await;
            assert_eq!(read.unwrap(), (0..7).map(item).collect::<Vec<_>>());
            assert_eq!(asked.into_iter().map(|(_, keys)| keys).collect::<Vec<_>>(), expected);
        }
        let nothing = until_processed(Vec::new(), |_| async { unreachable!("nothing is asked for") }).await;
        assert_eq!(nothing.unwrap(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_gives_a_few_at_a_time_is_read_to_the_end() {
        for (at_once, in_vain, rounds) in [(8, 0, 13), (8, 1, 26), (50, 9, 20)] {
            let (read, asked) = read_by(100, at_once, in_vain).await;
            assert_eq!((read.unwrap().len(), asked.len()), (100, rounds));
            let is_paced = asked.windows(2).all(|two| two[1].0 - two[0].0 >= Duration::from_millis(5));
            assert!(is_paced, "{asked:?}");
        }
        assert!(read_by(100, 50, 10).await.0.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_leaves_everything_is_given_up_after_pauses_that_grow() {
        let (read, asked) = read_by(7, 0, 0).await;
        assert!(matches!(read, Err(StoreError::Unprocessed(TRIES_PER_BATCH))));
        assert_eq!(asked.len(), TRIES_PER_BATCH as usize);
        let pauses = asked.windows(2).map(|two| two[1].0 - two[0].0);
        for (pause, ceiling) in pauses.zip([40, 80, 160, 320, 640, 1_280, 1_280, 1_280, 1_280]) {
            // The timer is one of whole milliseconds.
            let span = Duration::from_millis(ceiling / 4)..=Duration::from_millis(ceiling + 1);
            assert!(span.contains(&pause), "{pause:?} of {ceiling} ms");
        }
        assert!(asked[9].0 < Duration::from_secs(7));
    }
}
