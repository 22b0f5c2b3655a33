//! Snapshots: whom a push is for, shard by shard, as resolved once and for all; and how its batches were cut.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use crate::domain::{Channel, Push, PushId, Shard, ShardSet, Timestamp, limits};

use super::StoreError;
use super::item::{self, Item, b, bytes, n};
use super::keys::{self, Key};

/// How the batches of one shard were cut: for each channel, its slices.
///
/// A task that is repeated cuts the same slices, so that a batch means the same users each time it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cuts {
    /// When its users were addressed. A repeat judges by this moment who had been away for too long and who had quiet
    /// hours, or a day or a night that begins in between would move users from one slice to none, and back.
    pub at: Timestamp,
    /// The slices of each channel, in order: the place of the first user in it, and how many devices it had.
    /// A slice reaches to where the next one begins.
    pub slices: BTreeMap<Channel, Vec<(u16, u32)>>,
    /// Devices that were kept back when addressed, by channel: no sender for it, or its user wants no pushes.
    pub suppressed: BTreeMap<Channel, u32>,
    /// Places of the users who were addressed by their sockets. A repeat addresses them so as well, and notices who has
    /// left meanwhile.
    #[serde(skip)]
    pub sockets: ShardSet,
}

/// Reads and writes snapshots and cuts.
#[derive(Clone)]
pub struct SnapshotStore {
    client: Client,
    table: String,
}

impl SnapshotStore {
    /// Over the table of pushes.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Whom a push is for in one shard, if that was resolved.
    pub async fn get(&self, push: PushId, shard: Shard) -> Result<Option<ShardSet>, StoreError> {
        let item = item::get(&self.client, &self.table, &keys::snapshot(push, shard)).await?;
        item.as_ref().map(read).transpose()
    }

    /// Whom each of several pushes is for in one shard; absent where that was not resolved yet.
    pub async fn get_all(&self, pushes: &[PushId], shard: Shard) -> Result<BTreeMap<PushId, ShardSet>, StoreError> {
        let by_key: std::collections::HashMap<Key, PushId> =
            pushes.iter().map(|push| (keys::snapshot(*push, shard), *push)).collect();
        let keys: Vec<Key> = by_key.keys().cloned().collect();
        let items = item::get_all(&self.client, &self.table, &keys).await?;
        items
            .iter()
            .filter_map(|item| Some((*by_key.get(&Key::of(item)?)?, item)))
            .map(|(push, item)| Ok((push, read(item)?)))
            .collect()
    }

    /// Writes whom a push is for in one shard, unless that was done; returns what holds.
    pub async fn put(&self, push: &Push, shard: Shard, members: ShardSet) -> Result<ShardSet, StoreError> {
        let written = self.put_new(push, &keys::snapshot(push.id, shard), [("r", write(&members)?)]).await?;
        if written { Ok(members) } else { Ok(self.get(push.id, shard).await?.unwrap_or(members)) }
    }

    /// How the batches of one shard were cut, if they were.
    pub async fn cuts(&self, push: PushId, shard: Shard) -> Result<Option<Cuts>, StoreError> {
        let Some(item) = item::get(&self.client, &self.table, &keys::cuts(push, shard)).await? else {
            return Ok(None);
        };
        let cuts = bytes(&item, "c").and_then(|bytes| serde_json::from_slice(bytes).ok());
        let cuts: Cuts = cuts.ok_or_else(|| StoreError::corrupt("cuts", "not whole"))?;
        Ok(Some(Cuts { sockets: read(&item)?, ..cuts }))
    }

    /// Writes how the batches of one shard are cut, unless that was done; returns what holds.
    pub async fn put_cuts(&self, push: &Push, shard: Shard, cuts: Cuts) -> Result<Cuts, StoreError> {
        let serialized = serde_json::to_vec(&cuts).map_err(|error| StoreError::corrupt("cuts", error))?;
        let sockets = write(&cuts.sockets)?;
        let written = self.put_new(push, &keys::cuts(push.id, shard), [("c", serialized), ("r", sockets)]).await?;
        if written { Ok(cuts) } else { Ok(self.cuts(push.id, shard).await?.unwrap_or(cuts)) }
    }

    /// Puts an item unless it is there. Says whether it was put.
    async fn put_new<const N: usize>(
        &self,
        push: &Push,
        key: &Key,
        values: [(&str, Vec<u8>); N],
    ) -> Result<bool, StoreError> {
        let mut item = key.item();
        item.extend(values.map(|(name, value)| (name.to_owned(), b(value))));
        item.insert("expires_at".to_owned(), n(push.accepted_at.secs() + limits::PUSH_RETENTION_SECS));
        item::put_new(&self.client, &self.table, item).await
    }
}

fn write(members: &ShardSet) -> Result<Vec<u8>, StoreError> {
    let mut bitmap = RoaringBitmap::from_sorted_iter(members.iter().map(u32::from))
        .map_err(|error| StoreError::corrupt("snapshot", error))?;
    // Dense sets are runs: a tag that all have takes bytes, not 8 KB.
    bitmap.optimize();
    let mut serialized = Vec::new();
    bitmap.serialize_into(&mut serialized).map_err(|error| StoreError::corrupt("snapshot", error))?;
    Ok(serialized)
}

fn read(item: &Item) -> Result<ShardSet, StoreError> {
    let serialized = bytes(item, "r").ok_or_else(|| StoreError::corrupt("snapshot", "no bitmap"))?;
    let bitmap = RoaringBitmap::deserialize_from(serialized).map_err(|error| StoreError::corrupt("snapshot", error))?;
    bitmap
        .iter()
        .map(u16::try_from)
        .collect::<Result<_, _>>()
        .map_err(|_| StoreError::corrupt("snapshot", "a place beyond the shard"))
}
