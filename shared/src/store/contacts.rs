//! Contacts: how each user can be reached. A shard's contacts are one contiguous range.
//!
//! A user has a contact from the first device, connection or quiet hours on, so a push reads none for those who never
//! had any of them.
//! A deletion puts a mark in its place, so that whoever was registering or connecting meanwhile finds the place taken:
//! an ordinal is never given out again. After a day nobody can still be on the way, and TTL takes the mark.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, ReturnValue, TransactWriteItem, Update};
use futures::{StreamExt, TryStreamExt, stream};
use tracing::error;

use crate::domain::{
    AppId, Block, ConnectionId, Device, DeviceId, Ordinal, QuietHours, Shard, ShardSet, Timestamp, User, UserId, limits,
};

use super::StoreError;
use super::devices::{pack, unpack};
use super::error::unless_refused;
use super::item::{self, Consistency, Item, b, backoff, bytes, n, number, s, text};
use super::keys::{self, Key};
use super::quiet;

/// From how many members among 256 consecutive users on their contacts are read by range.
///
/// A strongly consistent `BatchGetItem` costs 1 unit a contact. A Query costs 1 unit for 4 KB, which is about 12
/// contacts of one device or two, wanted or not: a whole block is 256 / 12 ≈ 22 units.
const DENSE: u32 = 22;
/// Ranges read side by side.
const RANGES_AT_ONCE: usize = 4;
/// Blocks of one range at most: 2,048 contacts, less than a page of 1 MB.
const BLOCKS_PER_RANGE: u8 = 8;
/// How often a lost race is run again.
const ROUNDS: u32 = 12;
/// How long a mark stays: much longer than any function runs.
const MARK_SECS: i64 = 86_400;

/// How one user can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The user's place.
    pub ordinal: Ordinal,
    /// The user.
    pub user: UserId,
    /// Its installations.
    pub devices: Vec<Device>,
    /// Its open sockets, and the installation at the other end of each.
    pub connections: BTreeMap<ConnectionId, DeviceId>,
    /// When it wants to be left alone, if ever.
    pub quiet: Option<QuietHours>,
}

/// Reads and changes contacts.
#[derive(Clone)]
pub struct ContactStore {
    client: Client,
    table: String,
}

/// The devices of a contact, with the value that the next write is conditional on.
struct Versioned {
    devices: Vec<Device>,
    packed: Option<Vec<u8>>,
    /// Whether the user was deleted.
    is_gone: bool,
}

/// A contact as a deletion finds it.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    pub devices: Vec<Device>,
    pub connections: BTreeMap<ConnectionId, DeviceId>,
    /// The devices as they were read.
    pub packed: Option<Vec<u8>>,
    /// The connections as they were read, and not as they were understood: an entry that cannot be read would make
    /// every try to delete its user a lost race.
    pub entries: Option<AttributeValue>,
}

impl ContactStore {
    /// Over the table of the audience.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The contacts of the members of one shard, in the order of their ordinals, strongly consistent:
    /// by range where members are dense, one by one where they are sparse.
    pub async fn of_members(&self, app: &AppId, shard: Shard, members: &ShardSet) -> Result<Vec<Contact>, StoreError> {
        let items = self.items_of_members(app, shard, ReadPlan::of(members), Consistency::Strong).await?;
        let mut contacts = Vec::with_capacity(items.len());
        for item in &items {
            let low = place_of(item)?;
            if members.contains(low) && !is_mark(item) {
                match read_contact(shard.ordinal(low), item) {
                    Ok(contact) => contacts.push(contact),
                    // One that cannot be read must not keep the push from 65,535 others.
                    Err(error) => {
                        error!(app.id = %app, ordinal = shard.ordinal(low).0, error = %error, "Skipped a contact")
                    }
                }
            }
        }
        contacts.sort_unstable_by_key(|contact| contact.ordinal);
        Ok(contacts)
    }

    /// Whose places in a shard are whose. A place is never another user's, so reads that may be a moment old do, for
    /// half; places that they do not find are looked at once more, as they are. Users who were deleted are absent.
    pub async fn names(
        &self,
        app: &AppId,
        shard: Shard,
        places: &ShardSet,
    ) -> Result<HashMap<u16, UserId>, StoreError> {
        let mut names = HashMap::new();
        let mut left = places.clone();
        let items =
            self.items_of_members(app, shard, ReadPlan::of(places).narrowed(places), Consistency::Eventual).await?;
        note_names(&items, &mut left, &mut names)?;
        let missed: Vec<Key> = left.iter().map(|low| keys::contact(app, shard.ordinal(low))).collect();
        note_names(&item::get_all(&self.client, &self.table, &missed).await?, &mut left, &mut names)?;
        Ok(names)
    }

    /// The contacts of some users, in no order, strongly consistent. Users who have none are absent.
    pub async fn of_users(&self, app: &AppId, ordinals: &[Ordinal]) -> Result<Vec<Contact>, StoreError> {
        let items = self.items(app, ordinals).await?;
        items.iter().filter(|(_, item)| !is_mark(item)).map(|(ordinal, item)| read_contact(*ordinal, item)).collect()
    }

    /// A user's devices, strongly consistent.
    pub async fn devices(&self, app: &AppId, ordinal: Ordinal) -> Result<Vec<Device>, StoreError> {
        Ok(self.read(app, ordinal).await?.devices)
    }

    /// Registers a device, or refreshes it. A token belongs to one device: it is taken from any other that has it.
    /// Beyond ten devices, the one unseen longest makes room. `None`: the user was deleted meanwhile.
    pub async fn register(&self, app: &AppId, owner: &User, device: Device) -> Result<Option<Device>, StoreError> {
        let holder_key = keys::device_token(app, device.channel, &device.token);
        for round in 0..ROUNDS {
            if round > 0 {
                backoff(round).await;
            }
            let (mine, holder) =
                futures::try_join!(self.read(app, owner.ordinal), item::get(&self.client, &self.table, &holder_key))?;
            if mine.is_gone {
                return Ok(None);
            }
            let (devices, device, dropped) = with_device(&mine.devices, &device);
            let mut writes = vec![self.write_devices(app, owner.ordinal, Some(&owner.id), &mine, &devices)?];
            for gone in dropped {
                if (gone.channel, &gone.token) != (device.channel, &device.token) {
                    writes.push(self.release(app, owner.ordinal, &gone)?);
                }
            }
            let held = holder.as_ref().and_then(read_holder);
            if held.as_ref() != Some(&(owner.ordinal, device.id.clone())) {
                let mut claim = holder_key.item();
                claim.extend([("n".to_owned(), n(owner.ordinal.0)), ("i".to_owned(), s(device.id.as_str()))]);
                let claim = Put::builder().table_name(&self.table).set_item(Some(claim));
                let claim = match &held {
                    None => claim.condition_expression("attribute_not_exists(pk)"),
                    Some((ordinal, id)) => claim
                        .condition_expression("n = :n AND i = :i")
                        .expression_attribute_values(":n", n(ordinal.0))
                        .expression_attribute_values(":i", s(id.as_str())),
                };
                writes.push(TransactWriteItem::builder().put(claim.build()?).build());
                if let Some((ordinal, id)) = held.filter(|(ordinal, _)| *ordinal != owner.ordinal) {
                    let theirs = self.read(app, ordinal).await?;
                    let left: Vec<Device> = theirs.devices.iter().filter(|other| other.id != id).cloned().collect();
                    // A contact that is gone stays so: an update would make one without a user.
                    if theirs.packed.is_some() {
                        writes.push(self.write_devices(app, ordinal, None, &theirs, &left)?);
                    }
                }
            }
            if item::transact(&self.client, writes).await? {
                return Ok(Some(device));
            }
        }
        Err(StoreError::Contended(ROUNDS))
    }

    /// Forgets a device. Says whether there was one.
    pub async fn unregister(&self, app: &AppId, ordinal: Ordinal, id: &DeviceId) -> Result<bool, StoreError> {
        self.forget(app, ordinal, |device| device.id == *id).await
    }

    /// Forgets the device that a vendor called dead, unless it was registered after the vendor's verdict.
    pub async fn bury(
        &self,
        app: &AppId,
        ordinal: Ordinal,
        dead: (crate::domain::Channel, &crate::domain::DeviceToken),
        verdict: Timestamp,
    ) -> Result<bool, StoreError> {
        self.forget(app, ordinal, |device| (device.channel, &device.token) == dead && device.registered_at < verdict)
            .await
    }

    async fn forget(
        &self,
        app: &AppId,
        ordinal: Ordinal,
        is_meant: impl Fn(&Device) -> bool,
    ) -> Result<bool, StoreError> {
        for round in 0..ROUNDS {
            if round > 0 {
                backoff(round).await;
            }
            let read = self.read(app, ordinal).await?;
            let (gone, left): (Vec<Device>, Vec<Device>) =
                read.devices.iter().cloned().partition(|device| is_meant(device));
            if gone.is_empty() {
                return Ok(false);
            }
            let mut writes = vec![self.write_devices(app, ordinal, None, &read, &left)?];
            for device in &gone {
                writes.push(self.release(app, ordinal, device)?);
            }
            if item::transact(&self.client, writes).await? {
                return Ok(true);
            }
        }
        Err(StoreError::Contended(ROUNDS))
    }

    /// Adds a connection of an installation, without reading, and returns the user's devices as they are. `None`: the
    /// user was deleted meanwhile.
    pub async fn connect(
        &self,
        app: &AppId,
        user: &User,
        connection: &ConnectionId,
        device: &DeviceId,
    ) -> Result<Option<Vec<Device>>, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::contact(app, user.ordinal).item()))
            .update_expression("SET u = :u ADD c :c")
            .condition_expression("attribute_not_exists(x)")
            .expression_attribute_values(":u", s(user.id.as_str()))
            .expression_attribute_values(":c", AttributeValue::Ss(vec![entry(connection, device)]))
            .return_values(ReturnValue::AllNew);
        let Some(answer) = unless_refused(update.send().await)? else { return Ok(None) };
        let item = answer.attributes.unwrap_or_default();
        bytes(&item, "d").map_or_else(|| Ok(Vec::new()), unpack).map(Some)
    }

    /// Removes a connection of an installation, blindly.
    pub async fn disconnect(
        &self,
        app: &AppId,
        ordinal: Ordinal,
        connection: &ConnectionId,
        device: &DeviceId,
    ) -> Result<(), StoreError> {
        let entry = entry(connection, device);
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::contact(app, ordinal).item()))
            .update_expression("DELETE c :c")
            .condition_expression("contains(c, :entry)")
            .expression_attribute_values(":c", AttributeValue::Ss(vec![entry.clone()]))
            .expression_attribute_values(":entry", s(entry));
        unless_refused(update.send().await).map(drop)
    }

    /// Removes a connection of an installation that the caller does not know: for a read more.
    pub async fn drop_connection(
        &self,
        app: &AppId,
        ordinal: Ordinal,
        connection: &ConnectionId,
    ) -> Result<(), StoreError> {
        let item = item::get(&self.client, &self.table, &keys::contact(app, ordinal)).await?.unwrap_or_default();
        match read_connections(&item).get(connection) {
            Some(device) => self.disconnect(app, ordinal, connection, device).await,
            None => Ok(()),
        }
    }

    /// Marks a device active. Says whether there is such a device; a lost race is let be, for whoever won it
    /// has seen the device too.
    pub async fn touch(
        &self,
        app: &AppId,
        ordinal: Ordinal,
        id: &DeviceId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let read = self.read(app, ordinal).await?;
        let mut devices = read.devices.clone();
        let Some(device) = devices.iter_mut().find(|device| device.id == *id) else { return Ok(false) };
        device.active_at = device.active_at.max(now);
        item::transact(&self.client, vec![self.write_devices(app, ordinal, None, &read, &devices)?]).await?;
        Ok(true)
    }

    async fn read(&self, app: &AppId, ordinal: Ordinal) -> Result<Versioned, StoreError> {
        let item = item::get(&self.client, &self.table, &keys::contact(app, ordinal)).await?.unwrap_or_default();
        let packed = bytes(&item, "d").map(<[u8]>::to_vec);
        let devices = packed.as_deref().map_or_else(|| Ok(Vec::new()), unpack)?;
        Ok(Versioned { devices, packed, is_gone: is_mark(&item) })
    }

    /// Contacts as a deletion finds them. Users who have none have an empty one.
    pub(super) async fn held(&self, app: &AppId, ordinals: &[Ordinal]) -> Result<BTreeMap<Ordinal, Held>, StoreError> {
        let mut held: BTreeMap<Ordinal, Held> = ordinals.iter().map(|ordinal| (*ordinal, Held::default())).collect();
        for (ordinal, item) in self.items(app, ordinals).await? {
            let packed = bytes(&item, "d").map(<[u8]>::to_vec);
            let devices = packed.as_deref().map_or_else(|| Ok(Vec::new()), unpack)?;
            let (connections, entries) = (read_connections(&item), item.get("c").cloned());
            held.insert(ordinal, Held { devices, connections, packed, entries });
        }
        Ok(held)
    }

    /// The writes that end a contact, unless it is no longer what was read: a mark in its place, and its tokens given up.
    pub(super) fn end(
        &self,
        app: &AppId,
        ordinal: Ordinal,
        held: &Held,
        now: Timestamp,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let mut mark = keys::contact(app, ordinal).item();
        mark.extend([
            ("x".to_owned(), AttributeValue::Bool(true)),
            ("expires_at".to_owned(), n(now.secs() + MARK_SECS)),
        ]);
        let put = Put::builder().table_name(&self.table).set_item(Some(mark));
        let (put, devices) = match &held.packed {
            None => (put, "attribute_not_exists(d)"),
            Some(packed) => (put.expression_attribute_values(":d", b(packed.clone())), "d = :d"),
        };
        let (put, connections) = match &held.entries {
            None => (put, "attribute_not_exists(c)"),
            Some(entries) => (put.expression_attribute_values(":c", entries.clone()), "c = :c"),
        };
        let put = put.condition_expression(format!("{devices} AND {connections}"));
        let mut writes = vec![TransactWriteItem::builder().put(put.build()?).build()];
        for device in &held.devices {
            writes.push(self.release(app, ordinal, device)?);
        }
        Ok(writes)
    }

    async fn items(&self, app: &AppId, ordinals: &[Ordinal]) -> Result<Vec<(Ordinal, Item)>, StoreError> {
        let by_key: HashMap<Key, Ordinal> =
            ordinals.iter().map(|ordinal| (keys::contact(app, *ordinal), *ordinal)).collect();
        let keys: Vec<Key> = by_key.keys().cloned().collect();
        let items = item::get_all(&self.client, &self.table, &keys).await?;
        let with_ordinal = |item: Item| Some((*by_key.get(&Key::of(&item)?)?, item));
        Ok(items.into_iter().filter_map(with_ordinal).collect())
    }

    /// The items that a plan names, and those between them, in no order.
    async fn items_of_members(
        &self,
        app: &AppId,
        shard: Shard,
        plan: ReadPlan,
        consistency: Consistency,
    ) -> Result<Vec<Item>, StoreError> {
        let pk = keys::contacts(app, shard);
        let ranges = stream::iter(plan.ranges.into_iter().map(|(from, to)| {
            let pk = &pk;
            async move {
                let (from, to) = (keys::contact_place(from), keys::contact_place(to));
                item::query_at(&self.client, &self.table, pk, (&from, &to), consistency).await
            }
        }))
        .buffer_unordered(RANGES_AT_ONCE)
        .try_concat();
        let singles: Vec<Key> = plan.singles.iter().map(|low| keys::contact(app, shard.ordinal(*low))).collect();
        let singles = item::get_all_at(&self.client, &self.table, &singles, consistency);
        let (mut items, singles) = futures::try_join!(ranges, singles)?;
        items.extend(singles);
        Ok(items)
    }

    fn write_devices(
        &self,
        app: &AppId,
        ordinal: Ordinal,
        owner: Option<&UserId>,
        read: &Versioned,
        devices: &[Device],
    ) -> Result<TransactWriteItem, StoreError> {
        let (set, value) = if devices.is_empty() { ("REMOVE d", None) } else { ("SET d = :d", Some(pack(devices)?)) };
        let set = match (owner, devices.is_empty()) {
            (Some(_), false) => "SET d = :d, u = :u",
            _ => set,
        };
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(keys::contact(app, ordinal).item()))
            .update_expression(set);
        let update = match value {
            Some(value) => update.expression_attribute_values(":d", b(value)),
            None => update,
        };
        let update = match owner {
            Some(owner) if !devices.is_empty() => update.expression_attribute_values(":u", s(owner.as_str())),
            _ => update,
        };
        let update = match &read.packed {
            None => update.condition_expression("attribute_not_exists(d) AND attribute_not_exists(x)"),
            Some(packed) => {
                update.condition_expression("d = :read").expression_attribute_values(":read", b(packed.clone()))
            }
        };
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }

    /// Gives up the token of a device that is forgotten.
    fn release(&self, app: &AppId, ordinal: Ordinal, device: &Device) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(keys::device_token(app, device.channel, &device.token).item()))
            .condition_expression("attribute_not_exists(pk) OR (n = :n AND i = :i)")
            .expression_attribute_values(":n", n(ordinal.0))
            .expression_attribute_values(":i", s(device.id.as_str()));
        Ok(TransactWriteItem::builder().delete(delete.build()?).build())
    }
}

/// Which contacts to read how.
#[derive(Debug, PartialEq, Eq)]
struct ReadPlan {
    /// First and last place of each range.
    ranges: Vec<(u16, u16)>,
    singles: Vec<u16>,
}

impl ReadPlan {
    fn of(members: &ShardSet) -> Self {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        let mut sparse = ShardSet::default();
        let mut open_blocks = 0;
        for number in 0..=u8::MAX {
            let (first, last) = (u16::from(number) << 8, u16::from(number) << 8 | 0xFF);
            match members.len_of(Block(number)) {
                0 => open_blocks = 0,
                count if count >= DENSE => match ranges.last_mut() {
                    Some(range) if (1..BLOCKS_PER_RANGE).contains(&open_blocks) => {
                        range.1 = last;
                        open_blocks += 1;
                    }
                    _ => {
                        ranges.push((first, last));
                        open_blocks = 1;
                    }
                },
                _ => {
                    open_blocks = 0;
                    (first..=last).filter(|low| members.contains(*low)).for_each(|low| sparse.insert(low));
                }
            }
        }
        Self { ranges, singles: sparse.iter().collect() }
    }

    /// Without what lies before a range's first member and behind its last: worth it where members are a small part of
    /// the block that they are in.
    fn narrowed(mut self, members: &ShardSet) -> Self {
        for (first, last) in &mut self.ranges {
            let inside = || (*first..=*last).filter(|low| members.contains(*low));
            (*first, *last) = (inside().next().unwrap_or(*first), inside().next_back().unwrap_or(*last));
        }
        self
    }
}

/// The devices after one is registered, that one as stored, and those that gave way to it.
fn with_device(devices: &[Device], new: &Device) -> (Vec<Device>, Device, Vec<Device>) {
    let same_token = |device: &Device| (device.channel, &device.token) == (new.channel, &new.token);
    let mut new = new.clone();
    if let Some(known) = devices.iter().find(|device| device.id == new.id && same_token(device)) {
        // Only a token that is new has been registered now: a refresh does not outdate a vendor's verdict on it,
        // unless the vendor gave it before the refresh.
        new.registered_at = new.registered_at.max(known.registered_at);
    }
    let (mut dropped, mut kept): (Vec<Device>, Vec<Device>) =
        devices.iter().cloned().partition(|device| device.id == new.id || same_token(device));
    dropped.retain(|device| !(device.id == new.id && same_token(device)));
    kept.sort_by_key(|device| std::cmp::Reverse(device.active_at));
    dropped.extend(kept.split_off(kept.len().min(limits::DEVICES_PER_USER - 1)));
    kept.push(new.clone());
    (kept, new, dropped)
}

/// The place in its shard that an item is for.
fn place_of(item: &Item) -> Result<u16, StoreError> {
    text(item, "sk").and_then(|low| low.parse().ok()).ok_or_else(|| StoreError::corrupt("contact", "no place"))
}

/// Takes note of whose places these are, of those that are still to be named. A mark has no name, and is no place that
/// was missed.
fn note_names(items: &[Item], left: &mut ShardSet, names: &mut HashMap<u16, UserId>) -> Result<(), StoreError> {
    let mut found = ShardSet::default();
    for item in items {
        let low = place_of(item)?;
        if !left.contains(low) {
            continue;
        }
        found.insert(low);
        if let Some(user) = text(item, "u").and_then(|user| UserId::try_from(user).ok()).filter(|_| !is_mark(item)) {
            names.insert(low, user);
        }
    }
    *left = std::mem::take(left) - &found;
    Ok(())
}

/// Whether it stands where the contact of a deleted user was.
fn is_mark(item: &Item) -> bool {
    item.contains_key("x")
}

/// A connection in the set of a contact. An id of a connection holds no space.
fn entry(connection: &ConnectionId, device: &DeviceId) -> String {
    format!("{connection} {device}")
}

fn read_entry(entry: &str) -> Option<(ConnectionId, DeviceId)> {
    let (connection, device) = entry.split_once(' ')?;
    Some((ConnectionId::try_from(connection).ok()?, DeviceId::try_from(device).ok()?))
}

fn read_connections(item: &Item) -> BTreeMap<ConnectionId, DeviceId> {
    let entries = item.get("c").and_then(|value| value.as_ss().ok()).into_iter().flatten();
    entries.filter_map(|entry| read_entry(entry)).collect()
}

fn read_contact(ordinal: Ordinal, item: &Item) -> Result<Contact, StoreError> {
    let user = text(item, "u").and_then(|user| UserId::try_from(user).ok());
    Ok(Contact {
        ordinal,
        user: user.ok_or_else(|| StoreError::corrupt("contact", "no user"))?,
        devices: bytes(item, "d").map_or_else(|| Ok(Vec::new()), unpack)?,
        connections: read_connections(item),
        quiet: quiet::read(item),
    })
}

fn read_holder(item: &Item) -> Option<(Ordinal, DeviceId)> {
    Some((Ordinal(number(item, "n")?), DeviceId::try_from(text(item, "i")?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Channel, DeviceToken, Platform};

    #[test]
    fn a_plan_is_narrowed_to_its_members() {
        let members: ShardSet = (200..=299).chain([40_000]).collect();
        let plan = ReadPlan::of(&members).narrowed(&members);
        assert_eq!(plan, ReadPlan { ranges: vec![(200, 299)], singles: vec![40_000] });
        // What lies between two blocks' members stays: it is one range.
        let apart: ShardSet = (0..30).chain(480..512).collect();
        assert_eq!(ReadPlan::of(&apart).narrowed(&apart).ranges, [(0, 511)]);
    }

    #[test]
    fn places_are_named_once_and_marks_not_at_all() {
        let item = |low: u16, of: Item| {
            let mut item = Item::from([("sk".to_owned(), s(format!("{low:05}")))]);
            item.extend(of);
            item
        };
        let user = |name: &str| Item::from([("u".to_owned(), s(name))]);
        let mark = Item::from([("x".to_owned(), n(1))]);
        let items = [item(1, user("anne")), item(2, mark), item(3, user("between"))];
        let (mut left, mut names) = ([1, 2, 4].into_iter().collect::<ShardSet>(), HashMap::new());
        note_names(&items, &mut left, &mut names).unwrap();
        assert_eq!(names, HashMap::from([(1, UserId::try_from("anne").unwrap())]));
        assert_eq!(left.iter().collect::<Vec<_>>(), [4], "to be looked at once more");
    }

    #[test]
    fn a_connection_stands_in_its_contact_with_its_device() {
        let (connection, device) =
            (ConnectionId::try_from("L0SM9cOFvHcCIhw=").unwrap(), DeviceId::try_from("a-phone.1").unwrap());
        let written = entry(&connection, &device);
        assert_eq!(written, "L0SM9cOFvHcCIhw= a-phone.1");
        assert_eq!(read_entry(&written), Some((connection, device)));
        assert_eq!(read_entry("L0SM9cOFvHcCIhw="), None);
        assert!(ConnectionId::try_from("a b").is_err(), "or its end could not be told");
    }

    #[test]
    fn everyone_is_read_by_range_and_a_few_one_by_one() {
        let plan = ReadPlan::of(&ShardSet::below(65_536));
        assert_eq!((plan.ranges.len(), plan.singles.len()), (32, 0));
        assert_eq!((plan.ranges[0], plan.ranges[31]), ((0, 2_047), (63_488, 65_535)));

        let few: ShardSet = [3, 700, 65_535].into_iter().collect();
        assert_eq!(ReadPlan::of(&few), ReadPlan { ranges: vec![], singles: vec![3, 700, 65_535] });
    }

    #[test]
    fn the_way_of_reading_changes_at_twenty_two_of_a_block() {
        let first = |count: u16| (0..count).map(|place| place + 256).collect::<ShardSet>();
        assert_eq!(ReadPlan::of(&first(21)).singles.len(), 21);
        assert_eq!(ReadPlan::of(&first(22)), ReadPlan { ranges: vec![(256, 511)], singles: vec![] });
    }

    #[test]
    fn ranges_do_not_reach_over_sparse_blocks() {
        let dense = |block: u16| (0..30).map(move |place| block * 256 + place);
        let members: ShardSet = dense(0).chain(dense(1)).chain([600]).chain(dense(3)).chain(dense(9)).collect();
        let plan = ReadPlan::of(&members);
        assert_eq!(plan.ranges, [(0, 511), (768, 1_023), (2_304, 2_559)]);
        assert_eq!(plan.singles, [600]);
    }

    fn device(id: &str, token: &str, active_at: i64) -> Device {
        Device {
            id: DeviceId::try_from(id).unwrap(),
            platform: Platform::Android,
            channel: Channel::Fcm,
            token: DeviceToken::new(token),
            package: None,
            push_enabled: true,
            language: None,
            registered_at: Timestamp::from_secs(active_at),
            active_at: Timestamp::from_secs(active_at),
        }
    }

    #[test]
    fn the_eleventh_device_takes_the_place_of_the_one_unseen_longest() {
        let ten: Vec<Device> = (0..10).map(|n| device(&format!("d{n}"), &format!("t{n}"), 100 + n)).collect();
        let (devices, _, dropped) = with_device(&ten, &device("new", "t-new", 200));
        assert_eq!(devices.len(), 10);
        assert_eq!(dropped, [ten[0].clone()]);
        assert!(devices.iter().any(|device| device.id.as_str() == "new"));
    }

    #[test]
    fn a_device_with_a_new_token_gives_up_the_old_one() {
        let (devices, stored, dropped) = with_device(&[device("d", "old", 1)], &device("d", "new", 2));
        assert_eq!((devices.len(), stored.token.expose()), (1, "new"));
        assert_eq!(dropped, [device("d", "old", 1)]);
    }

    #[test]
    fn a_token_of_the_same_user_moves_to_the_device_that_registers_it() {
        let (devices, _, dropped) = with_device(&[device("a", "t", 1)], &device("b", "t", 2));
        assert_eq!(devices, [device("b", "t", 2)]);
        assert_eq!(dropped, [device("a", "t", 1)]);
    }
}
