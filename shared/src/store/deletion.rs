//! The end of accounts.
//!
//! What makes an account one goes in one transaction: the user, its places in the index, its contact, the tokens of
//! its devices. The same transaction notes in the user's standing, which outlives the account, that it was deleted,
//! and which sockets may still be open. They are closed after that, and what its devices acknowledged is forgotten;
//! then the note goes. Whoever finds the note at a repeat does the rest, so a deletion that died half-way is completed.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};
use futures::{StreamExt, TryStreamExt, stream};

use crate::domain::{AppId, Block, Edit, Ordinal, Shard, Timestamp, UserId, limits};

use super::acks::AckStore;
use super::connections::ConnectionStore;
use super::contacts::{ContactStore, Held};
use super::index::{self, Bitmap, BlockPlace, IndexStore};
use super::item::{self, backoff, n};
use super::standing::{Remains, StandingStore};
use super::users::{ROUNDS, TRANSACTIONS_AT_ONCE, UserStore, Versioned, WRITES_PER_TRANSACTION};
use super::{StoreError, keys};

/// Writes of a user who has no terms and no devices: the user, its contact, its standing.
const WRITES_EACH: usize = 3;
/// Most terms with which a user fits one transaction. Who has more loses the tags first.
const MOST_TERMS: usize = WRITES_PER_TRANSACTION - WRITES_EACH - limits::DEVICES_PER_USER;

/// Deletes accounts.
#[derive(Clone)]
pub struct DeletionStore {
    client: Client,
    table: String,
    acks: AckStore,
    connections: ConnectionStore,
    contacts: ContactStore,
    index: IndexStore,
    standing: StandingStore,
    users: UserStore,
}

impl DeletionStore {
    /// Over the table of the audience.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let table = table.into();
        Self {
            acks: AckStore::new(client.clone(), table.clone()),
            connections: ConnectionStore::new(client.clone(), table.clone()),
            contacts: ContactStore::new(client.clone(), table.clone()),
            index: IndexStore::new(client.clone(), table.clone()),
            standing: StandingStore::new(client.clone(), table.clone()),
            users: UserStore::new(client.clone(), table.clone()),
            client,
            table,
        }
    }

    /// Deletes those accounts that exist. Returns what these, and those of a deletion before that was not completed, have
    /// left behind: the caller closes the sockets, then calls [`complete`](Self::complete). Accounts that are absent
    /// were not there.
    pub async fn delete(&self, app: &AppId, ids: &[UserId], now: Timestamp) -> Result<Vec<Remains>, StoreError> {
        let mut pending: BTreeSet<&UserId> = ids.iter().collect();
        for round in 0..ROUNDS {
            if round > 0 {
                backoff(round).await;
            }
            let mut users = self.users.read(app, pending.iter().copied()).await?;
            pending.retain(|id| users.contains_key(*id));
            if pending.is_empty() {
                return self.standing.remains(app, ids.iter()).await;
            }
            let heavy: Vec<(UserId, Edit)> = users
                .values()
                .filter(|read| read.user.terms().len() > MOST_TERMS)
                .map(|read| (read.user.id.clone(), Edit::ClearTags))
                .collect();
            self.users.edit(app, &heavy).await?;
            users.retain(|_, read| read.user.terms().len() <= MOST_TERMS);

            let mut by_block: BTreeMap<(Shard, Block), Vec<Versioned>> = BTreeMap::new();
            for read in users.into_values() {
                by_block.entry((read.user.ordinal.shard(), read.user.ordinal.block())).or_default().push(read);
            }
            stream::iter(by_block.into_values())
                .map(|leavers| self.delete_of_block(app, leavers, now))
                .buffer_unordered(TRANSACTIONS_AT_ONCE)
                .try_for_each(|()| async { Ok(()) })
                .await?;
        }
        Err(StoreError::Contended(ROUNDS))
    }

    /// Forgets what an account has left behind, once its sockets are closed.
    pub async fn complete(&self, app: &AppId, remains: &Remains) -> Result<(), StoreError> {
        for connection in &remains.connections {
            self.connections.delete(connection).await?;
        }
        self.acks.forget(app, &remains.user).await?;
        self.standing.cleared(app, remains).await
    }

    /// Deletes users of one block, as many in a transaction as fit. If others change them meanwhile, some are left: the
    /// next read finds which.
    async fn delete_of_block(&self, app: &AppId, leavers: Vec<Versioned>, now: Timestamp) -> Result<(), StoreError> {
        let ordinals: Vec<Ordinal> = leavers.iter().map(|leaver| leaver.user.ordinal).collect();
        let all_places: BTreeSet<BlockPlace> = leavers.iter().flat_map(places).collect();
        let (mut contacts, mut blocks) = futures::try_join!(
            self.contacts.held(app, &ordinals),
            self.index.blocks(app, all_places.into_iter().collect())
        )?;
        let mut with_contacts = Vec::with_capacity(leavers.len());
        for leaver in leavers {
            let held = contacts.remove(&leaver.user.ordinal).unwrap_or_default();
            with_contacts.push((leaver, held));
        }
        for part in fitting(with_contacts) {
            let mut wanted: BTreeMap<BlockPlace, Bitmap> = BTreeMap::new();
            let mut writes = Vec::new();
            for (leaver, held) in &part {
                let user = &leaver.user;
                writes.push(self.delete_user(app, leaver)?);
                writes.push(self.standing.deleted(app, &user.id, held.connections.keys(), now)?);
                writes.extend(self.contacts.end(app, user.ordinal, held, now)?);
                for place in places(leaver) {
                    let read = blocks.get(&place).copied().unwrap_or_default();
                    wanted.entry(place).or_insert(read).set(user.ordinal.bit(), false);
                }
            }
            for (place, wanted) in &wanted {
                let read = blocks.get(place).copied().unwrap_or_default();
                if read != *wanted {
                    writes.push(index::write(&self.table, app, place, read, *wanted)?);
                }
            }
            if !item::transact(&self.client, writes).await? {
                return Ok(());
            }
            blocks.extend(wanted);
        }
        Ok(())
    }

    fn delete_user(&self, app: &AppId, read: &Versioned) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(keys::user(app, &read.user.id).item()))
            .condition_expression("v = :v AND n = :n")
            .expression_attribute_values(":v", n(read.version))
            .expression_attribute_values(":n", n(read.user.ordinal.0));
        Ok(TransactWriteItem::builder().delete(delete.build()?).build())
    }
}

fn places(leaver: &Versioned) -> BTreeSet<BlockPlace> {
    let ordinal = leaver.user.ordinal;
    leaver.user.terms().into_iter().map(|term| BlockPlace::of(term, ordinal)).collect()
}

/// Splits the users of one block so that each part fits one transaction.
fn fitting(leavers: Vec<(Versioned, Held)>) -> Vec<Vec<(Versioned, Held)>> {
    let mut parts: Vec<Vec<(Versioned, Held)>> = Vec::new();
    let mut shared: BTreeSet<BlockPlace> = BTreeSet::new();
    let mut own = 0;
    for (leaver, held) in leavers {
        let its_own = WRITES_EACH + held.devices.len();
        let its_places = places(&leaver);
        let grown: BTreeSet<BlockPlace> = shared.union(&its_places).cloned().collect();
        match parts.last_mut() {
            Some(part) if own + its_own + grown.len() <= WRITES_PER_TRANSACTION => {
                part.push((leaver, held));
                shared = grown;
                own += its_own;
            }
            _ => {
                parts.push(vec![(leaver, held)]);
                shared = its_places;
                own = its_own;
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Channel, Device, DeviceId, DeviceToken, Platform, Profile, Tag, User};

    fn leaver(ordinal: u32, tags: std::ops::Range<usize>, devices: usize) -> (Versioned, Held) {
        let mut user = User::new(UserId::try_from("u").unwrap(), Ordinal(ordinal), Profile::default());
        user.tags = tags.map(|number| Tag::try_from(number.to_string()).unwrap()).collect();
        let device = |number: usize| Device {
            id: DeviceId::try_from(number.to_string()).unwrap(),
            platform: Platform::Ios,
            channel: Channel::Apns,
            token: DeviceToken::new(number.to_string()),
            package: None,
            push_enabled: true,
            language: None,
            registered_at: Timestamp::from_secs(0),
            active_at: Timestamp::from_secs(0),
        };
        let held = Held { devices: (0..devices).map(device).collect(), ..Held::default() };
        (Versioned { user, version: 1 }, held)
    }

    /// Parts, and how many writes each makes.
    fn parts(leavers: Vec<(Versioned, Held)>) -> Vec<(usize, usize)> {
        let writes = |part: &Vec<(Versioned, Held)>| {
            let shared: BTreeSet<BlockPlace> = part.iter().flat_map(|(leaver, _)| places(leaver)).collect();
            part.iter().map(|(_, held)| WRITES_EACH + held.devices.len()).sum::<usize>() + shared.len()
        };
        fitting(leavers).iter().map(|part| (part.len(), writes(part))).collect()
    }

    #[test]
    fn users_of_a_block_share_transactions_while_they_fit() {
        let bare = (0..100).map(|ordinal| leaver(ordinal, 0..0, 0)).collect();
        assert_eq!(parts(bare), [(33, 99), (33, 99), (33, 99), (1, 3)]);
        let alike = (0..30).map(|ordinal| leaver(ordinal, 0..10, 0)).collect();
        assert_eq!(parts(alike), [(30, 100)]);
        let different = (0..4).map(|number| leaver(number as u32, 20 * number..20 * (number + 1), 2)).collect();
        assert_eq!(parts(different), [(4, 100)]);
    }

    #[test]
    fn the_fullest_user_fits_alone() {
        let full = || leaver(0, 0..MOST_TERMS, limits::DEVICES_PER_USER);
        assert_eq!(parts(vec![full(), full()]), [(1, WRITES_PER_TRANSACTION), (1, WRITES_PER_TRANSACTION)]);
    }
}
