//! The index: for each term, the users of whom it is true, as bitmaps of 256.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use futures::{StreamExt, TryStreamExt, stream};

use crate::domain::{AppId, Block, Condition, Ordinal, Shard, ShardSet, Term};

use super::StoreError;
use super::item::{self, Item, b, bytes, text};
use super::keys::{self, Key};

/// Terms read side by side.
const TERMS_AT_ONCE: usize = 8;

/// The members of a term among 256 users; the lowest ordinal in the lowest bit of the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bitmap([u8; 32]);

impl Bitmap {
    pub fn set(&mut self, bit: u8, member: bool) {
        let (byte, mask) = (usize::from(bit / 8), 1 << (bit % 8));
        if member {
            self.0[byte] |= mask;
        } else {
            self.0[byte] &= !mask;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0 == [0; 32]
    }

    fn read(item: &Item) -> Result<Self, StoreError> {
        let bitmap = bytes(item, "b").and_then(|bytes| bytes.try_into().ok());
        bitmap.map(Self).ok_or_else(|| StoreError::corrupt("block", "no bitmap of 32 bytes"))
    }
}

/// The place of one block of one term.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BlockPlace {
    pub term: Term,
    pub shard: Shard,
    pub block: Block,
}

impl BlockPlace {
    pub fn of(term: Term, ordinal: Ordinal) -> Self {
        Self { term, shard: ordinal.shard(), block: ordinal.block() }
    }

    fn key(&self, app: &AppId) -> Key {
        keys::block(app, &self.term, self.shard, self.block)
    }
}

/// Reads the index.
#[derive(Clone)]
pub struct IndexStore {
    client: Client,
    table: String,
}

impl IndexStore {
    /// Over the table of the audience.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The members of one shard who satisfy a condition, among `everyone` in it.
    /// One Query a term, of at most 256 small items: one page.
    pub async fn resolve(
        &self,
        app: &AppId,
        condition: &Condition,
        shard: Shard,
        everyone: &ShardSet,
    ) -> Result<ShardSet, StoreError> {
        let members: BTreeMap<Term, ShardSet> = stream::iter(condition.terms().into_iter().cloned())
            .map(|term| async move { Ok::<_, StoreError>((term.clone(), self.members(app, &term, shard).await?)) })
            .buffer_unordered(TERMS_AT_ONCE)
            .try_collect()
            .await?;
        let no_one = ShardSet::default();
        Ok(condition.resolve(everyone, &|term| members.get(term).unwrap_or(&no_one)))
    }

    /// The members of one shard of whom a term is true.
    pub async fn members(&self, app: &AppId, term: &Term, shard: Shard) -> Result<ShardSet, StoreError> {
        let blocks = item::query(&self.client, &self.table, &keys::members(app, term, shard), "000", "255").await?;
        let mut members = ShardSet::default();
        for item in &blocks {
            let block = text(item, "sk").and_then(|number| number.parse().ok()).map(Block);
            let block = block.ok_or_else(|| StoreError::corrupt("block", "no block number"))?;
            members.insert_block(block, &Bitmap::read(item)?.0);
        }
        Ok(members)
    }

    /// Some blocks as they are now; those that do not exist are empty.
    pub(super) async fn blocks(
        &self,
        app: &AppId,
        places: Vec<BlockPlace>,
    ) -> Result<BTreeMap<BlockPlace, Bitmap>, StoreError> {
        let by_key: std::collections::HashMap<Key, BlockPlace> =
            places.iter().map(|place| (place.key(app), place.clone())).collect();
        let keys: Vec<Key> = by_key.keys().cloned().collect();
        let mut blocks: BTreeMap<_, _> = places.into_iter().map(|place| (place, Bitmap::default())).collect();
        for item in item::get_all(&self.client, &self.table, &keys).await? {
            if let Some(place) = Key::of(&item).and_then(|key| by_key.get(&key)) {
                blocks.insert(place.clone(), Bitmap::read(&item)?);
            }
        }
        Ok(blocks)
    }
}

/// The write that takes a block from what was read to what it shall be, and fails if it is no longer what was read.
pub(super) fn write(
    table: &str,
    app: &AppId,
    place: &BlockPlace,
    read: Bitmap,
    wanted: Bitmap,
) -> Result<TransactWriteItem, StoreError> {
    let key = place.key(app);
    if wanted.is_empty() {
        // What is empty takes no item: a term that no one has any more costs nothing to read.
        let delete = Delete::builder()
            .table_name(table)
            .set_key(Some(key.item()))
            .condition_expression("b = :read")
            .expression_attribute_values(":read", b(read.0));
        return Ok(TransactWriteItem::builder().delete(delete.build()?).build());
    }
    let mut item = key.item();
    item.insert("b".to_owned(), b(wanted.0));
    let put = Put::builder().table_name(table).set_item(Some(item));
    let put = if read.is_empty() {
        put.condition_expression("attribute_not_exists(pk)")
    } else {
        put.condition_expression("b = :read").expression_attribute_values(":read", b(read.0))
    };
    Ok(TransactWriteItem::builder().put(put.build()?).build())
}
