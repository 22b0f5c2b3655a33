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
    let mut wanted: Vec<Item> = keys.iter().map(Key::item).collect();
    let mut items = Vec::with_capacity(wanted.len());
    let mut round = 0;
    while !wanted.is_empty() {
        if round > 0 {
            backoff(round).await;
        }
        let request = KeysAndAttributes::builder()
            .set_keys(Some(wanted))
            .consistent_read(consistency == Consistency::Strong)
            .build()?;
        let answer = client.batch_get_item().request_items(table, request).send().await?;
        items.extend(answer.responses.into_iter().flatten().flat_map(|(_, items)| items));
        wanted = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, rest)| rest.keys).collect();
        round += 1;
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
