//! The account of a push: how many devices it was for, and what came of each, by channel.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{AppId, Channel, Push, Tally, Timestamp};

use super::{BatchKey, Cuts, LedgerStore, Readdressed, Record, RestStore, SnapshotStore, StoreError};

/// Complaints of a channel that an account repeats at most: they are few different ones, or of little use.
const COMPLAINTS: usize = 10;

/// What came of a push on one channel, so far. `targeted = settled.total() + pending`, at every moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Devices and connections it was addressed to.
    pub targeted: u32,
    /// Those of which it is known what came of them.
    pub settled: Tally,
    /// The others.
    pub pending: u32,
    /// What went wrong with batches of it that was not about one device: each once, and the first few of them.
    pub complaints: BTreeSet<String>,
    /// Set while the app sends nothing on this channel.
    pub stopped: Option<Stopped>,
}

/// A channel of an app that is stopped: what is pending waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Why, in a few words.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
    /// When it is tried again.
    pub until: Timestamp,
}

/// Adds up the ledger.
#[derive(Clone)]
pub struct AccountStore {
    ledger: LedgerStore,
    rests: RestStore,
    snapshots: SnapshotStore,
}

impl AccountStore {
    /// Over the ledger, the cuts and the rests of channels.
    pub fn new(ledger: LedgerStore, snapshots: SnapshotStore, rests: RestStore) -> Self {
        Self { ledger, rests, snapshots }
    }

    /// The account of a push, by channel. Two Queries and a read a shard, and a read a channel.
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
        for (channel, account) in &mut accounts {
            account.stopped = self.stopped(&push.app, *channel).await?;
        }
        Ok(accounts)
    }

    async fn stopped(&self, app: &AppId, channel: Channel) -> Result<Option<Stopped>, StoreError> {
        let rest = self.rests.get(Some(app), channel).await?;
        Ok(match (rest.why, rest.since, rest.until) {
            (Some(why), Some(since), Some(until)) => Some(Stopped { why, since, until }),
            _ => None,
        })
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
        let account = accounts.entry(channel).or_default();
        let mut settled = Tally::default();
        while let Some(record) = batches.get(&key) {
            if let Some(done) = &record.done {
                settled += done.tally;
                if account.complaints.len() < COMPLAINTS {
                    account.complaints.extend(done.complaint.clone());
                }
            }
            let Some(next) = key.next_attempt() else { break };
            key = next;
        }
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
                (Channel::Ws, Account { targeted: 3, settled: tally(1, 2, 0), pending: 0, ..Account::default() }),
                (Channel::Apns, Account { targeted: 12, settled: tally(5, 1, 0), pending: 6, ..Account::default() }),
                (Channel::Fcm, Account { targeted: 2, settled: tally(0, 0, 2), pending: 0, ..Account::default() }),
            ])
        );
    }
}
