//! The account of a push: how many devices it was for, and what came of each, by channel.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};

use crate::domain::{AppId, Channel, Push, PushId, Shard, Tally, Timestamp};

use super::{BatchKey, Cuts, LedgerStore, Readdressed, Record, RestStore, SnapshotStore, StoreError};

/// Complaints of a channel that an account repeats at most: they are few different ones, or of little use.
const COMPLAINTS: usize = 10;

/// Shards that are read side by side.
const SHARDS_AT_ONCE: usize = 8;

/// What came of a push, so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushAccount {
    /// By channel.
    pub channels: BTreeMap<Channel, Account>,
    /// How far it is.
    pub progress: Progress,
}

/// How far a push is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nobody is addressed yet.
    Accepted,
    /// Some are not addressed yet, or pending.
    Sending,
    /// It is known of everyone what came of it.
    Done,
}

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
    ///
    /// Shards that are not cut yet are not in it. Once a push is [`Done`](Progress::Done) it stays so, but where a process
    /// died while it addressed users, and those who have left their sockets since are addressed again.
    pub async fn of(&self, push: &Push, now: Timestamp) -> Result<PushAccount, StoreError> {
        let all = push.shards();
        let shards = stream::iter(all.clone()).map(|shard| self.shard(push.id, shard)).buffered(SHARDS_AT_ONCE);
        let shards: Vec<Option<ShardRecord>> = shards.try_collect().await?;
        let mut channels = BTreeMap::new();
        for (shard, record) in all.iter().zip(&shards) {
            let Some(record) = record else { continue };
            add_shard(&mut channels, record, |channel, slice| BatchKey {
                push: push.id,
                shard: *shard,
                channel,
                slice,
                attempt: 0,
            });
        }
        let is_under_way = channels.values().any(|account| account.pending > 0)
            // Who has left a socket meanwhile is addressed again as long as the push lives, and then no more.
            || push.is_alive(now) && shards.iter().flatten().any(ShardRecord::readdresses);
        let progress = match shards.iter().flatten().count() {
            cut if cut == all.len() && !is_under_way => Progress::Done,
            0 => Progress::Accepted,
            _ => Progress::Sending,
        };
        for (channel, account) in &mut channels {
            let stopped = self.stopped(&push.app, *channel).await?;
            // What was stopped once, and was not needed since, is no news.
            account.stopped = stopped.filter(|stopped| account.pending > 0 || stopped.until > now);
        }
        Ok(PushAccount { channels, progress })
    }

    async fn shard(&self, push: PushId, shard: Shard) -> Result<Option<ShardRecord>, StoreError> {
        // What a batch was for is read before what came of it: a batch that ends in between is pending still.
        let Some(cuts) = self.snapshots.cuts(push, shard).await? else { return Ok(None) };
        let readdressed = self.ledger.readdressed(push, shard).await?.into_iter().collect();
        let batches = self.ledger.batches(push, shard).await?.into_iter().collect();
        Ok(Some(ShardRecord { cuts, readdressed, batches }))
    }

    async fn stopped(&self, app: &AppId, channel: Channel) -> Result<Option<Stopped>, StoreError> {
        let rest = self.rests.get(Some(app), channel).await?;
        Ok(match (rest.why, rest.since, rest.until) {
            (Some(why), Some(since), Some(until)) => Some(Stopped { why, since, until }),
            _ => None,
        })
    }
}

/// What is written of a shard that is cut.
struct ShardRecord {
    cuts: Cuts,
    readdressed: BTreeMap<BatchKey, Readdressed>,
    batches: BTreeMap<BatchKey, Record>,
}

impl ShardRecord {
    /// Whether there are users who are yet to be addressed again.
    fn readdresses(&self) -> bool {
        self.batches.iter().any(|(key, record)| {
            let done = record.done.as_ref();
            done.is_some_and(|done| !done.readdress.is_empty()) && !self.readdressed.contains_key(key)
        })
    }
}

fn add_shard(
    accounts: &mut BTreeMap<Channel, Account>,
    ShardRecord { cuts, readdressed, batches }: &ShardRecord,
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
    for suppressed in std::iter::once(&cuts.suppressed).chain(readdressed.values().map(|again| &again.cuts.suppressed))
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
    use crate::domain::ShardSet;
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
        let readdressed = BTreeMap::from([(key(Channel::Ws, "0", 0), gone)]);
        add_shard(&mut accounts, &ShardRecord { cuts, readdressed, batches }, |channel, slice| key(channel, &slice, 0));
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
