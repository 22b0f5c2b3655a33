//! The account of a push: how many devices it was for, and what came of each, by channel.

use std::collections::BTreeMap;

use crate::domain::{Channel, Push, Tally};

use super::{BatchKey, Cuts, LedgerStore, Readdressed, Record, SnapshotStore, StoreError};

/// What came of a push on one channel, so far. `targeted = settled.total() + pending`, at every moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Devices and connections it was addressed to.
    pub targeted: u32,
    /// Those of which it is known what came of them.
    pub settled: Tally,
    /// The others.
    pub pending: u32,
}

/// Adds up the ledger.
#[derive(Clone)]
pub struct AccountStore {
    ledger: LedgerStore,
    snapshots: SnapshotStore,
}

impl AccountStore {
    /// Over the ledger and the cuts.
    pub fn new(ledger: LedgerStore, snapshots: SnapshotStore) -> Self {
        Self { ledger, snapshots }
    }

    /// The account of a push, by channel. Two Queries and a read a shard.
    pub async fn of(&self, push: &Push) -> Result<BTreeMap<Channel, Account>, StoreError> {
        let mut accounts = BTreeMap::new();
        for shard in push.shards() {
            // What a batch was for is read before what came of it: a batch that ends in between is pending still.
            let Some(cuts) = self.snapshots.cuts(push.id, shard).await? else { continue };
            let readdressed = self.ledger.readdressed(push.id, shard).await?;
            let batches = self.ledger.batches(push.id, shard).await?.into_iter().collect();
            add_shard(&mut accounts, &cuts, &readdressed, &batches, |channel, slice| BatchKey {
                push: push.id,
                shard,
                channel,
                slice,
                attempt: 0,
            });
        }
        Ok(accounts)
    }
}

fn add_shard(
    accounts: &mut BTreeMap<Channel, Account>,
    cuts: &Cuts,
    readdressed: &[(BatchKey, Readdressed)],
    batches: &BTreeMap<BatchKey, Record>,
    first_attempt: impl Fn(Channel, String) -> BatchKey,
) {
    let first = cuts.slices.iter().flat_map(|(channel, slices)| {
        slices.iter().enumerate().map(|(number, (_, count))| (*channel, number.to_string(), *count))
    });
    let again = readdressed.iter().flat_map(|(from, readdressed)| {
        readdressed.cuts.slices.iter().flat_map(move |(channel, slices)| {
            slices
                .iter()
                .enumerate()
                .map(move |(number, (_, count))| (*channel, from.readdressed_slice(number), *count))
        })
    });
    for (channel, slice, count) in first.chain(again) {
        let mut key = first_attempt(channel, slice);
        // A batch that was leased says for how many it really was.
        let targeted = batches.get(&key).map_or(count, |record| record.targets);
        let mut settled = Tally::default();
        while let Some(record) = batches.get(&key) {
            record.done.iter().for_each(|done| settled += done.tally);
            key = key.next_attempt();
        }
        let account = accounts.entry(channel).or_default();
        account.targeted += targeted;
        account.settled += settled;
        account.pending += targeted.saturating_sub(settled.total());
    }
    for suppressed in
        std::iter::once(&cuts.suppressed).chain(readdressed.iter().map(|(_, again)| &again.cuts.suppressed))
    {
        for (channel, count) in suppressed {
            let account = accounts.entry(*channel).or_default();
            account.targeted += count;
            account.settled.suppressed += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{PushId, Shard, ShardSet, Timestamp};
    use crate::store::Done;

    use super::*;

    fn key(channel: Channel, slice: &str, attempt: u8) -> BatchKey {
        BatchKey { push: PushId::from_u128(1), shard: Shard(0), channel, slice: slice.to_owned(), attempt }
    }

    fn done(delivered: u32, invalid: u32, retry: Vec<u16>) -> Record {
        let tally = Tally { delivered, invalid, ..Tally::default() };
        let targets = tally.total() + retry.len() as u32;
        Record { targets, done: Some(Done { tally, retry, ..Done::default() }) }
    }

    #[test]
    fn every_device_is_settled_or_pending() {
        let nothing = || Cuts {
            at: Timestamp::from_secs(0),
            slices: BTreeMap::new(),
            suppressed: BTreeMap::new(),
            sockets: ShardSet::default(),
        };
        let cuts = Cuts {
            slices: BTreeMap::from([(Channel::Apns, vec![(0, 5), (9, 4)]), (Channel::Ws, vec![(0, 3)])]),
            suppressed: BTreeMap::from([(Channel::Fcm, 2)]),
            ..nothing()
        };
        let again = BTreeMap::from([(Channel::Apns, vec![(0, 2)])]);
        let gone = Readdressed { cuts: Cuts { slices: again, ..nothing() } };
        let batches = BTreeMap::from([
            (key(Channel::Apns, "0", 0), done(2, 1, vec![3, 4])),
            (key(Channel::Apns, "0", 1), done(1, 0, vec![1])),
            (key(Channel::Ws, "0", 0), done(1, 2, vec![])),
            // Leased, and found to be for one more than was cut.
            (key(Channel::Apns, "1", 0), Record { targets: 5, done: None }),
            (key(Channel::Apns, "r0.0.0", 0), done(2, 0, vec![])),
        ]);
        let mut accounts = BTreeMap::new();
        add_shard(&mut accounts, &cuts, &[(key(Channel::Ws, "0", 0), gone)], &batches, |channel, slice| {
            key(channel, &slice, 0)
        });
        let tally = |delivered, invalid, suppressed| Tally { delivered, invalid, suppressed, ..Tally::default() };
        assert_eq!(
            accounts,
            BTreeMap::from([
                (Channel::Ws, Account { targeted: 3, settled: tally(1, 2, 0), pending: 0 }),
                (Channel::Apns, Account { targeted: 12, settled: tally(5, 1, 0), pending: 6 }),
                (Channel::Fcm, Account { targeted: 2, settled: tally(0, 0, 2), pending: 0 }),
            ])
        );
    }
}
